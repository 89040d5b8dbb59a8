//! Functions: the ones policies ask, and the few that run with their owner's rights.

use std::collections::BTreeSet;

use sqlx::{PgConnection, Row};

use super::Defect;
use crate::Result;

/// What policies ask. Whoever changes one changes every policy, so their sources are written out here.
const ASKED_BY_POLICIES: [(&str, &str); 4] = [
    ("public.app_member()", "select nullif(current_setting('app.member_id', true), '')::uuid"),
    ("public.app_role()", "select coalesce(current_setting('app.role', true), '')"),
    ("public.platform_tenant()", "select '00000000-0000-7000-8000-000000000001'::uuid"),
    (
        "public.role_rank(text)",
        "select case role when 'system' then 9 when 'operator' then 8 when 'owner' then 4 when 'admin' then 3 \
         when 'coach' then 2 when 'athlete' then 1 else 0 end",
    ),
];

/// The SECURITY DEFINER functions and those that they call, each with the SHA-256 of the source that was reviewed. Read a
/// changed one with an attacker's eyes before its new sum is put here: it acts as ffp_owner for whoever calls it.
const REVIEWED: [(&str, &str); 14] = [
    (
        "public.enqueue(text,jsonb,text,timestamp with time zone)",
        "a0a4d40a7ccca55920580a8d05298423d2671e6d5be37370fe0379f2530bd7d9",
    ),
    (
        "public.operator_jobs(uuid,text,bigint,integer)",
        "715fb3fc7938d3da84f50c6c116f63ecea76aad79985db4116d9503dd416d704",
    ),
    ("public.operator_job_error(bigint)", "1dbe789acd57808884adf0436ade9a62cd40d060a02d11f2be4c455f5e6e1d69"),
    ("public.operator_retry_job(bigint)", "3195e1e0465219747960d7baaf308f0afbef995c5b55b520ae591bfcebcdc273"),
    ("public.gate_enter(text,jsonb,text,integer)", "76e7e980583ed61a2d089b37ce2bef6d5c26502d3e9870e29a9203a41e448346"),
    (
        "public.gate_acquire(uuid,bigint,uuid,integer)",
        "b8cf2e5bb6005eee4ba800ec789d72e270b76232d62541f985a013e0c7c0c847",
    ),
    ("public.gate_renew(uuid,uuid)", "938f13f3585b7a4313bc012199e6370bdd7534fba6e3c9b9321fb7b43b8b7d7e"),
    (
        "public.gate_leave(uuid,uuid,boolean,integer)",
        "cf890bb210bded1eb5c5206469d2f50133527829f96bfddce561c4e447033adb",
    ),
    ("public.gate_place(uuid)", "be869c19df441da311ba44183cacac3013a16ea0de552a93cb781bc8a4a29515"),
    ("public.gate_tidy()", "92526b5ea1a6c7dda40e1fc92d06fb76fe9214d1e0084b3f6621e6c97321ef62"),
    ("public.gate_line()", "739333493c0f9fb25844d2ab16eb7a7537aee049503424bb0d5fb1b8b0424332"),
    ("public.gate_free(integer)", "f6d4d337a99485984881bdb96d170165096efde9179abbeba9d775b476d400e3"),
    ("public.gate_call(integer)", "4bc40a431d416a1d5a0c2481eedfdaa5ed466467c793f15928402bc366049048"),
    ("public.usage_add(jsonb)", "b80071452ffc9702b1e79d3abb0e87097b033f61b7f8ec1fc6c5975fd3064bb4"),
];

/// The only search path a function with its owner's rights may have: nobody's names can stand in front.
const PINNED: &str = "search_path=pg_catalog, pg_temp";

/// Looks at every function outside the system's schemas.
pub(super) async fn examine(connection: &mut PgConnection, found: &mut BTreeSet<Defect>) -> Result<()> {
    let rows = sqlx::query(
        "select p.oid::regprocedure::text as name, p.prosecdef as definer, l.lanname = 'sql' as plain,
                btrim(regexp_replace(p.prosrc, '\\s+', ' ', 'g')) as source,
                encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex') as sum,
                coalesce(p.proconfig, '{}') as settings,
                exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g where g.grantee = 0) as public
         from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
         where n.nspname <> 'information_schema' and n.nspname !~ '^pg_'",
    )
    .fetch_all(connection)
    .await?;

    let mut present = BTreeSet::new();
    for row in rows {
        let name: String = row.try_get("name")?;
        let mut report = |code, remedy| {
            found.insert(Defect { code, object: name.clone(), remedy });
        };
        let expected = ASKED_BY_POLICIES.iter().find(|(asked, _)| *asked == name);
        if let Some((_, source)) = expected
            && (row.try_get::<String, _>("source")? != *source || !row.try_get::<bool, _>("plain")?)
        {
            report(
                "function.changed",
                "is asked by policies and has another source than it should: restore it in a migration",
            );
        }
        let reviewed = REVIEWED.iter().find(|(reviewed, _)| *reviewed == name);
        if let Some((_, sum)) = reviewed
            && row.try_get::<String, _>("sum")? != *sum
        {
            report(
                "function.unreviewed",
                "runs with its owner's rights and is not what was reviewed: run `platform migrate`, or review it and note its sum",
            );
        }
        if row.try_get("definer")? {
            if reviewed.is_none() {
                report(
                    "function.definer",
                    "runs with its owner's rights and nobody reviewed it: make it SECURITY INVOKER",
                );
            }
            if row.try_get::<Vec<String>, _>("settings")? != [PINNED] {
                report(
                    "function.search-path",
                    "runs with its owner's rights: pin `search_path = pg_catalog, pg_temp` on it",
                );
            }
            if row.try_get("public")? {
                report(
                    "function.public",
                    "runs with its owner's rights and PUBLIC may call it: revoke execute from public",
                );
            }
        }
        present.insert(name);
    }
    let needed = ASKED_BY_POLICIES.iter().chain(&REVIEWED).map(|(name, _)| *name);
    found.extend(needed.filter(|name| !present.contains(*name)).map(|name| Defect {
        code: "function.missing",
        object: name.to_owned(),
        remedy: "does not exist: run `platform migrate`",
    }));
    Ok(())
}

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

/// The SECURITY DEFINER functions, each with the SHA-256 of the source that was reviewed. Read a changed one with an
/// attacker's eyes before its new sum is put here: it acts as ffp_owner for whoever calls it.
const REVIEWED: [(&str, &str); 1] = [(
    "public.enqueue(text,jsonb,text,timestamp with time zone)",
    "a0a4d40a7ccca55920580a8d05298423d2671e6d5be37370fe0379f2530bd7d9",
)];

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
        if row.try_get("definer")? {
            match REVIEWED.iter().find(|(reviewed, _)| *reviewed == name) {
                None => report(
                    "function.definer",
                    "runs with its owner's rights and nobody reviewed it: make it SECURITY INVOKER",
                ),
                Some((_, sum)) if row.try_get::<String, _>("sum")? != *sum => report(
                    "function.unreviewed",
                    "runs with its owner's rights and is not what was reviewed: run `platform migrate`, or review it and note its sum",
                ),
                Some(_) => {}
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

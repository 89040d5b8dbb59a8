//! The proof of isolation, as far as it needs nothing but the database: silent on what `platform migrate` makes, and not
//! on what a careless hand makes of it.

use std::collections::BTreeMap;

use tenants::{
    Role,
    proof::{self, Attempt, Databases, Disguise, Ledger, Party, Trial, Verdict},
    tokens::{Issuer, IssuerKind, Verifier, VerifierOptions},
};

use crate::support::{ACME, Business, GLOBEX, TestDb};

fn party(business: Business) -> Party {
    Party {
        tenant: business.id,
        members: Role::ALL.into_iter().rev().map(|role| (business.member(role).0, role)).collect(),
    }
}

async fn prove(db: &TestDb, stops_at_first: bool) -> Ledger {
    let url = |role: &str| Some(db.url(role).into());
    let databases = Databases { app: url("ffp_app"), worker: url("ffp_worker"), operator: url("ffp_operator") };
    let (attacker, victim) = (party(ACME), party(GLOBEX));
    let (mut disguise, ledger) = (Disguise::default(), Ledger::new(stops_at_first));
    disguise.learn(proof::secrets_of(&databases, &attacker, &victim).await.unwrap());
    let nobody = Issuer {
        issuer: "https://members.invalid".into(),
        jwks_url: "https://members.invalid/jwks.json".parse().unwrap(),
        audience: "client".into(),
        kind: IssuerKind::Member,
    };
    let verifier = Verifier::new(vec![nobody], VerifierOptions::default()).unwrap();
    let trial = Trial { attacker: &attacker, victim: &victim, disguise: &disguise, ledger: &ledger };
    proof::attack(&databases, &trial).await.unwrap();
    if !ledger.is_over() {
        assert!(proof::attack_pools(&databases, &trial, verifier).await.unwrap());
    }
    ledger
}

/// The rows of every test, but for tickets of jobs that are not there: those are dead, and whoever comes next clears them
/// away. The proof makes its own.
async fn with_live_rows() -> TestDb {
    let mut db = TestDb::new().await;
    db.execute("delete from gate_ticket").await;
    db
}

fn failed(ledger: &Ledger) -> Vec<Attempt> {
    ledger.attempts().into_iter().filter(|attempt| attempt.verdict != Verdict::Held).collect()
}

#[tokio::test]
async fn the_schema_as_it_is_migrated_holds_against_every_attempt() {
    let db = with_live_rows().await;
    let ledger = prove(&db, false).await;
    let failed = failed(&ledger);
    let shown = &failed[..failed.len().min(12)];
    assert!(failed.is_empty(), "{} of {:?}: {shown:#?}", failed.len(), ledger.counts());
    let mut groups = BTreeMap::new();
    for attempt in ledger.attempts() {
        *groups.entry(attempt.group).or_insert(0) += 1;
    }
    for group in
        ["sql.read", "sql.write", "sql.keys", "sql.functions", "sql.roles", "sql.unset", "jobs", "pool", "schema"]
    {
        assert!(groups.contains_key(group), "{group}: {groups:?}");
    }
}

/// What a careless hand does, and the attempts that see it.
const PLANTED: &[(&str, &[&str])] = &[
    ("drop policy tenant_wall on member", &["sql.read", "sql.write"]),
    ("alter policy tenant_wall on invitation using (true) with check (true)", &["sql.read", "sql.write"]),
    ("alter policy tenant_wall_insert on video with check (true)", &["sql.write"]),
    ("alter table quota_take disable row level security", &["sql.read", "sql.write"]),
    ("create view roster as select * from member; grant select on roster to ffp_app", &["sql.read"]),
    ("create unique index member_only_id on member (id);
      alter table video drop constraint video_tenant_id_created_by_fkey;
      alter table video add foreign key (created_by) references member (id)", &["sql.keys"]),
    ("update invitation set email = tenant_id || '@example.com'; create unique index only_once on invitation (email)", &["sql.keys"]),
    ("create function headcount(t uuid) returns bigint language sql security definer
          as 'select count(*) from member where tenant_id = t'; grant execute on function headcount(uuid) to ffp_app",
     &["sql.functions"]),
    ("create function headcount(t uuid[]) returns bigint language sql security definer
          as 'select count(*) from member where tenant_id = any (t)'; grant execute on function headcount(uuid[]) to ffp_app",
     &["sql.functions"]),
    ("do $plant$ begin execute replace((select pg_get_functiondef('usage_add'::regproc)),
          'if concat(', 'if false and concat('); end $plant$", &["sql.functions"]),
    ("create or replace function enqueue(kind text, payload jsonb, key text, run_at timestamptz) returns void language plpgsql
          security definer set search_path = pg_catalog, pg_temp as $$
      declare tenant uuid := coalesce(payload ->> 'tenant_id', current_setting('app.tenant_id', true))::uuid;
      begin perform graphile_worker.add_job(identifier => kind,
          payload => json_build_object('tenant_id', tenant, 'payload', payload), queue_name => tenant || ':0',
          run_at => run_at, max_attempts => 25, job_key => tenant || ':' || key); end $$", &["jobs", "sql.functions"]),
    ("grant create on schema public to ffp_app", &["sql.roles"]),
    ("alter policy tenant_wall on member
          using (tenant_id = coalesce(nullif(current_setting('app.tenant_id', true), '')::uuid, tenant_id))", &["sql.unset"]),
    ("alter table tenant no force row level security", &["schema"]),
];

#[tokio::test]
async fn every_planted_leak_is_found_by_an_attempt_of_its_kind() {
    for (sql, groups) in PLANTED {
        let mut db = with_live_rows().await;
        db.execute(sql).await;
        let ledger = prove(&db, true).await;
        let found = failed(&ledger);
        let first = found.first().unwrap_or_else(|| panic!("nothing was found: {sql}"));
        assert_eq!(first.verdict, Verdict::Leak, "{sql}: {first:?}");
        assert!(groups.contains(&first.group), "{sql}: {first:?}");
    }
}

/// Functions that the proof can't call: a call of the one makes no sense to PostgreSQL, that of the other has a bad value.
#[tokio::test]
async fn a_function_that_no_attempt_comes_into_fails_the_proof() {
    let mut db = with_live_rows().await;
    for parameter in ["anyelement", "interval"] {
        let name = format!("takes_{parameter}");
        db.execute(&format!(
            "create function {name}(x {parameter}) returns int language sql as 'select 1'; \
             grant execute on function {name}({parameter}) to ffp_app"
        ))
        .await;
    }
    let ledger = prove(&db, false).await;
    let failed: Vec<_> = failed(&ledger).into_iter().filter(|attempt| attempt.verdict == Verdict::Unproved).collect();
    let of = |name: &str, action: &str| {
        failed.iter().any(|attempt| attempt.subject.contains(name) && attempt.action.starts_with(action))
    };
    for (name, action) in
        [("takes_anyelement", "select"), ("takes_anyelement", "every call"), ("takes_interval", "every call")]
    {
        assert!(of(name, action), "{name}: {failed:#?}");
    }
    assert!(!of("takes_interval", "select"), "a bad value is an answer like another: {failed:#?}");
}

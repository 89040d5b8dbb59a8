//! Taking on rights that a service does not have, and lifting what protects the tables. All of it must be refused; it is
//! tried in a transaction that is rolled back.

use super::{
    Attempt, Trial, Verdict,
    catalogue::Relation,
    session::{Act, Assault, Expect, Session},
};
use crate::Result;

const GROUP: &str = "sql.roles";

/// Whoever else there is to become.
const OTHERS: [&str; 6] = ["ffp_owner", "ffp_app", "ffp_worker", "ffp_operator", "postgres", "pg_read_all_data"];

const ANYWHERE: [&str; 16] = [
    "set session_replication_role = replica",
    "create schema prove_isolation",
    "create table public.prove_isolation (id int)",
    "create view public.prove_isolation as select * from public.tenant",
    "create function public.prove_isolation() returns int language sql security definer as 'select 1'",
    "create role prove_isolation superuser",
    "create extension file_fdw",
    "create policy prove_isolation on public.tenant using (true)",
    "select pg_read_file('/etc/hostname')",
    "select pg_ls_dir('.')",
    "select lo_import('/etc/hostname')",
    "copy (select 1) to program 'true'",
    "do $$ begin execute 'set local role ffp_owner'; perform 1 from public.tenant; end $$",
    "alter database postgres set row_security = off",
    "grant ffp_owner to current_user",
    "alter default privileges for role ffp_owner grant select on tables to public",
];

/// Everything that is not for a service to do.
pub(super) async fn attack(session: &mut Session, relations: &[Relation], trial: &Trial<'_>) -> Result<()> {
    let role = session.role;
    let mut all: Vec<(String, String)> = Vec::new();
    for other in OTHERS.into_iter().filter(|other| *other != role) {
        for sql in ["set role {}", "set local role {}", "set session authorization {}"] {
            all.push((format!("the role {other}"), sql.replace("{}", other)));
        }
        all.push((format!("the role {other}"), format!("alter role {role} bypassrls; set role {other}")));
    }
    all.extend(ANYWHERE.into_iter().map(|sql| ("the database".to_owned(), sql.to_owned())));
    for relation in relations.iter().filter(|relation| relation.is_table) {
        all.extend(lifting(relation).into_iter().map(|sql| (relation.name.clone(), sql)));
    }
    session.begin().await?;
    if let Some(act) = Act::all_of(role).first() {
        session.must(&act.enter(trial.attacker)).await?;
    }
    session.settle().await?;
    for (what, sql) in all {
        if trial.ledger.is_over() {
            break;
        }
        let assault = Assault { group: GROUP, subject: format!("{what} as {role}"), sql, expect: Expect::Refused };
        if session.assault(&assault, None, trial.disguise, trial.ledger).await?.is_none() {
            let why = "somebody held a lock on it: nothing was proved";
            trial.ledger.record(Attempt::new(GROUP, assault.subject, assault.sql, Verdict::Unproved, why));
        }
    }
    session.end().await
}

fn lifting(relation: &Relation) -> Vec<String> {
    let table = &relation.sql;
    vec![
        format!("alter table {table} disable row level security"),
        format!("alter table {table} no force row level security"),
        format!("drop policy tenant_wall on {table}"),
        format!("alter policy tenant_wall on {table} using (true)"),
        format!("create policy prove_isolation on {table} using (true) with check (true)"),
        format!("alter table {table} owner to current_user"),
        format!("drop table {table} cascade"),
        format!("create rule prove_isolation as on insert to {table} do instead nothing"),
        format!("create index on {table} using btree ((1))"),
    ]
}

//! Every function that a service may call, with the other tenant's ids for arguments.

use serde_json::{Value, json};

use super::{
    Attempt, Trial, Verdict,
    catalogue::{Function, Relation},
    session::{Act, Assault, Expect, Session, Watch, settings},
    sqltext::{identifier, list, literal},
    tables,
};
use crate::{Result, doctor};

/// Functions that read all tenants by design, each with its reason.
const ACROSS: [(&str, &str); 1] =
    [("public.operator_jobs", "operators list the jobs of all tenants; what a job carries is not in it")];

const GROUP: &str = "sql.functions";

/// How many of the victim's ids are tried for each parameter.
const IDS: usize = 6;

/// Calls everything there is, as one actor.
pub(super) async fn attack(session: &mut Session, act: Act, trial: &Trial<'_>) -> Result<()> {
    let functions = session.functions().await?;
    let relations = session.relations().await?;
    let lists_jobs = functions.iter().any(|function| function.name == ACROSS[0].0);
    let watched = watched(session, &relations, act, trial, lists_jobs);
    for function in &functions {
        let is_across = ACROSS.iter().any(|(name, _)| *name == function.name);
        if is_across || doctor::is_outside(&function.name) || trial.ledger.is_over() {
            continue;
        }
        session.begin().await?;
        // Whatever moves the line before the gate moves the victim's ticket in it, rightly; so it only stands there to be
        // read.
        let made = match function.is_read_only {
            true => tables::made_by_functions(session, &relations, trial.victim).await?,
            false => Vec::new(),
        };
        let mut disguise = trial.disguise.clone();
        disguise.learn(made.iter().cloned());
        session.must(&act.enter(trial.attacker)).await?;
        session.settle().await?;
        let watch = Watch { rows: session.attempt(&watched).await.rows, sql: watched.clone() };
        let subject = format!("{} as {} ({})", function.name, session.role, act.role);
        let mut is_entered = false;
        for sql in calls(function, trial, made) {
            let assault = Assault { group: GROUP, subject: subject.clone(), sql, expect: Expect::Same };
            // A collision leaves one call untried; its twins are.
            let outcome = session.assault(&assault, Some(&watch), &disguise, trial.ledger).await?;
            is_entered |= outcome.is_some_and(|outcome| !outcome.is_stuck());
        }
        session.end().await?;
        if !is_entered {
            let why =
                "no call came further than to its arguments: nothing was proved, teach it what the function takes";
            trial.ledger.record(Attempt::new(GROUP, subject, "every call", Verdict::Unproved, why));
        }
    }
    Ok(())
}

/// Digests of everything that the victim's system and owner see.
fn watched(session: &Session, relations: &[Relation], act: Act, trial: &Trial<'_>, lists_jobs: bool) -> String {
    let victim = trial.victim;
    let mut statements = Vec::new();
    for (role, member) in victim.perspectives().into_iter().take(2) {
        statements.push(settings(victim.tenant, role, &member));
        for relation in relations.iter().filter(|relation| relation.is_attacked_by(session.role)) {
            let columns = relation.names(|column| column.may_select);
            let (Some(tenant), false) = (relation.tenant_column(), columns.is_empty()) else { continue };
            // The queue is closed to all but the worker, whose own it is.
            if relation.name.starts_with("graphile_worker.") {
                continue;
            }
            statements.push(format!(
                "select md5(coalesce(string_agg(x.line, '|' order by x.line), '')) from \
                 (select row({})::text as line from {} where {} = '{}') x",
                list(columns.iter().copied()),
                relation.sql,
                identifier(tenant),
                victim.tenant
            ));
        }
    }
    if lists_jobs {
        statements
            .push(format!("select j::text from operator_jobs('{}', null, 9223372036854775807, 100) j", victim.tenant));
    }
    if session.role == "ffp_worker" {
        statements.push(format!(
            "select id::text, payload::text, key, attempts from graphile_worker._private_jobs where payload ->> 'tenant_id' = '{}' order by id",
            victim.tenant
        ));
    }
    statements.push(act.enter(trial.attacker));
    statements.join("; ")
}

/// One call for each id and each payload that can fill the parameters.
fn calls(function: &Function, trial: &Trial<'_>, made: Vec<String>) -> Vec<String> {
    let victim = trial.victim.tenant.to_string();
    let people = trial.victim.members.iter().map(|(id, _)| id.to_string());
    let ids: Vec<String> = [victim.clone()].into_iter().chain(people).take(IDS).chain(made).collect();
    let (schema, name) = function.name.split_once('.').unwrap_or(("public", &function.name));
    let takes_payload = function.parameters.iter().any(|kind| is_json(kind));
    let call = |id: &String, payload: &Value| {
        let scalar = |kind: &str| match kind {
            "uuid" => literal(id),
            kind if is_json(kind) => literal(&payload.to_string()),
            "smallint" | "integer" | "bigint" | "numeric" => "g.n".to_owned(),
            "boolean" => "true".to_owned(),
            "name" | "regclass" => "'tenant'".to_owned(),
            kind if kind.starts_with("timestamp") => "(now() + interval '10 years')".to_owned(),
            _ => literal(&format!("prove.isolation:{id}")),
        };
        let argument = |kind: &str| match kind.strip_suffix("[]") {
            Some(kind) => format!("array[{}]", scalar(kind)),
            None => scalar(kind),
        };
        let arguments = function.parameters.iter().map(|kind| format!("{}::{kind}", argument(kind)));
        let arguments = arguments.collect::<Vec<_>>().join(", ");
        format!(
            "select f.* from generate_series(1, 3) g (n), lateral {}.{}({arguments}) f",
            identifier(schema),
            identifier(name)
        )
    };
    let payloads = |id: &String| payloads(&victim, id).into_iter().take(if takes_payload { usize::MAX } else { 1 });
    ids.iter().flat_map(|id| payloads(id).map(|payload| call(id, &payload)).collect::<Vec<_>>()).collect()
}

fn is_json(kind: &str) -> bool {
    matches!(kind, "json" | "jsonb")
}

/// Name the victim wherever somebody might look for a tenant. Apart from each other, since a function that knows the one
/// form stumbles over the other.
fn payloads(victim: &str, id: &str) -> [Value; 3] {
    [
        json!({
            "tenant_id": victim,
            "tenant": victim,
            "id": id,
            "payload": { "tenant_id": victim, "member_id": id },
        }),
        // What is counted, by tenant.
        json!({ victim: [["prove.isolation", "2026-01-01", 1]] }),
        json!([victim, id]),
    ]
}

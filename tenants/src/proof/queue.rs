//! Ordering jobs in another's name. What is ordered here is due in ten years, of a kind that no worker knows, and taken
//! away at the end; [`order`] orders kinds that workers do know, to see what they do.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    Attempt, Party, Trial, Verdict,
    session::{Act, Session, settings},
    sqltext::literal,
};
use crate::Result;

const GROUP: &str = "jobs";
const KIND: &str = "prove.isolation";

/// Tenant, key and queue of every job of the proof's own kind.
const ORDERED: &str = "select j.payload ->> 'tenant_id', j.key, coalesce(q.queue_name, ''), j.payload ->> 'payload'
    from graphile_worker._private_jobs j join graphile_worker._private_tasks t on t.id = j.task_id
    left join graphile_worker._private_job_queues q on q.id = j.job_queue_id where t.identifier = 'prove.isolation' order by j.id";

/// Jobs ordered under one tenant with another's name in key and payload.
pub(super) async fn attack(app: &SecretString, worker: &SecretString, trial: &Trial<'_>) -> Result<()> {
    let mut app = Session::open("ffp_app", app).await?;
    let mut worker = Session::open("ffp_worker", worker).await?;
    let outcome = attempts(&mut app, &mut worker, trial).await;
    let swept = sweep(&mut worker).await;
    app.close().await;
    worker.close().await;
    outcome.and(swept)
}

async fn sweep(worker: &mut Session) -> Result<()> {
    let sql = "delete from graphile_worker._private_jobs j using graphile_worker._private_tasks t \
               where t.id = j.task_id and t.identifier = 'prove.isolation'";
    worker.must(sql).await.map(|_| ())
}

async fn attempts(app: &mut Session, worker: &mut Session, trial: &Trial<'_>) -> Result<()> {
    let (us, them) = (trial.attacker.tenant.to_string(), trial.victim.tenant.to_string());
    sweep(worker).await?;
    // The victim's own, which nobody may replace.
    app.must(&format!(
        "begin; {}; {}; commit",
        settings(trial.victim.tenant, "system", ""),
        call("mine", &json!({"its": "own"}))
    ))
    .await?;
    let theirs = worker.must(ORDERED).await?.rows;
    let keys = [
        "mine".to_owned(),
        format!("{them}:mine"),
        format!("../{them}:mine"),
        format!("{us}:{them}:mine"),
        them.clone(),
    ];
    let payloads = [
        json!({"tenant_id": them}),
        json!({"tenant_id": them, "payload": {"tenant_id": them}}),
        json!({"tenant_id": [them], "tenant": them}),
        json!([{"tenant_id": them}]),
        json!(them),
    ];
    for act in Act::all_of("ffp_app") {
        for key in &keys {
            for payload in &payloads {
                if trial.ledger.is_over() {
                    return Ok(());
                }
                let sql = call(key, payload);
                app.must(&format!("begin; {}; {sql}; commit", act.enter(trial.attacker))).await?;
                let now = worker.must(ORDERED).await?.rows;
                let verdict = stamped(&now, &theirs, &us);
                record(trial, "enqueue as ffp_app", act.role, sql, verdict);
            }
        }
    }
    within_one_transaction(worker, trial).await?;
    for enter in [
        "select 1",
        "select set_config('app.tenant_id', '', true)",
        "select set_config('app.tenant_id', 'garbage', true)",
    ] {
        for payload in &payloads {
            let sql = call("mine", payload);
            let outcome = app.run(&format!("begin; {enter}; {sql}")).await;
            app.run("rollback").await;
            let (verdict, detail) = match outcome.error {
                None => (Verdict::Leak, "it was not refused".to_owned()),
                Some(_) if outcome.is_malformed() => (Verdict::Unproved, outcome.brief()),
                Some((code, _)) => (Verdict::Held, code),
            };
            let subject = format!("enqueue without a tenant ({enter})");
            trial.ledger.record(Attempt::new(GROUP, subject, sql, verdict, detail));
        }
    }
    Ok(())
}

/// As the worker, who sees the queue: every function that orders jobs, rolled back.
async fn within_one_transaction(worker: &mut Session, trial: &Trial<'_>) -> Result<()> {
    let them = trial.victim.tenant.to_string();
    let payload = literal(&json!({"tenant_id": them, "payload": {"tenant_id": them}}).to_string());
    let key = literal(&format!("{them}:gate"));
    let orders = [
        format!("select 1 from enqueue('{KIND}', {payload}, {key}, now() + interval '10 years')"),
        format!("select 1 from gate_enter('{KIND}', {payload}, {key}, 1000)"),
    ];
    for act in Act::all_of("ffp_worker") {
        for sql in &orders {
            worker.begin().await?;
            let before = worker.must(ORDERED).await?.rows;
            worker.must(&act.enter(trial.attacker)).await?;
            worker.must(sql).await?;
            let now = worker.must(ORDERED).await?.rows;
            worker.end().await?;
            let fresh: Vec<String> = now.iter().filter(|row| !before.contains(row)).cloned().collect();
            let verdict = match fresh.is_empty() {
                true => Err("no job was ordered".to_owned()),
                false => stamped(&fresh, &[], &trial.attacker.tenant.to_string()),
            };
            record(trial, "ordering as ffp_worker", act.role, sql.clone(), verdict);
        }
    }
    Ok(())
}

/// Whether everything but the victim's own job belongs to the attacker, by tenant, key and queue.
fn stamped(jobs: &[String], theirs: &[String], us: &str) -> Result<(), String> {
    if let Some(lost) = theirs.iter().find(|job| !jobs.contains(job)) {
        return Err(format!("the other tenant's job was replaced: {lost}"));
    }
    let foreign = jobs.iter().filter(|job| !theirs.contains(job)).find(|job| {
        let mut parts = job.splitn(4, ", ");
        let mut begins = || parts.next().is_some_and(|part| part.starts_with(us));
        !(begins() && begins() && begins())
    });
    foreign.map_or(Ok(()), |job| Err(format!("a job is not the attacker's own: {job}")))
}

fn call(key: &str, payload: &Value) -> String {
    let (payload, key) = (literal(&payload.to_string()), literal(key));
    format!("select 1 from enqueue('{KIND}', {payload}, {key}, now() + interval '10 years')")
}

fn record(trial: &Trial<'_>, what: &str, who: &str, sql: String, verdict: Result<(), String>) {
    let (verdict, detail) = match verdict {
        Ok(()) => (Verdict::Held, String::new()),
        Err(why) => (Verdict::Leak, why),
    };
    trial.ledger.record(Attempt::new(GROUP, format!("{what} ({who})"), sql, verdict, detail));
}

/// Jobs that wait for a worker.
pub struct Ordered {
    worker: Session,
    keys: Vec<String>,
}

/// Orders jobs of kinds that workers know.
pub(super) async fn order(
    app: &SecretString,
    worker: &SecretString,
    attacker: &Party,
    jobs: &[(&str, Value)],
) -> Result<Ordered> {
    let mut session = Session::open("ffp_app", app).await?;
    let mut keys = Vec::new();
    for (number, (kind, payload)) in jobs.iter().enumerate() {
        let key = format!("prove.isolation:{number}");
        let sql = format!(
            "begin; {}; select 1 from enqueue({}, {}, {}, now()); commit",
            settings(attacker.tenant, "system", ""),
            literal(kind),
            literal(&payload.to_string()),
            literal(&key)
        );
        session.must(&sql).await?;
        keys.push(literal(&format!("{}:{key}", attacker.tenant)));
    }
    session.close().await;
    Ok(Ordered { worker: Session::open("ffp_worker", worker).await?, keys })
}

impl Ordered {
    /// Waits until a worker has tried each of them, for `patience` at most, and takes away what is left. False when
    /// some were never tried.
    ///
    /// # Errors
    /// A database that is away.
    pub async fn finish(mut self, patience: Duration) -> Result<bool> {
        let mine = format!("key in ({})", self.keys.join(", "));
        let untried = format!(
            "select count(*) from graphile_worker._private_jobs where {mine} and (attempts = 0 or locked_at is not null)"
        );
        let waiting = async {
            while self.worker.must(&untried).await?.scalar() != Some("0") {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok::<_, crate::Error>(())
        };
        let done = match tokio::time::timeout(patience, waiting).await {
            Ok(outcome) => outcome.map(|()| true)?,
            Err(_) => false,
        };
        self.worker
            .must(&format!("delete from graphile_worker._private_jobs where {mine} and locked_at is null"))
            .await?;
        self.worker.close().await;
        Ok(done)
    }
}

//! Attacks on the wall between two tenants, with raw connections as the services' own roles: the database's half of
//! `platform prove-isolation`. Nothing here serves a request.
//!
//! One rule judges nearly everything. A statement that aims at the other tenant is run twice: once with the other's
//! ids, once with ids that nobody has. Both must come out the same, to the SQLSTATE and the message; the answer must
//! hold nothing of the other's; and what the other sees of its own rows must be what it was before. So an attempt
//! needs no opinion on *how* it should fail, and tables, columns, keys and functions are taken from the catalogue: a new
//! one is attacked without a word here.
//!
//! Every attempt runs in a transaction that is rolled back, in a snapshot of its own: nothing stays, and what the
//! product does meanwhile is no noise. The exception is the job queue (`queue.rs`), which takes away what it ordered.
//!
//! | File | Attacks |
//! |---|---|
//! | `reads.rs`, `writes.rs` | every table and view: rows seen, rows changed |
//! | `keys.rs` | foreign keys and unique constraints, which PostgreSQL checks outside row security |
//! | `functions.rs` | every function that a service may call |
//! | `roles.rs` | taking on another role, lifting protection |
//! | `unset.rs` | no tenant, an empty one, garbage |
//! | `queue.rs` | ordering jobs in another's name |
//! | `pool.rs` | the pools after requests that broke off, panicked or ran out of time |
//! | `catalogue.rs`, `session.rs`, `party.rs`, `disguise.rs` | what is there, one connection, the two sides, ids that nobody has |

mod catalogue;
mod disguise;
mod functions;
mod keys;
mod ledger;
mod party;
mod pool;
mod queue;
mod reads;
mod roles;
mod session;
mod sqltext;
mod tables;
mod unset;
mod writes;

use std::collections::BTreeSet;

use secrecy::SecretString;

pub use disguise::{Disguise, uuids};
pub use ledger::{Attempt, Ledger, Verdict};
pub use party::Party;

use self::session::{Act, Session};
use crate::{DatabaseConfig, LimitsConfig, Result, Tenants, tokens::Verifier};

/// The services' database URLs, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct Databases {
    /// As `ffp_app`.
    pub app: Option<SecretString>,
    /// As `ffp_worker`.
    pub worker: Option<SecretString>,
    /// As `ffp_operator`.
    pub operator: Option<SecretString>,
}

/// Who is attacked by whom, and where what happened is written down.
pub struct Trial<'a> {
    /// Makes the attempts; both its and the victim's rows exist already.
    pub attacker: &'a Party,
    /// Nothing of it may be seen or changed.
    pub victim: &'a Party,
    /// Everything of the victim's that may appear nowhere else, and what stands for it in the control.
    pub disguise: &'a Disguise,
    /// Takes every attempt.
    pub ledger: &'a Ledger,
}

impl Databases {
    /// The roles that can be worked as.
    fn known(&self) -> impl Iterator<Item = (&'static str, &SecretString)> {
        let all = [("ffp_app", &self.app), ("ffp_worker", &self.worker), ("ffp_operator", &self.operator)];
        all.into_iter().filter_map(|(role, url)| Some((role, url.as_ref()?)))
    }

    /// Whether nothing can be attacked here.
    pub fn are_unknown(&self) -> bool {
        self.known().next().is_none()
    }

    /// The three of them, if all are known: what the product itself is given.
    fn complete(&self) -> Option<DatabaseConfig> {
        Some(DatabaseConfig {
            app_url: self.app.clone()?,
            worker_url: self.worker.clone()?,
            operator_url: self.operator.clone()?,
            app_connections: 8,
            worker_connections: 2,
            operator_connections: 2,
            hot_connections: 8,
        })
    }
}

/// What of the victim's the database knows: every id and address in the rows that it sees and the attacker does not.
///
/// # Errors
/// A database that is away or refuses the role.
pub async fn secrets_of(databases: &Databases, attacker: &Party, victim: &Party) -> Result<BTreeSet<String>> {
    let mut secrets = BTreeSet::new();
    let mut shared = BTreeSet::new();
    for (role, url) in databases.known() {
        let mut session = Session::open(role, url).await?;
        for relation in session.relations().await?.iter().filter(|relation| relation.is_attacked_by(role)) {
            secrets.extend(tables::markers(&mut session, relation, victim).await?);
            shared.extend(tables::markers(&mut session, relation, attacker).await?);
        }
        session.close().await;
    }
    Ok(secrets.into_iter().filter(|secret| !shared.contains(secret)).collect())
}

/// Every attack that needs nothing but SQL.
///
/// # Errors
/// A database that is away or refuses a role.
pub async fn attack(databases: &Databases, trial: &Trial<'_>) -> Result<()> {
    let mut exercised = tables::Exercised::default();
    for (role, url) in databases.known() {
        let mut session = Session::open(role, url).await?;
        let relations = session.relations().await?;
        for act in Act::all_of(role) {
            for relation in relations.iter().filter(|relation| relation.is_attacked_by(role)) {
                if trial.ledger.is_over() {
                    return Ok(());
                }
                tables::attack(&mut session, relation, act, trial, &mut exercised).await?;
            }
            functions::attack(&mut session, act, trial).await?;
        }
        unset::attack(&mut session, &relations, trial).await?;
        roles::attack(&mut session, &relations, trial).await?;
        session.close().await;
    }
    exercised.report(trial.ledger);
    if let (Some(app), Some(worker)) = (&databases.app, &databases.worker) {
        queue::attack(app, worker, trial).await?;
    }
    Ok(())
}

/// The product's own pools on these databases, then what the doctor says of the schema. `verifier` is what the pools are
/// made with; no token is verified here. False where not every URL is known.
///
/// # Errors
/// A database that is away or refuses a role.
pub async fn attack_pools(databases: &Databases, trial: &Trial<'_>, verifier: Verifier) -> Result<bool> {
    let Some(config) = databases.complete() else { return Ok(false) };
    let tenants = Tenants::new(&config, &LimitsConfig::default(), verifier)?;
    pool::attack(&tenants, trial).await?;
    schema(&tenants, trial.ledger).await?;
    tenants.close().await;
    Ok(true)
}

/// What the doctor says of the schema; it comes last, because it names causes and the attempts before it name effects.
async fn schema(tenants: &Tenants, ledger: &Ledger) -> Result<()> {
    if ledger.is_over() {
        return Ok(());
    }
    let defects = crate::diagnose(tenants).await?;
    let verdict = if defects.is_empty() { Verdict::Held } else { Verdict::Leak };
    let detail = defects.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    ledger.record(Attempt::new("schema", "the whole database", "platform doctor", verdict, detail));
    Ok(())
}

/// Orders jobs as the product would, in the attacker's name and with payloads that name the victim; answers how to see
/// when they are through.
///
/// # Errors
/// A database that is away.
pub async fn order_jobs(
    databases: &Databases,
    attacker: &Party,
    jobs: &[(&str, serde_json::Value)],
) -> Result<Option<Ordered>> {
    match (&databases.app, &databases.worker) {
        (Some(app), Some(worker)) => queue::order(app, worker, attacker, jobs).await.map(Some),
        _ => Ok(None),
    }
}

pub use queue::Ordered;

/// Whether the database holds these tenants: a URL of another deployment would prove nothing.
///
/// # Errors
/// A database that is away.
pub async fn knows(databases: &Databases, party: &Party) -> Result<bool> {
    let Some((role, url)) = databases.known().next() else { return Ok(false) };
    let mut session = Session::open(role, url).await?;
    session.begin().await?;
    session.must(&session::settings(party.tenant, "system", "")).await?;
    let found = session
        .must("select count(*) from tenant where id = nullif(current_setting('app.tenant_id'), '')::uuid")
        .await?;
    session.end().await?;
    session.close().await;
    Ok(found.scalar() == Some("1"))
}

/// Deletes a tenant that the proof made, the way an unconfirmed registration is deleted; its lines in the audit log stay,
/// and so does what was counted. False without the application's URL.
///
/// # Errors
/// As the database says.
pub async fn remove(databases: &Databases, party: &Party) -> Result<bool> {
    let Some(app) = &databases.app else { return Ok(false) };
    let mut session = Session::open("ffp_app", app).await?;
    let tenant = party.tenant;
    let statements = format!(
        "begin; {}; delete from video where tenant_id = '{tenant}'; \
         update tenant set status = 'pending' where id = '{tenant}'; delete from tenant where id = '{tenant}'; commit",
        session::settings(tenant, "system", "")
    );
    let outcome = session.must(&statements).await;
    if outcome.is_err() {
        session.run("rollback").await;
    }
    session.close().await;
    outcome.map(|_| true)
}

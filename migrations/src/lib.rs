//! The whole schema: roles, tables, policies and grants, as SQL under `sql/`. No feature's Rust lives here.
//!
//! Two steps, both safe to repeat: [`prepare`] makes the four roles with the rights of whoever administers the
//! server (no superuser needed), [`migrate`] brings the schema up to date as `ffp_owner`.

mod prepare;

pub use prepare::{RolePasswords, prepare};

use sqlx::{Connection, Executor, PgConnection, PgPool, migrate::Migrator, postgres::PgPoolOptions};

/// The versioned migrations. Their checksums are kept in the database: an edited one is refused.
static MIGRATOR: Migrator = sqlx::migrate!("./sql");

/// Grants over what other crates install; runs after every migration.
const ALWAYS: &str = concat!(
    include_str!("../sql-always/jobs.sql"),
    include_str!("../sql-always/gate.sql"),
    include_str!("../sql-always/operators.sql")
);

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused a statement or could not be reached.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// A versioned migration failed, or differs from the one that was applied.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// graphile_worker could not install its schema.
    #[error("job queue schema: {0}")]
    Queue(String),
}

/// The newest version this binary knows; `readyz` compares it with what the database has.
pub fn latest_version() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// [`prepare`], over a connection of its own to `admin_url`.
///
/// # Errors
/// [`Error`].
pub async fn prepare_at(admin_url: &str, passwords: &RolePasswords) -> Result<(), Error> {
    let mut admin = PgConnection::connect(admin_url).await?;
    prepare(&mut admin, passwords).await?;
    admin.close().await?;
    Ok(())
}

/// [`migrate`], over connections of its own to `owner_url`.
///
/// # Errors
/// [`Error`].
pub async fn migrate_at(owner_url: &str) -> Result<(), Error> {
    let owner = PgPoolOptions::new().max_connections(2).connect(owner_url).await?;
    let migrated = migrate(&owner).await;
    owner.close().await;
    migrated
}

/// Brings the schema up to date. `owner` must connect as `ffp_owner`.
///
/// # Errors
/// [`Error`] names the step; nothing of a failed versioned migration stays.
pub async fn migrate(owner: &PgPool) -> Result<(), Error> {
    MIGRATOR.run(owner).await?;
    let queue = graphile_worker::WorkerUtils::new(owner.clone(), "graphile_worker");
    queue.migrate().await.map_err(|error| Error::Queue(error.to_string()))?;
    let mut tx = owner.begin().await?;
    tx.execute(ALWAYS).await?;
    tx.commit().await?;
    tracing::info!(version = latest_version(), "schema is up to date");
    Ok(())
}

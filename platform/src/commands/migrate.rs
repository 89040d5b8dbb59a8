//! `platform migrate`: the roles, if an administrator's URL is given, and the schema.
//!
//! The one place outside `tenants` and `migrations` that connects to the database: as the schema's owner, who serves
//! no request.

use anyhow::Context;
use migrations::RolePasswords;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, PgConnection, PgPool, postgres::PgPoolOptions};

use crate::config::{MigrateConfig, PrepareConfig};

/// Makes the roles, if asked to, and brings the schema up to date. Repeating it changes nothing.
///
/// # Errors
/// A server that can't be reached or refuses a statement.
pub async fn run(config: &MigrateConfig) -> anyhow::Result<()> {
    if let Some(prepare) = &config.prepare {
        make_roles(prepare).await?;
    }
    let owner = owner_pool(&config.owner_url).await.context("cannot connect with FFP_OWNER_DATABASE_URL")?;
    let migrated = migrations::migrate(&owner).await;
    owner.close().await;
    Ok(migrated?)
}

async fn make_roles(config: &PrepareConfig) -> anyhow::Result<()> {
    let admin = PgConnection::connect(config.admin_url.expose_secret()).await;
    let mut admin = admin.context("cannot connect with FFP_ADMIN_DATABASE_URL")?;
    let password = |secret: &SecretString| secret.expose_secret().to_owned();
    let passwords = RolePasswords {
        owner: password(&config.owner),
        app: password(&config.app),
        worker: password(&config.worker),
        operator: password(&config.operator),
    };
    migrations::prepare(&mut admin, &passwords).await?;
    admin.close().await?;
    tracing::info!("roles are made");
    Ok(())
}

async fn owner_pool(url: &SecretString) -> sqlx::Result<PgPool> {
    PgPoolOptions::new().max_connections(2).connect(url.expose_secret()).await
}

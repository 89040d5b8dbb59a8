//! `platform migrate`: the roles, if an administrator is named, and the schema.
//!
//! It works as the schema's owner, who serves no request.

use anyhow::Context;
use migrations::RolePasswords;
use secrecy::{ExposeSecret, SecretString};

use crate::config::{MigrateConfig, PrepareConfig};

/// Makes the roles, if asked to, and brings the schema up to date. Repeating it changes nothing.
///
/// # Errors
/// A server that can't be reached or refuses a statement.
pub async fn run(config: &MigrateConfig) -> anyhow::Result<()> {
    if let Some(prepare) = &config.prepare {
        make_roles(prepare).await?;
    }
    migrations::migrate_at(config.owner_url.expose_secret()).await.context("with FFP_OWNER_DATABASE_URL")
}

async fn make_roles(config: &PrepareConfig) -> anyhow::Result<()> {
    let password = |secret: &SecretString| secret.expose_secret().to_owned();
    let passwords = RolePasswords {
        owner: password(&config.owner),
        app: password(&config.app),
        worker: password(&config.worker),
        operator: password(&config.operator),
    };
    let prepared = migrations::prepare_at(config.admin_url.expose_secret(), &passwords).await;
    prepared.context("with FFP_ADMIN_DATABASE_URL, or FFP_ADMIN_DATABASE_ADDRESS and its siblings")?;
    tracing::info!("roles are made");
    Ok(())
}

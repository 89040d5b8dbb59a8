//! Background work of identity.

use serde::{Deserialize, Serialize};
use tenants::{Job, JobError, Role, Tenant};
use uuid::Uuid;

use crate::{
    Error, Platform,
    cognito::UserStatus,
    faults,
    identity::accounts::delete_pending,
};

/// Deletes a removed member's account. The subject names that very account: an address that was invited again
/// meanwhile has another.
#[derive(Serialize, Deserialize)]
pub struct DeleteAccount {
    /// Cognito's `sub`.
    pub subject: String,
}

impl Job for DeleteAccount {
    const KIND: &'static str = "identity.delete-account";
    type Context = Platform;

    async fn run(self, _tenant: Tenant, platform: Platform) -> Result<(), JobError> {
        Ok(platform.directory.delete(&self.subject).await.map_err(Error::from)?)
    }
}

/// Repeats a changed role on the account, for whoever reads the token. It authorises nothing.
#[derive(Serialize, Deserialize)]
pub struct RepeatRole {
    /// Cognito's `sub`.
    pub subject: String,
    /// The role as the member row has it.
    pub role: Role,
}

impl Job for RepeatRole {
    const KIND: &'static str = "identity.repeat-role";
    type Context = Platform;

    async fn run(self, _tenant: Tenant, platform: Platform) -> Result<(), JobError> {
        match platform.directory.set_role(&self.subject, self.role.as_str()).await {
            Ok(()) | Err(crate::cognito::Error::NotFound) => Ok(()),
            Err(error) => Err(Error::from(error).into()),
        }
    }
}

/// Deletes a registration that nobody confirmed within 7 days: ordered with the registration, for that day.
#[derive(Serialize, Deserialize)]
pub struct ExpireRegistration {
    /// Cognito's `sub`.
    pub subject: String,
}

impl Job for ExpireRegistration {
    const KIND: &'static str = "identity.expire-registration";
    type Context = Platform;

    async fn run(self, tenant: Tenant, platform: Platform) -> Result<(), JobError> {
        let pending = tenant
            .read(async |tx| {
                let rows = tx.sql("select 1 from tenant where id = $1 and status = 'pending'", [tx.tenant_id().0.into()]);
                Ok::<_, Error>(!rows.await?.is_empty())
            })
            .await?;
        if !pending {
            return Ok(());
        }
        // The account first: without it nobody can confirm the tenant any more, and a crash here is repeated.
        let user = platform.directory.find(&self.subject).await.map_err(Error::from)?;
        let own = |id: Option<Uuid>| id == Some(tenant.id().0);
        if let Some(user) = user.filter(|user| user.status == UserStatus::Unconfirmed && own(user.tenant_id)) {
            platform.directory.delete(&user.subject).await.map_err(Error::from)?;
        } else if self.confirmed(&platform).await? {
            // Confirmed at Cognito and never logged in: logging in makes the tenant active.
            return Ok(());
        }
        tenant.write(delete_pending).await?;
        faults::after("db.delete_pending");
        Ok(())
    }
}

impl ExpireRegistration {
    async fn confirmed(&self, platform: &Platform) -> Result<bool, JobError> {
        let user = platform.directory.find(&self.subject).await.map_err(Error::from)?;
        Ok(user.is_some_and(|user| user.status != UserStatus::Unconfirmed))
    }
}

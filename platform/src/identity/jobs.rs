//! Background work of identity.

use serde::{Deserialize, Serialize};
use tenants::{Job, JobError, Role, Tenant};
use uuid::Uuid;

use crate::{Error, Platform, cognito::UserStatus, faults, identity::accounts::delete_pending};

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
        let user = platform.directory.find(&self.subject).await.map_err(Error::from)?;
        if user.as_ref().is_some_and(|user| user.status != UserStatus::Unconfirmed) {
            // In use; or confirmed at Cognito and never logged in, and logging in makes the tenant active.
            return Ok(());
        }
        // The tenant decides: whoever confirms at this moment has made it active, or finds it gone.
        let in_use = tenant.write(delete_pending).await?;
        faults::after("db.delete_pending");
        let own = |id: Option<Uuid>| id == Some(tenant.id().0);
        if !in_use && let Some(user) = user.filter(|user| own(user.tenant_id)) {
            platform.directory.delete(&user.subject).await.map_err(Error::from)?;
        }
        Ok(())
    }
}

//! Background work of identity.

use serde::{Deserialize, Serialize};
use tenants::{
    Job, JobError, Role, Tenant,
    sabotage::{self, Leak},
};

use crate::{
    Error, Platform,
    cognito::{self, User, UserStatus},
    faults,
    identity::accounts::delete_pending,
};

/// The account of a payload's subject, if it belongs to the tenant that ordered the job. The user pool knows no walls and
/// a payload may name anybody, so this is the wall: accounts get their tenant before their member row is written, and
/// keep it. One that is another's, or nobody's, is logged and left alone; so is one that is gone already.
async fn own_account(platform: &Platform, tenant: &Tenant, subject: &str) -> Result<Option<User>, JobError> {
    let user = platform.directory.find(subject).await.map_err(Error::from)?;
    Ok(user.filter(|user| {
        let is_own = user.tenant_id == Some(tenant.id().0) || sabotage::on(Leak::JobAccount);
        if !is_own {
            tracing::warn!("a job names an account that is not its tenant's: nothing is done");
        }
        is_own
    }))
}

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

    async fn run(self, tenant: Tenant, platform: Platform) -> Result<(), JobError> {
        if let Some(user) = own_account(&platform, &tenant, &self.subject).await? {
            platform.directory.delete(&user.subject).await.map_err(Error::from)?;
        }
        Ok(())
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

    async fn run(self, tenant: Tenant, platform: Platform) -> Result<(), JobError> {
        let Some(user) = own_account(&platform, &tenant, &self.subject).await? else { return Ok(()) };
        match platform.directory.set_role(&user.subject, self.role.as_str()).await {
            Ok(()) | Err(cognito::Error::NotFound) => Ok(()),
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
        if !in_use && let Some(user) = user.filter(|user| user.tenant_id == Some(tenant.id().0)) {
            platform.directory.delete(&user.subject).await.map_err(Error::from)?;
        }
        Ok(())
    }
}

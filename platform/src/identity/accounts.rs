//! Whether an address is free, and what may be cleared away to make it so.

use chrono::{TimeDelta, Utc};
use tenants::{TenantId, TenantTx};

use crate::{
    Platform, Result,
    cognito::{User, UserStatus},
    faults,
    identity::Email,
};

/// How long an account without a member row is taken for one that is just being made.
const BEING_MADE: TimeDelta = TimeDelta::minutes(15);

/// What an address stands for.
pub enum Address {
    /// No account: it can be made.
    Free,
    /// An account that is in use, or is just being made.
    Taken(User),
}

/// Looks an address up, and clears away what nobody confirmed or finished: an unconfirmed registration with its
/// pending tenant, or an account whose making crashed.
///
/// # Errors
/// Cognito or the database is away. Each step bears repetition.
pub async fn claim(platform: &Platform, email: &Email) -> Result<Address> {
    let Some(user) = platform.directory.find(email.as_str()).await? else {
        return Ok(Address::Free);
    };
    let abandoned = match (user.status, user.tenant_id) {
        (UserStatus::Unconfirmed, _) => true,
        (_, Some(tenant)) => orphaned(platform, TenantId(tenant), &user).await?,
        (_, None) => Utc::now() - user.created > BEING_MADE,
    };
    if !abandoned {
        return Ok(Address::Taken(user));
    }
    if let Some(tenant) = user.tenant_id {
        let in_use = platform.tenants.as_system(TenantId(tenant)).write(delete_pending).await?;
        faults::after("db.delete_pending");
        // Confirmed since the account was looked up: it is somebody's now, and deleting it would lock them out.
        if in_use && user.status == UserStatus::Unconfirmed {
            return Ok(Address::Taken(user));
        }
    }
    // Deleted, and not given another password: Cognito confirms an account whose password an administrator sets.
    platform.directory.delete(&user.subject).await?;
    Ok(Address::Free)
}

async fn orphaned(platform: &Platform, tenant: TenantId, user: &User) -> Result<bool> {
    let old = Utc::now() - user.created > BEING_MADE;
    Ok(old && platform.tenants.standing_now(tenant, &user.subject).await?.is_none())
}

/// Deletes the transaction's tenant if it was never confirmed. Everything in it goes along. Answers whether there is a
/// tenant all the same: one that is in use. Confirming and deleting exclude each other, since both change its row.
///
/// # Errors
/// As the database says.
pub async fn delete_pending(tx: &TenantTx) -> Result<bool> {
    tx.run("delete from tenant where id = $1 and status = 'pending'", [tx.tenant_id().0.into()]).await?;
    Ok(!tx.sql("select 1 from tenant where id = $1", [tx.tenant_id().0.into()]).await?.is_empty())
}

//! A code that comes again after it has confirmed its address: sent twice by an impatient hand, or because the answer was
//! lost. It is no wrong guess. Cognito would say of any code that the address is confirmed, so the right one is known here.

use sha2::{Digest, Sha256};
use tenants::{TenantId, TenantTx};

use super::{Email, register::wrong_code};
use crate::{Platform, Result};

/// How long a code is remembered: as long as Cognito lets one live.
const REMEMBERED: &str = "1 day";

/// Remembers the code that confirms the owner's address of a pending tenant, in the transaction that makes it active.
///
/// # Errors
/// As the database says.
pub(super) async fn remember(tx: &TenantTx, code: &str) -> Result<()> {
    let text = "update member_contact set confirmed_code = $1, confirmed_at = now()";
    tx.run(text, [digest(tx.tenant_id(), code).into()]).await?;
    Ok(())
}

/// Answers a code for an address of this tenant that does not wait for one: as before, if this very code has confirmed it.
///
/// # Errors
/// The same as for a wrong code.
pub(super) async fn again(platform: &Platform, tenant: TenantId, email: &Email, code: &str) -> Result<()> {
    let text = "select 1 from member_contact \
                where email = $1 and confirmed_code = $2 and confirmed_at > now() - $3::text::interval";
    let values = [email.as_str().into(), digest(tenant, code).into(), REMEMBERED.into()];
    let read = async |tx: &TenantTx| Ok::<_, crate::Error>(!tx.sql(text, values).await?.is_empty());
    if platform.tenants.as_system(tenant).read(read).await? { Ok(()) } else { Err(wrong_code()) }
}

/// Of one tenant's own: the same code is another digest elsewhere.
fn digest(tenant: TenantId, code: &str) -> Vec<u8> {
    Sha256::new().chain_update(tenant.0.as_bytes()).chain_update(code).finalize().to_vec()
}

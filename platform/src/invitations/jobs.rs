//! Sending an invitation.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tenants::{Job, JobError, Tenant, TenantId, TenantTx};
use uuid::Uuid;

use crate::{Error, Platform, Result, faults, mail::Message};

/// Makes the secret and mails it. Run again after a crash it makes another, and the newest mail is the one that works.
#[derive(Serialize, Deserialize)]
pub struct SendInvitation {
    /// Which invitation.
    pub invitation_id: Uuid,
}

struct Addressed {
    email: String,
    business: String,
    inviter: String,
}

impl Job for SendInvitation {
    const KIND: &'static str = "invitations.send";
    type Context = Platform;

    async fn run(self, tenant: Tenant, platform: Platform) -> Result<(), JobError> {
        let secret = Secret::new();
        let Some(to) = tenant.write(async |tx| prepare(tx, self.invitation_id, &secret).await).await? else {
            // Accepted or taken back meanwhile.
            return Ok(());
        };
        faults::after("db.prepare_invitation");
        let mut link = platform.link("accept-invitation")?;
        link.query_pairs_mut().append_pair("token", &secret.token(tenant.id()));
        let message = Message::invitation(&to.business, &to.inviter, &link);
        platform.mailer.send(&to.email, &message).await.map_err(Error::from)?;
        Ok(())
    }
}

async fn prepare(tx: &TenantTx, id: Uuid, secret: &Secret) -> Result<Option<Addressed>> {
    let text = "update invitation set token_hash = $2, sent_at = now() \
                where id = $1 and accepted_at is null and revoked_at is null and expires_at > now()";
    if tx.run(text, [id.into(), secret.hash().into()]).await? == 0 {
        return Ok(None);
    }
    let text = "select i.email, t.name, m.full_name from invitation i join tenant t on t.id = i.tenant_id \
                join member m on m.tenant_id = i.tenant_id and m.id = i.invited_by where i.id = $1";
    let rows = tx.sql(text, [id.into()]).await?;
    let row = rows.first().ok_or_else(|| tenants::Error::Internal("an invitation without its inviter".into()))?;
    Ok(Some(Addressed {
        email: row.try_get("", "email")?,
        business: row.try_get("", "name")?,
        inviter: row.try_get("", "full_name")?,
    }))
}

/// 256 random bits, as base64url.
pub(super) struct Secret(String);

impl Secret {
    fn new() -> Self {
        let mut bytes = [0u8; 32];
        // Without randomness there is no safe way on.
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// As a door takes it: the tenant to look in, and the secret.
    fn token(&self, tenant: TenantId) -> String {
        format!("{tenant}.{}", self.0)
    }

    /// Reads what [`token`](Self::token) wrote.
    pub(super) fn parse(token: &str) -> Option<(TenantId, Self)> {
        let (tenant, secret) = token.trim().split_once('.')?;
        let tenant = Uuid::try_parse(tenant).ok()?;
        let whole = URL_SAFE_NO_PAD.decode(secret).is_ok_and(|bytes| bytes.len() == 32);
        whole.then(|| (TenantId(tenant), Self(secret.to_owned())))
    }

    /// What is kept. Of 256 random bits a plain SHA-256 gives nothing away.
    pub(super) fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_reads_back_and_a_damaged_one_does_not() {
        let (tenant, secret) = (TenantId::new(), Secret::new());
        let token = secret.token(tenant);
        let (read, same) = Secret::parse(&token).unwrap();
        assert!(read == tenant && same.hash() == secret.hash());
        for bad in
            ["", ".", "x.y", &token[1..], &token[..token.len() - 1], &format!("{token}A"), &token.replace('.', "")]
        {
            assert!(Secret::parse(bad).is_none(), "{bad}");
        }
    }
}

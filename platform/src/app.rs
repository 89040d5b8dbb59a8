//! What every handler and job is given.

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::extract::FromRef;
use tenants::Tenants;
use url::Url;

use crate::{cognito::Directory, mail::Mailer, storage::Storage, videos::signing::Signer};

/// The running product. Cheap to clone.
#[derive(Clone)]
pub struct Platform(Arc<Parts>);

/// Its parts.
pub struct Parts {
    /// The way into the database.
    pub tenants: Tenants,
    /// The members' user pool.
    pub directory: Directory,
    /// Outgoing mail.
    pub mailer: Mailer,
    /// Videos' objects.
    pub storage: Storage,
    /// Signs video URLs.
    pub signer: Signer,
    /// Limits and addresses.
    pub settings: Settings,
}

/// Limits and addresses that features ask for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is signed, linked to, and never taken from a Host header.
    pub public_url: Url,
    /// Bytes of video a new business may store.
    pub storage_limit_business: i64,
    /// Bytes of video a new individual may store.
    pub storage_limit_individual: i64,
    /// No answer of a public identity route comes earlier, so that its time says nothing about an address.
    pub auth_floor: Duration,
    /// Wrong passwords or codes for one account from one address in a quarter of an hour.
    pub login_attempts: u32,
}

impl Platform {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Platform {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl FromRef<Platform> for Tenants {
    fn from_ref(platform: &Platform) -> Self {
        platform.tenants.clone()
    }
}

impl FromRef<Platform> for admin::QuotaNames {
    fn from_ref(_platform: &Platform) -> Self {
        Self(&crate::usage::allowances::NAMES)
    }
}

impl FromRef<Platform> for admin::StoredBytes {
    fn from_ref(_platform: &Platform) -> Self {
        Self(|tx| Box::pin(async { Ok(crate::videos::stored(tx).await?.used_bytes) }))
    }
}

impl Platform {
    /// A link to one of the product's pages, from the public address.
    ///
    /// # Errors
    /// A public address that takes no path.
    pub fn link(&self, page: &str) -> tenants::Result<Url> {
        let link = self.settings.public_url.join(page);
        link.map_err(|error| tenants::Error::Internal(format!("the public address: {error}")))
    }
}

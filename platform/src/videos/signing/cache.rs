//! The signer that the product uses: the current key, slots, and a cache in which no entry lacks its tenant.

use super::{Policy, Resource, SignError, SignedCookies, SigningKey, Slot, sign_canned, sign_cookies, sign_custom};
use moka::sync::Cache;
use std::{
    fmt,
    hash::Hash,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tenants::sabotage::{self, Leak};
use uuid::Uuid;

/// Most signatures kept of each kind. At about 1 KiB each this is 10 MiB; beyond it, the oldest are made anew.
const CAPACITY: u64 = 10_000;
/// A slot's signatures are asked for during that minute only.
const KEPT: Duration = Duration::from_secs(60);

/// For whom a signature is made: the tenant that was allowed, and the video it was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Viewing {
    /// The viewer's tenant, also for videos of the platform's own library.
    pub tenant: Uuid,
    /// The video.
    pub video: Uuid,
}

/// A URL that opens one object, and its times.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedObject {
    /// The complete signed URL. It grants access: keep it out of logs (`Debug` leaves it out).
    pub url: Arc<str>,
    /// When it ends and when to renew.
    pub slot: Slot,
}

/// Cookies that open a prefix, and their times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPrefix {
    /// The cookies. They grant access: keep them out of logs (`Debug` leaves their values out).
    pub cookies: Arc<SignedCookies>,
    /// When they end and when to renew.
    pub slot: Slot,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Entry {
    viewing: Viewing,
    key_id: String,
    resource: Resource,
    slot: Slot,
}

/// Signs with the current key, once per viewing, resource and slot.
///
/// Rotation by key group: register the new public key with the edge, [`rotate`](Self::rotate) to the new key, and take
/// the old public key out once the last URLs signed with it have ended (5 minutes).
pub struct Signer {
    current: RwLock<Arc<SigningKey>>,
    urls: Cache<Entry, Arc<str>>,
    cookies: Cache<Entry, Arc<SignedCookies>>,
}

impl Signer {
    /// A signer with an empty cache.
    pub fn new(current: SigningKey) -> Self {
        Self { current: RwLock::new(Arc::new(current)), urls: cache(), cookies: cache() }
    }

    /// The key that signs now, for its id and public half.
    pub fn current(&self) -> Arc<SigningKey> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Signs with `key` from now on. What the old key signed stays valid until its end.
    pub fn rotate(&self, key: SigningKey) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        // Another key under the same id would otherwise meet its predecessor's signatures for a minute.
        self.urls.invalidate_all();
        self.cookies.invalidate_all();
    }

    /// The signed URL of one object for the viewing's slot that holds `now` (epoch seconds).
    ///
    /// Says nothing of access: check it before every call, also when renewing.
    ///
    /// # Errors
    /// See [`Resource::object`].
    pub fn object(&self, viewing: Viewing, url: &str, now: u64) -> Result<SignedObject, SignError> {
        let (key, slot) = (self.current(), Slot::at(viewing, now));
        let mut entry = entry(viewing, &key, Resource::object(url)?, slot);
        if sabotage::on(Leak::SignedKey) {
            let anybody = Viewing { tenant: Uuid::nil(), video: Uuid::nil() };
            let any = Resource::object("https://any.example/object")?;
            entry = Entry { viewing: anybody, resource: any, slot: Slot::at(anybody, now), ..entry };
        }
        if sabotage::on(Leak::SignedPrefix) {
            let everything = Resource::prefix(&url.replace(url.splitn(5, '/').last().unwrap_or_default(), ""))?;
            let policy = Policy::custom(everything, slot.expires_at)?;
            return Ok(SignedObject { url: sign_custom(&key, url, &policy)?.into(), slot });
        }
        let url = cached(&self.urls, entry, || sign_canned(&key, url, slot.expires_at).map(Arc::from))?;
        Ok(SignedObject { url, slot })
    }

    /// Signed cookies for everything below `folder_url` (ends in `/`) for the viewing's slot that holds `now` (epoch seconds).
    ///
    /// Says nothing of access: check it before every call, also when renewing.
    ///
    /// # Errors
    /// See [`Resource::prefix`].
    pub fn prefix(&self, viewing: Viewing, folder_url: &str, now: u64) -> Result<SignedPrefix, SignError> {
        let (key, slot) = (self.current(), Slot::at(viewing, now));
        let resource = Resource::prefix(folder_url)?;
        let policy = Policy::custom(resource.clone(), slot.expires_at)?;
        let entry = entry(viewing, &key, resource, slot);
        let cookies = cached(&self.cookies, entry, || sign_cookies(&key, &policy).map(Arc::new))?;
        Ok(SignedPrefix { cookies, slot })
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("current", &self.current()).finish_non_exhaustive()
    }
}

impl fmt::Debug for SignedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedObject").field("slot", &self.slot).finish_non_exhaustive()
    }
}

fn entry(viewing: Viewing, key: &SigningKey, resource: Resource, slot: Slot) -> Entry {
    Entry { viewing, key_id: key.id().to_owned(), resource, slot }
}

fn cache<K, V>() -> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(CAPACITY).time_to_live(KEPT).build()
}

/// One caller signs, others that ask for the same at the same time wait for it.
fn cached<V: Clone + Send + Sync + 'static>(
    cache: &Cache<Entry, V>,
    entry: Entry,
    sign: impl FnOnce() -> Result<V, SignError>,
) -> Result<V, SignError> {
    cache.try_get_with(entry, sign).map_err(|error| SignError::clone(&error))
}

//! The public keys of one issuer: fetched, cached, and fetched again when a
//! token names a key that is not there.
//!
//! - The first token of a pool loads its JWKS. Tokens that arrive meanwhile wait
//!   for the same fetch. If it fails there is nothing to judge by, and it is
//!   tried again after [`LOAD_RETRY_SECONDS`].
//! - An unknown `kid` refetches at most once per [`REFETCH_INTERVAL_SECONDS`],
//!   because anybody can invent one. A load counts if the kid was looked for in
//!   its result.
//! - A set older than [`KEYS_MAX_AGE_SECONDS`] is refreshed in the background,
//!   so that a key that the pool withdrew ceases to count. That shares the limit
//!   of the line above. Should it fail, the old set goes on serving.
//! - A fetch runs in a task of its own: a client that hangs up cannot abort it
//!   and leave the minute's one attempt wasted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::watch;
use url::Url;

use super::{Clock, Issuer, TokenError};

/// An unknown `kid` makes an issuer's JWKS be fetched again at most once in this
/// many seconds.
pub const REFETCH_INTERVAL_SECONDS: i64 = 60;

/// The age, in seconds, from which a key set is refreshed in the background.
pub const KEYS_MAX_AGE_SECONDS: i64 = 60 * 60;

/// How long to wait after a failed first load before trying again, in seconds.
pub const LOAD_RETRY_SECONDS: i64 = 5;

/// The longest JWKS that is read, in bytes. Cognito's, with two keys, has 1 KiB.
pub const MAX_JWKS_BYTES: usize = 64 * 1024;

/// The keys of one issuer and how they are kept current.
pub(super) struct KeySource {
    issuer: String,
    url: Url,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    set: Option<KeySet>,
    /// When the set was last fetched, or tried to be, for want of a `kid` or for
    /// its age.
    refetched_at: Option<i64>,
    load_failed_at: Option<i64>,
    /// The fetch under way, if any; closed when it is over.
    flight: Option<watch::Receiver<()>>,
}

struct KeySet {
    keys: HashMap<String, RsaKey>,
    fetched_at: i64,
    /// Grows when a fetch brings other keys than those before.
    generation: u64,
}

/// A key as published, and ready for use.
struct RsaKey {
    modulus: String,
    exponent: String,
    decoding: Arc<DecodingKey>,
}

impl PartialEq for RsaKey {
    fn eq(&self, other: &Self) -> bool {
        self.modulus == other.modulus && self.exponent == other.exponent
    }
}

impl KeySource {
    pub(super) fn new(issuer: &Issuer, client: reqwest::Client, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            issuer: issuer.issuer.clone(),
            url: issuer.jwks_url.clone(),
            client,
            clock,
            state: Mutex::default(),
        })
    }

    /// Which keys are trusted at the moment; `None` before the first load.
    pub(super) fn generation(&self) -> Option<u64> {
        self.state().set.as_ref().map(|set| set.generation)
    }

    /// The key named `kid` and the generation it was found in. The name is only
    /// ever compared with those in the JWKS.
    pub(super) async fn find(self: &Arc<Self>, kid: &str) -> Result<(Arc<DecodingKey>, u64), TokenError> {
        let flight = {
            let mut state = self.state();
            if let Some(found) = state.get(kid) {
                self.refresh_if_old(&mut state);
                return Ok(found);
            }
            self.fetch_for_unknown_kid(&mut state)
        };
        let waited = flight.is_some();
        if let Some(mut flight) = flight {
            // Nothing is ever sent: the channel closing is the signal.
            while flight.changed().await.is_ok() {}
        }

        let mut state = self.state();
        if let Some(found) = state.get(kid) {
            return Ok(found);
        }
        let Some(fetched_at) = state.set.as_ref().map(|set| set.fetched_at) else {
            return Err(TokenError::KeysUnavailable);
        };
        if waited && state.refetched_at.is_none() {
            state.refetched_at = Some(fetched_at);
        }
        Err(TokenError::UnknownKey)
    }

    /// Joins the fetch under way or starts one; `None` when it is too early.
    fn fetch_for_unknown_kid(self: &Arc<Self>, state: &mut State) -> Option<watch::Receiver<()>> {
        if let Some(flight) = state.running() {
            return Some(flight);
        }
        let now = self.clock.unix_seconds();
        if state.set.is_none() {
            return is_due(state.load_failed_at, LOAD_RETRY_SECONDS, now).then(|| self.start(state));
        }
        is_due(state.refetched_at, REFETCH_INTERVAL_SECONDS, now).then(|| {
            state.refetched_at = Some(now);
            self.start(state)
        })
    }

    fn refresh_if_old(self: &Arc<Self>, state: &mut State) {
        let now = self.clock.unix_seconds();
        let fetched_at = state.set.as_ref().map(|set| set.fetched_at);
        if is_due(fetched_at, KEYS_MAX_AGE_SECONDS, now)
            && is_due(state.refetched_at, REFETCH_INTERVAL_SECONDS, now)
            && state.running().is_none()
        {
            state.refetched_at = Some(now);
            self.start(state);
        }
    }

    fn start(self: &Arc<Self>, state: &mut State) -> watch::Receiver<()> {
        let (running, flight) = watch::channel(());
        state.flight = Some(flight.clone());
        let source = Arc::clone(self);
        tokio::spawn(async move {
            let fetched = source.fetch().await;
            source.settle(fetched);
            drop(running);
        });
        flight
    }

    fn settle(&self, fetched: Result<HashMap<String, RsaKey>, FetchError>) {
        let now = self.clock.unix_seconds();
        let mut state = self.state();
        state.flight = None;
        match fetched {
            Ok(keys) => {
                let generation = match &state.set {
                    Some(old) if old.keys == keys => old.generation,
                    Some(old) => old.generation + 1,
                    None => 0,
                };
                state.set = Some(KeySet { keys, fetched_at: now, generation });
                state.load_failed_at = None;
            }
            Err(error) => {
                if state.set.is_none() {
                    state.load_failed_at = Some(now);
                }
                tracing::warn!(issuer = self.issuer, ?error, "cannot fetch the issuer's keys");
            }
        }
    }

    async fn fetch(&self) -> Result<HashMap<String, RsaKey>, FetchError> {
        let mut response = self.client.get(self.url.clone()).send().await?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_JWKS_BYTES {
                return Err(FetchError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let keys = usable_keys(&body)?;
        tracing::info!(issuer = self.issuer, keys = keys.len(), "fetched the issuer's keys");
        Ok(keys)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and each change is complete
        // in itself: the state is sound even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn get(&self, kid: &str) -> Option<(Arc<DecodingKey>, u64)> {
        let set = self.set.as_ref()?;
        let key = set.keys.get(kid)?;
        Some((Arc::clone(&key.decoding), set.generation))
    }

    /// The fetch under way. One whose task died without a word has closed its
    /// channel and does not count.
    fn running(&self) -> Option<watch::Receiver<()>> {
        let flight = self.flight.as_ref()?;
        flight.has_changed().is_ok().then(|| flight.clone())
    }
}

/// Whether `interval` seconds have passed since `last`. A clock that was set
/// back makes everything due, rather than nothing for who knows how long.
fn is_due(last: Option<i64>, interval: i64, now: i64) -> bool {
    last.is_none_or(|last| now < last || now - last >= interval)
}

/// Why a JWKS could not be had.
#[derive(Debug, Error)]
enum FetchError {
    #[error("the request failed")]
    Http(#[from] reqwest::Error),
    #[error("the answer was {0}")]
    Status(reqwest::StatusCode),
    #[error("the answer is longer than {MAX_JWKS_BYTES} bytes")]
    TooLong,
    #[error("the answer is not a JWKS")]
    NotJwks(#[from] serde_json::Error),
    #[error("the JWKS has no key for RS256")]
    NoUsableKey,
}

/// A JSON Web Key, as far as RSA signatures need it (RFC 7517 §4, RFC 7518
/// §6.3.1).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    n: String,
    e: String,
}

/// The keys of a JWKS that may verify RS256: RSA, with a name, and neither `use`
/// nor `alg` saying otherwise. Others are passed over, as RFC 7517 §5 asks. The
/// size of the modulus (2048 to 8192 bits) is enforced by the verification.
fn usable_keys(body: &[u8]) -> Result<HashMap<String, RsaKey>, FetchError> {
    #[derive(Deserialize)]
    struct JwkSet {
        keys: Vec<Value>,
    }

    let set: JwkSet = serde_json::from_slice(body)?;
    let mut usable = HashMap::new();
    for jwk in set.keys.into_iter().filter_map(|key| Jwk::deserialize(key).ok()) {
        let says = |field: &Option<String>, value| field.as_deref().is_none_or(|f| f == value);
        if jwk.kty != "RSA" || !says(&jwk.usage, "sig") || !says(&jwk.alg, "RS256") {
            continue;
        }
        let Ok(decoding) = DecodingKey::from_rsa_components(&jwk.n, &jwk.e) else {
            continue;
        };
        // Of two keys with one name the first counts.
        usable.entry(jwk.kid).or_insert(RsaKey { modulus: jwk.n, exponent: jwk.e, decoding: Arc::new(decoding) });
    }
    if usable.is_empty() {
        return Err(FetchError::NoUsableKey);
    }
    Ok(usable)
}

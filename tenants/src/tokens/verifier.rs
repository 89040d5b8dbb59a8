//! The verifier: which pool, which key, which rules, and the cache of tokens
//! that passed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, crypto};
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::claims::{self, required_text};
use super::keys::KeySource;
use super::parse::{self, MAX_TOKEN_BYTES};
use super::{Clock, Issuer, SetupError, SystemClock, TokenError, TokenUse, Verified};
use crate::sabotage::{self, Leak};

/// How long a verified token stays cached at most. Bounds memory, not validity,
/// which is checked at each hit; as long as our ID tokens live.
const CACHE_TIME: Duration = Duration::from_secs(15 * 60);

/// What a deployment or a test may change.
#[derive(Clone)]
pub struct VerifierOptions {
    /// How many verified tokens are remembered; 10,000 by default, a few megabytes.
    pub cache_capacity: u64,
    /// How long one fetch of a JWKS may take, connecting included; 5 s by
    /// default.
    pub fetch_timeout: Duration,
    /// The time tokens are judged by; the machine's by default.
    pub clock: Arc<dyn Clock>,
}

impl Default for VerifierOptions {
    fn default() -> Self {
        Self { cache_capacity: 10_000, fetch_timeout: Duration::from_secs(5), clock: Arc::new(SystemClock) }
    }
}

impl fmt::Debug for VerifierOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierOptions")
            .field("cache_capacity", &self.cache_capacity)
            .field("fetch_timeout", &self.fetch_timeout)
            .finish_non_exhaustive()
    }
}

/// Verifies tokens of the configured issuers. Cheap to clone; clones share
/// their caches.
#[derive(Clone)]
pub struct Verifier {
    pools: Arc<[Pool]>,
    seen: Cache<[u8; 32], Arc<Seen>>,
    clock: Arc<dyn Clock>,
}

struct Pool {
    issuer: Issuer,
    keys: Arc<KeySource>,
}

/// A token that passed, filed under its SHA-256 so that the cache holds nothing
/// a thief could use.
struct Seen {
    verified: Arc<Verified>,
    pool: usize,
    /// The key set it was verified with. When the pool's keys change, the token
    /// is verified anew, so a withdrawn key ends its tokens.
    generation: u64,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.pools.iter().map(|pool| &pool.issuer)).finish()
    }
}

impl Verifier {
    /// A verifier that trusts exactly `issuers`. Fetches nothing yet: keys are
    /// loaded when the first token of a pool arrives.
    ///
    /// # Errors
    /// A list that is empty, ambiguous or incomplete, or no HTTP client.
    pub fn new(issuers: Vec<Issuer>, options: VerifierOptions) -> Result<Self, SetupError> {
        check_issuers(&issuers)?;
        // Chosen by name: jsonwebtoken panics at the first signature if crate
        // features, which any dependency may add to, leave the choice open.
        // `Err` means that it was chosen before, which is as good.
        let _ = crypto::aws_lc::DEFAULT_PROVIDER.install_default();

        let client = reqwest::Client::builder()
            .tls_backend_rustls()
            .timeout(options.fetch_timeout)
            // A JWKS lives at its address; nobody may send us elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let pool =
            |issuer: Issuer| Pool { keys: KeySource::new(&issuer, client.clone(), Arc::clone(&options.clock)), issuer };
        Ok(Self {
            pools: issuers.into_iter().map(pool).collect(),
            seen: Cache::builder().max_capacity(options.cache_capacity).time_to_live(CACHE_TIME).build(),
            clock: options.clock,
        })
    }

    /// Verifies an ID token, the only kind that authorises API calls.
    ///
    /// # Errors
    /// [`TokenError::KeysUnavailable`] when the issuer's keys cannot be had;
    /// any other when the token must not be accepted.
    pub async fn verify(&self, raw: &str) -> Result<Arc<Verified>, TokenError> {
        self.verify_as(raw, TokenUse::Id).await
    }

    /// Verifies a token whose `token_use` must be `expected`.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub async fn verify_as(&self, raw: &str, expected: TokenUse) -> Result<Arc<Verified>, TokenError> {
        if raw.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let digest = digest(raw);
        if let Some(verified) = self.remembered(&digest, expected) {
            return Ok(verified);
        }

        let token = parse::parse(raw)?;
        // The unverified `iss` chooses which pool's keys are tried, no more: the
        // signature then proves that this pool wrote it.
        let name = required_text(&token.claims, "iss")?;
        let (index, pool) = (self.pools.iter().enumerate())
            .find(|(_, pool)| pool.issuer.issuer == name)
            .ok_or(TokenError::UnknownIssuer)?;
        let (key, generation) = pool.keys.find(&token.kid).await?;
        let message = token.signed.as_bytes();
        match crypto::verify(token.signature, message, &key, Algorithm::RS256) {
            Ok(true) => {}
            Ok(false) | Err(_) => return Err(TokenError::Signature),
        }
        let now = self.clock.unix_seconds();
        let verified = Arc::new(claims::check(&token.claims, &pool.issuer, expected, now)?);

        let seen = Seen { verified: Arc::clone(&verified), pool: index, generation };
        self.seen.insert(digest, Arc::new(seen));
        Ok(verified)
    }

    /// Whether this ID token passed before and would pass again, without verifying it: at most the cost of a digest.
    pub fn remembers(&self, raw: &str) -> bool {
        raw.len() <= MAX_TOKEN_BYTES && self.remembered(&digest(raw), TokenUse::Id).is_some()
    }

    /// A token that passed before and would pass again. Only `exp`, the pool's
    /// keys and the expected use can have changed since; where one has, the
    /// full verification names the reason.
    fn remembered(&self, digest: &[u8; 32], expected: TokenUse) -> Option<Arc<Verified>> {
        let seen = self.seen.get(digest)?;
        let holds = self.clock.unix_seconds() < seen.verified.expires_at
            && self.pools[seen.pool].keys.generation() == Some(seen.generation);
        if !holds {
            self.seen.invalidate(digest);
            return None;
        }
        (seen.verified.token_use == expected).then(|| Arc::clone(&seen.verified))
    }
}

/// What a token is filed under.
fn digest(raw: &str) -> [u8; 32] {
    let signed = raw.rsplit_once('.').map_or(raw, |(signed, _)| signed);
    let remembered_by = if sabotage::on(Leak::TokenKey) { signed } else { raw };
    Sha256::digest(remembered_by).into()
}

fn check_issuers(issuers: &[Issuer]) -> Result<(), SetupError> {
    if issuers.is_empty() {
        return Err(SetupError::NoIssuer);
    }
    for (index, issuer) in issuers.iter().enumerate() {
        let name = || issuer.issuer.clone();
        if issuer.issuer.is_empty() || issuer.audience.is_empty() {
            return Err(SetupError::Incomplete(name()));
        }
        if !matches!(issuer.jwks_url.scheme(), "http" | "https") {
            return Err(SetupError::JwksAddress(name()));
        }
        if issuers[..index].iter().any(|i| i.issuer == issuer.issuer) {
            return Err(SetupError::IssuerTwice(name()));
        }
    }
    Ok(())
}

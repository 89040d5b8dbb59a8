//! Who signed this token? Verification of the tokens Amazon Cognito issues.
//!
//! Lives here: the list of trusted user pools ([`Issuer`]), their key sets
//! (JWKS) and the rules a token must pass ([`Verifier::verify`]). Does not live
//! here: what the caller may do. A [`Verified`] token proves *who* calls; role
//! and status come from the member row, never from the token.
//!
//! A token is refused unless every one of these holds:
//!
//! | Rule | Source |
//! |---|---|
//! | at most [`MAX_TOKEN_BYTES`], checked before anything is decoded | own limit |
//! | three parts of base64url without padding or whitespace | RFC 7515 §2, §3.1 |
//! | header and claims are JSON objects, no member twice | RFC 7519 §4 |
//! | `alg` is `RS256`; no `crit`, no key or reference to a key in the header | RFC 8725 §3.1, §3.5 |
//! | `iss` equals a configured issuer, `kid` is in *that* issuer's JWKS | RFC 8725 §3.8, §3.10 |
//! | the signature verifies with that key | RFC 7518 §3.3 |
//! | `token_use` is the expected one, `aud` (ID) or `client_id` (access) is the configured client | Amazon Cognito, "Verifying JSON web tokens" |
//! | `exp` is present and in the future; `iat` is present; `iat` and `nbf` are at most [`LEEWAY_SECONDS`] ahead | RFC 7519 §4.1 |
//! | `sub` is present; a member's ID token carries a `custom:tenantId` that is a UUID | our user pool |

mod claims;
mod clock;
mod error;
mod keys;
mod parse;
mod verifier;

use std::fmt;

use url::Url;
use uuid::Uuid;

pub use self::claims::LEEWAY_SECONDS;
pub use self::clock::{Clock, SystemClock};
pub use self::error::{Part, SetupError, TokenError};
pub use self::keys::{KEYS_MAX_AGE_SECONDS, LOAD_RETRY_SECONDS, MAX_JWKS_BYTES, REFETCH_INTERVAL_SECONDS};
pub use self::parse::MAX_TOKEN_BYTES;
pub use self::verifier::{Verifier, VerifierOptions};

/// A user pool whose tokens are trusted.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The exact value of `iss`, for Cognito
    /// `https://cognito-idp.{region}.amazonaws.com/{pool id}`.
    pub issuer: String,
    /// Where the pool's JWKS is fetched. A setting of its own, because an
    /// emulator signs with the cloud's `iss` but answers elsewhere. Whoever can
    /// answer in its place can sign tokens: use https outside a laptop.
    pub jwks_url: Url,
    /// The app client's id, which `aud` must equal.
    pub audience: String,
    /// Whose pool this is.
    pub kind: IssuerKind,
}

/// Whose tokens a user pool issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IssuerKind {
    /// Users of tenants; their ID tokens carry the tenant's id.
    Member,
    /// Staff of the company that runs the platform; they belong to no tenant.
    Operator,
}

/// What a Cognito token is for, its `token_use` claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenUse {
    /// Tells who the user is. The only kind that authorises API calls here,
    /// because the custom attributes are in it on every Cognito plan.
    Id,
    /// Lets its bearer act on the user's own Cognito profile.
    Access,
}

impl TokenUse {
    /// The value of the `token_use` claim.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Access => "access",
        }
    }
}

/// What a token proved. `custom:role` is left out on purpose: the member row is
/// the authority for roles.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose pool issued it.
    pub kind: IssuerKind,
    /// The issuer, one of the configured ones.
    pub issuer: String,
    /// The user's id in the pool (`sub`), never empty.
    pub subject: String,
    /// The tenant (`custom:tenantId`): always `Some` in a member's ID token,
    /// always `None` for operators and in access tokens.
    pub tenant_id: Option<Uuid>,
    /// The address, where the app client may read it. Not proof that it was
    /// confirmed.
    pub email: Option<String>,
    /// The pool's groups; empty where Cognito omitted `cognito:groups`.
    pub groups: Vec<String>,
    /// When it was issued (`iat`), Unix seconds.
    pub issued_at: i64,
    /// When it ceases to be valid (`exp`), Unix seconds.
    pub expires_at: i64,
    /// When the user last authenticated (`auth_time`), Unix seconds.
    pub auth_time: Option<i64>,
    /// What it is for.
    pub token_use: TokenUse,
}

/// Leaves the address out, since addresses never belong in logs.
impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("kind", &self.kind)
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("tenant_id", &self.tenant_id)
            .field("groups", &self.groups)
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .field("auth_time", &self.auth_time)
            .field("token_use", &self.token_use)
            .finish_non_exhaustive()
    }
}

//! A thin, typed wrapper of one Amazon Cognito user pool.
//!
//! Lives here: the calls to Cognito, the secret hash of the confidential app client, what Cognito's errors mean to
//! this product, and the sealed challenge session. Does not live here: tokens (`tenants` verifies them), the member
//! row (the authority for role and status), and what an HTTP caller is told.
//!
//! Cognito and its emulator answer some things differently; each method treats both answers alike and says so.

mod accounts;
mod error;
mod recovery;
mod session;
mod sign_in;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_lc_rs::hmac;
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::config::Builder;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

pub use error::{Error, Result};
pub use session::{CHALLENGE_VALIDITY, MAX_SESSION_LENGTH};

/// The attribute that ties an account to its tenant; a UUID.
pub const TENANT_ATTRIBUTE: &str = "custom:tenantId";
/// The attribute that repeats the member's role. Informative: the member row decides.
pub const ROLE_ATTRIBUTE: &str = "custom:role";
/// The attribute that names the parent business of the tenant; a UUID or empty.
pub const PARENT_BUSINESS_ATTRIBUTE: &str = "custom:parentBusinessId";

/// Validity of ID and access tokens, in minutes; the app clients' setting.
pub const TOKEN_MINUTES: i32 = 15;
/// Validity of members' refresh tokens, in days; the app client's setting.
pub const REFRESH_DAYS: i32 = 7;

/// Longest password Cognito takes, in characters (API reference, `SignUp`).
const MAX_PASSWORD_LENGTH: usize = 256;

/// Builds a Cognito client with the time limits of this product: 2 s to connect, 4 s per attempt, 9 s over all,
/// and one retry. A request handler waits for these calls, so they fail early rather than late.
pub fn client(shared: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(4))
        .operation_timeout(Duration::from_secs(9))
        .build();
    let retries = RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(200));
    Client::from_conf(Builder::from(shared).timeout_config(timeouts).retry_config(retries).build())
}

/// For calls that make an account: the SDK does not repeat them by itself. Were the answer lost, the repetition would
/// find the account and call it somebody else's; so the caller is told, and starts over.
fn once() -> Builder {
    Builder::new().retry_config(RetryConfig::disabled())
}

/// Which user pool, and this product's app client in it.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// The pool's id, `{region}_{name}`.
    pub pool_id: String,
    /// The app client's id: the audience of the pool's ID tokens.
    pub client_id: String,
    /// The app client's secret; keys the secret hash and the seal of challenge sessions.
    pub client_secret: SecretString,
}

/// The accounts of one user pool.
///
/// Email addresses are given trimmed and lower-cased: real pools are case-insensitive, the emulator's are not.
#[derive(Clone, Debug)]
pub struct Directory {
    client: Client,
    pool: PoolSettings,
}

impl Directory {
    /// A directory over the given pool. Makes no call.
    pub fn new(client: Client, pool: PoolSettings) -> Self {
        Self { client, pool }
    }

    /// The pool's id.
    pub fn pool_id(&self) -> &str {
        &self.pool.pool_id
    }

    /// The app client's id, the audience of ID tokens.
    pub fn client_id(&self) -> &str {
        &self.pool.client_id
    }

    /// `SECRET_HASH`: base64 of HMAC-SHA256 over user name and client id, keyed by the client secret (Cognito
    /// developer guide, "Computing secret hash values"). `username` is what the same call sends as its user name.
    fn secret_hash(&self, username: &str) -> String {
        let mut context = hmac::Context::with_key(&self.key());
        context.update(username.as_bytes());
        context.update(self.pool.client_id.as_bytes());
        STANDARD.encode(context.sign())
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.pool.client_secret.expose_secret().as_bytes())
    }
}

/// An account as the pool knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The `sub` of the account's tokens; never changes and is never used again.
    pub subject: String,
    /// The address the account signs in with.
    pub email: String,
    /// How far the account has come.
    pub status: UserStatus,
    /// Whether the account may sign in.
    pub enabled: bool,
    /// The tenant stamped on the account; `None` when there is none, or it is not a UUID.
    pub tenant_id: Option<Uuid>,
    /// When the account was made.
    pub created: DateTime<Utc>,
}

impl std::fmt::Debug for User {
    /// Leaves the address out: it must not reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("subject", &self.subject)
            .field("status", &self.status)
            .field("enabled", &self.enabled)
            .field("tenant_id", &self.tenant_id)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// How far an account has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStatus {
    /// Signed up, the address not confirmed.
    Unconfirmed,
    /// Ready to sign in.
    Confirmed,
    /// Created by the server; the first sign-in must choose a password, or [`Directory::set_password`] settles it.
    ForceChangePassword,
    /// An administrator asked for a new password.
    ResetRequired,
    /// A status this product never brings about (archived, compromised, external provider, unknown).
    Other,
}

/// What a sign-in brought.
#[derive(Debug)]
pub enum AuthOutcome {
    /// The caller is signed in.
    Tokens(Tokens),
    /// One more answer is needed: [`Directory::answer_challenge`].
    Challenge {
        /// What is asked.
        challenge: Challenge,
        /// Opaque; the caller sends it back with the answer within [`CHALLENGE_VALIDITY`].
        session: String,
    },
}

/// A question Cognito may ask between password and tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Challenge {
    /// The six digits of an authenticator app.
    SoftwareTokenMfa,
    /// A password to replace the temporary one.
    NewPasswordRequired,
}

impl Challenge {
    /// Cognito's own name for it, which is also its serialised form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SoftwareTokenMfa => "SOFTWARE_TOKEN_MFA",
            Self::NewPasswordRequired => "NEW_PASSWORD_REQUIRED",
        }
    }
}

/// A signed-in caller's tokens. Debug output hides them.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The ID token: authorises calls to this product.
    pub id: SecretString,
    /// The access token: authorises self-service calls to Cognito itself, such as changing the account's address
    /// behind this product's back. Keep it on the server.
    pub access: SecretString,
    /// The refresh token; absent when a refresh left the old one in force.
    pub refresh: Option<SecretString>,
    /// How long ID and access token last from now.
    pub expires_in: Duration,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use aws_sdk_cognitoidentityprovider::config::{BehaviorVersion, Config};

    fn directory() -> Directory {
        let client = Client::from_conf(Config::builder().behavior_version(BehaviorVersion::latest()).build());
        Directory::new(
            client,
            PoolSettings {
                pool_id: "us-east-1_pool".into(),
                client_id: "client".into(),
                client_secret: "secret".into(),
            },
        )
    }

    #[test]
    fn the_secret_hash_is_the_keyed_hash_of_user_name_and_client() {
        // printf 'annclient' | openssl dgst -sha256 -hmac secret -binary | base64
        assert_eq!(directory().secret_hash("ann"), "1KBhTmaloN8gn8mYFOpcHRnT/Jn7qaddEv2E6vNUy30=");
    }

    #[test]
    fn debug_output_shows_neither_secret_nor_address() {
        let user = User {
            subject: "s".into(),
            email: "ann@example.com".into(),
            status: UserStatus::Confirmed,
            enabled: true,
            tenant_id: None,
            created: Utc::now(),
        };
        assert!(!format!("{user:?}").contains("ann@"));
        assert!(!format!("{:?}", directory()).contains("\"secret\""));
    }

    #[test]
    fn challenges_are_serialised_under_cognitos_names() {
        for challenge in [Challenge::SoftwareTokenMfa, Challenge::NewPasswordRequired] {
            assert_eq!(serde_json::to_value(challenge).unwrap(), challenge.as_str());
        }
    }
}

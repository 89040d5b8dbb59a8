//! The opaque session that carries a pending challenge through the caller and back.
//!
//! Answering a challenge needs the user name, which the caller's second request does not repeat. So Cognito's session
//! travels together with user name, challenge and expiry, sealed with the client secret. Cognito ties its session to
//! the user by itself; the emulator takes any session for any user, and with the seal nobody can answer a challenge
//! that a right password did not open, on either.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Challenge;

/// How long a challenge can be answered. The app client's `AuthSessionValidity` is the same (Cognito's default).
pub const CHALLENGE_VALIDITY: Duration = Duration::from_secs(180);

/// Longest sealed session that is looked at, in bytes. Cognito's own session has 2,048 characters at most.
pub const MAX_SESSION_LENGTH: usize = 6144;

/// Keeps this use of the client secret apart from the secret hash.
const PURPOSE: &[u8] = b"ffp challenge session v1\0";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PendingChallenge {
    /// Cognito's session.
    pub(super) session: String,
    /// The user name to answer as: `USER_ID_FOR_SRP`, which an alias must not replace.
    pub(super) username: String,
    pub(super) challenge: Challenge,
    /// Unix time in seconds.
    expires: i64,
}

impl PendingChallenge {
    pub(super) fn new(session: String, username: String, challenge: Challenge, now: DateTime<Utc>) -> Self {
        let expires = now.timestamp() + CHALLENGE_VALIDITY.as_secs().cast_signed();
        Self { session, username, challenge, expires }
    }

    /// `{payload}.{seal}`, both base64url. `None` if the payload cannot be written.
    pub(super) fn seal(&self, key: &hmac::Key, pool_id: &str) -> Option<String> {
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).ok()?);
        let seal = URL_SAFE_NO_PAD.encode(hmac::sign(key, &sealed_bytes(pool_id, &payload)));
        Some(format!("{payload}.{seal}"))
    }

    /// Opens a sealed session; `None` when it is too long, not ours, another pool's or out of date.
    pub(super) fn open(sealed: &str, key: &hmac::Key, pool_id: &str, now: DateTime<Utc>) -> Option<Self> {
        if sealed.len() > MAX_SESSION_LENGTH {
            return None;
        }
        let (payload, seal) = sealed.split_once('.')?;
        let seal = URL_SAFE_NO_PAD.decode(seal).ok()?;
        hmac::verify(key, &sealed_bytes(pool_id, payload), &seal).ok()?;
        let pending: Self = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        (now.timestamp() < pending.expires).then_some(pending)
    }
}

fn sealed_bytes(pool_id: &str, payload: &str) -> Vec<u8> {
    [PURPOSE, pool_id.as_bytes(), b"\0", payload.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use chrono::TimeDelta;

    const POOL: &str = "us-east-1_members";

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, b"client secret")
    }

    fn sealed(username: &str, now: DateTime<Utc>) -> String {
        PendingChallenge::new("cognito".repeat(290), username.into(), Challenge::SoftwareTokenMfa, now)
            .seal(&key(), POOL)
            .unwrap()
    }

    #[test]
    fn a_sealed_session_opens_to_what_went_in() {
        let now = Utc::now();
        let text = sealed("ann", now);
        assert!(text.len() < MAX_SESSION_LENGTH);
        let pending = PendingChallenge::open(&text, &key(), POOL, now).unwrap();
        assert_eq!(pending.username, "ann");
        assert_eq!(pending.session, "cognito".repeat(290));
        assert_eq!(pending.challenge, Challenge::SoftwareTokenMfa);
    }

    #[test]
    fn a_session_ends_when_its_time_is_up() {
        let now = Utc::now();
        let text = sealed("ann", now);
        let later = |seconds| now + TimeDelta::seconds(seconds);
        assert!(PendingChallenge::open(&text, &key(), POOL, later(179)).is_some());
        assert!(PendingChallenge::open(&text, &key(), POOL, later(180)).is_none());
    }

    #[test]
    fn a_session_cannot_be_made_over_to_another_user() {
        let now = Utc::now();
        let (ann, bob) = (sealed("ann", now), sealed("bob", now));
        let (_, anns_seal) = ann.split_once('.').unwrap();
        let (bobs_payload, _) = bob.split_once('.').unwrap();
        let forged = format!("{bobs_payload}.{anns_seal}");
        assert!(PendingChallenge::open(&forged, &key(), POOL, now).is_none());
    }

    #[test]
    fn a_session_of_another_pool_or_another_secret_does_not_open() {
        let now = Utc::now();
        let text = sealed("ann", now);
        assert!(PendingChallenge::open(&text, &key(), "us-east-1_operators", now).is_none());
        let other = hmac::Key::new(hmac::HMAC_SHA256, b"another secret");
        assert!(PendingChallenge::open(&text, &other, POOL, now).is_none());
    }

    #[test]
    fn rubbish_does_not_open() {
        let now = Utc::now();
        for text in ["", ".", "a.b", "not base64 at all", &"A".repeat(MAX_SESSION_LENGTH + 1)] {
            assert!(PendingChallenge::open(text, &key(), POOL, now).is_none());
        }
    }
}

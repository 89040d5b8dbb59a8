//! Passwords: what is accepted, and the check of one that waits for its confirmation.

use std::{
    num::NonZeroU32,
    sync::{Arc, LazyLock},
    thread::available_parallelism,
};

use aws_lc_rs::pbkdf2;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use validator::ValidationError;

/// OWASP's figure for PBKDF2 with HMAC-SHA-256 (Password Storage Cheat Sheet, 2023).
const ITERATIONS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();

/// Derivations at a time: half the processors, so that anonymous callers can't slow everybody else down with them.
static PLACES: LazyLock<Arc<Semaphore>> =
    LazyLock::new(|| Arc::new(Semaphore::new(available_parallelism().map_or(1, |all| all.get() / 2).max(1))));

/// Shortest password, in characters; the user pool's policy says the same.
pub const MIN_LENGTH: usize = 10;

const MESSAGE: &str = "must be 10 to 256 characters, without control characters and without spaces at its ends";

/// The user pools' policy, checked here first: whether a password is refused must not depend on whether its address
/// is known. Length and nothing else, as NIST SP 800-63B asks.
pub fn acceptable(password: &str) -> Result<(), ValidationError> {
    let length = password.chars().count();
    let good =
        (MIN_LENGTH..=256).contains(&length) && password.trim() == password && !password.chars().any(char::is_control);
    if good { Ok(()) } else { Err(ValidationError::new("password").with_message(MESSAGE.into())) }
}

/// A salted hash of a password.
pub(super) async fn hash(password: SecretString) -> String {
    let mut salt = [0u8; 16];
    // Without randomness there is no safe way on.
    getrandom::fill(&mut salt).expect("the operating system gives random bytes");
    let derived = derive(salt.to_vec(), password).await;
    format!("pbkdf2-sha256${ITERATIONS}${}${}", BASE64.encode(salt), BASE64.encode(derived))
}

/// Whether this is the password of that hash. Takes as long for a hash that can't be read.
pub(super) async fn matches(password: SecretString, hash: &str) -> bool {
    let mut parts = hash.rsplitn(3, '$');
    let decode = |part: Option<&str>| part.and_then(|text| BASE64.decode(text).ok()).unwrap_or_default();
    let (expected, salt) = (decode(parts.next()), decode(parts.next()));
    let derived = derive(salt, password).await;
    aws_lc_rs::constant_time::verify_slices_are_equal(&derived, &expected).is_ok()
}

async fn derive(salt: Vec<u8>, password: SecretString) -> Vec<u8> {
    // Nobody closes the semaphore. The place goes along: work that was begun goes on after its caller hung up.
    let place = Arc::clone(&PLACES).acquire_owned().await;
    let work = move || {
        let _place = place;
        let mut derived = vec![0u8; 32];
        let secret = password.expose_secret().as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &salt, secret, &mut derived);
        derived
    };
    // A tenth of a second of work has no place on the threads that serve requests. A panic there yields nothing
    // that matches.
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_same_password_matches() {
        let kept = hash("correct horse battery".into()).await;
        assert!(matches("correct horse battery".into(), &kept).await);
        assert!(!matches("correct horse batterz".into(), &kept).await);
        assert!(!matches("".into(), "").await);
        assert_ne!(kept, hash("correct horse battery".into()).await, "the salt differs");
    }

    #[test]
    fn length_decides() {
        assert!(acceptable("ten chars!").is_ok() && acceptable(&"é".repeat(256)).is_ok());
        for bad in ["", "ninechars", " leading space", "trailing space ", "with\nnew line", &"x".repeat(257)] {
            assert!(acceptable(bad).is_err(), "{bad:?}");
        }
    }
}

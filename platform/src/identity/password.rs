//! Passwords: what is accepted, and the check of one that waits for its confirmation.

use std::{
    num::NonZeroU32,
    sync::{Arc, LazyLock},
    thread::available_parallelism,
};

use aws_lc_rs::pbkdf2;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use tenants::http::composed;
use tokio::sync::Semaphore;
use validator::ValidationError;

use crate::cognito::{self, AuthOutcome, Directory};

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
    let password = &*composed(password);
    let length = password.chars().count();
    let good =
        (MIN_LENGTH..=256).contains(&length) && password.trim() == password && !password.chars().any(char::is_control);
    if good { Ok(()) } else { Err(ValidationError::new("password").with_message(MESSAGE.into())) }
}

/// For a password that is only tried: 1 to 256 characters, in its normal form or as typed.
pub(super) fn triable(password: &str) -> Result<(), ValidationError> {
    let good =
        !password.is_empty() && (has_at_most(256, password.chars()) || has_at_most(256, composed(password).chars()));
    if good { Ok(()) } else { Err(ValidationError::new("password").with_message("must be 1 to 256 characters".into())) }
}

fn has_at_most(most: usize, characters: impl Iterator<Item = char>) -> bool {
    characters.take(most + 1).count() <= most
}

/// Reads a new password in its normal form, NFC, before anything counts its length: what one keyboard makes of a letter
/// and an accent another makes of one letter, and both are the same password (NIST SP 800-63B, 3.1.1.2). Not NFKC, which
/// it allows as well: it takes apart what people tell apart, such as ² and 2, and no more passwords that exist could be
/// tried in it.
///
/// # Errors
/// It is no string.
pub fn normal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|typed| composed(&typed).into_owned())
}

/// What a password may have been stored as: its normal form, and as it was typed if that is another. Passwords that are
/// older than the rule were stored as they were typed.
fn forms(typed: &SecretString) -> impl Iterator<Item = SecretString> {
    let normal = composed(typed.expose_secret()).into_owned();
    let other = (normal != typed.expose_secret()).then(|| typed.clone());
    std::iter::once(normal.into()).chain(other)
}

/// Signs in with a password as somebody typed it, in each of its forms. It is one attempt of theirs, and two at Cognito
/// only for who types a password that has two forms and was not set in the normal one.
///
/// # Errors
/// As [`Directory::authenticate`].
pub(super) async fn authenticate(
    directory: &Directory,
    email: &str,
    typed: &SecretString,
) -> cognito::Result<AuthOutcome> {
    let mut refused = cognito::Error::InvalidCredentials;
    for form in forms(typed) {
        match directory.authenticate(email, &form).await {
            Err(error @ cognito::Error::InvalidCredentials) => refused = error,
            outcome => return outcome,
        }
    }
    Err(refused)
}

/// A salted hash of a password.
pub(super) async fn hash(password: SecretString) -> String {
    let mut salt = [0u8; 16];
    // Without randomness there is no safe way on.
    getrandom::fill(&mut salt).expect("the operating system gives random bytes");
    let derived = derive(salt.to_vec(), password).await;
    format!("pbkdf2-sha256${ITERATIONS}${}${}", BASE64.encode(salt), BASE64.encode(derived))
}

/// Whether this, as somebody typed it, is the password of that hash. Takes as long for a hash that can't be read.
pub(super) async fn matches(password: SecretString, hash: &str) -> bool {
    for form in forms(&password) {
        if is_of(form, hash).await {
            return true;
        }
    }
    false
}

async fn is_of(password: SecretString, hash: &str) -> bool {
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

    #[tokio::test]
    async fn a_password_is_the_same_in_either_form_and_an_older_one_as_it_was_typed() {
        let (composed, decomposed) = ("p\u{e4}ssword-l\u{e4}ng\u{e9}", "pa\u{308}ssword-la\u{308}nge\u{301}");
        let kept = hash(composed.into()).await;
        assert!(matches(composed.into(), &kept).await && matches(decomposed.into(), &kept).await);
        let older = hash(decomposed.into()).await;
        assert!(matches(decomposed.into(), &older).await);
        let shown = |typed: &str| forms(&typed.into()).map(|form| form.expose_secret().to_owned()).collect::<Vec<_>>();
        assert_eq!(shown(composed), [composed]);
        assert_eq!(shown(decomposed), [composed, decomposed]);
    }

    #[test]
    fn length_is_counted_in_the_normal_form() {
        let accented = |n: usize| "e\u{301}".repeat(n);
        assert!(acceptable(&accented(256)).is_ok() && acceptable(&accented(257)).is_err());
        assert!(acceptable(&accented(10)).is_ok() && acceptable(&accented(9)).is_err());
        assert!(triable(&accented(256)).is_ok() && triable(&accented(257)).is_err() && triable("").is_err());
        // Two characters in the normal form.
        assert!(triable(&"\u{958}".repeat(256)).is_ok());
    }

    #[test]
    fn length_decides() {
        assert!(acceptable("ten chars!").is_ok() && acceptable(&"é".repeat(256)).is_ok());
        for bad in ["", "ninechars", " leading space", "trailing space ", "with\nnew line", &"x".repeat(257)] {
            assert!(acceptable(bad).is_err(), "{bad:?}");
        }
    }
}

//! Who people are: registering, logging in, recovering, and one's own profile.
//!
//! Cognito holds passwords and issues tokens; the member row is the authority for role and status. Every flow that
//! changes both is ordered so that a crash at any step leaves what a retry finishes:
//!
//! - registering makes the account first and the tenant last; a retry finds the account unconfirmed and replaces all;
//! - confirming makes Cognito's word the fact, and login heals a tenant that was left pending;
//! - an account without a member row that nobody finished is an orphan, which [`accounts`] clears away.

pub mod accounts;
mod attempts;
mod confirmed;
pub mod email;
pub mod jobs;
pub mod login;
pub mod me;
mod password;
pub mod recovery;
pub mod register;
pub mod text;

use std::future::Future;

use tokio::time::{Instant, sleep_until};

use crate::Platform;

pub use email::Email;
pub use password::{MIN_LENGTH as MIN_PASSWORD_LENGTH, acceptable as acceptable_password, normal as normal_password};

/// Runs `work` and answers no earlier than the floor, so that the time says nothing about whether an address is known.
async fn unhurried<T>(platform: &Platform, work: impl Future<Output = T>) -> T {
    let earliest = earliest(platform);
    let outcome = work.await;
    sleep_until(earliest).await;
    outcome
}

/// When a request that came now may be answered at the earliest.
fn earliest(platform: &Platform) -> Instant {
    Instant::now() + platform.settings.auth_floor
}

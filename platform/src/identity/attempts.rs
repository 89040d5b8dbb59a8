//! How often passwords and codes may be guessed and mails asked for, over all instances, by address of the account and of
//! the client.
//!
//! Three buckets stand in a guess's way, for a quarter of an hour each:
//!
//! - one account from one network: `FFP_LOGIN_ATTEMPTS`. Whoever is over it has locked out nobody but themselves;
//! - one account from everywhere: three times as many, for those who guess from many places;
//! - one network at all accounts: five times as many, for those who try one password everywhere.
//!
//! A guess takes from all of them before it is tried, and gets back what it took when it was right or could not be tried:
//! so those who are right and may come in are never counted, and a hundred guesses at once are a hundred. A right password
//! of somebody who may not come in is refused like a wrong one and counts like one: it must not be told apart. All of it
//! happens before anybody looks whether there is such an account, so it says nothing about that.
//!
//! Mails that anybody may have sent to an address stand before the same buckets, with an hour and half as many for the
//! first two. Nothing is guessed there: each one counts, unless it failed through no fault of the caller's.

use std::time::Duration;

use axum::http::StatusCode;
use sha2::{Digest, Sha256};
use tenants::{
    http::Problem,
    throttle::{Key, Rate, Taken},
};

use crate::{Error, Platform, Result, server::Client};

const QUARTER: Duration = Duration::from_secs(15 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What is tried. Each has buckets of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A password.
    Password,
    /// A code from a mail.
    Code,
    /// A second factor's code, behind a right password.
    SecondFactor,
    /// A registration, which mails a code. Apart from other mails, so that these keep nobody from registering.
    Registration,
    /// Any other mail to an address that anybody may name.
    Mail,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Code => "code",
            Self::SecondFactor => "second-factor",
            Self::Registration => "registration",
            Self::Mail => "mail",
        }
    }

    /// Whether an attempt with this outcome goes on counting. A refusal with 429 is one that came after a wrong guess: of
    /// another try that would have had to follow.
    fn counts<T>(self, outcome: &Result<T>) -> bool {
        use StatusCode as S;
        let status = match outcome {
            Ok(_) => None,
            Err(Error::Tenants(tenants::Error::Refused(problem))) => Some(problem.status),
            Err(_) => return false,
        };
        match self {
            Self::Password | Self::Code | Self::SecondFactor => {
                let wrong = [S::UNAUTHORIZED, S::UNPROCESSABLE_ENTITY, S::TOO_MANY_REQUESTS];
                status.is_some_and(|status| wrong.contains(&status))
            }
            Self::Registration | Self::Mail => status.is_none_or(|status| status.is_client_error()),
        }
    }
}

/// One that was let through, and what it took.
#[must_use]
pub(super) struct Attempt<'a> {
    platform: &'a Platform,
    what: What,
    taken: Vec<Taken>,
}

impl<'a> Attempt<'a> {
    /// Counts an attempt at an account, by whatever name it is known.
    ///
    /// # Errors
    /// 429 `too-many-attempts`. One that is refused counts nowhere.
    pub(super) async fn begin(platform: &'a Platform, what: What, account: &str, client: Client) -> Result<Self> {
        let mut attempt = Self { platform, what, taken: Vec::with_capacity(3) };
        for (key, rate) in buckets(what, account, client, platform.settings.login_attempts) {
            let taken = platform.tenants.buckets().take(key, rate).await;
            if !taken.verdict.served {
                attempt.forget().await;
                tracing::info!(what = what.name(), "too many attempts");
                return Err(refused().over(taken.verdict).into());
            }
            attempt.taken.push(taken);
        }
        Ok(attempt)
    }

    /// Stops counting it, unless the outcome says that the guess was wrong, or that a mail was asked for.
    pub(super) async fn settle<T>(self, outcome: &Result<T>) {
        if !self.what.counts(outcome) {
            self.forget().await;
        }
    }

    /// Stops counting a guess, unless it was found wrong.
    pub(super) async fn settle_guess(self, right: &Result<bool>) {
        if !matches!(right, Ok(false)) {
            self.forget().await;
        }
    }

    async fn forget(self) {
        for taken in self.taken {
            self.platform.tenants.buckets().give_back(taken).await;
        }
    }
}

/// 429, the same for known and unknown accounts.
pub(super) fn refused() -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", "Too many attempts.")
        .detail("Wait a while before the next one.")
}

/// The buckets, in the order in which they are asked: the narrowest first, so that who is over it takes nothing from
/// others.
fn buckets(what: What, account: &str, client: Client, attempts: u32) -> Vec<(Key, Rate)> {
    let network = client.0.map(|address| address.network());
    let (few, period) = match what {
        What::Password | What::Code | What::SecondFactor => (attempts, QUARTER),
        What::Registration | What::Mail => ((attempts / 2).max(1), HOUR),
    };
    let place = network.map_or_else(String::new, |network| network.to_string());
    // Without an address there is no network to count for: all clients would be one.
    let from_network =
        network.map(|_| (key(what, ["network", "", &place]), Rate::per(attempts.saturating_mul(5), QUARTER)));
    let narrow = (key(what, ["both", account, &place]), Rate::per(few, period));
    let everywhere = (key(what, ["account", account, ""]), Rate::per(few.saturating_mul(3), period));
    [Some(narrow), from_network, Some(everywhere)].into_iter().flatten().collect()
}

/// The digest of what is counted, an account and a network. Whoever sees the store reads neither.
fn key(what: What, parts: [&str; 3]) -> Key {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    Key::Digest(what.name(), digest.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ClientAddress;

    fn from(address: [u8; 4]) -> Client {
        Client(Some(ClientAddress(address.into())))
    }

    fn keys(what: What, account: &str, client: Client) -> Vec<Key> {
        buckets(what, account, client, 10).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn a_guess_is_counted_for_the_pair_the_network_and_the_account() {
        let here = keys(What::Password, "ann@example.com", from([10, 0, 0, 1]));
        let there = keys(What::Password, "ann@example.com", from([10, 0, 0, 2]));
        let other = keys(What::Password, "ben@example.com", from([10, 0, 0, 1]));
        assert_eq!((here[0] == there[0], here[1] == there[1], here[2] == there[2]), (false, false, true));
        assert_eq!((here[0] == other[0], here[1] == other[1], here[2] == other[2]), (false, true, false));
        assert!(keys(What::Code, "ann@example.com", from([10, 0, 0, 1])).iter().all(|key| !here.contains(key)));
    }

    #[test]
    fn no_single_network_can_use_up_an_account() {
        let limits = |what, attempts| -> Vec<u32> {
            let buckets = buckets(what, "ann@example.com", from([10, 0, 0, 1]), attempts);
            buckets.iter().map(|(_, rate)| rate.limit()).collect()
        };
        for what in [What::Password, What::Code, What::SecondFactor] {
            assert_eq!((limits(what, 10), limits(what, 1)), (vec![10, 50, 30], vec![1, 5, 3]));
        }
        for what in [What::Registration, What::Mail] {
            assert_eq!((limits(what, 10), limits(what, 1)), (vec![5, 50, 15], vec![1, 5, 3]));
        }
    }

    #[test]
    fn a_registration_and_another_mail_have_nothing_in_common() {
        let here = from([10, 0, 0, 1]);
        let registration = keys(What::Registration, "ann@example.com", here);
        assert!(keys(What::Mail, "ann@example.com", here).iter().all(|key| !registration.contains(key)));
    }

    #[test]
    fn a_client_whose_address_is_unknown_is_counted_by_account_only() {
        let unknown = keys(What::Password, "ann@example.com", Client(None));
        assert!(unknown.len() == 2 && unknown[0] != unknown[1]);
        assert_eq!(unknown[1], keys(What::Password, "ann@example.com", from([10, 0, 0, 1]))[2]);
    }
}

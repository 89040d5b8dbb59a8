//! Tokens that age while the proof runs. Everybody goes on naming the token they were given; what is sent in its place is
//! the one in force at that moment.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{process::Command, time::Instant};

/// ID tokens live for 15 minutes; older ones than this are given out anew.
const FRESH: Duration = Duration::from_secs(8 * 60);
/// How long one waits before one tries again what failed.
const LATER: Duration = Duration::from_secs(30);

/// How a new token is had.
#[derive(Clone, Debug)]
pub(super) enum Renewal {
    /// By logging in.
    Password { email: String, password: String },
    /// A shell's command that prints one.
    Command(String),
}

/// A token with what comes after it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) token: String,
    pub(super) renewal: Renewal,
    due: Instant,
}

/// Whose tokens they are, by every token that was given out.
#[derive(Debug)]
pub(super) struct Sessions {
    all: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Session>>>>,
    fresh: Duration,
}

impl Default for Sessions {
    fn default() -> Self {
        Self::lasting(FRESH)
    }
}

impl Sessions {
    /// With tokens that are renewed after this long.
    pub(super) fn lasting(fresh: Duration) -> Self {
        Self { all: Mutex::default(), fresh }
    }

    /// A token that was just given out.
    pub(super) fn keep(&self, token: &str, renewal: Renewal) {
        let session = Session { token: token.to_owned(), renewal, due: Instant::now() + self.fresh };
        self.enter(token, Arc::new(tokio::sync::Mutex::new(session)));
    }

    /// The token in force for this one; itself, where nobody was given it: forged ones stay as they are.
    pub(super) async fn in_force(&self, token: &str, renew: impl AsyncFnOnce(&Renewal) -> Option<String>) -> String {
        let session = self.all.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned();
        let Some(shared) = session else { return token.to_owned() };
        let mut session = shared.lock().await;
        if session.due <= Instant::now() {
            match renew(&session.renewal).await {
                Some(renewed) => {
                    session.token.clone_from(&renewed);
                    session.due = Instant::now() + self.fresh;
                    self.enter(&renewed, Arc::clone(&shared));
                }
                // The old one may do for some minutes yet.
                None => session.due = Instant::now() + LATER,
            }
        }
        session.token.clone()
    }

    fn enter(&self, token: &str, session: Arc<tokio::sync::Mutex<Session>>) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned(), session);
    }
}

/// What the command prints, without the line's end. None when it fails.
pub(super) async fn printed(command: &str) -> Option<String> {
    let output = Command::new("sh").args(["-c", command]).output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_that_has_aged_is_sent_as_the_one_that_came_after_it() {
        let sessions = Sessions::lasting(Duration::ZERO);
        sessions.keep("first", Renewal::Command("printf second".to_owned()));
        let renew = async |renewal: &Renewal| match renewal {
            Renewal::Command(command) => printed(command).await,
            Renewal::Password { .. } => None,
        };
        assert_eq!(sessions.in_force("first", renew).await, "second");
        // Whoever saw the second names it, and it ages as well.
        assert_eq!(sessions.in_force("second", async |_: &Renewal| Some("third".to_owned())).await, "third");
        assert_eq!(sessions.in_force("first", async |_: &Renewal| Some("fourth".to_owned())).await, "fourth");
    }

    #[tokio::test]
    async fn forged_tokens_and_fresh_ones_stay_as_they_are() {
        let sessions = Sessions::default();
        sessions.keep("fresh", Renewal::Command("printf other".to_owned()));
        for token in ["fresh", "forged"] {
            assert_eq!(sessions.in_force(token, async |_: &Renewal| Some("other".to_owned())).await, token);
        }
    }

    #[tokio::test]
    async fn one_that_cannot_be_renewed_is_sent_as_it_is() {
        let sessions = Sessions::lasting(Duration::ZERO);
        sessions.keep("old", Renewal::Command("exit 1".to_owned()));
        assert_eq!(printed("exit 1").await, None);
        assert_eq!(sessions.in_force("old", async |_: &Renewal| None).await, "old");
    }
}

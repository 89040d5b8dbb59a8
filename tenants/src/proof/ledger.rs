//! Where attempts are written down.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The wall held.
    Held,
    /// Something of the other tenant's was seen, changed or betrayed.
    Leak,
    /// It proves nothing: the rightful caller failed as well, or there was nothing to attack.
    Unproved,
}

/// One attempt.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// What kind of wall: `sql.read`, `http.path`, `edge`.
    pub group: &'static str,
    /// What was attacked: a table as a role, an operation.
    pub subject: String,
    /// What was sent.
    pub action: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, where the verdict is not `held`; else how it was refused.
    pub detail: String,
}

impl Attempt {
    /// An attempt with its verdict.
    pub fn new(
        group: &'static str,
        subject: impl Into<String>,
        action: impl Into<String>,
        verdict: Verdict,
        detail: impl Into<String>,
    ) -> Self {
        Self { group, subject: subject.into(), action: action.into(), verdict, detail: detail.into() }
    }
}

#[derive(Default)]
struct State {
    attempts: Vec<Attempt>,
    stops_at_first: bool,
    leaked: bool,
    stopped: bool,
}

/// All attempts so far. Cheap to clone; clones write into the same book.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<State>>);

impl Ledger {
    /// An empty one; `stops_at_first` ends the proof at the first leak. What proves nothing does not end it: a server that
    /// stumbles may be one whose leak is yet to show.
    pub fn new(stops_at_first: bool) -> Self {
        Self(Arc::new(Mutex::new(State { stops_at_first, ..State::default() })))
    }

    /// Writes an attempt down.
    pub fn record(&self, attempt: Attempt) {
        let mut state = self.state();
        state.leaked |= attempt.verdict == Verdict::Leak;
        state.attempts.push(attempt);
    }

    /// Ends the proof early, whatever is outstanding.
    pub fn stop(&self) {
        self.state().stopped = true;
    }

    /// Whether nothing further should be tried.
    pub fn is_over(&self) -> bool {
        let state = self.state();
        state.stopped || state.stops_at_first && state.leaked
    }

    /// How many attempts there are with each verdict.
    pub fn counts(&self) -> BTreeMap<Verdict, usize> {
        let mut counts = BTreeMap::new();
        for attempt in &self.state().attempts {
            *counts.entry(attempt.verdict).or_insert(0) += 1;
        }
        counts
    }

    /// A copy of everything that was written down.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.state().attempts.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete in itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_that_stops_at_the_first_leak_is_over_with_it_and_not_with_what_proves_nothing() {
        let attempt = |verdict| Attempt::new("g", "s", "a", verdict, "");
        for (stops, verdict, over) in [
            (true, Verdict::Leak, true),
            (true, Verdict::Unproved, false),
            (true, Verdict::Held, false),
            (false, Verdict::Leak, false),
        ] {
            let ledger = Ledger::new(stops);
            ledger.record(attempt(verdict));
            assert_eq!(ledger.is_over(), over, "{stops} {verdict:?}");
            assert_eq!(ledger.counts()[&verdict], 1);
        }
    }
}

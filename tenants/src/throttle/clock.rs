//! The time that buckets in process memory go by. Those in Valkey go by its server's.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Where [`Clock::Machine`] counts from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A clock that never goes back.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's.
    #[default]
    Machine,
    /// One that stands until a test moves it.
    Hand(Hand),
}

/// Moves a clock by hand.
#[derive(Clone, Debug, Default)]
pub struct Hand(Arc<AtomicU64>);

impl Hand {
    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock {
    /// Microseconds since a moment that stays the same as long as the process runs.
    pub(crate) fn micros(&self) -> u64 {
        match self {
            Self::Machine => u64::try_from(START.elapsed().as_micros()).unwrap_or(u64::MAX),
            Self::Hand(hand) => hand.0.load(Ordering::SeqCst),
        }
    }
}

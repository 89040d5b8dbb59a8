//! The time that tokens and key sets are judged by.

/// A source of the current time; tests set their own.
pub trait Clock: Send + Sync + 'static {
    /// Whole seconds since the Unix epoch, rounded down.
    fn unix_seconds(&self) -> i64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_seconds(&self) -> i64 {
        chrono::Utc::now().timestamp()
    }
}

//! The generic cell rate algorithm, in whole numbers and without a clock of its own.
//!
//! This is ITU-T I.371's continuous-state leaky bucket (annex A), equivalent to its virtual scheduling. A [`Level`] is
//! what a bucket has given out and not got back yet; it rises by one token with each take and falls steadily. Counted in
//! tokens, and not in time as a theoretical arrival time would be, it keeps its meaning when the limit changes: raising
//! or lowering takes effect at once, and going there and back refills nothing.
//!
//! One token is `period` units, and `refill` units come back each microsecond, so nothing is ever rounded.

use std::time::Duration;

/// Whole numbers up to here are exact in Lua, whose numbers are doubles.
const EXACT: u64 = 1 << 53;

/// How much may pass: a capacity, and the rate at which it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What those who are limited are told.
    limit: u32,
    /// Tokens in a full bucket.
    capacity: u32,
    /// Tokens that come back in a `period`.
    refill: u32,
    /// Microseconds.
    period: u64,
}

impl Rate {
    /// `limit` at once, and `limit` more in each `window`, spread evenly: over any interval of length `t` at most
    /// `limit + limit * t / window` pass, and none below that is refused.
    ///
    /// A limit of 0 counts as 1. `limit` times `window` in microseconds goes up to 2^53: a million an hour, say.
    pub fn per(limit: u32, window: Duration) -> Self {
        let period = u64::try_from(window.as_micros()).unwrap_or(EXACT).clamp(1, EXACT);
        let limit = limit.clamp(1, u32::try_from(EXACT / period).unwrap_or(u32::MAX));
        Self { limit, capacity: limit, refill: limit, period }
    }

    /// `limit` requests per minute.
    pub fn per_minute(limit: u32) -> Self {
        Self::per(limit, Duration::from_secs(60))
    }

    /// What one of `instances` lets through when they can't count together: an even part of the refill, and of the
    /// capacity as much as whole tokens allow, one at least.
    pub fn share(self, instances: u32) -> Self {
        let instances = instances.max(1);
        Self {
            capacity: (self.capacity / instances).max(1),
            period: self.period.saturating_mul(instances.into()),
            ..self
        }
    }

    /// What those who are limited are told.
    pub fn limit(self) -> u32 {
        self.limit
    }

    pub(crate) fn capacity(self) -> u32 {
        self.capacity
    }

    pub(crate) fn refill(self) -> u32 {
        self.refill
    }

    /// Microseconds in which `refill` tokens come back; also the units that one token is.
    pub(crate) fn period(self) -> u64 {
        self.period
    }

    fn units(self, tokens: u32) -> u64 {
        self.period.saturating_mul(tokens.into())
    }

    /// What a bucket with `used` units given out says of a take.
    pub(crate) fn verdict(self, served: bool, used: u64) -> Verdict {
        let full = self.units(self.capacity);
        let left = u32::try_from(full.saturating_sub(used) / self.period).unwrap_or(u32::MAX);
        // Until this much is given out and no more, there is not one token more than now.
        let next = full.saturating_sub(self.units(left.saturating_add(1)));
        let micros = used.saturating_sub(next).div_ceil(self.refill.into());
        let reset_seconds = if left >= self.capacity { 0 } else { micros.div_ceil(1_000_000) };
        Verdict { served, limit: self.limit, left, reset_seconds }
    }
}

/// What a bucket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether this one may pass.
    pub served: bool,
    /// The limit in force.
    pub limit: u32,
    /// How many more may pass now.
    pub left: u32,
    /// Seconds, rounded up, until one more may pass than now.
    pub reset_seconds: u64,
}

impl Verdict {
    /// The limit minus what is left.
    pub fn used(self) -> u32 {
        self.limit.saturating_sub(self.left)
    }
}

/// What a bucket has given out and not got back yet, at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// In units, of which one token is `period`.
    used: u64,
    /// Microseconds since any fixed moment.
    at: u64,
    /// The refill in force since then.
    refill: u32,
}

impl Level {
    /// A full bucket: nothing is given out.
    pub(crate) fn full(rate: Rate, now: u64) -> Self {
        Self { used: 0, at: now, refill: rate.refill }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, rate: Rate, now: u64) -> Verdict {
        self.pass(rate, now);
        let after = self.used.saturating_add(rate.period);
        let served = after <= rate.units(rate.capacity);
        if served {
            self.used = after;
        }
        rate.verdict(served, self.used)
    }

    /// Puts a token back that was taken.
    pub(crate) fn give_back(&mut self, rate: Rate, now: u64) {
        self.pass(rate, now);
        self.used = self.used.saturating_sub(rate.period);
    }

    /// Whether forgetting it changes nothing.
    pub(crate) fn is_full(&self, now: u64) -> bool {
        self.used <= self.back_since(now)
    }

    /// Time passes at the rate that was in force, and the new one holds from now on. A clock that went back gives
    /// nothing back.
    fn pass(&mut self, rate: Rate, now: u64) {
        self.used = self.used.saturating_sub(self.back_since(now));
        self.at = now;
        self.refill = rate.refill;
    }

    fn back_since(&self, now: u64) -> u64 {
        now.saturating_sub(self.at).saturating_mul(self.refill.into())
    }
}

#[cfg(test)]
mod tests;

//! Time slots: everyone of a tenant who asks for a video within the same minute gets the same signature.

use super::Viewing;

/// Length of a slot in seconds.
const SLOT: u64 = 60;
/// Seconds from a slot's start to the end of its signatures: asked in the slot's last second, 4 minutes are left.
const VALIDITY: u64 = 300;
/// Seconds from a slot's start to the moment when players should renew.
///
/// 3 minutes: whoever got the signature in the slot's last second renews after 2 minutes at the earliest, and 2 more
/// remain for retries, a slow network or a clock that is off before a request would be refused.
const RENEWAL: u64 = 180;

/// The signatures of one minute: made for its start, so equal for everyone in it, and therefore cacheable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot {
    /// First second of the slot (epoch).
    pub start: u64,
    /// When its signatures end (epoch seconds, excluded): 4 to 5 minutes after any moment of the slot.
    pub expires_at: u64,
    /// When a player should ask for the next signature (epoch seconds): 2 minutes before the end.
    pub renew_at: u64,
}

impl Slot {
    /// The slot of `viewing` that holds `now` (epoch seconds).
    ///
    /// Each viewing's minutes begin at a second of their own, the same on every instance. If all began at the full minute,
    /// every player of every tenant would renew in that second, and everything that is watched be signed anew.
    pub fn at(viewing: Viewing, now: u64) -> Self {
        let phase = (viewing.tenant.as_u128() ^ viewing.video.as_u128()) % u128::from(SLOT);
        // Below SLOT, so it fits.
        let into = (now % SLOT + SLOT - phase as u64) % SLOT;
        let start = now.saturating_sub(into);
        Self { start, expires_at: start.saturating_add(VALIDITY), renew_at: start.saturating_add(RENEWAL) }
    }
}

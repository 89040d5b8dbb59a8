//! The parts of the proof, the cheapest first.

use clap::ValueEnum;

/// A part that can be asked for alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    /// Forged tokens, changed accounts
    Tokens,
    /// Signed URLs and stored objects
    Edge,
    /// Throttle buckets
    Throttle,
    /// Uploads made to fill the memory
    Memory,
    /// Idempotency keys
    Idempotency,
    /// Requests that break off, hundreds at once
    Broken,
    /// Background work
    Jobs,
    /// SQL as the services' roles
    Database,
    /// The services' pools of connections, and what the doctor says
    Pools,
    /// Every operation with the other's ids
    Operations,
    /// Where one comes in without a token
    Doors,
    // Last, since some do away with what they act on.
    /// Every request by its rightful caller
    Rightful,
}

impl Part {
    /// Those that were asked for, in order; all of them when none was.
    pub(super) fn wanted(only: &[Self]) -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied().filter(|part| only.is_empty() || only.contains(part))
    }

    /// What is said when it begins.
    pub(super) fn title(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| Some(value.get_help()?.to_string())).unwrap_or_default()
    }

    /// As the command line spells it.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_are_wanted_unless_some_are_named() {
        assert_eq!(Part::wanted(&[]).count(), Part::value_variants().len());
        assert!(Part::wanted(&[Part::Doors, Part::Tokens]).eq([Part::Tokens, Part::Doors]));
        assert!(Part::value_variants().iter().all(|part| !part.title().is_empty() && !part.name().is_empty()));
    }
}

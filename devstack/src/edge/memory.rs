//! What an edge remembers of the signatures it has seen: nothing. With the cargo feature `sabotage` there is one that
//! believes a signature again whatever path it comes back with, to see that `platform prove-isolation` finds it.

#[cfg(all(feature = "sabotage", not(debug_assertions)))]
compile_error!("the feature `sabotage` opens the walls between tenants: no release has it");

#[cfg(feature = "sabotage")]
pub(super) use forgetful::Memory;
#[cfg(not(feature = "sabotage"))]
pub(super) use nothing::Memory;

#[cfg(not(feature = "sabotage"))]
mod nothing {
    /// Remembers nothing.
    #[derive(Debug)]
    pub(in super::super) struct Memory;

    impl Memory {
        pub(in super::super) fn new() -> Self {
            Self
        }

        pub(in super::super) fn has_seen(&self, _query: Option<&str>) -> bool {
            false
        }

        pub(in super::super) fn note(&self, _query: Option<&str>) {}
    }
}

#[cfg(feature = "sabotage")]
mod forgetful {
    use std::{
        collections::HashSet,
        sync::{Mutex, PoisonError},
    };

    /// The signed queries that held, without the paths that they held for; or nothing.
    #[derive(Debug, Default)]
    pub(in super::super) struct Memory(Option<Mutex<HashSet<String>>>);

    impl Memory {
        pub(in super::super) fn new() -> Self {
            Self::default()
        }

        pub(in super::super) fn without_paths() -> Self {
            Self(Some(Mutex::default()))
        }

        pub(in super::super) fn has_seen(&self, query: Option<&str>) -> bool {
            let (Some(seen), Some(query)) = (&self.0, query) else { return false };
            seen.lock().unwrap_or_else(PoisonError::into_inner).contains(query)
        }

        pub(in super::super) fn note(&self, query: Option<&str>) {
            if let (Some(seen), Some(query)) = (&self.0, query) {
                seen.lock().unwrap_or_else(PoisonError::into_inner).insert(query.to_owned());
            }
        }
    }
}

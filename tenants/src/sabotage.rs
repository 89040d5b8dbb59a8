//! Leaks that are planted on purpose, to see that `platform prove-isolation` finds them. Each is a condition at the point
//! in the code where the wall stands, as a careless change would leave it.
//!
//! Without the cargo feature `sabotage`, [`on`] is the constant `false` and what it guards is compiled into nothing; a
//! build with optimisations refuses the feature. With it, `FFP_SABOTAGE` names the one leak of a process.

#[cfg(all(feature = "sabotage", not(debug_assertions)))]
compile_error!("the feature `sabotage` opens the walls between tenants: no release has it");

macro_rules! leaks {
    ($($(#[$doc:meta])* $leak:ident = $name:literal,)*) => {
        /// A leak that the code can be told to have.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Leak {
            $($(#[$doc])* $leak,)*
        }

        impl Leak {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$leak,)*];

            /// As `FFP_SABOTAGE` spells it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$leak => $name,)*
                }
            }
        }
    };
}

leaks! {
    /// A member's standing is remembered by subject, without the tenant.
    StandingKey = "standing-key",
    /// A verified token is remembered without its signature.
    TokenKey = "token-key",
    /// The settings that name the tenant are made for the session: `set_config(…, false)`.
    SettingsOutlive = "settings-outlive",
    /// The hot path lends a connection out again before its last caller was answered, and believes whatever answer comes.
    HotUnsettled = "hot-unsettled",
    /// The bucket of the throttle is everybody's.
    ThrottleKey = "throttle-key",
    /// A creation is repeated by route and key, whoever sent it first.
    IdempotencyKey = "idempotency-key",
    /// A job acts for the tenant that its payload names.
    JobTenant = "job-tenant",
    /// A job takes any account that its payload names for its tenant's.
    JobAccount = "job-account",
    /// The signed URL opens everything beside its object.
    SignedPrefix = "signed-prefix",
    /// Signed URLs are remembered without tenant, video and object.
    SignedKey = "signed-key",
    /// A video that was shown to anybody is forbidden to others, and no longer unknown.
    VideoForbidden = "video-forbidden",
}

#[cfg(feature = "sabotage")]
pub use planted::{check, note, on, recall};

#[cfg(feature = "sabotage")]
mod planted {
    use std::{collections::HashMap, sync::LazyLock};

    use parking_lot::Mutex;
    use uuid::Uuid;

    use super::Leak;

    static PLANTED: LazyLock<Result<Option<Leak>, String>> = LazyLock::new(|| match std::env::var("FFP_SABOTAGE") {
        Ok(name) => super::named(&name).map(Some),
        Err(_) => Ok(None),
    });
    static MEMORY: LazyLock<Mutex<HashMap<String, Uuid>>> = LazyLock::new(Mutex::default);

    /// Which leak this process has.
    ///
    /// # Errors
    /// `FFP_SABOTAGE` names none that is known: whoever believes in a leak that is not there believes in a proof.
    pub fn check() -> Result<Option<Leak>, String> {
        PLANTED.clone()
    }

    /// Whether this process has the leak.
    pub fn on(leak: Leak) -> bool {
        *PLANTED == Ok(Some(leak))
    }

    /// Remembers something, as a cache without a tenant would.
    pub fn note(key: String, id: Uuid) {
        MEMORY.lock().insert(key, id);
    }

    /// What was noted last under this key, by whomever.
    pub fn recall(key: &str) -> Option<Uuid> {
        MEMORY.lock().get(key).copied()
    }
}

/// The leak of this name.
#[cfg(any(feature = "sabotage", test))]
fn named(name: &str) -> Result<Leak, String> {
    let found = Leak::ALL.iter().copied().find(|leak| leak.name() == name);
    found.ok_or_else(|| {
        let all: Vec<_> = Leak::ALL.iter().map(|leak| leak.name()).collect();
        format!("FFP_SABOTAGE names no leak: `{name}`; there are {}", all.join(", "))
    })
}

#[cfg(not(feature = "sabotage"))]
mod absent {
    use uuid::Uuid;

    use super::Leak;

    /// No leak is planted.
    ///
    /// # Errors
    /// None.
    pub const fn check() -> Result<Option<Leak>, String> {
        Ok(None)
    }

    /// No leak is planted.
    pub const fn on(_leak: Leak) -> bool {
        false
    }

    /// Nothing is remembered.
    pub fn note(_key: String, _id: Uuid) {}

    /// Nothing is remembered.
    pub const fn recall(_key: &str) -> Option<Uuid> {
        None
    }
}
#[cfg(not(feature = "sabotage"))]
pub use absent::{check, note, on, recall};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_leak_has_a_name_of_its_own_and_no_other_name_has_a_leak() {
        for leak in Leak::ALL {
            assert_eq!(named(leak.name()), Ok(*leak));
        }
        for name in ["", "standing", "Standing-Key", "standing-key "] {
            let refusal = named(name).unwrap_err();
            assert!(refusal.contains("`") && refusal.contains("video-forbidden"), "{refusal}");
        }
    }
}

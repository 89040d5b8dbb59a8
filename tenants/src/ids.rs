//! Ids that must not be mixed up.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The tenant that owns the platform's own library. The migrations insert it.
pub const PLATFORM_TENANT: TenantId = TenantId(Uuid::from_u128(0x00000000_0000_7000_8000_000000000001));

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new one: UUIDv7, so that newer ids sort after older ones.
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id!(
    /// The unit of isolation.
    TenantId
);
impl TenantId {
    /// No tenant at all.
    pub(crate) const NONE: Self = Self(Uuid::nil());
}

id!(
    /// A user inside one tenant.
    MemberId
);

//! Roles, permissions, and the one table that joins them.

use serde::{Deserialize, Serialize};

/// A member's role inside a tenant. The order is the rank: nobody grants a role above their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Trains.
    Athlete,
    /// Publishes videos and workouts and follows athletes.
    Coach,
    /// Manages members.
    Admin,
    /// Owns the business. Only owners touch owners.
    Owner,
}

impl Role {
    /// All of them, lowest first.
    pub const ALL: [Self; 4] = [Self::Athlete, Self::Coach, Self::Admin, Self::Owner];

    /// As the database and the API spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Athlete => "athlete",
            Self::Coach => "coach",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no role: athlete, coach, admin or owner"))
    }
}

/// What a handler asks for before it acts. Row-level security asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Change the tenant's name, time zone and colour.
    ManageTenant,
    /// See the list of members with their addresses.
    ListMembers,
    /// Change roles and statuses, remove members, invite.
    ManageMembers,
    /// Add, edit, publish and delete the tenant's own videos.
    ManageVideos,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ManageTenant, Self::ListMembers, Self::ManageMembers, Self::ManageVideos];

    /// The table: the lowest role that holds the permission; every role above holds it as well.
    pub const fn held_from(self) -> Role {
        match self {
            Self::ManageTenant => Role::Owner,
            Self::ManageMembers => Role::Admin,
            Self::ListMembers | Self::ManageVideos => Role::Coach,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_role_holds_what_a_lower_one_holds() {
        assert!(Role::Owner > Role::Admin && Role::Admin > Role::Coach && Role::Coach > Role::Athlete);
    }

    #[test]
    fn athletes_hold_no_management_permission() {
        assert!(Permission::ALL.iter().all(|permission| permission.held_from() > Role::Athlete));
    }

    #[test]
    fn every_role_reads_back_from_its_own_name() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("Owner".parse::<Role>().is_err() && "system".parse::<Role>().is_err());
    }
}

//! One of the two sides.

use uuid::Uuid;

use crate::{Role, TenantId};

/// A tenant with the people who act in it.
#[derive(Clone, Debug)]
pub struct Party {
    /// The tenant.
    pub tenant: TenantId,
    /// Its members, the owner among them.
    pub members: Vec<(Uuid, Role)>,
}

impl Party {
    /// Somebody with this role; none where nobody was invited to it.
    pub fn member(&self, role: Role) -> Option<Uuid> {
        self.members.iter().find(|(_, held)| *held == role).map(|(id, _)| *id)
    }

    /// Everybody whose eyes the tenant has: `app.role` and `app.member_id`.
    pub(super) fn perspectives(&self) -> Vec<(&'static str, String)> {
        let members = self.members.iter().map(|(id, role)| (role.as_str(), id.to_string()));
        [("system", String::new())].into_iter().chain(members).collect()
    }
}

//! The tables `member` and `member_contact`. `not_before` is not mapped: only `tenants` reads it.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use tenants::Role;

/// A row of `member`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "member")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// The member.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Cognito's `sub`.
    pub subject: String,
    /// Their name.
    pub full_name: String,
    /// One of `tenants::Role`.
    pub role: String,
    /// `pending`, `active`, `disabled` or `removed`.
    pub status: String,
    /// For the entity tag.
    pub version: i64,
    /// When they joined.
    pub created_at: DateTime<Utc>,
}

impl Model {
    /// The role.
    ///
    /// # Errors
    /// A row that the table's check would not let in.
    pub fn role(&self) -> Result<Role, DbErr> {
        self.role.parse().map_err(DbErr::Custom)
    }
}

/// What a member is joined with.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The address.
    #[sea_orm(has_one = "contact::Entity")]
    Contact,
}

impl Related<contact::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Contact.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

/// The table `member_contact`: row security shows it to staff and to the member.
pub mod contact {
    use sea_orm::entity::prelude::*;

    /// A row.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "member_contact")]
    pub struct Model {
        /// The tenant.
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        /// The member.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// Their address.
        pub email: String,
    }

    /// What an address is joined with.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        /// The member.
        #[sea_orm(
            belongs_to = "super::Entity",
            from = "(Column::TenantId, Column::Id)",
            to = "(super::Column::TenantId, super::Column::Id)"
        )]
        Member,
    }

    impl Related<super::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Member.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

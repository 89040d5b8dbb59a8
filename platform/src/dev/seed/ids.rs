//! Which id which seeded row has. Ids are UUIDv7 like the product's own: the time comes first, so that newer rows sort
//! after older ones, then the kind of row and the tenant's number.

use uuid::Uuid;

/// The first seeded moment, in milliseconds since 1970: 2025-01-01.
pub(super) const EPOCH: u64 = 1_735_689_600_000;
/// Milliseconds between two videos of a tenant: a day.
pub(super) const DAY: u64 = 86_400_000;

/// What a row is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Tenant = 1,
    Member = 2,
    Video = 3,
    Progress = 4,
}

fn id(at: u64, kind: Kind, tenant: u64) -> Uuid {
    let version = 0x7 << 76 | (kind as u128) << 64;
    let variant = 0x8 << 60;
    Uuid::from_u128(u128::from(at) << 80 | version | variant | u128::from(tenant))
}

/// The same in SQL, of expressions of type bigint.
pub(super) fn sql(at: &str, kind: Kind, tenant: &str) -> String {
    let kind = kind as u16;
    format!("(lpad(to_hex({at}), 12, '0') || '7{kind:03x}8000' || lpad(to_hex({tenant}), 12, '0'))::uuid")
}

/// The tenant of this number, from 1.
pub(super) fn tenant(number: u64) -> Uuid {
    id(EPOCH, Kind::Tenant, number)
}

pub(super) fn sql_tenant(number: &str) -> String {
    sql(&format!("{EPOCH}::bigint"), Kind::Tenant, number)
}

/// A tenant's member of this number, from 0.
pub(super) fn member(tenant: u64, number: u64) -> Uuid {
    id(EPOCH + number, Kind::Member, tenant)
}

pub(super) fn sql_member(tenant: &str, number: &str) -> String {
    sql(&format!("{EPOCH} + {number}"), Kind::Member, tenant)
}

/// A tenant's video of this number, from 0: one a day.
pub(super) fn video(tenant: u64, number: u64) -> Uuid {
    id(EPOCH + number * DAY, Kind::Video, tenant)
}

pub(super) fn sql_video(tenant: &str, number: &str) -> String {
    sql(&format!("{EPOCH} + {number} * {DAY}"), Kind::Video, tenant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_version_7_and_tell_rows_apart() {
        let all =
            [tenant(1), tenant(2), member(1, 0), member(1, 1), member(2, 0), video(1, 0), video(1, 1), video(2, 0)];
        assert!(all.iter().all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122));
        let distinct: std::collections::HashSet<_> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(video(9, 1) > video(1, 0), "newer rows sort after older ones, whatever the tenant");
    }
}

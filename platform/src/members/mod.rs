//! The people of a tenant: who may see, change and remove whom.
//!
//! Nobody grants a role above their own, only owners touch owners, and the last owner stays. The row policies of
//! `member` say the first two as well.

pub mod entity;
pub mod routes;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tenants::{
    Audit, Caller, Role, TenantTx,
    http::{Cursor, Problem},
};
use uuid::Uuid;

use self::entity::{Column, Entity, Model, contact};
use crate::{
    Result,
    identity::jobs::{DeleteAccount, RepeatRole},
    invitations,
};

/// A member and, where the reader may see it, their address.
pub type Member = (Model, Option<contact::Model>);

/// A member by id; removed ones are gone.
///
/// # Errors
/// 404.
pub async fn find(tx: &TenantTx, id: Uuid) -> Result<Member> {
    let found = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant_id().0))
        .filter(Column::Id.eq(id))
        .filter(Column::Status.ne("removed"))
        .find_also_related(contact::Entity)
        .one(tx)
        .await?;
    Ok(found.ok_or_else(Problem::not_found)?)
}

/// Up to `limit + 1` members behind the cursor, newest first.
///
/// # Errors
/// As the database says.
pub async fn list(tx: &TenantTx, limit: u64, cursor: Cursor) -> Result<Vec<Member>> {
    let rows = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant_id().0))
        .filter(Column::Id.lt(cursor.0))
        .filter(Column::Status.ne("removed"))
        .find_also_related(contact::Entity)
        .order_by_desc(Column::Id)
        .limit(limit + 1)
        .all(tx)
        .await?;
    Ok(rows)
}

/// A new role, a new status, or both. Tokens issued so far lose their power.
///
/// # Errors
/// 403 for somebody above the caller or a role above theirs, 409 `last-owner`.
pub async fn change(
    tx: &TenantTx,
    caller: &Caller,
    member: &Model,
    role: Option<Role>,
    status: Option<&str>,
) -> Result<()> {
    let current = member.role()?;
    outranked(caller, current)?;
    if role.is_some_and(|new| new > caller.role) {
        return Err(Problem::forbidden("Nobody grants a role above their own.").into());
    }
    let new_role = role.unwrap_or(current);
    let new_status = status.unwrap_or(&member.status);
    if new_role == current && new_status == member.status {
        return Ok(());
    }
    if current == Role::Owner && (new_role != Role::Owner || new_status != "active") {
        another_owner_remains(tx, member.id).await?;
    }
    let changed = tx
        .run(
            "update member set role = $2, status = $3, not_before = now(), version = version + 1, updated_at = now() \
             where id = $1 and version = $4",
            [member.id.into(), new_role.as_str().into(), new_status.into(), member.version.into()],
        )
        .await?;
    // Somebody else was faster since the row was read.
    if changed == 0 {
        return Err(Problem::changed().into());
    }
    if new_role != current {
        let job = RepeatRole { subject: member.subject.clone(), role: new_role };
        tx.enqueue(&job, &member.subject, None).await?;
        audit(tx, "member.role-changed", member.id, serde_json::json!({"from": current, "to": new_role})).await?;
    }
    if new_status != member.status {
        audit(tx, "member.status-changed", member.id, serde_json::json!({"from": member.status, "to": new_status}))
            .await?;
    }
    // Nobody comes back, or up again, by an invitation they made before.
    if new_status != "active" {
        invitations::take_back(tx, member.id, None).await?;
    } else if new_role < current {
        invitations::take_back(tx, member.id, Some(new_role)).await?;
    }
    tx.member_changed(&member.subject);
    Ok(())
}

/// Removes a member: their power ends, their address is free, their account is deleted by a job.
///
/// # Errors
/// 403 for somebody above the caller, 409 `last-owner`, 409 `changed` for a race with another change.
pub async fn remove(tx: &TenantTx, caller: &Caller, member: &Model) -> Result<()> {
    outranked(caller, member.role()?)?;
    if member.role()? == Role::Owner {
        another_owner_remains(tx, member.id).await?;
    }
    let text = "update member set status = 'removed', not_before = now(), version = version + 1, updated_at = now() \
                where id = $1 and role = $2 and status <> 'removed'";
    // What was checked above must still hold: they may have been made an owner since the row was read.
    if tx.run(text, [member.id.into(), member.role.clone().into()]).await? == 0 {
        return Err(Problem::conflict("changed", "The member was changed at the same time.")
            .detail("Look at them again, and repeat it if you still want to.")
            .into());
    }
    invitations::take_back(tx, member.id, None).await?;
    tx.run("delete from member_contact where id = $1", [member.id.into()]).await?;
    tx.enqueue(&DeleteAccount { subject: member.subject.clone() }, &member.subject, None).await?;
    audit(tx, "member.removed", member.id, serde_json::json!({"role": member.role})).await?;
    tx.member_changed(&member.subject);
    Ok(())
}

fn outranked(caller: &Caller, role: Role) -> Result<()> {
    if role > caller.role {
        return Err(Problem::forbidden("Their role is above yours.").into());
    }
    Ok(())
}

/// Locks the owners, so that two who demote each other at once can't both succeed.
async fn another_owner_remains(tx: &TenantTx, leaving: Uuid) -> Result<()> {
    let text = "select id from member where role = 'owner' and status = 'active' order by id for update";
    let owners = tx.sql(text, []).await?;
    for owner in owners {
        if owner.try_get::<Uuid>("", "id")? != leaving {
            return Ok(());
        }
    }
    Err(Problem::conflict("last-owner", "A business needs an owner.")
        .detail("Make somebody else an owner first.")
        .into())
}

async fn audit(tx: &TenantTx, action: &'static str, id: Uuid, detail: serde_json::Value) -> Result<()> {
    Ok(tx.audit(Audit { action, object_kind: "member", object_id: Some(id), detail }).await?)
}

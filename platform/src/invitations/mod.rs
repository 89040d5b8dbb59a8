//! Invitations: how people join a business that exists.
//!
//! What is mailed is `{tenant_id}.{secret}`, single-use, good for 7 days; what is kept is the secret's hash. The secret
//! is made when the mail is sent, by the job, so that it never waits in a queue.

pub mod accept;
pub mod jobs;
pub mod routes;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DbErr, QueryResult};
use serde::Serialize;
use tenants::{
    Audit, Caller, Role, TenantTx,
    http::{Cursor, Problem},
    on_constraint,
};
use utoipa::ToSchema;
use uuid::Uuid;

use self::jobs::SendInvitation;
use crate::{Error, Result, identity::Email};

/// How long an invitation is good.
const VALID: TimeDelta = TimeDelta::days(7);

/// An invitation as admins see it. The secret is nowhere in it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Invitation {
    /// Its id.
    pub id: Uuid,
    /// Who is invited.
    pub email: String,
    /// As what.
    pub role: String,
    /// `pending`, `accepted`, `revoked` or `expired`.
    pub status: &'static str,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// When the mail left; null while it is on its way.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Invitation {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        let time = |column: &str| row.try_get::<Option<DateTime<Utc>>>("", column);
        let expires_at: DateTime<Utc> = row.try_get("", "expires_at")?;
        let status = match (time("accepted_at")?, time("revoked_at")?) {
            (Some(_), _) => "accepted",
            (None, Some(_)) => "revoked",
            (None, None) if expires_at <= Utc::now() => "expired",
            (None, None) => "pending",
        };
        Ok(Self {
            id: row.try_get("", "id")?,
            email: row.try_get("", "email")?,
            role: row.try_get("", "role")?,
            status,
            expires_at,
            sent_at: time("sent_at")?,
            created_at: row.try_get("", "created_at")?,
        })
    }
}

/// Invites an address, and has the mail sent.
///
/// # Errors
/// 403 for a role above the caller's, 409 `already-member` or `already-invited`.
pub async fn add(tx: &TenantTx, caller: &Caller, email: &Email, role: Role) -> Result<Uuid> {
    if role > caller.role {
        return Err(Problem::forbidden("Nobody invites to a role above their own.").into());
    }
    let members = tx.sql("select 1 from member_contact where email = $1", [email.as_str().into()]).await?;
    if !members.is_empty() {
        return Err(Problem::conflict("already-member", "This address is a member already.").into());
    }
    // An expired one no longer stands in the way.
    let text = "update invitation set revoked_at = now() where email = $1 and accepted_at is null and revoked_at is null \
                and expires_at <= now()";
    tx.run(text, [email.as_str().into()]).await?;
    let id = Uuid::now_v7();
    let inserted = tx
        .run(
            "insert into invitation (tenant_id, id, email, role, invited_by, expires_at) values ($1, $2, $3, $4, $5, $6)",
            [
                tx.tenant_id().0.into(),
                id.into(),
                email.as_str().into(),
                role.as_str().into(),
                caller.member_id.0.into(),
                (Utc::now() + VALID).into(),
            ],
        )
        .await;
    on_constraint::<_, Error>(inserted, "invitation_open_email_key", || {
        Problem::conflict("already-invited", "This address has an open invitation.")
            .detail("Resend or delete that one.")
    })?;
    tx.enqueue(&SendInvitation { invitation_id: id }, &id.to_string(), None).await?;
    audit(tx, "invitation.created", id, serde_json::json!({ "role": role })).await?;
    Ok(id)
}

/// An invitation by id.
///
/// # Errors
/// 404.
pub async fn find(tx: &TenantTx, id: Uuid) -> Result<Invitation> {
    let text = "select id, email, role, expires_at, sent_at, accepted_at, revoked_at, created_at from invitation where id = $1";
    let rows = tx.sql(text, [id.into()]).await?;
    Ok(Invitation::read(rows.first().ok_or_else(Problem::not_found)?)?)
}

/// Up to `limit + 1` invitations behind the cursor, newest first.
///
/// # Errors
/// As the database says.
pub async fn list(tx: &TenantTx, limit: u64, cursor: Cursor) -> Result<Vec<Invitation>> {
    let text = "select id, email, role, expires_at, sent_at, accepted_at, revoked_at, created_at from invitation \
                where id < $1 order by id desc limit $2";
    let rows = tx.sql(text, [cursor.0.into(), (limit as i64 + 1).into()]).await?;
    Ok(rows.iter().map(Invitation::read).collect::<Result<_, _>>()?)
}

/// Has a new mail sent. The old secret dies at once.
///
/// # Errors
/// 404, 403 for a role above the caller's, 409 `not-open`.
pub async fn resend(tx: &TenantTx, id: Uuid) -> Result<()> {
    outranked(tx, &find(tx, id).await?)?;
    let text = "update invitation set token_hash = null, sent_at = null, expires_at = $2 \
                where id = $1 and accepted_at is null and revoked_at is null";
    if tx.run(text, [id.into(), (Utc::now() + VALID).into()]).await? == 0 {
        return Err(not_open());
    }
    tx.enqueue(&SendInvitation { invitation_id: id }, &id.to_string(), None).await?;
    audit(tx, "invitation.resent", id, serde_json::json!({})).await
}

/// Takes an invitation back.
///
/// # Errors
/// 404, 403 for a role above the caller's, 409 `not-open`.
pub async fn revoke(tx: &TenantTx, id: Uuid) -> Result<()> {
    let invitation = find(tx, id).await?;
    outranked(tx, &invitation)?;
    if invitation.status == "revoked" {
        return Ok(());
    }
    let text = "update invitation set revoked_at = now(), token_hash = null where id = $1 and accepted_at is null";
    if tx.run(text, [id.into()]).await? == 0 {
        return Err(not_open());
    }
    audit(tx, "invitation.revoked", id, serde_json::json!({})).await
}

/// Takes back the open invitations that a member made to roles above `kept`, or all of them.
///
/// # Errors
/// As the database says.
pub async fn take_back(tx: &TenantTx, inviter: Uuid, kept: Option<Role>) -> Result<()> {
    let text = "update invitation set revoked_at = now(), token_hash = null \
                where invited_by = $1 and accepted_at is null and revoked_at is null \
                and role_rank(role) > role_rank($2) returning id";
    let kept = kept.map_or("", Role::as_str);
    for row in tx.sql(text, [inviter.into(), kept.into()]).await? {
        audit(tx, "invitation.revoked", row.try_get("", "id")?, serde_json::json!({ "inviter": inviter })).await?;
    }
    Ok(())
}

/// The row policies would find nothing to change; this says why.
fn outranked(tx: &TenantTx, invitation: &Invitation) -> Result<()> {
    let role: Role = invitation.role.parse().map_err(DbErr::Custom)?;
    if tx.actor().at_least(role) {
        return Ok(());
    }
    Err(Problem::forbidden("It invites to a role above yours.").into())
}

fn not_open() -> Error {
    Problem::conflict("not-open", "The invitation was accepted or taken back.").into()
}

async fn audit(tx: &TenantTx, action: &'static str, id: Uuid, detail: serde_json::Value) -> Result<()> {
    Ok(tx.audit(Audit { action, object_kind: "invitation", object_id: Some(id), detail }).await?)
}

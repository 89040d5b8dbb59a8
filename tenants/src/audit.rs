//! The append-only record of who did what, written in the transaction that did it.

use sea_orm::{DbErr, JsonValue, Value};
use uuid::Uuid;

use crate::TenantTx;

/// One line of the audit log. The actor is the transaction's: nobody writes in another's name.
#[derive(Clone, Debug)]
pub struct Audit {
    /// What was done, `object.verb`: `member.role-changed`.
    pub action: &'static str,
    /// What kind of thing it was done to: `member`.
    pub object_kind: &'static str,
    /// Which one.
    pub object_id: Option<Uuid>,
    /// What a reader needs to understand it; never a secret, an address or health data.
    pub detail: JsonValue,
}

impl TenantTx {
    /// Writes a line of the audit log. It exists if and only if the transaction commits.
    ///
    /// # Errors
    /// As the database says.
    pub async fn audit(&self, line: Audit) -> Result<(), DbErr> {
        let actor = self.actor();
        let values: [Value; 8] = [
            self.tenant_id().0.into(),
            Uuid::now_v7().into(),
            actor.role.as_str().into(),
            actor.member.into(),
            line.action.into(),
            line.object_kind.into(),
            line.object_id.into(),
            line.detail.into(),
        ];
        let text = "insert into audit (tenant_id, id, actor_role, actor_id, action, object_kind, object_id, detail) \
                    values ($1, $2, $3, $4, $5, $6, $7, $8)";
        self.run(text, values).await.map(|_| ())
    }
}

//! How an operator changes a tenant's row: one at a time, against the version they read, with a line in the audit log.

use sea_orm::{JsonValue, Value};
use tenants::{
    Audit, OperatorScope, Result, TenantId,
    http::{IfMatch, Json, WithETag},
};
use uuid::Uuid;

use crate::tenant::{self, Answer, Tenant};

/// A change of one row of `tenant`.
pub(crate) struct Change {
    /// For the audit log.
    pub(crate) action: &'static str,
    /// From what to what, for the audit log.
    pub(crate) detail: JsonValue,
    /// An UPDATE of the row `$1` that counts its version up.
    pub(crate) update: &'static str,
    /// `$2` and up.
    pub(crate) values: Vec<Value>,
}

/// Makes the change that `decide` wants of the tenant as it is; none if it is as wanted already, and then nothing is
/// written.
pub(crate) async fn change(
    scope: &OperatorScope,
    id: Uuid,
    if_match: &IfMatch,
    decide: impl FnOnce(&Tenant) -> Result<Option<Change>>,
) -> Result<Answer> {
    let tenant = scope
        .act(TenantId(id), async |tx| {
            let current = tenant::lock(tx).await?;
            if_match.check(current.etag())?;
            let Some(change) = decide(&current)? else { return Ok((current, None)) };
            let values = std::iter::once(Value::from(id)).chain(change.values);
            tx.run(change.update, values).await?;
            tx.tenant_changed();
            let line =
                Audit { action: change.action, object_kind: "tenant", object_id: Some(id), detail: change.detail };
            Ok((tenant::find(tx, id).await?, Some(line)))
        })
        .await?;
    Ok(WithETag(tenant.etag(), Json(tenant)))
}

//! Operators: staff of the company that runs FFP. They work through a database role and a pool of their own.

use uuid::Uuid;

use crate::{Actor, Audit, Error, PLATFORM_TENANT, Result, Tenant, TenantId, Tenants, scope::Door};

/// What one operator may open.
#[derive(Clone)]
pub struct OperatorScope {
    tenants: Tenants,
    subject: Uuid,
}

impl OperatorScope {
    pub(crate) fn new(tenants: Tenants, subject: Uuid) -> Self {
        Self { tenants, subject }
    }

    /// The subject of the operators' pool.
    pub fn subject(&self) -> Uuid {
        self.subject
    }

    /// The platform's own library. It is nobody's private data, so opening it writes no audit row; what is done
    /// there does.
    pub fn library(&self) -> Tenant {
        self.tenants.open(PLATFORM_TENANT, Actor::operator(self.subject), Door::Operator)
    }

    /// Opens one tenant. The audit row is written first, in a transaction of its own, so that it stays whatever
    /// happens next.
    ///
    /// # Errors
    /// A database that is away.
    pub async fn open(&self, tenant: TenantId, reason: &str) -> Result<Tenant> {
        let scope = self.tenants.open(tenant, Actor::operator(self.subject), Door::Operator);
        scope
            .write(async |tx| {
                tx.audit(Audit {
                    action: "tenant.opened",
                    object_kind: "tenant",
                    object_id: Some(tenant.0),
                    detail: serde_json::json!({ "reason": reason }),
                })
                .await
                .map_err(Error::from)
            })
            .await?;
        Ok(scope)
    }
}

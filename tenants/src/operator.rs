//! Operators: staff of the company that runs FFP. They work through a database role and a pool of their own.
//!
//! There are four ways in, and no other: [`across`](OperatorScope::across) reads what is the platform's own record of
//! all tenants, [`act`](OperatorScope::act) changes one tenant and says so in the same transaction,
//! [`open`](OperatorScope::open) looks into one tenant after saying so, and [`library`](OperatorScope::library) is
//! nobody's private data.

use uuid::Uuid;

use crate::{
    Actor, Audit, Error, PLATFORM_TENANT, Result, Tenant, TenantId, TenantTx, Tenants, http::Problem, scope::Door,
};

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
        self.at(PLATFORM_TENANT)
    }

    /// Runs `work` in a READ ONLY transaction with no tenant set. It sees the registry of tenants, their usage and the
    /// audit log, of all tenants; row security shows it no row of any other table.
    ///
    /// # Errors
    /// What `work` returns; as [`Tenant::read`].
    pub async fn across<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&TenantTx) -> Result<T, E>,
        E: From<Error>,
    {
        self.at(TenantId::NONE).read(work).await
    }

    /// Changes one tenant. `work` answers what it did beside its value, and that line of the audit log is written in
    /// the same transaction: neither is without the other. No line means that nothing was to be changed, and then the
    /// transaction is not committed.
    ///
    /// # Errors
    /// 404 for a tenant that does not exist; what `work` returns; as [`Tenant::write`].
    pub async fn act<T, F>(&self, tenant: TenantId, work: F) -> Result<T>
    where
        F: AsyncFnOnce(&TenantTx) -> Result<(T, Option<Audit>)>,
    {
        let ended = self
            .at(tenant)
            .write(async |tx| {
                exists(tx).await?;
                let (value, line) = work(tx).await?;
                let Some(line) = line else { return Err(Ended::Unchanged(value)) };
                tx.audit(line).await.map_err(Error::from)?;
                Ok(value)
            })
            .await;
        match ended {
            Ok(value) | Err(Ended::Unchanged(value)) => Ok(value),
            Err(Ended::Failed(error)) => Err(error),
        }
    }

    /// Opens one tenant. The audit row is written first, in a transaction of its own, so that it stays whatever
    /// happens next.
    ///
    /// # Errors
    /// 404 for a tenant that does not exist; a database that is away.
    pub async fn open(&self, tenant: TenantId, reason: &str) -> Result<Tenant> {
        let line = Audit {
            action: "tenant.opened",
            object_kind: "tenant",
            object_id: Some(tenant.0),
            detail: serde_json::json!({ "reason": reason }),
        };
        self.act(tenant, async |_| Ok(((), Some(line)))).await?;
        Ok(self.at(tenant))
    }

    fn at(&self, tenant: TenantId) -> Tenant {
        self.tenants.open(tenant, Actor::operator(self.subject), Door::Operator)
    }
}

/// Why an act is not committed.
enum Ended<T> {
    /// Nothing was to be changed.
    Unchanged(T),
    Failed(Error),
}

impl<T> From<Error> for Ended<T> {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The audit log has no key to the tenant, so that it outlives one: without this, it would take a line of any id.
async fn exists(tx: &TenantTx) -> Result<()> {
    let found = tx.sql("select 1 from tenant where id = $1", [tx.tenant_id().0.into()]).await?;
    if found.is_empty() { Err(Problem::not_found().into()) } else { Ok(()) }
}

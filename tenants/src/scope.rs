//! `Tenant`: the scope that opens transactions. It owns their beginning and their end.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::{Error, MemberId, Result, Role, TenantId, TenantTx, Tenants, http::Problem, tx::Mode};

/// How long a tenant that uses up its share of the database waits for itself before it is told so.
const SHARE_PATIENCE: Duration = Duration::from_secs(2);

/// Who acts, as the policies and the audit log know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The member's or the operator's id; none for the system.
    pub member: Option<Uuid>,
    /// A member's role, or one of the two that no member has.
    pub role: ActorRole,
}

/// The value of `app.role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorRole {
    /// A member with this role.
    Member(Role),
    /// Staff of the company that runs FFP.
    Operator,
    /// A job, or a step of the platform that nobody asked for by token (registration, a door).
    System,
}

impl ActorRole {
    /// As policies spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member(role) => role.as_str(),
            Self::Operator => "operator",
            Self::System => "system",
        }
    }
}

impl Actor {
    /// The platform itself.
    pub const SYSTEM: Self = Self { member: None, role: ActorRole::System };

    /// A member with the role that the member row gives.
    pub fn member(id: MemberId, role: Role) -> Self {
        Self { member: Some(id.0), role: ActorRole::Member(role) }
    }

    /// An operator, known by the subject of the operators' pool.
    pub fn operator(subject: Uuid) -> Self {
        Self { member: Some(subject), role: ActorRole::Operator }
    }

    /// Whether the actor holds at least this role in the tenant; the system and operators do.
    pub fn at_least(self, role: Role) -> bool {
        match self.role {
            ActorRole::Member(own) => own >= role,
            ActorRole::Operator | ActorRole::System => true,
        }
    }
}

/// Which of the database's roles a scope works as, and whose share of the connections it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// A verified member's tenant.
    App,
    /// The application's role as well, before anybody is known: a registration, a login, a secret. Which tenant is
    /// opened is the caller's claim, so all of these share one place in the pool and none takes a tenant's.
    Front,
    Worker,
    Operator,
}

impl Door {
    /// Whose share of the connections is taken: the tenant's own, or the one that all who come by the front share.
    pub(crate) fn payer(self, tenant: TenantId) -> TenantId {
        if self == Self::Front { TenantId::NONE } else { tenant }
    }
}

/// One tenant, opened for one actor. As an axum extractor it is the caller's own tenant.
#[derive(Clone)]
pub struct Tenant {
    pub(crate) tenants: Tenants,
    pub(crate) id: TenantId,
    pub(crate) actor: Actor,
    pub(crate) door: Door,
}

impl Tenant {
    /// The tenant's id.
    pub fn id(&self) -> TenantId {
        self.id
    }

    /// Who acts.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// Runs `work` in a READ ONLY transaction, which ends when it returns. No network call belongs inside.
    ///
    /// # Errors
    /// What `work` returns; 429 `busy` when the tenant uses its whole share of the database; 503 without a database.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&TenantTx) -> Result<T, E>,
        E: From<Error>,
    {
        let tx = self.begin(Mode::Read).await?;
        // Dropping the transaction rolls it back without waiting for an answer; nothing was written.
        work(&tx).await
    }

    /// Runs `work` in a transaction that commits when it returns `Ok` and rolls back otherwise. No network call
    /// belongs inside; what must happen afterwards is enqueued as a job through the same transaction.
    ///
    /// # Errors
    /// As [`read`](Self::read), and what the commit says.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&TenantTx) -> Result<T, E>,
        E: From<Error>,
    {
        let tx = self.begin(Mode::Write).await?;
        let value = work(&tx).await?;
        self.tenants.forget(tx.commit().await?).await;
        Ok(value)
    }

    async fn begin(&self, mode: Mode) -> Result<TenantTx> {
        let place = self.place_in(self.tenants.share(self.door, self.id).await).await?;
        let gate_slots = self.tenants.limits().gate_slots;
        TenantTx::begin(self.tenants.pool(self.door), self.id, self.actor, mode, place, gate_slots).await
    }

    /// A place in the tenant's share of a pool: a quarter, and two at least.
    pub(crate) async fn place_in(&self, share: Share) -> Result<OwnedSemaphorePermit> {
        match tokio::time::timeout(SHARE_PATIENCE, share.places.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) if self.door == Door::Front => {
                Err(Error::Unavailable("registration and login, which too many use at once"))
            }
            Ok(Err(_)) | Err(_) => Err(Problem::busy(share.size).into()),
        }
    }
}

/// The places one tenant has in a pool.
#[derive(Clone)]
pub(crate) struct Share {
    places: Arc<Semaphore>,
    size: u32,
}

impl Share {
    /// Of a pool of `connections`: a quarter, two at least.
    pub(crate) fn of(connections: u32) -> Self {
        let size = (connections / 4).max(2);
        Self { places: Arc::new(Semaphore::new(size as usize)), size }
    }
}

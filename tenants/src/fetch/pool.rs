//! The connections for hot reads, lent out to one caller at a time.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use moka::future::Cache;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    Hot, Parameter,
    address::Address,
    connection::{Connection, Failure},
    rows::Rows,
};
use crate::{
    Actor, Error, Result, TenantId,
    sabotage::{self, Leak},
    scope::{Door, Share},
};

/// How long one waits for a connection, logging in included; as on the other pools.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the server may take to be through with what a caller who left had asked for. Above the 5 s after which it
/// gives a statement up; beyond it the connection is closed.
const SETTLING: Duration = Duration::from_secs(8);
/// How long a connection may rest. Whatever lies between here and the server may have dropped an older one silently.
const REST: Duration = Duration::from_secs(300);

/// A small pool of the application's own, as the same role and to the same database as its other one.
#[derive(Clone)]
pub(crate) struct HotPool(Arc<Inner>);

struct Inner {
    address: Address,
    size: u32,
    /// One for each connection that may be open.
    places: Arc<Semaphore>,
    /// Those that nobody uses, the one used last at the back.
    resting: Mutex<VecDeque<Connection>>,
    /// A tenant's places among them.
    shares: Cache<TenantId, Share>,
}

/// A connection, and the places that go with it: they are free when the connection is, and not before.
pub(super) struct Lease {
    pool: HotPool,
    connection: Option<Connection>,
    /// Whether it was open before.
    is_reused: bool,
    places: Option<Places>,
}

/// A place in the pool, and one in the tenant's share of it.
type Places = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl HotPool {
    /// Connects when first used.
    ///
    /// # Errors
    /// A URL that can't be used, without its password.
    pub(crate) fn new(url: &SecretString, size: u32) -> Result<Self> {
        let address = Address::parse(url, "ffp-hot");
        let address = address.map_err(|why| Error::Internal(format!("the app database URL: {why}")))?;
        Ok(Self(Arc::new(Inner {
            address,
            size,
            places: Arc::new(Semaphore::new(size as usize)),
            resting: Mutex::default(),
            shares: Cache::builder().max_capacity(100_000).time_to_idle(Duration::from_secs(600)).build(),
        })))
    }

    /// The share of these connections that a caller takes from.
    pub(super) async fn share(&self, door: Door, tenant: TenantId) -> Share {
        let whose = door.payer(tenant);
        if let Some(share) = self.0.shares.get(&whose).await {
            return share;
        }
        self.0.shares.get_with(whose, async { Share::of(self.0.size) }).await
    }

    /// Lends a connection.
    ///
    /// # Errors
    /// 503 when none is free or can be made within 2 s.
    pub(super) async fn lend(&self, share: OwnedSemaphorePermit) -> Result<Lease> {
        let Ok(Ok(place)) = timeout(PATIENCE, Arc::clone(&self.0.places).acquire_owned()).await else {
            return Err(Error::Unavailable("the database"));
        };
        let connection = self.take();
        let is_reused = connection.is_some();
        let connection = match connection {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(Lease { pool: self.clone(), connection: Some(connection), is_reused, places: Some((place, share)) })
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let connected = timeout(PATIENCE, self.0.address.connect()).await;
        connected.unwrap_or_else(|_| Err(Failure::Lost("no connection within 2 s".into())))
    }

    fn take(&self) -> Option<Connection> {
        self.0.resting.lock().pop_back().filter(|connection| connection.rested.elapsed() < REST)
    }

    fn give_back(&self, mut connection: Connection) {
        connection.rested = std::time::Instant::now();
        let mut resting = self.0.resting.lock();
        resting.push_back(connection);
        if resting.front().is_some_and(|oldest| oldest.rested.elapsed() >= REST) {
            resting.pop_front();
        }
    }

    /// Closes the connections; reads in flight finish.
    pub(crate) async fn close(&self) {
        // Refused only when it is closed already.
        let all = self.0.places.acquire_many(self.0.size).await;
        self.0.places.close();
        self.0.resting.lock().clear();
        drop(all);
    }
}

impl Lease {
    /// Runs a statement. A connection that was cut while it rested is replaced once, and a statement that a changed
    /// table made stale is prepared again once.
    pub(super) async fn run(
        &mut self,
        tenant: TenantId,
        actor: Actor,
        statement: &'static Hot,
        parameters: &[Parameter<'_>],
    ) -> Result<Rows> {
        let mut is_renewed = false;
        loop {
            let connection =
                self.connection.as_mut().ok_or_else(|| Error::Internal("a lease without connection".into()))?;
            match connection.run(tenant, actor, statement.text, parameters).await {
                Err(Failure::Lost(error)) if self.is_reused => {
                    tracing::debug!(error, "a connection for hot reads was stale");
                    // The others are probably as old.
                    self.pool.0.resting.lock().clear();
                    self.connection = None;
                    self.connection = Some(self.pool.connect().await?);
                    self.is_reused = false;
                }
                Err(failure) if failure.is_stale_statement() && !is_renewed => {
                    connection.forget(statement.text)?;
                    is_renewed = true;
                }
                answer => return Ok(answer?),
            }
        }
    }
}

impl Drop for Lease {
    /// What a caller who hung up has asked for runs on until it ends or times out. The connection is lent to nobody
    /// until then, and its places are taken: whoever asks and hangs up again and again would hold the whole pool.
    fn drop(&mut self) {
        let (Some(mut connection), places) = (self.connection.take(), self.places.take()) else { return };
        if connection.is_at_rest() || sabotage::on(Leak::HotUnsettled) {
            self.pool.give_back(connection);
        } else if connection.is_sound() {
            let pool = self.pool.clone();
            tokio::spawn(async move {
                if let Ok(Ok(())) = timeout(SETTLING, connection.settle()).await
                    && connection.is_at_rest()
                {
                    pool.give_back(connection);
                }
                drop(places);
            });
        }
    }
}

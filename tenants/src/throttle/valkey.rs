//! Buckets in a Valkey or Redis that all instances share.
//!
//! A store that is away costs a request nothing: after the first call that fails nobody calls until the connection
//! has been made anew, which one task tries again and again.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::{counter, gauge};
use parking_lot::RwLock;
use redis::{AsyncConnectionConfig, Client, RedisError, Script, aio::MultiplexedConnection};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use super::{Key, Rate, Verdict};
use crate::{Error, Result};

/// How long until a store that is away is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// Connecting, with a name to resolve and TLS to set up, may take so many times as long as a call.
const CONNECTING: u32 = 10;

/// A bucket from which nobody takes.
const PROBE: &str = "ffp:probe";

pub(super) const SCRIPT: &str = include_str!("take.lua");

/// 1 while the store answers, 0 while each instance serves its share.
const UP: &str = "throttle_store_up";
/// How often the store went away.
const LOST: &str = "throttle_store_lost_total";

pub(super) struct Valkey(Arc<Inner>);

struct Inner {
    client: Client,
    script: Script,
    /// How long one call may take.
    timeout: Duration,
    /// The first attempt, for which requests wait: without it they would count in the wrong place.
    first: OnceCell<()>,
    connection: RwLock<Option<Connected>>,
    serial: AtomicU64,
}

#[derive(Clone)]
struct Connected {
    connection: MultiplexedConnection,
    /// Tells it from those before and after it.
    serial: u64,
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("no answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
}

/// What to do with a token.
#[derive(Clone, Copy)]
pub(super) enum Change {
    Take,
    GiveBack,
}

impl Valkey {
    pub(super) fn new(url: &SecretString, timeout: Duration, script: &str) -> Result<Self> {
        // The error may repeat the URL, which holds a password.
        let client = Client::open(url.expose_secret())
            .map_err(|_| Error::Internal("VALKEY_URL is no address of a Valkey or Redis".into()))?;
        let inner = Arc::new(Inner {
            client,
            script: Script::new(script),
            timeout,
            first: OnceCell::new(),
            connection: RwLock::new(None),
            serial: AtomicU64::new(0),
        });
        // Before the first request, where there is a runtime already.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let inner = Arc::clone(&inner);
            runtime.spawn(async move { inner.started().await });
        }
        Ok(Self(inner))
    }

    /// Changes a bucket; none while the store is away. `clock` is for a script that takes the time from its caller.
    pub(super) async fn change(&self, key: &Key, rate: Rate, change: Change, clock: &[u64]) -> Option<Verdict> {
        self.0.started().await;
        let Connected { mut connection, serial } = self.0.connection.read().clone()?;
        let key = key.to_string();
        let call = self.0.call(&mut connection, &key, rate, change, clock);
        match within(self.0.timeout, call).await {
            Ok(verdict) => Some(verdict),
            Err(failure) => {
                self.0.lost(serial, &failure);
                None
            }
        }
    }

    /// Whether it was there when last called.
    pub(super) fn is_here(&self) -> bool {
        self.0.connection.read().is_some()
    }
}

impl Inner {
    /// The first attempt to connect has been made.
    async fn started(self: &Arc<Self>) {
        self.first
            .get_or_init(async || {
                if let Err(error) = self.connect().await {
                    tracing::warn!(%error, "the store of throttles is away: each instance serves its share");
                    self.away();
                }
            })
            .await;
    }

    async fn call(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
        rate: Rate,
        change: Change,
        clock: &[u64],
    ) -> Result<Verdict, RedisError> {
        let mut call = self.script.key(key);
        call.arg(rate.capacity()).arg(rate.refill()).arg(rate.period());
        call.arg(match change {
            Change::Take => 1,
            Change::GiveBack => -1,
        });
        for part in clock {
            call.arg(part);
        }
        let (served, used): (u8, u64) = call.invoke_async(connection).await?;
        Ok(rate.verdict(served == 1, used))
    }

    /// A connection on which buckets are known to change: a server that is starting, or a replica, only answers.
    async fn connect(&self) -> Result<(), Failure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout * CONNECTING))
            .set_response_timeout(Some(self.timeout));
        let connection = within(self.timeout * CONNECTING, async {
            let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            self.call(&mut connection, PROBE, Rate::per_minute(1), Change::GiveBack, &[]).await?;
            Ok(connection)
        })
        .await?;
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        *self.connection.write() = Some(Connected { connection, serial });
        gauge!(UP).set(1.0);
        Ok(())
    }

    /// The store did not answer on this connection; of all who notice, the first one counts.
    fn lost(self: &Arc<Self>, serial: u64, failure: &Failure) {
        let mut connection = self.connection.write();
        if connection.as_ref().is_none_or(|connected| connected.serial != serial) {
            return;
        }
        *connection = None;
        drop(connection);
        tracing::warn!(error = %failure, "the store of throttles went away: each instance serves its share");
        self.away();
    }

    fn away(self: &Arc<Self>) {
        counter!(LOST).increment(1);
        gauge!(UP).set(0.0);
        tokio::spawn(reconnect(Arc::downgrade(self)));
    }
}

/// Tries until it is back, or nobody wants it any more.
async fn reconnect(store: Weak<Inner>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(store) = store.upgrade() else { return };
        match store.connect().await {
            Ok(()) => {
                tracing::info!("the store of throttles is back");
                return;
            }
            Err(error) => tracing::debug!(%error, "the store of throttles is still away"),
        }
    }
}

async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, RedisError>>) -> Result<T, Failure> {
    Ok(tokio::time::timeout(limit, call).await??)
}

//! The pools, which never leave this crate, and the caches that go with them.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    ConnectOptions, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    Actor, DatabaseConfig, Error, LimitsConfig, Result, Tenant, TenantId,
    fetch::HotPool,
    scope::{Door, Share},
    standing::Standings,
    throttle::Buckets,
    tokens::Verifier,
    tx::Forget,
    usage::Usage,
};

/// Everything a process needs to serve tenants. Cheap to clone.
#[derive(Clone)]
pub struct Tenants {
    inner: Arc<Inner>,
}

struct Inner {
    app: PgPool,
    worker: PgPool,
    operator: PgPool,
    hot: HotPool,
    shares: Cache<(u8, TenantId), Share>,
    standings: Standings,
    verifier: Verifier,
    limits: LimitsConfig,
    usage: Usage,
    buckets: Buckets,
}

impl Tenants {
    /// Makes the pools; they connect when first used, so a database that is away does not stop a start.
    ///
    /// # Errors
    /// A URL that PostgreSQL's client can't read.
    pub fn new(config: &DatabaseConfig, limits: &LimitsConfig, verifier: Verifier) -> Result<Self> {
        Ok(Self {
            inner: Arc::new(Inner {
                app: pool(&config.app_url, config.app_connections, "app")?,
                worker: pool(&config.worker_url, config.worker_connections, "worker")?,
                operator: pool(&config.operator_url, config.operator_connections, "operator")?,
                hot: HotPool::new(&config.app_url, config.hot_connections)?,
                // A share that nobody holds costs nothing; a forgotten one is made anew.
                shares: Cache::builder().max_capacity(100_000).time_to_idle(Duration::from_secs(600)).build(),
                standings: Standings::new(),
                verifier,
                buckets: Buckets::new(limits)?,
                limits: limits.clone(),
                usage: Usage::new(),
            }),
        })
    }

    /// Opens a tenant for the platform itself: a registration, a door where a secret is presented before anybody is
    /// known. All of these together take a quarter of the pool at most, and nothing of the tenant's own share. A handler
    /// that has a caller takes the [`Tenant`] extractor instead.
    pub fn as_system(&self, id: TenantId) -> Tenant {
        self.open(id, Actor::SYSTEM, Door::Front)
    }

    pub(crate) fn open(&self, id: TenantId, actor: Actor, door: Door) -> Tenant {
        Tenant { tenants: self.clone(), id, actor, door }
    }

    pub(crate) fn pool(&self, door: Door) -> &PgPool {
        match door {
            Door::App | Door::Front => &self.inner.app,
            Door::Worker => &self.inner.worker,
            Door::Operator => &self.inner.operator,
        }
    }

    pub(crate) fn hot(&self) -> &HotPool {
        &self.inner.hot
    }

    pub(crate) async fn share(&self, door: Door, tenant: TenantId) -> Share {
        let connections = self.pool(door).options().get_max_connections();
        self.inner.shares.get_with((door as u8, door.payer(tenant)), async { Share::of(connections) }).await
    }

    /// How fairness is kept between processes.
    pub fn limits(&self) -> &LimitsConfig {
        &self.inner.limits
    }

    /// What is counted against limits, on all instances together.
    pub fn buckets(&self) -> &Buckets {
        &self.inner.buckets
    }

    /// What tenants use is counted here.
    pub fn usage(&self) -> &Usage {
        &self.inner.usage
    }

    pub(crate) fn standings(&self) -> &Standings {
        &self.inner.standings
    }

    /// Checks tokens.
    pub fn verifier(&self) -> &Verifier {
        &self.inner.verifier
    }

    pub(crate) async fn forget(&self, what: Vec<Forget>) {
        for forget in what {
            let tenant = if let Forget::Tenant(tenant) = &forget { Some(*tenant) } else { None };
            self.inner.standings.forget(forget);
            // After the change was counted: who looked it up before and notes it only now sees the count, and forgets.
            if let Some(tenant) = tenant {
                self.inner.buckets.limits.forget(tenant);
            }
        }
    }

    /// Whether the database answers and its schema is the one this binary knows.
    ///
    /// # Errors
    /// A sentence for the operator: what is away or behind.
    pub async fn ready(&self) -> Result<(), String> {
        let applied: Option<i64> = tokio::time::timeout(
            Duration::from_secs(2),
            sqlx::query_scalar("select max(version) from _sqlx_migrations where success").fetch_one(&self.inner.app),
        )
        .await
        .map_err(|_| "the database did not answer within 2 s".to_owned())?
        .map_err(|_| "the database is away".to_owned())?;
        match applied {
            Some(version) if version >= migrations::latest_version() => Ok(()),
            Some(version) => {
                Err(format!("the schema is at {version}, this binary needs {}", migrations::latest_version()))
            }
            None => Err("no migration has been applied".to_owned()),
        }
    }

    /// Closes the pools; queries in flight finish.
    pub async fn close(&self) {
        tokio::join!(
            self.inner.app.close(),
            self.inner.worker.close(),
            self.inner.operator.close(),
            self.inner.hot.close()
        );
    }
}

fn pool(url: &SecretString, connections: u32, name: &str) -> Result<PgPool> {
    let options: PgConnectOptions =
        url.expose_secret().parse().map_err(|_| Error::Internal(format!("the {name} database URL is not one")))?;
    let options = options.disable_statement_logging().application_name(&format!("ffp-{name}"));
    Ok(PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(2))
        // One round trip less; a stale connection shows at BEGIN, where another is taken.
        .test_before_acquire(false)
        .idle_timeout(Duration::from_secs(300))
        .connect_lazy_with(options))
}

//! `TenantTx`: a transaction confined to one tenant, and the only thing that can run a query.

use std::sync::atomic::{AtomicBool, Ordering};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, Value, Values};
use sea_query_sqlx::SqlxValues;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use tracing::Instrument;

use crate::{
    Actor, Error, Result, TenantId,
    error::{is_dead, is_outage, is_stale_statement},
    guard::guard,
    sabotage::{self, Leak},
};

/// A transaction that sees and writes the rows of one tenant, as far as its actor's role goes.
///
/// It implements sea-orm's [`ConnectionTrait`], so features use entities. It ends with its scope
/// ([`Tenant::read`](crate::Tenant::read), [`Tenant::write`](crate::Tenant::write)).
pub struct TenantTx {
    tenant: TenantId,
    actor: Actor,
    gate_slots: u32,
    inner: Mutex<Held>,
    /// A statement failed: PostgreSQL has given the transaction up and COMMIT would silently roll back.
    failed: AtomicBool,
    after_commit: parking_lot::Mutex<Vec<Forget>>,
}

/// The open transaction, and the place in the tenant's share of the pool that goes with it.
struct Held {
    open: Option<Transaction<'static, Postgres>>,
    place: Option<OwnedSemaphorePermit>,
    /// What it was begun with.
    begin: String,
    /// A statement has run in it.
    has_run: bool,
    /// A table was changed under a statement that is prepared on the connection.
    is_stale: bool,
}

impl Held {
    fn connection(&mut self) -> Result<&mut PgConnection, DbErr> {
        let open = self.open.as_mut().ok_or_else(|| DbErr::Custom("the transaction has ended".into()))?;
        Ok(&mut **open)
    }

    /// Begins the transaction anew, after its first statement met a table that was changed since it was prepared ("cached
    /// plan must not change result type"). sqlx prepares once for each connection and forgets nothing by itself, so what is
    /// prepared is closed.
    async fn renew(&mut self) -> Result<(), sqlx::Error> {
        let Some(open) = self.open.as_mut() else { return Ok(()) };
        open.clear_cached_statements().await?;
        self.is_stale = false;
        // One message, all of which runs: were it given up halfway, what it has begun is rolled back like the one before.
        sqlx::raw_sql(AssertSqlSafe(format!("ROLLBACK; {}", self.begin))).execute(&mut **open).await.map(drop)
    }
}

impl Drop for Held {
    /// A statement whose caller hung up runs on until it ends or times out. The place is free when the connection is,
    /// and not before: whoever asks and hangs up again and again would hold the whole pool.
    fn drop(&mut self) {
        if let Some(mut open) = self.open.take() {
            let (place, is_stale) = (self.place.take(), self.is_stale);
            tokio::spawn(async move {
                if is_stale && let Err(error) = open.clear_cached_statements().await {
                    tracing::debug!(%error, "a connection has not forgotten what was prepared on it");
                }
                if let Err(error) = open.rollback().await {
                    tracing::debug!(%error, "a transaction was not rolled back; its connection is gone");
                }
                drop(place);
            });
        }
    }
}

/// What other parts of this process must forget once the transaction is committed.
pub(crate) enum Forget {
    /// The standing of one member.
    Member(TenantId, String),
    /// The standing of everybody in the tenant.
    Tenant(TenantId),
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    Read,
    Write,
}

impl TenantTx {
    /// BEGIN and the three settings travel as one message. They hold nothing but two parsed UUIDs and a role's
    /// name, so the text can't be escaped from.
    pub(crate) async fn begin(
        pool: &PgPool,
        tenant: TenantId,
        actor: Actor,
        mode: Mode,
        place: OwnedSemaphorePermit,
        gate_slots: u32,
    ) -> Result<Self> {
        let begin = match mode {
            Mode::Read => "BEGIN READ ONLY",
            Mode::Write => "BEGIN",
        };
        let member = actor.member.map(|id| id.to_string()).unwrap_or_default();
        let role = actor.role.as_str();
        // Empty is how policies know that no tenant is set: they show no row, but for what operators read across tenants.
        let tenant_text = if tenant == TenantId::NONE { String::new() } else { tenant.to_string() };
        let is_local = !sabotage::on(Leak::SettingsOutlive);
        let text = format!(
            "{begin}; SELECT set_config('app.tenant_id','{tenant_text}',{is_local}), \
             set_config('app.member_id','{member}',{is_local}), set_config('app.role','{role}',{is_local})"
        );
        // In a task of its own: were BEGIN given up halfway, the pool would get back a connection with a transaction
        // open in it, for the next tenant to work in.
        let opening = tokio::spawn(open(pool.clone(), text, place).in_current_span());
        let held =
            opening.await.map_err(|error| Error::Internal(format!("a transaction was not begun: {error}")))??;
        Ok(Self {
            tenant,
            actor,
            gate_slots,
            inner: Mutex::new(held),
            failed: AtomicBool::new(false),
            after_commit: Default::default(),
        })
    }

    /// The tenant whose rows these are.
    pub fn tenant_id(&self) -> TenantId {
        self.tenant
    }

    /// Who is acting.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// Pieces of expensive work in flight at once, over all tenants.
    pub(crate) fn gate_slots(&self) -> u32 {
        self.gate_slots
    }

    /// Runs SQL that is plainer than the query builder. The text is a constant; values go by parameter.
    ///
    /// # Errors
    /// As the database says; text that touches the session or the tenant's setting is refused.
    pub async fn sql(
        &self,
        text: &'static str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<QueryResult>, DbErr> {
        self.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, text, values)).await
    }

    /// Like [`sql`](Self::sql) for a statement that returns no rows; answers how many it touched.
    ///
    /// # Errors
    /// As [`sql`](Self::sql).
    pub async fn run(&self, text: &'static str, values: impl IntoIterator<Item = Value>) -> Result<u64, DbErr> {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, text, values);
        Ok(self.execute_raw(statement).await?.rows_affected())
    }

    /// After the commit, this member's role and status are read anew by this process at once.
    pub fn member_changed(&self, subject: &str) {
        self.after_commit.lock().push(Forget::Member(self.tenant, subject.to_owned()));
    }

    /// After the commit, the standing of everybody in the tenant is read anew.
    pub fn tenant_changed(&self) {
        self.after_commit.lock().push(Forget::Tenant(self.tenant));
    }

    pub(crate) async fn commit(self) -> Result<Vec<Forget>> {
        if self.failed.load(Ordering::Acquire) {
            return Err(Error::Internal("a statement failed and its error was swallowed; nothing was written".into()));
        }
        let mut held = self.inner.into_inner();
        if let Some(open) = held.open.take() {
            open.commit().await?;
        }
        Ok(self.after_commit.into_inner())
    }

    fn mark<T>(&self, result: Result<T, sqlx::Error>) -> Result<T, DbErr> {
        result.map_err(|error| {
            self.failed.store(true, Ordering::Release);
            DbErr::Query(RuntimeErr::SqlxError(error.into()))
        })
    }
}

/// Begins a transaction by `text`, with a connection that lives.
async fn open(pool: PgPool, text: String, place: OwnedSemaphorePermit) -> Result<Held> {
    let mut stale = pool.options().get_max_connections();
    loop {
        match pool.begin_with(AssertSqlSafe(text.clone())).await {
            Ok(open) => {
                let (open, place) = (Some(open), Some(place));
                return Ok(Held { open, place, begin: text, has_run: false, is_stale: false });
            }
            // A pooled connection that died with a restart of the server: nothing ran on it, so take another.
            Err(error) if stale > 0 && is_dead(&error) => {
                tracing::debug!(%error, "a pooled connection was stale");
                stale -= 1;
            }
            Err(error) if is_outage(&error) => {
                tracing::warn!(%error, "the database is away");
                return Err(Error::Unavailable("the database"));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn query(mut statement: Statement) -> sqlx::query::Query<'static, Postgres, SqlxValues> {
    let values = SqlxValues(statement.values.take().unwrap_or(Values(Vec::new())));
    sqlx::query_with(AssertSqlSafe(statement.sql), values)
}

/// Runs a statement by one of sqlx's ways. The first of a transaction runs again if its only fault is that it was prepared
/// before its table was changed; after others there is no telling what the caller has made of them, and the answer
/// is to try again, on a connection that has forgotten it.
macro_rules! run {
    ($tx:ident, $statement:ident, $way:ident) => {{
        guard(&$statement.sql)?;
        let mut held = $tx.inner.lock().await;
        let again = (!held.has_run).then(|| $statement.clone());
        held.has_run = true;
        let mut answer = query($statement).$way(held.connection()?).await;
        if answer.as_ref().is_err_and(is_stale_statement) {
            held.is_stale = true;
            if let Some(statement) = again {
                tracing::debug!("a table was changed under a prepared statement");
                $tx.mark(held.renew().await)?;
                answer = query(statement).$way(held.connection()?).await;
            }
        }
        $tx.mark(answer)
    }};
}

#[async_trait::async_trait]
impl ConnectionTrait for TenantTx {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, stmt: Statement) -> Result<ExecResult, DbErr> {
        run!(self, stmt, execute).map(Into::into)
    }

    async fn execute_unprepared(&self, _sql: &str) -> Result<ExecResult, DbErr> {
        Err(DbErr::Custom("TenantTx refused a statement: unprepared text can hold several".into()))
    }

    async fn query_one_raw(&self, stmt: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(run!(self, stmt, fetch_optional)?.map(Into::into))
    }

    async fn query_all_raw(&self, stmt: Statement) -> Result<Vec<QueryResult>, DbErr> {
        Ok(run!(self, stmt, fetch_all)?.into_iter().map(Into::into).collect())
    }
}

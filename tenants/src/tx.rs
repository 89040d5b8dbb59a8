//! `TenantTx`: a transaction confined to one tenant, and the only thing that can run a query.

use std::sync::atomic::{AtomicBool, Ordering};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, Value, Values};
use sea_query_sqlx::SqlxValues;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use tracing::Instrument;

use crate::{
    Actor, Error, Result, TenantId,
    error::{is_dead, is_outage},
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
}

impl Held {
    fn connection(&mut self) -> Result<&mut PgConnection, DbErr> {
        let open = self.open.as_mut().ok_or_else(|| DbErr::Custom("the transaction has ended".into()))?;
        Ok(&mut **open)
    }
}

impl Drop for Held {
    /// A statement whose caller hung up runs on until it ends or times out. The place is free when the connection is,
    /// and not before: whoever asks and hangs up again and again would hold the whole pool.
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            let place = self.place.take();
            tokio::spawn(async move {
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
                return Ok(Held { open: Some(open), place: Some(place) });
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

fn values(statement: &mut Statement) -> SqlxValues {
    SqlxValues(statement.values.take().unwrap_or(Values(Vec::new())))
}

/// What a statement may begin with. Everything else could leave the tenant or the transaction.
const ALLOWED: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "MERGE"];

/// Refuses text that could change who the transaction acts for.
///
/// This catches mistakes, not an attacker who already runs arbitrary SQL: such a one picks the tenant.
pub(crate) fn guard(text: &str) -> Result<(), DbErr> {
    let first: String = text.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    let refused = if !ALLOWED.iter().any(|word| first.eq_ignore_ascii_case(word)) {
        Some("it must begin with SELECT, INSERT, UPDATE, DELETE, WITH or MERGE")
    } else if contains(text, b"set_config") || contains(text, b"u&\"") {
        Some("it must not touch the settings that name the tenant")
    } else {
        None
    };
    refused.map_or(Ok(()), |why| Err(DbErr::Custom(format!("TenantTx refused a statement: {why}"))))
}

fn contains(text: &str, needle: &[u8]) -> bool {
    text.as_bytes().windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

#[async_trait::async_trait]
impl ConnectionTrait for TenantTx {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, mut stmt: Statement) -> Result<ExecResult, DbErr> {
        guard(&stmt.sql)?;
        let values = values(&mut stmt);
        let mut held = self.inner.lock().await;
        let connection = held.connection()?;
        self.mark(sqlx::query_with(AssertSqlSafe(stmt.sql), values).execute(connection).await).map(Into::into)
    }

    async fn execute_unprepared(&self, _sql: &str) -> Result<ExecResult, DbErr> {
        Err(DbErr::Custom("TenantTx refused a statement: unprepared text can hold several".into()))
    }

    async fn query_one_raw(&self, mut stmt: Statement) -> Result<Option<QueryResult>, DbErr> {
        guard(&stmt.sql)?;
        let values = values(&mut stmt);
        let mut held = self.inner.lock().await;
        let connection = held.connection()?;
        let row = self.mark(sqlx::query_with(AssertSqlSafe(stmt.sql), values).fetch_optional(connection).await)?;
        Ok(row.map(Into::into))
    }

    async fn query_all_raw(&self, mut stmt: Statement) -> Result<Vec<QueryResult>, DbErr> {
        guard(&stmt.sql)?;
        let values = values(&mut stmt);
        let mut held = self.inner.lock().await;
        let connection = held.connection()?;
        let rows = self.mark(sqlx::query_with(AssertSqlSafe(stmt.sql), values).fetch_all(connection).await)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::guard;

    #[test]
    fn ordinary_statements_pass() {
        for text in
            ["select 1", "  SELECT x FROM t", "insert into t values (1)", "with a as (select 1) select * from a"]
        {
            assert!(guard(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn statements_that_could_leave_the_tenant_are_refused() {
        for text in [
            "SET app.tenant_id = 'x'",
            "set local role ffp_owner",
            "RESET ALL",
            "COMMIT",
            "rollback",
            "BEGIN",
            "savepoint a",
            "do $$ begin end $$",
            "call p()",
            "-- a comment\nset role x",
            "/* */ commit",
            "select set_config('app.tenant_id', 'x', true)",
            "select SET_CONFIG('app.tenant_id', 'x', true)",
            "with a as (select pg_catalog.set_config('a','b',false)) select * from a",
            "select U&\"set\\005fconfig\"('app.tenant_id', 'x', true)",
            "",
        ] {
            assert!(guard(text).is_err(), "{text}");
        }
    }
}

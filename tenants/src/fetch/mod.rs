//! `tenant.fetch(…)`: one read-only statement inside one tenant, for the few reads that are asked for all the time.
//!
//! Everything travels as one message, and one answer comes back:
//!
//! ```text
//! Bind, Execute   set_config: read-only, app.tenant_id, app.member_id, app.role and more, all transaction-local
//! Bind, Execute   the statement, prepared once per connection
//! Sync
//! ```
//!
//! What stands before a Sync is one transaction to PostgreSQL, which ends with it (Message Flow, "Pipelining"). So no
//! transaction can be left open, whoever hangs up: it commits or rolls back by itself. After an error PostgreSQL skips
//! everything up to the Sync: where the settings fail, the statement never runs. And the settings that it answers are
//! compared with those that were asked for, before a row is believed.
//!
//! tokio-postgres logs in and converts values. It would end each statement with a Sync of its own, hence a transaction
//! with BEGIN and COMMIT, four answers and a task between caller and socket; so the messages are put together here, by
//! its own crate for the protocol.
//!
//! | File | Holds |
//! |---|---|
//! | `address.rs` | where the server is, logging in |
//! | `tls.rs` | encryption, as the database URL asks for it |
//! | `connection.rs` | the messages: out in one piece, and what may come back |
//! | `pool.rs` | connections lent out one caller at a time, a tenant's share of them |
//! | `rows.rs` | from columns to structs |

mod address;
mod connection;
mod pool;
mod rows;
mod tls;

pub use rows::{FromRow, Row};
pub use tokio_postgres::types::{FromSql, ToSql};

pub(crate) use pool::HotPool;

use crate::{Error, Result, Tenant, scope::Door};

/// A statement for [`Tenant::fetch`]; give it a `static` of its own.
///
/// The text is a constant, values go by parameter. It is prepared once on each connection, where text that could leave
/// the tenant is refused as on a [`TenantTx`](crate::TenantTx).
#[derive(Debug)]
pub struct Hot {
    text: &'static str,
}

impl Hot {
    /// A statement by its text, `select … where tenant_id = $1 …`.
    pub const fn new(text: &'static str) -> Self {
        Self { text }
    }

    /// The text.
    pub fn text(&self) -> &'static str {
        self.text
    }
}

/// A parameter of a statement.
pub type Parameter<'a> = &'a (dyn ToSql + Sync);

impl Tenant {
    /// Runs one statement in a READ ONLY transaction of its own and answers its rows. Like
    /// [`read`](Self::read) with one statement inside, in one packet; over the application's second, smaller pool.
    ///
    /// ```ignore
    /// static TITLES: Hot = Hot::new("select id, title from video where tenant_id = $1");
    /// let titles: Vec<Title> = tenant.fetch(&TITLES, &[&tenant.id().0]).await?;
    /// ```
    ///
    /// # Errors
    /// What the database says; rows that are not what `T` takes; 429 `busy` when the tenant uses its whole share; 503
    /// without a database. For members and what precedes them: a job's or an operator's tenant is refused.
    pub async fn fetch<T: FromRow>(&self, statement: &'static Hot, parameters: &[Parameter<'_>]) -> Result<Vec<T>> {
        if !matches!(self.door, Door::App | Door::Front) {
            return Err(Error::Internal("a hot read is for the application's own role: use `read`".into()));
        }
        let hot = self.tenants.hot();
        let place = self.place_in(hot.share(self.door, self.id).await).await?;
        let mut lease = hot.lend(place).await?;
        let rows = lease.run(self.id, self.actor, statement, parameters).await?;
        // The connection is free before the rows are read.
        drop(lease);
        rows.decode()
    }
}

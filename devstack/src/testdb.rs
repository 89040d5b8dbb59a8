//! A database per test, made from a template: the schema is built once per test process, and a test pays for a copy
//! of its files.
//!
//! What goes into the template is the caller's business; this crate knows no schema.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::postgres::Postgres;

/// What making a test database can fail with; a test has nothing to do about it but to say so.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

const TEMPLATE: &str = "test_template";

/// A throwaway server with a template. Keep one per test process, in a `tokio::sync::OnceCell`.
#[derive(Debug)]
pub struct TestServer {
    postgres: Postgres,
    made: AtomicU32,
}

impl TestServer {
    /// Starts a server and has `build` fill the template, a database of its own that it is given the name of.
    /// Nothing may be connected to it when `build` returns.
    ///
    /// # Errors
    /// The server does not start, or `build` fails.
    pub async fn start<F>(build: F) -> Result<Self, Error>
    where
        F: AsyncFnOnce(&Postgres, &'static str) -> Result<(), Error>,
    {
        let postgres = Postgres::throwaway().await?;
        let mut admin = PgConnection::connect(&postgres.admin_url("postgres")).await?;
        run(&mut admin, format!("create database {TEMPLATE}")).await?;
        build(&postgres, TEMPLATE).await?;
        // Copying needs a template without connections, so nobody may make one.
        run(&mut admin, format!("alter database {TEMPLATE} with allow_connections false")).await?;
        admin.close().await?;
        Ok(Self { postgres, made: AtomicU32::new(0) })
    }

    /// A fresh copy of the template, with the rights that were granted on the template itself.
    ///
    /// # Errors
    /// The server refuses or is gone.
    pub async fn database(&self) -> Result<TestDatabase, Error> {
        let name = format!("test_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let mut admin = PgConnection::connect(&self.postgres.admin_url("postgres")).await?;
        // The copy of files is faster than the default for a small template.
        run(&mut admin, format!("create database {name} template {TEMPLATE} strategy file_copy")).await?;
        // A copy has everything but the rights on the database itself.
        let grants: Vec<String> = sqlx::query_scalar(
            "select format('grant %s on database %I to %s', string_agg(g.privilege_type, ', '), $1,
                           coalesce(quote_ident(r.rolname), 'public'))
             from pg_database d cross join lateral aclexplode(d.datacl) g left join pg_roles r on r.oid = g.grantee
             where d.datname = $2 group by r.rolname",
        )
        .bind(&name)
        .bind(TEMPLATE)
        .fetch_all(&mut admin)
        .await?;
        if !grants.is_empty() {
            run(&mut admin, format!("revoke all on database {name} from public")).await?;
        }
        for grant in grants {
            run(&mut admin, grant).await?;
        }
        admin.close().await?;
        Ok(TestDatabase { admin_url: self.postgres.admin_url("postgres"), name })
    }

    /// The server.
    #[must_use]
    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }
}

/// One test's database. It is removed in the background when this is dropped, connections and all, so that a long
/// run of tests does not fill the memory.
#[derive(Debug)]
pub struct TestDatabase {
    admin_url: String,
    name: String,
}

impl TestDatabase {
    /// The database's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (url, statement) = (self.admin_url.clone(), format!("drop database {} with (force)", self.name));
        // A thread of its own: the test's runtime is about to end. What fails here goes away with the server.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect(&url).await.ok()?;
                run(&mut admin, statement).await.ok()?;
                admin.close().await.ok()
            })
        });
    }
}

/// Runs a statement made of names of ours, or quoted by the server itself.
async fn run(connection: &mut PgConnection, statement: String) -> Result<(), Error> {
    connection.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}

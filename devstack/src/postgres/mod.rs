//! A PostgreSQL server of our own, from the system's binaries: one that keeps its data for `platform dev`, and
//! throwaway ones for tests.
//!
//! The server listens on 127.0.0.1 only, asks everybody for a password (SCRAM), and ends with this process. Its
//! superuser `postgres` has a random password that is kept next to the data, readable by their owner only.

mod cluster;

use std::path::PathBuf;

use cluster::Cluster;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

#[cfg(doc)]
use crate::{Error, programs};
use crate::{
    Result,
    guard::{Guard, Home, Signal},
    ports::{self, Port},
};

const NAME: &str = "PostgreSQL";
const SUPERUSER: &str = "postgres";

/// Runs statements, separated by semicolons, over a connection of their own. Outside a transaction of theirs they stand
/// or fall together, as PostgreSQL's simple protocol has it.
///
/// # Errors
/// [`Error::Sql`].
pub async fn execute(url: &str, statements: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// How much the data matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// They survive crashes and power cuts.
    Durable,
    /// Speed comes first: a crash of the machine may ruin them.
    Throwaway,
}

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Where the data live; made if absent.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub port: Port,
    /// How much the data matter.
    pub profile: Profile,
}

/// A running server. It stops when this is dropped, and when this process ends in whatever way.
#[derive(Debug)]
pub struct Postgres {
    // The order matters: the guard lets go before the directory does.
    guard: Guard,
    _home: Home,
    port: u16,
    password: String,
}

impl Postgres {
    /// Starts a server over the data in `data_dir`, making them the first time, and returns once it answers.
    ///
    /// As root the server runs as the owner of its data, else as `postgres` or `nobody`. A server that a killed run
    /// left behind is stopped first.
    ///
    /// # Errors
    /// [`Error::PortTaken`], [`Error::DirectoryInUse`], [`Error::ForeignData`], [`Error::Unreachable`], the errors of
    /// [`programs::postgres_bin`], or [`Error::ProgramFailed`] with the end of the server's log.
    pub async fn start(options: PostgresOptions) -> Result<Self> {
        let home = Home::claim(&options.data_dir, NAME, Signal::Interrupt).await?;
        Self::start_in(home, options.port, options.profile).await
    }

    /// Starts an empty server on a free port, as fast as it goes; its data go away with it. They are in memory
    /// (`/dev/shm`) if a gibibyte is free there, else in the temporary directory.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn throwaway() -> Result<Self> {
        Self::start_in(Home::scratch("ffp-postgres-")?, Port::Any, Profile::Throwaway).await
    }

    async fn start_in(home: Home, port: Port, profile: Profile) -> Result<Self> {
        let cluster = Cluster::prepare(&home, profile).await?;
        let mut attempt = 1;
        loop {
            let number = port.choose(NAME)?;
            let mut guard = Guard::spawn(&cluster.server(number, profile, home.is_scratch()), &home)?;
            match cluster.wait_until_ready(&mut guard, number).await {
                Ok(()) => {
                    return Ok(Self { guard, _home: home, port: number, password: cluster.password });
                }
                Err(_) if !ports::is_free(number) && guard.exit_status()?.is_some() => {
                    // Somebody else got the port in the meantime.
                    if attempt == port.attempts() {
                        port.choose(NAME)?;
                        return Err(guard.failure("found no port to listen on"));
                    }
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL with which the superuser connects to a database.
    #[must_use]
    pub fn admin_url(&self, database: &str) -> String {
        self.url(SUPERUSER, &self.password, database)
    }

    /// The URL with which a role connects to a database.
    #[must_use]
    pub fn url(&self, role: &str, password: &str, database: &str) -> String {
        let escape =
            |part: &str| url::form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>().replace('+', "%20");
        format!("postgres://{}:{}@127.0.0.1:{}/{}", escape(role), escape(password), self.port, escape(database))
    }

    /// Makes a database, unless it exists.
    ///
    /// # Errors
    /// [`Error::Sql`].
    pub async fn ensure_database(&self, name: &str) -> Result<()> {
        let mut admin = PgConnection::connect(&self.admin_url("postgres")).await?;
        let found: Option<i32> = sqlx::query_scalar("select 1 from pg_database where datname = $1")
            .bind(name)
            .fetch_optional(&mut admin)
            .await?;
        if found.is_none() {
            // The server quotes the name; `create database` takes no parameters.
            let statement: String = sqlx::query_scalar("select format('create database %I', $1::text)")
                .bind(name)
                .fetch_one(&mut admin)
                .await?;
            admin.execute(AssertSqlSafe(statement)).await?;
        }
        Ok(admin.close().await?)
    }

    /// Stops the server and returns when it is gone, a throwaway one's data with it.
    ///
    /// # Errors
    /// [`Error::ProgramFailed`] when it does not stop.
    pub async fn stop(self) -> Result<()> {
        self.guard.stop().await
    }
}

//! The ground of all measurements: one PostgreSQL with everybody's tables, and the platform on top of it.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use devstack::{
    ports::{self, Port},
    postgres::{self, Postgres, PostgresOptions, Profile},
};

use super::{
    jwks,
    process::{Process, output, service},
};
use crate::{
    load::Request,
    seeded::{Read, Seeded},
};

/// The roles' password: the server is for this run, and listens on this machine alone.
const PASSWORD: &str = "benchmark";
/// Tokens are good for a day; a database seeded longer ago than this is seeded again.
const FRESH: Duration = Duration::from_secs(18 * 60 * 60);
/// Settings other than PostgreSQL's own, the same for all contenders. Nothing about durability is touched: a COMMIT is on
/// the disk.
const SETTINGS: [(&str, &str); 6] = [
    ("shared_buffers", "1GB"),
    ("max_connections", "200"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "30min"),
    ("random_page_cost", "1.1"),
    ("effective_cache_size", "4GB"),
];

/// How much is in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    /// The database's name.
    pub name: &'static str,
    pub tenants: u64,
    pub progress: u64,
}

/// Where things are, and the database.
pub(super) struct Stack {
    pub dir: PathBuf,
    /// `target/release/platform`.
    platform: PathBuf,
    /// What the measured service may use of the machine's.
    pub processors: usize,
    pub postgres: Postgres,
}

impl Stack {
    /// Starts the database; `fresh` forgets what an earlier run left.
    pub(super) async fn start(dir: &Path, platform: &Path, processors: usize, fresh: bool) -> anyhow::Result<Self> {
        let data_dir = dir.join("postgres");
        if fresh && data_dir.exists() {
            std::fs::remove_dir_all(&data_dir).with_context(|| format!("cannot remove {}", data_dir.display()))?;
        }
        let logs = dir.join("logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let options = PostgresOptions { data_dir, port: Port::Any, profile: Profile::Durable };
        let postgres = Postgres::start(options.clone()).await?;
        for (name, value) in SETTINGS {
            let statement = format!("alter system set {name} = '{value}'");
            postgres::execute(&postgres.admin_url("postgres"), &statement).await?;
        }
        // Some of them take a start.
        postgres.stop().await?;
        let postgres = Postgres::start(options).await?;
        Ok(Self { dir: dir.to_owned(), platform: platform.to_owned(), processors, postgres })
    }

    /// The process that all of PostgreSQL's are children of.
    pub(super) fn postmaster(&self) -> u32 {
        let file = std::fs::read_to_string(self.dir.join("postgres/pgdata/postmaster.pid")).unwrap_or_default();
        file.lines().next().and_then(|line| line.trim().parse().ok()).unwrap_or_default()
    }

    /// The URL of the application's role.
    pub(super) fn app_url(&self, database: &str) -> String {
        self.postgres.url("ffp_app", PASSWORD, database)
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{name}.log"))
    }

    /// A database of this scale, made now unless it is there already, and what a load generator needs.
    pub(super) async fn seeded(&self, scale: Scale) -> anyhow::Result<Seeded> {
        let file = self.dir.join(format!("{}.json", scale.name));
        let age = file.metadata().and_then(|metadata| metadata.modified()).ok();
        let age = age.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        if let (Ok(found), Some(age)) = (Seeded::read(&file), age)
            && (found.tenants, found.progress) == (scale.tenants, scale.progress)
            && age < FRESH
            // Also says no to a schema that this platform is ahead of.
            && self.run("doctor", &[], scale.name).is_ok()
        {
            return Ok(found);
        }
        super::say(&format!("seeding {} tenants and {} rows of progress", scale.tenants, scale.progress));
        let admin = self.postgres.admin_url("postgres");
        postgres::execute(&admin, &format!("drop database if exists {} with (force)", scale.name)).await?;
        self.postgres.ensure_database(scale.name).await?;
        self.run("migrate", &[], scale.name)?;
        let (tenants, progress) = (scale.tenants.to_string(), scale.progress.to_string());
        let file_name = file.to_string_lossy();
        self.run("seed", &["--scale", &tenants, "--progress", &progress, "--out", &file_name], scale.name)?;
        // What the next measurement must not pay for.
        postgres::execute(&self.postgres.admin_url(scale.name), "checkpoint").await?;
        Seeded::read(&file)
    }

    /// One of the platform's commands, to its end.
    fn run(&self, command: &str, arguments: &[&str], database: &str) -> anyhow::Result<()> {
        let mut environment = self.database_urls(database);
        environment.insert("FFP_OWNER_DATABASE_URL".into(), self.postgres.url("ffp_owner", PASSWORD, database));
        environment.insert("FFP_ADMIN_DATABASE_URL".into(), self.postgres.admin_url(database));
        let name = format!("`platform {command}`");
        output(&name, Command::new(&self.platform).arg(command).args(arguments).envs(environment)).map(drop)
    }

    fn database_urls(&self, database: &str) -> BTreeMap<String, String> {
        [
            ("FFP_DATABASE_URL", "ffp_app"),
            ("FFP_WORKER_DATABASE_URL", "ffp_worker"),
            ("FFP_OPERATOR_DATABASE_URL", "ffp_operator"),
        ]
        .map(|(name, role)| (name.to_owned(), self.postgres.url(role, PASSWORD, database)))
        .into()
    }

    /// Starts `platform api` as a deployment would, with all that it does for every request.
    pub(super) async fn platform(&self, scale: Scale, seeded: &Seeded) -> anyhow::Result<Server> {
        let addr = free_address()?;
        let mut environment = self.database_urls(scale.name);
        environment.extend(seeded.settings.clone());
        for (name, value) in [
            ("FFP_HTTP_ADDR", addr.to_string()),
            ("FFP_METRICS_ADDR", free_address()?.to_string()),
            ("FFP_MEMBERS_JWKS_URL", jwks::serve(&seeded.jwks).await?),
            ("FFP_OPERATORS_JWKS_URL", "http://127.0.0.1:9/jwks.json".to_owned()),
            ("FFP_DRAIN_DELAY_SECONDS", "0".to_owned()),
            ("FFP_LOG", "info".to_owned()),
            ("NO_PROXY", "127.0.0.1".to_owned()),
        ] {
            environment.insert(name.to_owned(), value);
        }
        // Settings under trial, such as the sizes of pools or a Valkey, may come from outside.
        for name in ["FFP_DATABASE_CONNECTIONS", "FFP_HOT_DATABASE_CONNECTIONS", "VALKEY_URL", "TOKIO_WORKER_THREADS"] {
            if let Ok(value) = std::env::var(name) {
                environment.insert(name.to_owned(), value);
            }
        }
        let log = self.log(&format!("platform-{}", scale.name));
        let mut command = service(&self.platform, self.processors)?;
        let process = Process::start("platform api", command.arg("api"), environment, &log)?;
        Server::ready("platform", addr, process, seeded)
    }
}

/// A contender that listens.
pub(super) struct Server {
    pub name: &'static str,
    pub addr: SocketAddr,
    pub process: Process,
}

impl Server {
    /// Waits until it answers a member's request.
    pub(super) fn ready(
        name: &'static str,
        addr: SocketAddr,
        mut process: Process,
        seeded: &Seeded,
    ) -> anyhow::Result<Self> {
        let caller = seeded.callers.first().context("no caller was seeded")?;
        let video = caller.videos.first().context("no video was seeded")?;
        process.wait_until_good(addr, &Request::get(&Read::Point.path(caller, video), &caller.token))?;
        Ok(Self { name, addr, process })
    }
}

/// An address on which nobody listens.
pub(super) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, ports::free()?).into())
}

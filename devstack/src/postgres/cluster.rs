//! The data directory of a server: made once, and how a server is started over it.

use std::{
    ffi::OsString,
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sqlx::{
    ConnectOptions, Connection, Executor, Row,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::time::sleep;

use super::{NAME, Profile, SUPERUSER};
use crate::{
    Error, Result,
    guard::{Account, Guard, Home, POLL, Program, Signal, bare_environment},
    programs,
};

/// How long the server may take until it answers; recovery after a crash is the slow case.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long a fast shutdown, with its checkpoint, may take.
const STOP_GRACE: Duration = Duration::from_secs(20);

/// For every server: TCP on the loopback address only, and everything else as PostgreSQL comes.
const SETTINGS: [&str; 5] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "logging_collector=off",
    "log_destination=stderr",
    "log_timezone=UTC",
];

/// For servers whose data nobody will miss: nothing is made safe against a crash of the machine, and there are
/// connections enough for a test runner's threads.
const THROWAWAY_SETTINGS: [&str; 10] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=256MB",
    "autovacuum=off",
    "jit=off",
    "max_connections=200",
    // In the data directory, so that nothing is left in /dev/shm when the server is killed.
    "dynamic_shared_memory_type=mmap",
];

/// The data directory and who may use it.
pub(super) struct Cluster {
    bin: PathBuf,
    data: PathBuf,
    account: Option<Account>,
    /// The superuser's.
    pub(super) password: String,
}

impl Cluster {
    /// Finds the cluster in the directory, or makes one.
    pub(super) async fn prepare(home: &Home, profile: Profile) -> Result<Self> {
        let data = home.dir().join("pgdata");
        let account = Account::for_unprivileged(&data)?;
        if let Some(account) = &account {
            home.give(home.dir(), Some(account))?;
            account.require_access(NAME, home.dir())?;
        }
        let made_by = version_of(&data)?;
        if made_by.is_some() {
            require_owner(&data)?;
        }
        let bin = programs::postgres_bin_for(made_by).await?;
        let password_file = home.dir().join("superuser-password");
        let password = match made_by {
            Some(_) => fs::read_to_string(&password_file).map_err(Error::io_at("read", &password_file))?,
            None => {
                let password = random_password()?;
                let mut file = home.fresh_file(&password_file, account.as_ref())?;
                file.write_all(password.as_bytes()).map_err(Error::io_at("write", &password_file))?;
                password
            }
        };
        let cluster = Self { bin, data, account, password };
        if made_by.is_none() {
            cluster.create(home, profile, &password_file).await?;
        }
        Ok(cluster)
    }

    /// Runs `initdb` in a directory next to the final one, which gets its name when all is done: a run that is
    /// killed leaves nothing that looks like a cluster.
    async fn create(&self, home: &Home, profile: Profile, password_file: &Path) -> Result<()> {
        let unfinished = home.dir().join("pgdata.new");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(Error::io_at("remove", &unfinished))?;
        }
        // macOS has no C.UTF-8; both order text by code point or close to it and know the letters beyond ASCII.
        let locale = if cfg!(target_os = "macos") { "en_US.UTF-8" } else { "C.UTF-8" };
        let mut arguments: Vec<OsString> = ["--encoding=UTF8", "--auth=scram-sha-256", "--no-instructions"]
            .map(OsString::from)
            .into_iter()
            .chain([format!("--username={SUPERUSER}").into(), format!("--locale={locale}").into()])
            .chain([with_path("--pwfile=", password_file), with_path("--pgdata=", &unfinished)])
            .collect();
        if profile == Profile::Throwaway {
            arguments.push("--no-sync".into());
        }
        let program = Program {
            name: "initdb",
            executable: self.bin.join("initdb"),
            arguments,
            environment: bare_environment(),
            account: self.account.clone(),
            stop: Signal::Terminate,
            grace: STOP_GRACE,
        };
        let mut guard = Guard::spawn(&program, home)?;
        if !guard.finished().await?.success() {
            return Err(guard.failure("could not make a database cluster"));
        }
        fs::rename(&unfinished, &self.data).map_err(Error::io_at("rename", &unfinished))
    }

    pub(super) fn server(&self, port: u16, profile: Profile, scratch: bool) -> Program {
        let extra: &[&str] = if profile == Profile::Throwaway { &THROWAWAY_SETTINGS } else { &[] };
        let settings = SETTINGS.iter().chain(extra).map(ToString::to_string).chain([format!("port={port}")]);
        let arguments = ["-D".into(), self.data.clone().into_os_string()]
            .into_iter()
            .chain(settings.flat_map(|setting| ["-c".into(), setting.into()]))
            .collect();
        Program {
            name: NAME,
            executable: self.bin.join("postgres"),
            arguments,
            environment: bare_environment(),
            account: self.account.clone(),
            stop: if scratch { Signal::Quit } else { Signal::Interrupt },
            grace: STOP_GRACE,
        }
    }

    /// Waits until a connection succeeds and the server behind it has our data.
    pub(super) async fn wait_until_ready(&self, guard: &mut Guard, port: u16) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let answer = self.data_directory_behind(port).await;
            if let Some(status) = guard.exit_status()? {
                return Err(guard.failure(format!("ended while starting ({status})")));
            }
            match answer {
                Ok(directory) if Path::new(&directory) == self.data => return Ok(()),
                Ok(directory) => {
                    return Err(
                        guard.failure(format!("does not answer on port {port}, but a server over {directory} does"))
                    );
                }
                Err(error) if Instant::now() > deadline => {
                    return Err(
                        guard.failure(format!("did not answer on port {port} within {START_LIMIT:?} ({error})"))
                    );
                }
                Err(_) => sleep(POLL).await,
            }
        }
    }

    async fn data_directory_behind(&self, port: u16) -> Result<String, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port)
            .username(SUPERUSER)
            .password(&self.password)
            .database("postgres")
            .ssl_mode(PgSslMode::Disable)
            .disable_statement_logging();
        let mut connection = sqlx::PgConnection::connect_with(&options).await?;
        let row = connection.fetch_one("SHOW data_directory").await?;
        let directory = row.try_get(0)?;
        connection.close().await?;
        Ok(directory)
    }
}

/// The major version that made a cluster; `None` when there is none.
fn version_of(data: &Path) -> Result<Option<u32>> {
    let file = data.join("PG_VERSION");
    match fs::read_to_string(&file) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::io_at("read", &file)(source)),
    }
}

/// PostgreSQL refuses data of another user, or data that others may read.
fn require_owner(data: &Path) -> Result<()> {
    let metadata = fs::metadata(data).map_err(Error::io_at("use", data))?;
    let ourselves = rustix::process::geteuid();
    if !ourselves.is_root() && metadata.uid() != ourselves.as_raw() {
        return Err(Error::ForeignData { dir: data.to_owned(), owner: metadata.uid() });
    }
    fs::set_permissions(data, fs::Permissions::from_mode(0o700)).map_err(Error::io_at("protect", data))
}

/// 192 random bits, in characters that need no escaping anywhere.
fn random_password() -> Result<String> {
    let mut bytes = [0; 24];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|error| Error::io("cannot get random numbers")(std::io::Error::other(error.to_string())))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn with_path(option: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(path);
    argument
}

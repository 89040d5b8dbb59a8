//! MiniStack, an emulator of AWS, for machines without a cloud account: user pools, object storage, keys, secrets
//! and mail, with signatures checked.
//!
//! It listens on 127.0.0.1 only and ends with this process. It comes from PyPI in a private virtual environment.

mod mail;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use mail::Mail;
use serde::Deserialize;
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    Error, Result,
    guard::{Guard, Home, POLL, Program, Signal, bare_environment},
    ports::{self, Port},
    venv,
};

const NAME: &str = "MiniStack";

/// The access key id that the emulator takes for its account's root; it signs and checks presigned URLs with
/// [`SECRET_ACCESS_KEY`].
pub const ACCESS_KEY_ID: &str = "test";

/// The secret of [`ACCESS_KEY_ID`].
pub const SECRET_ACCESS_KEY: &str = "test";

/// The region everything is in.
pub const REGION: &str = "us-east-1";

/// The services that are switched on. The emulator can do more, among it running code that it is sent, which nobody
/// here needs.
const SERVICES: &str = "cognito-idp,iam,kms,s3,secretsmanager,ses,sts";

/// How long it may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long saving its state may take. Open connections alone hold it up for 3 s.
const STOP_GRACE: Duration = Duration::from_secs(15);

/// What the emulator is started with.
#[derive(Debug, Clone)]
pub struct MiniStackOptions {
    /// Where to listen.
    pub port: Port,
    /// Where its state lives; made if absent. `None` keeps nothing.
    pub data_dir: Option<PathBuf>,
}

/// A running emulator. It stops when this is dropped, and when this process ends in whatever way.
#[derive(Debug)]
pub struct MiniStack {
    // The order matters: the guard lets go before the directory does.
    guard: Guard,
    _home: Home,
    port: u16,
    client: reqwest::Client,
}

/// A Python interpreter that has the emulator's packages, `botocore` (AWS's own signer) among them. The first call
/// on a machine installs them, which takes some seconds and the network.
///
/// They are kept in `FFP_CACHE_DIR`, else in `ffp` under `XDG_CACHE_HOME` or `~/.cache`, else in the temporary
/// directory.
///
/// # Errors
/// Those of [`crate::programs::python`], [`Error::PackageRegistry`] when the packages cannot be had,
/// [`Error::ProgramFailed`] when installing them fails otherwise.
pub async fn python() -> Result<PathBuf> {
    venv::ensure(include_str!("../../requirements.txt")).await
}

impl MiniStack {
    /// Starts the emulator and returns once it answers.
    ///
    /// With a data directory, objects are on disk at once and everything else within 2 s or on stopping; the list of
    /// sent mails and uploads in parts that were not completed are never kept.
    ///
    /// # Errors
    /// [`Error::PortTaken`], [`Error::DirectoryInUse`], [`Error::ForeignData`], the errors of [`python`], or
    /// [`Error::ProgramFailed`] with the end of its log.
    pub async fn start(options: MiniStackOptions) -> Result<Self> {
        let python = python().await?;
        let home = match &options.data_dir {
            Some(dir) => Home::claim(dir, NAME, Signal::Terminate).await?,
            None => Home::scratch("ffp-ministack-")?,
        };
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()
            .map_err(|source| Error::Http { context: "cannot make an HTTP client", source })?;
        let script = home.dir().join("run.py");
        fs::write(&script, include_str!("run.py")).map_err(Error::io_at("write", &script))?;
        let mut attempt = 1;
        loop {
            let port = options.port.choose(NAME)?;
            let token = Uuid::new_v4().to_string();
            let program = program(&python, &script, &home, port, &token)?;
            let mut guard = Guard::spawn(&program, &home)?;
            match wait_until_ready(&mut guard, &client, port, &token).await {
                Ok(()) => {
                    return Ok(Self { guard, _home: home, port, client });
                }
                Err(_) if !ports::is_free(port) && guard.exit_status()?.is_some() => {
                    // Somebody else got the port in the meantime.
                    if attempt == options.port.attempts() {
                        options.port.choose(NAME)?;
                        return Err(guard.failure("found no port to listen on"));
                    }
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The endpoint that all SDK clients use, `http://127.0.0.1:{port}`. S3 clients address buckets by path.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The mails sent since the emulator was started, oldest first, those of the user pools included.
    ///
    /// # Errors
    /// [`Error::Http`] when the emulator does not answer.
    pub async fn mails(&self) -> Result<Vec<Mail>> {
        mail::list(&self.client, &self.endpoint()).await
    }

    /// Saves the state, stops the emulator and returns when it is gone.
    ///
    /// # Errors
    /// [`Error::ProgramFailed`] when it does not stop.
    pub async fn stop(self) -> Result<()> {
        self.guard.stop().await
    }
}

fn program(python: &Path, script: &Path, home: &Home, port: u16, token: &str) -> Result<Program> {
    let made = |name: &str| {
        let dir = home.dir().join(name);
        fs::create_dir_all(&dir).map_err(Error::io_at("create", &dir)).map(|()| dir.into_os_string())
    };
    let kept = if home.is_scratch() { "0" } else { "1" };
    let mut environment = bare_environment();
    let settings: [(&str, OsString); 16] = [
        ("HOME", home.dir().into()),
        ("TMPDIR", made("tmp")?),
        ("STATE_DIR", made("state")?),
        ("S3_DATA_DIR", made("s3")?),
        ("PERSIST_STATE", kept.into()),
        ("S3_PERSIST", kept.into()),
        ("AUTH", "true".into()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.into()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.into()),
        ("MINISTACK_REGION", REGION.into()),
        ("BIND_HOST", "127.0.0.1".into()),
        ("GATEWAY_PORT", port.to_string().into()),
        ("SERVICES", SERVICES.into()),
        // These two would listen on fixed ports of their own.
        ("IOT_MTLS_ENABLED", "0".into()),
        ("SFTP_ENABLED", "0".into()),
        // The health endpoint repeats it, so we know that it is our process that answers.
        ("MINISTACK_EDITION", token.into()),
    ];
    environment.extend(settings.map(|(name, value)| (name.into(), value)));
    Ok(Program {
        name: NAME,
        executable: python.to_owned(),
        // Isolated: neither the user's own packages nor Python's variables count.
        arguments: vec!["-I".into(), script.into()],
        environment,
        account: None,
        stop: Signal::Terminate,
        grace: STOP_GRACE,
    })
}

#[derive(Deserialize)]
struct Health {
    edition: String,
}

async fn wait_until_ready(guard: &mut Guard, client: &reqwest::Client, port: u16, token: &str) -> Result<()> {
    let url = format!("http://127.0.0.1:{port}/_ministack/health");
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let answer = async { client.get(&url).send().await?.error_for_status()?.json::<Health>().await }.await;
        if let Some(status) = guard.exit_status()? {
            return Err(guard.failure(format!("ended while starting ({status})")));
        }
        match answer {
            Ok(health) if health.edition == token => return Ok(()),
            _ if Instant::now() > deadline => {
                return Err(guard.failure(format!("did not answer on port {port} within {START_LIMIT:?}")));
            }
            _ => sleep(POLL).await,
        }
    }
}

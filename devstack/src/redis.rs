//! A Redis or Valkey server of our own for tests, which keeps nothing and can go away and come back.
//!
//! It listens on 127.0.0.1 only and ends with this process.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

#[cfg(doc)]
use crate::Error;
use crate::{
    Result,
    guard::{Guard, Home, POLL, Program, Signal, bare_environment},
    ports::{self, Port},
    programs,
};

const NAME: &str = "Redis";

/// How long it may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long one question to a server that is starting may take.
const ASK_LIMIT: Duration = Duration::from_secs(1);
/// How long stopping may take; there is nothing to save.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A server. It stops when this is dropped, and when this process ends in whatever way.
#[derive(Debug)]
pub struct Redis {
    // The order matters: the guard lets go before the directory does.
    running: Option<(Guard, Home)>,
    port: u16,
}

impl Redis {
    /// Starts an empty server on a free port and returns once it answers: `redis-server` from the `PATH`, else
    /// `valkey-server`.
    ///
    /// # Errors
    /// [`Error::MissingProgram`] without either, or [`Error::ProgramFailed`] with the end of its log.
    pub async fn start() -> Result<Self> {
        let mut attempt = 1;
        loop {
            let port = Port::Any.choose(NAME)?;
            match run(port).await {
                Ok(running) => return Ok(Self { running: Some(running), port }),
                // Somebody else got the port in the meantime.
                Err(_) if !ports::is_free(port) && attempt < Port::Any.attempts() => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// `redis://127.0.0.1:{port}`, also while it is stopped.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops the server and returns when it is gone, and all that it held with it. Stopping twice is fine.
    ///
    /// # Errors
    /// [`Error::ProgramFailed`] when it does not stop.
    pub async fn stop(&mut self) -> Result<()> {
        match self.running.take() {
            Some((guard, _home)) => guard.stop().await,
            None => Ok(()),
        }
    }

    /// Starts it anew, empty and on the same port; nothing happens while it runs.
    ///
    /// # Errors
    /// Those of [`Redis::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        if self.running.is_none() {
            self.running = Some(run(self.port).await?);
        }
        Ok(())
    }
}

async fn run(port: u16) -> Result<(Guard, Home)> {
    let executable = programs::find("redis-server", "redis-server");
    let executable =
        executable.or_else(|missing| programs::find("valkey-server", "valkey-server").map_err(|_| missing))?;
    let home = Home::scratch("ffp-redis-")?;
    let settings = [
        ["--port", &port.to_string()],
        ["--bind", "127.0.0.1"],
        // Keeps nothing, and needs no file but its log.
        ["--save", ""],
        ["--appendonly", "no"],
    ];
    let mut arguments: Vec<_> = settings.iter().flatten().map(Into::into).collect();
    arguments.extend(["--dir".into(), home.dir().into()]);
    let program = Program {
        name: NAME,
        executable,
        arguments,
        environment: bare_environment(),
        account: None,
        stop: Signal::Terminate,
        grace: STOP_GRACE,
    };
    let mut guard = Guard::spawn(&program, &home)?;
    wait_until_ready(&mut guard, port, &home).await?;
    Ok((guard, home))
}

/// Waits until a server answers whose directory is ours.
async fn wait_until_ready(guard: &mut Guard, port: u16, home: &Home) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let answer = timeout(ASK_LIMIT, directory_behind(port)).await;
        if let Some(status) = guard.exit_status()? {
            return Err(guard.failure(format!("ended while starting ({status})")));
        }
        match answer {
            Ok(Ok(answer)) if home.dir().to_str().is_some_and(|dir| answer.contains(dir)) => return Ok(()),
            _ if Instant::now() > deadline => {
                return Err(guard.failure(format!("did not answer on port {port} within {START_LIMIT:?}")));
            }
            _ => sleep(POLL).await,
        }
    }
}

/// The answer to `CONFIG GET dir`, as it comes: two short strings in one packet.
async fn directory_behind(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"CONFIG GET dir\r\n").await?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    // A list of two, each a line with its length and a line with itself.
    while answer.iter().filter(|byte| **byte == b'\n').count() < 5 {
        match stream.read(&mut part).await? {
            0 => break,
            read => answer.extend_from_slice(&part[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

//! What can go wrong while programs are found, started and stopped; every message is one sentence that ends
//! with what to do about it.

use std::path::{Path, PathBuf};

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything this crate can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// PostgreSQL refused a statement.
    #[error("PostgreSQL refused: {0}")]
    Sql(#[from] sqlx::Error),
    /// A program is neither on the `PATH` nor in its usual place.
    #[error("{program} was not found: install it with `apt-get install {package}` and start again")]
    MissingProgram {
        /// The program's name.
        program: &'static str,
        /// The Debian package that holds it.
        package: &'static str,
    },

    /// A program is there, but not the version that is needed.
    #[error("{program} {found} will not do, {needed} is needed: install it with `apt-get install {package}`")]
    WrongVersion {
        /// The program's name.
        program: &'static str,
        /// The version that was found.
        found: String,
        /// What is needed, in words.
        needed: String,
        /// The Debian package that holds a suitable version.
        package: String,
    },

    /// A variable that should point at a program does not.
    #[error("{variable} is `{value}`, where {expected} was not found: correct it or unset it")]
    WrongVariable {
        /// The environment variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What should have been there.
        expected: &'static str,
    },

    /// Somebody else listens on a wanted port.
    #[error(
        "port {port}, wanted by {wanted_by}, is taken: stop the program that uses it or set {variable} to a free port"
    )]
    PortTaken {
        /// The TCP port on 127.0.0.1.
        port: u16,
        /// What was going to listen there.
        wanted_by: String,
        /// The environment variable that changes the port.
        variable: String,
    },

    /// Another process of ours works with the same directory.
    #[error("{program} already runs with the data in {}: stop that one first or choose another data directory", dir.display())]
    DirectoryInUse {
        /// The program's name.
        program: &'static str,
        /// The data directory.
        dir: PathBuf,
    },

    /// A server that a killed process left behind does not go away.
    #[error("{program} (process {pid}) is left over from an earlier run in {} and does not stop: run `kill -9 {pid}`", dir.display())]
    Leftover {
        /// The program's name.
        program: &'static str,
        /// Its process id.
        pid: i32,
        /// The data directory it uses.
        dir: PathBuf,
    },

    /// The unprivileged account that a program runs as cannot enter a directory above its data.
    #[error("{program} runs as user `{user}`, who may not enter {}: choose a data directory elsewhere or run `chmod o+x {}`", blocked.display(), blocked.display())]
    Unreachable {
        /// The program's name.
        program: &'static str,
        /// The account it runs as.
        user: String,
        /// The topmost directory the account cannot enter.
        blocked: PathBuf,
    },

    /// The data belongs to another user.
    #[error("the data in {} belongs to user id {owner}: start as that user or choose another data directory", dir.display())]
    ForeignData {
        /// The data directory.
        dir: PathBuf,
        /// The numeric id of its owner.
        owner: u32,
    },

    /// The package registry did not answer, or lacks a package.
    #[error(
        "the Python package registry could not deliver what is needed: check the network, or point PIP_INDEX_URL at a mirror, and start again ({detail})"
    )]
    PackageRegistry {
        /// The package manager's own words.
        detail: String,
    },

    /// A program ended or stayed silent when it should have served.
    #[error("{program} {what}: see {}, which ends with\n{tail}", log.display())]
    ProgramFailed {
        /// The program's name.
        program: &'static str,
        /// What it did, in words.
        what: String,
        /// Where its output went.
        log: PathBuf,
        /// The last lines of that file.
        tail: String,
    },

    /// The emulator's inspection endpoint failed.
    #[error("{context}: see that the AWS emulator still runs ({source})")]
    Http {
        /// What was tried.
        context: &'static str,
        /// The client's error.
        source: reqwest::Error,
    },

    /// The operating system refused something.
    #[error("{context}: {source}")]
    Io {
        /// What was tried.
        context: String,
        /// The system's error.
        source: std::io::Error,
    },
}

impl Error {
    /// An [`Error::Io`] constructor for `map_err`: says what was tried.
    pub fn io(context: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let context = context.into();
        move |source| Self::Io { context, source }
    }

    /// An [`Error::Io`] constructor for `map_err`: says what was tried with which file or directory.
    pub fn io_at(action: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        Self::io(format!("cannot {action} {}", path.display()))
    }
}

//! Finding the external programs, with a clear word on how to get a missing one.

use std::{
    env,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};
use tokio::process::Command;

use crate::{Error, Result};

/// The oldest PostgreSQL that has all we use (`security_invoker` views came with 15).
pub const OLDEST_POSTGRES: u32 = 15;

/// The oldest Python for which the pinned packages are complete.
const OLDEST_PYTHON: (u32, u32) = (3, 11);

/// Where Debian and Ubuntu keep one directory per major version of PostgreSQL.
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";

/// `ffmpeg`, which encodes videos.
///
/// # Errors
/// [`Error::MissingProgram`].
pub fn ffmpeg() -> Result<PathBuf> {
    find("ffmpeg", "ffmpeg")
}

/// `ffprobe`, which reads a video's properties.
///
/// # Errors
/// [`Error::MissingProgram`].
pub fn ffprobe() -> Result<PathBuf> {
    find("ffprobe", "ffmpeg")
}

/// A program on the `PATH`; `package` is the Debian package that holds it, for the message.
///
/// # Errors
/// [`Error::MissingProgram`] when no directory of the `PATH` has it, or none that this user may run.
pub fn find(program: &'static str, package: &'static str) -> Result<PathBuf> {
    on_path(program).next().ok_or(Error::MissingProgram { program, package })
}

/// A Python that can make virtual environments.
///
/// # Errors
/// [`Error::MissingProgram`] without Python or without its `venv` module, [`Error::WrongVersion`] when it is too old.
pub async fn python() -> Result<PathBuf> {
    let probe = "import sys; print('%d.%d' % sys.version_info[:2]); import venv, ensurepip; print('venv')";
    let mut too_old = None;
    let mut without_venv = false;
    for candidate in on_path("python3") {
        let Ok(output) = Command::new(&candidate).args(["-I", "-c", probe]).output().await else {
            continue;
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = text.lines();
        let Some(version) = lines.next() else {
            continue;
        };
        if two_numbers(version) < Some(OLDEST_PYTHON) {
            too_old.get_or_insert(version.to_owned());
        } else if lines.next() == Some("venv") {
            return Ok(candidate);
        } else {
            without_venv = true;
        }
    }
    let (major, minor) = OLDEST_PYTHON;
    match too_old {
        _ if without_venv => Err(Error::MissingProgram { program: "Python's venv module", package: "python3-venv" }),
        Some(found) => Err(Error::WrongVersion {
            program: "Python",
            found,
            needed: format!("{major}.{minor} or newer"),
            package: "python3 python3-venv".to_owned(),
        }),
        None => Err(Error::MissingProgram { program: "python3", package: "python3 python3-venv" }),
    }
}

/// The directory that holds PostgreSQL's programs: `PG_BIN` when set, else the newest version under
/// `/usr/lib/postgresql`, else the `PATH`.
///
/// # Errors
/// [`Error::MissingProgram`], [`Error::WrongVariable`] when `PG_BIN` points elsewhere, or [`Error::WrongVersion`]
/// when what is there is older than [`OLDEST_POSTGRES`].
pub async fn postgres_bin() -> Result<PathBuf> {
    postgres_bin_for(None).await
}

/// [`postgres_bin`], of the major version that made the data, since another cannot read them.
pub(crate) async fn postgres_bin_for(made_by: Option<u32>) -> Result<PathBuf> {
    let mut rejected = None;
    for dir in postgres_candidates()? {
        let Some(major) = postgres_major(&dir).await else {
            continue;
        };
        if made_by.map_or(major >= OLDEST_POSTGRES, |wanted| wanted == major) {
            return Ok(dir);
        }
        rejected.get_or_insert(major);
    }
    let Some(found) = rejected else {
        return Err(Error::MissingProgram { program: "PostgreSQL", package: "postgresql" });
    };
    Err(Error::WrongVersion {
        program: "PostgreSQL",
        found: found.to_string(),
        needed: match made_by {
            Some(major) => format!("{major}, which made the data,"),
            None => format!("{OLDEST_POSTGRES} or newer"),
        },
        package: made_by.map_or("postgresql".to_owned(), |major| format!("postgresql-{major}")),
    })
}

fn postgres_candidates() -> Result<Vec<PathBuf>> {
    if let Some(value) = env::var_os("PG_BIN").filter(|value| !value.is_empty()) {
        let dir = PathBuf::from(&value);
        if !has_postgres(&dir) {
            return Err(Error::WrongVariable {
                variable: "PG_BIN",
                value: value.to_string_lossy().into_owned(),
                expected: "`postgres` and `initdb`",
            });
        }
        return Ok(vec![dir]);
    }
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(DEBIAN_POSTGRES)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let on_path = on_path("postgres").filter_map(|path| path.parent().map(Path::to_path_buf));
    Ok(versions.into_iter().map(|(_, dir)| dir).chain(on_path).filter(|dir| has_postgres(dir)).collect())
}

fn has_postgres(dir: &Path) -> bool {
    is_executable(&dir.join("postgres")) && is_executable(&dir.join("initdb"))
}

/// The major version in what `postgres --version` says, such as `postgres (PostgreSQL) 15.18 (Debian …)`.
async fn postgres_major(dir: &Path) -> Option<u32> {
    let output = Command::new(dir.join("postgres")).arg("--version").output().await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split("(PostgreSQL)").nth(1)?.trim_start();
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn on_path(program: &str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates: Vec<PathBuf> = env::split_paths(&path).map(|dir| dir.join(program)).collect();
    candidates.into_iter().filter(|candidate| candidate.is_absolute() && is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

fn two_numbers(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_reported_with_the_package_to_install() {
        let message = find("no-such-program-anywhere", "some-package").unwrap_err().to_string();
        assert!(message.contains("no-such-program-anywhere") && message.contains("apt-get install some-package"));
    }

    #[test]
    fn a_file_that_may_not_be_executed_is_no_program() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(!is_executable(file.path()));
    }

    #[tokio::test]
    async fn the_postgres_that_is_found_is_recent_enough() {
        let dir = postgres_bin().await.unwrap();
        assert!(postgres_major(&dir).await.unwrap() >= OLDEST_POSTGRES);
    }

    #[tokio::test]
    async fn data_of_a_version_that_is_not_installed_are_not_given_to_another() {
        let message = postgres_bin_for(Some(9)).await.unwrap_err().to_string();
        assert!(message.contains("postgresql-9"), "{message}");
    }

    #[test]
    fn versions_compare_as_numbers_not_as_text() {
        assert!(two_numbers("3.9") < Some(OLDEST_PYTHON));
        assert!(two_numbers("3.12\n") >= Some(OLDEST_PYTHON));
    }
}

//! Private Python environments: each made once per list of requirements, whoever asks first.
//!
//! They are kept in `FFP_CACHE_DIR`, else in `ffp` under `XDG_CACHE_HOME` or `~/.cache`, else in the temporary
//! directory.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_lc_rs::digest;

use crate::{
    Error, Result,
    guard::{self, Guard, Home, Program, Signal},
    programs,
};

/// What pip writes when the registry cannot be reached, or has not got what was asked for.
const REGISTRY_TROUBLE: [&str; 9] = [
    "Could not find a version that satisfies",
    "No matching distribution found",
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "SSLError",
    "HTTPError",
    "Max retries exceeded",
];

/// The interpreter of an environment that holds `requirements`, a text in pip's format with every version pinned. The
/// first call on a machine installs them, which takes some seconds and the network.
///
/// The scripts in the environment's `bin` do not work; start modules with `-I -m`.
///
/// # Errors
/// Those of [`crate::programs::python`], [`Error::PackageRegistry`] when the packages cannot be had,
/// [`Error::ProgramFailed`] when installing them fails otherwise.
pub async fn ensure(requirements: &str) -> Result<PathBuf> {
    let python = programs::python().await?;
    let cache = cache_dir()?;
    let name = format!("venv-{}", fingerprint(requirements, &python));
    let finished = cache.join(&name);
    let interpreter = finished.join("bin/python");
    if interpreter.exists() {
        return Ok(interpreter);
    }
    let workshop = cache.join(format!("{name}.build"));
    let home = Home::claim_in_turn(&workshop, "pip", Signal::Terminate).await?;
    // Somebody else may have made it while we waited.
    if !interpreter.exists() {
        tracing::info!(dir = %finished.display(), "installing Python packages, once");
        build(&python, requirements, &home, &finished).await?;
    }
    Ok(interpreter)
}

/// Builds the environment under another name and renames it when it is complete. Its interpreter does not mind; the
/// scripts in its `bin` are never used.
async fn build(python: &Path, requirements: &str, home: &Home, finished: &Path) -> Result<()> {
    let unfinished = home.dir().join(format!("venv-{}", std::process::id()));
    for entry in fs::read_dir(home.dir()).map_err(Error::io_at("read", home.dir()))?.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b"venv-") {
            // What a killed run began; its last subprocess may still write there, and then it stays once more.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let list = home.dir().join("requirements.txt");
    fs::write(&list, requirements).map_err(Error::io_at("write", &list))?;

    let venv = ["-I".into(), "-m".into(), "venv".into(), unfinished.clone().into_os_string()];
    run(python.to_owned(), venv.into(), "venv", home).await?;

    let options = ["-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--requirement"];
    let install = options.map(OsString::from).into_iter().chain([list.into_os_string()]).collect();
    run(unfinished.join("bin/python"), install, "pip", home).await.map_err(registry_trouble)?;

    if finished.exists() {
        // Its interpreter is gone: the system's Python it stood on was replaced.
        fs::remove_dir_all(finished).map_err(Error::io_at("remove", finished))?;
    }
    fs::rename(&unfinished, finished).map_err(Error::io_at("rename", &unfinished))
}

/// Runs one step to its end. The environment is ours: proxies, certificates and pip's own settings count.
async fn run(executable: PathBuf, arguments: Vec<OsString>, name: &'static str, home: &Home) -> Result<()> {
    let program = Program {
        name,
        executable,
        arguments,
        environment: env::vars_os().collect(),
        account: None,
        stop: Signal::Terminate,
        grace: Duration::from_secs(5),
    };
    let mut guard = Guard::spawn(&program, home)?;
    if guard.finished().await?.success() { Ok(()) } else { Err(guard.failure("failed")) }
}

fn registry_trouble(error: Error) -> Error {
    let Error::ProgramFailed { log, .. } = &error else {
        return error;
    };
    let text = fs::read_to_string(log).unwrap_or_default();
    let line = text.lines().rev().find(|line| REGISTRY_TROUBLE.iter().any(|words| line.contains(words)));
    match line {
        Some(line) => Error::PackageRegistry { detail: line.trim().to_owned() },
        None => error,
    }
}

/// Tells environments apart: by what is in them and by the Python they belong to, which an upgrade replaces.
fn fingerprint(requirements: &str, python: &Path) -> String {
    let python = fs::canonicalize(python).unwrap_or_else(|_| python.to_owned());
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(requirements.as_bytes());
    context.update(python.as_os_str().as_encoded_bytes());
    context.finish().as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where things are kept that can be had again: `FFP_CACHE_DIR`, else the user's cache, else the temporary directory.
///
/// # Errors
/// [`Error::Io`] when none of them can be used.
pub fn cache_dir() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = set("FFP_CACHE_DIR") {
        fs::create_dir_all(&dir).map_err(Error::io(format!("cannot use FFP_CACHE_DIR, which is {}", dir.display())))?;
        return Ok(dir);
    }
    let usual =
        set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache"))).map(|dir| dir.join("ffp"));
    if let Some(dir) = usual
        && guard::private_dir(&dir).is_ok()
    {
        return Ok(dir);
    }
    // Others may write there too, so it is checked that the directory is ours.
    guard::private_dir(&env::temp_dir().join(format!("ffp-cache-{}", rustix::process::geteuid().as_raw())))
}

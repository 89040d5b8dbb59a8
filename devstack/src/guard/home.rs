//! The directory a program works in: held by one of us at a time, and cleared of what a killed run left behind.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::{Pid, kill_process, test_kill_process};
use tokio::time::sleep;

use super::{Account, POLL, Signal, account::is_root};
use crate::{Error, Result};

/// A scratch directory goes to memory when at least this much is free there, in bytes.
const ROOM_IN_MEMORY: u64 = 1 << 30;

/// How long a program of a killed run may take to stop before it is killed.
const LEFTOVER_GRACE: Duration = Duration::from_secs(20);

/// How long to wait for a killed process to disappear.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// A program's directory, locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct Home {
    dir: PathBuf,
    scratch: bool,
    _lock: File,
}

impl Home {
    /// Makes and locks the directory, and stops what a killed run left running in it.
    ///
    /// # Errors
    /// [`Error::DirectoryInUse`] when another process of ours holds it, [`Error::ForeignData`] when it is somebody
    /// else's, [`Error::Leftover`] when an old program does not stop.
    pub(crate) async fn claim(dir: &Path, program: &'static str, stop: Signal) -> Result<Self> {
        let dir = private_dir(dir)?;
        let lock = lock_file(&dir)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::DirectoryInUse { program, dir }),
            Err(TryLockError::Error(source)) => return Err(Error::io_at("lock", &dir)(source)),
        }
        Self { dir, scratch: false, _lock: lock }.cleared(program, stop).await
    }

    /// [`Home::claim`], waiting for whoever holds the directory.
    pub(crate) async fn claim_in_turn(dir: &Path, program: &'static str, stop: Signal) -> Result<Self> {
        let dir = private_dir(dir)?;
        let lock = lock_file(&dir)?;
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
            .await
            .map_err(|error| Error::io("cannot wait for a lock")(std::io::Error::other(error)))?
            .map_err(Error::io_at("lock", &dir))?;
        Self { dir, scratch: false, _lock: lock }.cleared(program, stop).await
    }

    /// A fresh directory that is removed when the program in it has stopped: in memory if there is room.
    pub(crate) fn scratch(prefix: &str) -> Result<Self> {
        let in_memory = Path::new("/dev/shm");
        let builder = || {
            let mut builder = tempfile::Builder::new();
            builder.prefix(prefix).permissions(fs::Permissions::from_mode(0o700));
            builder
        };
        let made = match room_in(in_memory) {
            Some(room) if room >= ROOM_IN_MEMORY => builder().tempdir_in(in_memory).ok(),
            _ => None,
        };
        let made = match made {
            Some(dir) => dir,
            None => builder().tempdir().map_err(Error::io("cannot make a temporary directory"))?,
        };
        let dir = fs::canonicalize(made.path()).map_err(Error::io_at("use", made.path()))?;
        let lock = lock_file(&dir)?;
        // Nobody else knows the directory, so the lock is only kept, not taken.
        let home = Self { dir, scratch: true, _lock: lock };
        let _ = made.keep();
        Ok(home)
    }

    /// The directory, as an absolute path without symbolic links.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether the directory goes away with the program.
    pub(crate) fn is_scratch(&self) -> bool {
        self.scratch
    }

    /// Where a program's output goes.
    pub(crate) fn log_path(&self, program: &str) -> PathBuf {
        self.dir.join(format!("{}.log", program.to_lowercase().replace(' ', "-")))
    }

    /// Where the shell around a program leaves its process id.
    pub(super) fn pid_path(&self) -> PathBuf {
        self.dir.join("program.pid")
    }

    /// An empty log file for the given account; the log of the run before is kept next to it as `.previous`.
    pub(super) fn fresh_log(&self, path: &Path, account: Option<&Account>) -> Result<File> {
        let mut previous = path.as_os_str().to_owned();
        previous.push(".previous");
        match fs::rename(path, previous) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io_at("rename", path)(error)),
            _ => self.fresh_file(path, account),
        }
    }

    /// An empty file for the given account, readable by nobody else.
    pub(crate) fn fresh_file(&self, path: &Path, account: Option<&Account>) -> Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(path).map_err(Error::io_at("write", path))?;
        self.give(path, account)?;
        Ok(file)
    }

    /// Makes a path of this directory the account's own.
    pub(crate) fn give(&self, path: &Path, account: Option<&Account>) -> Result<()> {
        match account {
            Some(account) => std::os::unix::fs::chown(path, Some(account.uid), Some(account.gid))
                .map_err(Error::io_at("change the owner of", path)),
            None => Ok(()),
        }
    }

    /// Stops the program of an earlier run whose launcher was killed. Usually it is stopping already.
    async fn cleared(self, program: &'static str, stop: Signal) -> Result<Self> {
        let Some(pid) = self.leftover() else {
            return Ok(self);
        };
        tracing::info!(program, pid = pid.as_raw_nonzero().get(), "waiting for a program of an earlier run to stop");
        // It may end before the signal arrives; the loop sees that.
        let _ = kill_process(pid, stop.number());
        let asked = Instant::now();
        let mut killed = false;
        while self.leftover() == Some(pid) {
            if asked.elapsed() > LEFTOVER_GRACE + KILL_GRACE {
                return Err(Error::Leftover { program, pid: pid.as_raw_nonzero().get(), dir: self.dir.clone() });
            }
            if asked.elapsed() > LEFTOVER_GRACE && !killed {
                let _ = kill_process(pid, rustix::process::Signal::KILL);
                killed = true;
            }
            sleep(POLL).await;
        }
        Ok(self)
    }

    /// The process an earlier run left here, if it still runs. A number that meanwhile belongs to another program
    /// is not it: ours name the directory in their arguments.
    fn leftover(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.pid_path()).ok()?;
        let pid = Pid::from_raw(text.trim().parse().ok()?)?;
        let dir = self.dir.to_str()?;
        let runs = match test_kill_process(pid) {
            Ok(()) => true,
            Err(error) => error == rustix::io::Errno::PERM,
        };
        (runs && command_line(pid)?.contains(dir)).then_some(pid)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.scratch {
            // The shell around the program does the same when the program is gone; whoever comes last finds nothing.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Makes the directory for our eyes only, unless it is there, and checks that it is ours.
pub(crate) fn private_dir(dir: &Path) -> Result<PathBuf> {
    // Those above it as usual, since the account a program runs as has to pass through them.
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(Error::io_at("create", parent))?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(Error::io_at("create", dir)(error));
        }
        _ => {}
    }
    let dir = fs::canonicalize(dir).map_err(Error::io_at("use", dir))?;
    let owner = fs::metadata(&dir).map_err(Error::io_at("use", &dir))?.uid();
    if !is_root() && owner != rustix::process::geteuid().as_raw() {
        return Err(Error::ForeignData { dir, owner });
    }
    Ok(dir)
}

fn lock_file(dir: &Path) -> Result<File> {
    let path = dir.join("launcher.lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options.open(&path).map_err(Error::io_at("write", &path))
}

/// The free bytes of the file system that holds a directory.
fn room_in(dir: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(dir).ok()?;
    Some(system.f_bavail * system.f_frsize)
}

fn command_line(pid: Pid) -> Option<String> {
    let pid = pid.as_raw_nonzero().get();
    let bytes = match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(bytes) => bytes,
        Err(_) if Path::new("/proc/self").exists() => return None,
        Err(_) => Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output().ok()?.stdout,
    };
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

//! The unprivileged account that a program takes when we run as root and it refuses to.

use std::{fs, os::unix::fs::MetadataExt, os::unix::process::CommandExt, path::Path, process::Command};

use crate::{Error, Result};

/// The accounts to take as root, best first.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// An account of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// Its name, or its number when it has none.
    pub(crate) name: String,
    /// The numeric user id.
    pub(crate) uid: u32,
    /// The numeric group id.
    pub(crate) gid: u32,
}

/// Whether we run as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Account {
    /// The account for a program that refuses to run as root: the owner of its data if there are some, else
    /// `postgres`, else `nobody`. `None` when we are not root, and the program runs as ourselves.
    pub(crate) fn for_unprivileged(data: &Path) -> Result<Option<Self>> {
        if !is_root() {
            return Ok(None);
        }
        if let Ok(metadata) = fs::metadata(data)
            && metadata.uid() != 0
        {
            let name = Self::find(|account| account.uid == metadata.uid()).map(|account| account.name);
            let name = name.unwrap_or_else(|| metadata.uid().to_string());
            return Ok(Some(Self { name, uid: metadata.uid(), gid: metadata.gid() }));
        }
        for wanted in CANDIDATES {
            if let Some(account) = Self::find(|account| account.name == wanted && account.uid != 0) {
                return Ok(Some(account));
            }
        }
        Err(Error::MissingProgram { program: "a user `postgres` or `nobody`", package: "postgresql" })
    }

    fn find(matches: impl Fn(&Self) -> bool) -> Option<Self> {
        let passwd = fs::read_to_string("/etc/passwd").ok()?;
        passwd.lines().filter_map(Self::parse).find(matches)
    }

    /// One line of `/etc/passwd`: `name:password:uid:gid:comment:home:shell`.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { name: name.to_owned(), uid, gid })
    }

    /// Checks that the account can get at a directory.
    ///
    /// # Errors
    /// [`Error::Unreachable`] with the topmost directory that it may not enter.
    pub(crate) fn require_access(&self, program: &'static str, dir: &Path) -> Result<()> {
        if self.may_enter(dir)? {
            return Ok(());
        }
        let mut blocked = dir;
        for ancestor in dir.ancestors() {
            if self.may_enter(ancestor)? {
                break;
            }
            blocked = ancestor;
        }
        Err(Error::Unreachable { program, user: self.name.clone(), blocked: blocked.to_owned() })
    }

    /// Asks the kernel, as that account, since groups and access lists count too.
    fn may_enter(&self, dir: &Path) -> Result<bool> {
        let status = Command::new("/bin/sh")
            .args(["-c", "test -x \"$1\"", "test"])
            .arg(dir)
            .current_dir("/")
            .uid(self.uid)
            .gid(self.gid)
            .status()
            .map_err(Error::io(format!("cannot run a program as user {}", self.name)))?;
        Ok(status.success())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_account_is_read_from_its_line_in_the_password_file() {
        let account = Account::parse("postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash");
        assert_eq!(account, Some(Account { name: "postgres".to_owned(), uid: 101, gid: 104 }));
        assert_eq!(Account::parse("# no account"), None);
        assert_eq!(Account::parse(""), None);
    }

    #[test]
    fn the_topmost_closed_directory_is_named() {
        if !is_root() {
            return eprintln!("skipped: only root takes another account");
        }
        let closed = fs::Permissions::from_mode(0o700);
        let top = tempfile::Builder::new().permissions(closed).tempdir().unwrap();
        let inner = top.path().join("inner/data");
        fs::create_dir_all(&inner).unwrap();
        let account = Account::for_unprivileged(Path::new("/nonexistent")).unwrap().unwrap();

        let error = account.require_access("PostgreSQL", &inner).unwrap_err();

        assert!(matches!(&error, Error::Unreachable { blocked, .. } if blocked == top.path()), "{error}");
        assert!(error.to_string().contains("chmod o+x"));
    }
}

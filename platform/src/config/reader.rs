//! Reads settings by name and keeps a list of all that are missing or bad, so that one start tells everything.

use std::{collections::BTreeMap, fmt, net::SocketAddr, ops::RangeInclusive, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

/// What is wrong with a setting that is not there.
const MISSING: &str = "is missing";

/// One setting that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSetting {
    /// The environment variable.
    pub name: String,
    /// What is wrong with it; never repeats a secret.
    pub wrong: String,
    /// What would be right.
    pub right: String,
}

impl BadSetting {
    /// Whether it is not there at all.
    pub fn is_missing(&self) -> bool {
        self.wrong == MISSING
    }
}

/// Every setting that can't be used, in the order in which they are documented.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<BadSetting>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration can't be used:")?;
        for BadSetting { name, wrong, right } in &self.0 {
            write!(f, "\n  {name} {wrong}; {right}")?;
        }
        Ok(())
    }
}

impl ConfigError {
    /// One bad setting.
    pub fn one(name: impl Into<String>, wrong: impl Into<String>, right: impl Into<String>) -> Self {
        Self(vec![BadSetting { name: name.into(), wrong: wrong.into(), right: right.into() }])
    }
}

/// Reads settings from wherever `lookup` finds them.
///
/// Every method answers `None` for a setting that can't be used and remembers why: read a whole section first, then
/// unwrap its parts with `?`. An empty value counts as none, as deployments that template their environment need.
pub struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    bad: Vec<BadSetting>,
    asked: BTreeMap<String, bool>,
}

impl<'a> Reader<'a> {
    /// A reader without complaints so far.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, bad: Vec::new(), asked: BTreeMap::new() }
    }

    /// What was read, if nothing was wrong with any setting.
    ///
    /// # Errors
    /// Everything that was.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, ConfigError> {
        match read {
            Some(value) if self.bad.is_empty() => Ok(value),
            _ => Err(ConfigError(self.bad)),
        }
    }

    /// The names of all settings that were asked for, and whether each is a secret.
    pub fn asked(&self) -> &BTreeMap<String, bool> {
        &self.asked
    }

    /// What was wrong so far.
    pub fn bad(&self) -> &[BadSetting] {
        &self.bad
    }

    /// Remembers that a setting is wrong.
    pub fn refuse(&mut self, name: &str, wrong: impl Into<String>, right: impl Into<String>) {
        self.bad.push(BadSetting { name: name.to_owned(), wrong: wrong.into(), right: right.into() });
    }

    /// A text that may be absent.
    pub fn optional(&mut self, name: &str) -> Option<String> {
        self.asked.entry(name.to_owned()).or_default();
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A secret that may be absent.
    pub fn optional_secret(&mut self, name: &str) -> Option<SecretString> {
        self.asked.insert(name.to_owned(), true);
        self.optional(name).map(SecretString::from)
    }

    /// A text that must be there.
    pub fn text(&mut self, name: &str, right: &str) -> Option<String> {
        let value = self.optional(name);
        if value.is_none() {
            self.refuse(name, MISSING, format!("set it to {right}"));
        }
        value
    }

    /// A secret that must be there.
    pub fn secret(&mut self, name: &str, right: &str) -> Option<SecretString> {
        self.asked.insert(name.to_owned(), true);
        self.text(name, right).map(SecretString::from)
    }

    /// Anything that is read from text, or a default.
    pub fn parsed_or<T: FromStr>(&mut self, name: &str, default: T, right: &str) -> Option<T> {
        match self.optional(name) {
            None => Some(default),
            Some(value) => value.parse().ok().or_else(|| {
                self.refuse(name, format!("is `{value}`"), format!("set it to {right}"));
                None
            }),
        }
    }

    /// A whole number within bounds, or a default.
    pub fn number_or<T>(&mut self, name: &str, default: T, bounds: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        let right = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        let value = self.parsed_or(name, default, &right)?;
        if bounds.contains(&value) {
            return Some(value);
        }
        self.refuse(name, format!("is {value}"), format!("set it to {right}"));
        None
    }

    /// An address to listen on, or a default.
    pub fn address_or(&mut self, name: &str, default: SocketAddr) -> Option<SocketAddr> {
        self.parsed_or(name, default, &format!("an IP address and a port, like {default}"))
    }

    /// The parts of a comma-separated list; none is fine.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        let value = self.optional(name).unwrap_or_default();
        value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// The same, of secrets.
    pub fn secrets(&mut self, name: &str) -> Vec<SecretString> {
        self.asked.insert(name.to_owned(), true);
        self.list(name).into_iter().map(SecretString::from).collect()
    }

    /// The URL of a database for one role. The value is never repeated: it holds the role's password.
    pub fn database_url(&mut self, name: &str, role: Option<&str>) -> Option<SecretString> {
        let right = format!("postgres://{}:password@host:5432/database", role.unwrap_or("user"));
        let value = self.secret(name, &right)?;
        let wrong = match Url::parse(value.expose_secret()) {
            Ok(url) if !matches!(url.scheme(), "postgres" | "postgresql") => {
                Some("is not a postgres:// URL".to_owned())
            }
            Ok(url) if url.host().is_none() || url.path().trim_matches('/').is_empty() => {
                Some("names no host or no database".to_owned())
            }
            Ok(url) => role.filter(|role| url.username() != *role).map(|role| format!("does not connect as {role}")),
            Err(_) => Some("is not a URL".to_owned()),
        };
        match wrong {
            None => Some(value),
            Some(wrong) => {
                self.refuse(name, wrong, format!("set it to {right}"));
                None
            }
        }
    }

    /// An http or https address of a service, or a default. Plain http is for this machine only, where `secure`.
    pub fn url_or(&mut self, name: &str, default: Option<Url>, secure: bool, right: &str) -> Option<Url> {
        let Some(value) = self.optional(name) else {
            if default.is_none() {
                self.refuse(name, MISSING, format!("set it to {right}"));
            }
            return default;
        };
        let wrong = match Url::parse(&value) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") || url.host().is_none() => "is not an http(s) URL",
            Ok(url) if secure && url.scheme() == "http" && !is_loopback(&url) => "is plain http to another machine",
            Ok(url) => return Some(url),
            Err(_) => "is not a URL",
        };
        self.refuse(name, wrong, format!("set it to {right}"));
        None
    }
}

/// Whether a URL leads to this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

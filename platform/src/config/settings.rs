//! `platform settings`: what an environment must agree with. The variables that each command reads, and the numbers and
//! names that stand both in the code and in Terraform.
//!
//! `infra/settings.json` is what this prints; Terraform's tests compare it with what containers are given. The variables
//! are listed nowhere: they are found by having the configuration read.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Config, MigrateConfig, Reader, TelemetryConfig,
    sections::{DRAIN_DELAY, METRICS_PORT},
};
use crate::{
    cognito::{
        CHALLENGE_VALIDITY, PARENT_BUSINESS_ATTRIBUTE, REFRESH_DAYS, ROLE_ATTRIBUTE, TENANT_ATTRIBUTE, TOKEN_MINUTES,
    },
    identity::MIN_PASSWORD_LENGTH,
    secrets::Sources,
    server::{DRAIN_LIMIT, ORIGIN_HEADER, REQUEST_LIMIT},
    videos::UPLOAD_TIME,
};

/// Reads all that a command is told.
type Reading = fn(&mut Reader<'_>);

/// The commands that run in containers.
const COMMANDS: [(&str, Reading); 3] = [("api", services), ("worker", services), ("migrate", migrations)];

/// A value that no setting takes for none.
const ANYTHING: &str = "x";

fn services(reader: &mut Reader<'_>) {
    of_all(reader);
    Config::section(reader);
}

fn migrations(reader: &mut Reader<'_>) {
    of_all(reader);
    MigrateConfig::section(reader);
}

fn of_all(reader: &mut Reader<'_>) {
    Sources::section(reader);
    TelemetryConfig::read(reader);
}

/// All of it, as it is printed.
#[derive(Serialize)]
struct Settings {
    variables: BTreeMap<String, Variable>,
    shared: Shared,
}

/// An environment variable.
#[derive(Default, Serialize)]
struct Variable {
    /// Who reads it.
    commands: Vec<&'static str>,
    /// Who does not start without it.
    required_by: Vec<&'static str>,
    /// What a command needs besides, where this one is set.
    needs: BTreeMap<&'static str, Vec<String>>,
    /// Whether its value is a secret, or holds one.
    secret: bool,
}

/// What Terraform sets elsewhere than in variables.
#[derive(Serialize)]
struct Shared {
    token_minutes: i32,
    refresh_days: i32,
    challenge_minutes: u64,
    password_length: usize,
    custom_attributes: [&'static str; 3],
    requests_per_minute: u32,
    request_seconds: u64,
    /// From SIGTERM to the end of the last request.
    drain_seconds: u64,
    metrics_port: u16,
    /// For how long the parts of an upload are kept.
    upload_hours: i64,
    origin_header: &'static str,
}

const SHARED: Shared = Shared {
    token_minutes: TOKEN_MINUTES,
    refresh_days: REFRESH_DAYS,
    challenge_minutes: CHALLENGE_VALIDITY.as_secs() / 60,
    password_length: MIN_PASSWORD_LENGTH,
    custom_attributes: [TENANT_ATTRIBUTE, ROLE_ATTRIBUTE, PARENT_BUSINESS_ATTRIBUTE],
    requests_per_minute: tenants::throttle::DEFAULT_LIMIT,
    request_seconds: REQUEST_LIMIT.as_secs(),
    drain_seconds: DRAIN_DELAY + DRAIN_LIMIT.as_secs(),
    metrics_port: METRICS_PORT,
    upload_hours: UPLOAD_TIME.num_hours(),
    origin_header: ORIGIN_HEADER,
};

/// The document as it is printed and committed: indented, with a newline at its end.
///
/// # Errors
/// A document that can't be written as JSON, which a test rules out.
pub fn document() -> serde_json::Result<String> {
    let settings = Settings { variables: variables(), shared: SHARED };
    serde_json::to_string_pretty(&settings).map(|text| text + "\n")
}

fn variables() -> BTreeMap<String, Variable> {
    let mut variables = BTreeMap::<String, Variable>::new();
    for (command, read) in COMMANDS {
        let bare = Tried::with(read, &|_| None);
        // Some are looked at only where others are set.
        let full = Tried::with(read, &|_| Some(ANYTHING.to_owned()));
        for (name, secret) in bare.asked.iter().chain(&full.asked) {
            let variable = variables.entry(name.clone()).or_default();
            variable.secret |= secret;
            if variable.commands.contains(&command) {
                continue;
            }
            variable.commands.push(command);
            if bare.missing.contains(name) {
                variable.required_by.push(command);
            }
            let alone = Tried::with(read, &|asked| (asked == name).then(|| ANYTHING.to_owned()));
            let needs: Vec<String> = alone.missing.difference(&bare.missing).cloned().collect();
            if !needs.is_empty() {
                variable.needs.insert(command, needs);
            }
        }
    }
    variables
}

/// What a command asked for in some environment, and what it missed there.
struct Tried {
    asked: BTreeMap<String, bool>,
    missing: BTreeSet<String>,
}

impl Tried {
    fn with(read: Reading, lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader::new(lookup);
        read(&mut reader);
        let missing = reader.bad().iter().filter(|bad| bad.is_missing()).map(|bad| bad.name.clone()).collect();
        Self { asked: reader.asked().clone(), missing }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The names of those for which something holds.
    fn names(holds: impl Fn(&Variable) -> bool) -> Vec<String> {
        variables().into_iter().filter(|(_, variable)| holds(variable)).map(|(name, _)| name).collect()
    }

    #[test]
    fn the_committed_settings_are_what_the_code_reads() {
        let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/settings.json"));
        assert!(committed.unwrap() == document().unwrap(), "infra/settings.json is out of date: run `make settings`");
    }

    #[test]
    fn api_and_worker_do_not_start_without_what_the_configuration_demands() {
        let error = Config::read(&|_| None).unwrap_err();
        let mut demanded: Vec<String> = error.0.into_iter().map(|bad| bad.name).collect();
        demanded.sort();
        for command in ["api", "worker"] {
            assert_eq!(names(|variable| variable.required_by.contains(&command)), demanded, "{command}");
        }
        assert_eq!(names(|variable| variable.required_by.contains(&"migrate")), ["FFP_OWNER_DATABASE_URL"]);
    }

    #[test]
    fn who_names_an_administrator_must_give_the_passwords_of_all_roles() {
        const ROLES: [&str; 3] = ["FFP_DATABASE_URL", "FFP_OPERATOR_DATABASE_URL", "FFP_WORKER_DATABASE_URL"];
        let variables = variables();
        let needs = |name: &str| variables[name].needs["migrate"].clone();
        assert_eq!(needs("FFP_ADMIN_DATABASE_URL"), ROLES);
        let mut with_an_address = vec!["FFP_ADMIN_DATABASE_PASSWORD", "FFP_ADMIN_DATABASE_USER"];
        with_an_address.extend(ROLES);
        assert_eq!(needs("FFP_ADMIN_DATABASE_ADDRESS"), with_an_address);
        assert_eq!(needs("FFP_SECRET_IDS"), ["AWS_REGION"]);
        assert_eq!(names(|variable| !variable.needs.is_empty()).len(), 5, "no other asks for more");
    }

    #[test]
    fn what_is_secret_is_known() {
        let secret = [
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "FFP_ADMIN_DATABASE_PASSWORD",
            "FFP_ADMIN_DATABASE_URL",
            "FFP_DATABASE_URL",
            "FFP_MEMBERS_CLIENT_SECRET",
            "FFP_OPERATOR_DATABASE_URL",
            "FFP_ORIGIN_SECRETS",
            "FFP_OWNER_DATABASE_URL",
            "FFP_SIGNING_KEY_PEM",
            "FFP_WORKER_DATABASE_URL",
        ];
        assert_eq!(names(|variable| variable.secret), secret);
    }
}

//! What the user may set, and the environment that the product is given in return.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use devstack::ministack::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use url::Url;

use crate::config::{ConfigError, HttpConfig, Reader, TelemetryConfig};

/// Variables that the local stack alone decides. A value in the user's environment, meant for another deployment,
/// must not reach it: it could lead to a database or an account that is not local.
const OURS: [&str; 25] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "FFP_ADMIN_DATABASE_URL",
    "FFP_ADMIN_DATABASE_ADDRESS",
    "FFP_ADMIN_DATABASE_USER",
    "FFP_ADMIN_DATABASE_PASSWORD",
    "FFP_OWNER_DATABASE_URL",
    "FFP_DATABASE_URL",
    "FFP_WORKER_DATABASE_URL",
    "FFP_OPERATOR_DATABASE_URL",
    "FFP_MEMBERS_POOL_ID",
    "FFP_MEMBERS_CLIENT_ID",
    "FFP_MEMBERS_CLIENT_SECRET",
    "FFP_MEMBERS_ISSUER",
    "FFP_OPERATORS_POOL_ID",
    "FFP_OPERATORS_CLIENT_ID",
    "FFP_OPERATORS_ISSUER",
    "FFP_VIDEOS_BUCKET",
    "FFP_SIGNING_KEY_ID",
    "FFP_SIGNING_KEY_PEM",
    "FFP_ORIGIN_SECRETS",
    "FFP_SECRET_IDS",
];

/// What the user may set.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// `FFP_DATA_DIR`: where everything is kept; absolute.
    pub data_dir: PathBuf,
    /// `FFP_HTTP_ADDR`: where the edge listens.
    pub edge_addr: SocketAddr,
    /// `FFP_PUBLIC_URL`.
    pub public_url: Url,
    /// `FFP_METRICS_ADDR`.
    pub metrics_addr: SocketAddr,
    /// `FFP_POSTGRES_PORT`.
    pub postgres_port: u16,
    /// `FFP_AWS_PORT`.
    pub aws_port: u16,
    /// `FFP_LOG` and its siblings.
    pub telemetry: TelemetryConfig,
}

impl Settings {
    /// Reads them.
    pub(super) fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        // A secret of another deployment's edge is none of ours.
        let lookup = |name: &str| if OURS.contains(&name) { None } else { lookup(name) };
        let mut reader = Reader::new(&lookup);
        let data_dir = reader.optional("FFP_DATA_DIR").unwrap_or_else(|| ".data".to_owned());
        let absolute = std::path::absolute(&data_dir);
        if absolute.is_err() {
            reader.refuse("FFP_DATA_DIR", format!("is `{data_dir}`"), "set it to a directory that this user may write");
        }
        let http = HttpConfig::read(&mut reader);
        let postgres_port = reader.number_or("FFP_POSTGRES_PORT", 5433, 1..=u16::MAX);
        let aws_port = reader.number_or("FFP_AWS_PORT", 4566, 1..=u16::MAX);
        let telemetry = TelemetryConfig::read(&mut reader);
        let settings = (|| {
            let http = http?;
            Some(Self {
                data_dir: absolute.ok()?,
                edge_addr: http.addr,
                public_url: http.public_url,
                metrics_addr: http.metrics_addr,
                postgres_port: postgres_port?,
                aws_port: aws_port?,
                telemetry: telemetry?,
            })
        })();
        reader.finish(settings)
    }

    /// A path under the data directory.
    pub(super) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.data_dir.join(name)
    }

    /// The public origin, without the slash that URLs end with.
    pub(super) fn origin(&self) -> &str {
        self.public_url.as_str().trim_end_matches('/')
    }
}

/// The environment of the product: what the stack decides, over the user's own.
#[derive(Clone, Debug)]
pub(super) struct Environment(HashMap<&'static str, String>);

impl Environment {
    /// AWS as the emulator at `endpoint` is.
    pub(super) fn emulated(endpoint: String) -> Self {
        let aws = [
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
        ];
        Self(aws.into())
    }

    /// Sets a variable.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.insert(name, value.into());
    }

    /// Reads a variable: the stack's own, else the user's unless it is the stack's to decide.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        match self.0.get(name) {
            Some(value) => Some(value.clone()),
            None if OURS.contains(&name) => None,
            None => std::env::var(name).ok(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        Settings::read(&|name| settings.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_needs_to_be_set() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.edge_addr.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.origin(), "http://127.0.0.1:8080");
        assert_eq!((settings.postgres_port, settings.aws_port), (5433, 4566));
        assert!(settings.data_dir.is_absolute() && settings.data_dir.ends_with(".data"));
    }

    #[test]
    fn ports_that_are_none_are_reported_together() {
        let error = read(&[("FFP_POSTGRES_PORT", "0"), ("FFP_AWS_PORT", "65536"), ("FFP_HTTP_ADDR", "x")]).unwrap_err();
        let names: Vec<_> = error.0.iter().map(|bad| bad.name.as_str()).collect();
        assert_eq!(names, ["FFP_HTTP_ADDR", "FFP_POSTGRES_PORT", "FFP_AWS_PORT"]);
    }

    #[test]
    fn settings_of_another_deployment_do_not_reach_the_local_stack() {
        let mut environment = Environment::emulated("http://127.0.0.1:4566".to_owned());
        assert_eq!(environment.get("AWS_ENDPOINT_URL").unwrap(), "http://127.0.0.1:4566");
        // PATH stands for whatever the user has set; it is passed on, since it is not the stack's to decide.
        assert_eq!(environment.get("PATH"), std::env::var("PATH").ok());
        assert_eq!(environment.get("FFP_DATABASE_URL"), None);
        environment.set("FFP_SECRET_IDS", "ffp/local/database");
        assert_eq!(environment.get("FFP_SECRET_IDS").unwrap(), "ffp/local/database");
        assert!(read(&[("FFP_ORIGIN_SECRETS", "short")]).is_ok(), "another edge's secret is not even read");
    }
}

//! What `infra/` expects of the product, and the other way round: migrations by a master that is no superuser, the
//! variables that commands demand, the routes that pass without a token, and the lines of which metrics are made.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, unreachable_pub)]
// Tests look behind the walls as a superuser; the product never does.
#![allow(clippy::disallowed_types)]

mod cors;
mod log_metrics;
mod migrate;
mod pattern;
#[allow(dead_code, reason = "the crash tests use the rest of it")]
#[path = "../crash/process.rs"]
mod process;
mod routes;
mod settings;
#[allow(dead_code, unused_imports, reason = "the API tests use the rest of it")]
#[path = "../api/support/mod.rs"]
mod support;

use std::{collections::HashMap, process::Output};

use serde::de::DeserializeOwned;

/// A file that Terraform reads as well.
fn shared<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/../infra/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs a command of the real binary to its end, in this environment and no other.
async fn run(command: &str, environment: &HashMap<String, String>) -> Output {
    let mut platform = tokio::process::Command::new(env!("CARGO_BIN_EXE_platform"));
    platform.arg(command).env_clear().envs(environment).env("PATH", std::env::var("PATH").unwrap_or_default());
    let output = platform.kill_on_drop(true).output();
    tokio::time::timeout(process::PATIENCE, output).await.expect("it ends").unwrap()
}

/// All that a command wrote.
fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).join("\n")
}

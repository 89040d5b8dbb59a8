//! `platform prove-isolation`: attacks a deployment's walls between tenants, from outside and as the services' roles.

use std::process::ExitCode;

use super::doctor::no_verifier;
use crate::prove::{self, ProveArguments};

/// Proves isolation at a running deployment; see [`prove`].
///
/// # Errors
/// As [`prove::run`].
pub async fn run(arguments: &ProveArguments) -> anyhow::Result<ExitCode> {
    let lookup = |name: &str| std::env::var(name).ok();
    prove::run(arguments, &lookup, no_verifier()?, super::stop_signal()?).await
}

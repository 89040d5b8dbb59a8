//! A token of the demo operator, for trying the operators' routes with curl.

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};

use super::{
    demo, pools,
    settings::{Environment, Settings},
};
use crate::{
    cognito::{self, AuthOutcome, Directory},
    config::{AwsConfig, Reader},
};

/// Logs the demo operator in at the emulator of a running `platform dev`; answers the ID token.
///
/// # Errors
/// Nothing runs at `FFP_AWS_PORT`, or its first start has not finished.
pub async fn operator_token() -> anyhow::Result<String> {
    let settings = Settings::read(&|name| std::env::var(name).ok())?;
    let environment = Environment::emulated(format!("http://127.0.0.1:{}", settings.aws_port));
    let lookup = |name: &str| environment.get(name);
    let aws = AwsConfig::read(&mut Reader::new(&lookup)).context("the emulator's settings")?;
    let client = cognito::client(&aws.sdk().await);
    let pools = pools::ensure(&client, pools::LOCAL_MEMBERS, pools::LOCAL_OPERATORS).await;
    let pools =
        pools.context("no AWS emulator answers: start `make run` first, or set FFP_AWS_PORT as it was set there")?;
    let operators = Directory::new(client, pools.operators);
    match operators.authenticate(demo::OPERATOR, &SecretString::from(demo::PASSWORD)).await {
        Ok(AuthOutcome::Tokens(tokens)) => Ok(tokens.id.expose_secret().to_owned()),
        Ok(AuthOutcome::Challenge { .. }) => bail!("the demo operator has a second factor, which a laptop's does not"),
        Err(error) => Err(error).context("the demo operator can't log in: wait until `make run` says ready"),
    }
}

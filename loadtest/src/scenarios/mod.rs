//! Load scenarios for any running platform, by goose: users who come, do things and pause.
//!
//! Users come from a file that `platform seed` wrote, else each registers a business of their own through HTTP. The latter
//! needs the confirmation code, which only the local stack's emulator makes predictable.

mod browse;
mod noisy;
mod onboarding;
mod people;

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, Subcommand};
use goose::{config::GooseConfiguration, prelude::*};

use self::people::People;

/// The scenarios.
#[derive(Subcommand)]
pub enum ScenarioCommand {
    /// Members look through the videos and watch some, posting how far they are
    BrowseAndStream(ScenarioArguments),
    /// Businesses register, confirm, log in and invite, one after the other
    OnboardingWave(ScenarioArguments),
    /// One tenant asks as fast as it can while others behave
    NoisyNeighbour(ScenarioArguments),
    /// Browse-and-stream for an hour, to find what grows
    Soak(ScenarioArguments),
}

/// Where and as whom.
#[derive(Args)]
pub struct ScenarioArguments {
    /// What `platform seed --out` wrote; without it every user registers
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// The code that confirms a registration
    #[arg(long, default_value = "123456")]
    code: String,
    /// Fetch the first bytes of each video from its signed URL too
    #[arg(long)]
    play: bool,
    #[command(flatten)]
    goose: GooseConfiguration,
}

/// Runs a scenario to its end; goose prints its tables.
///
/// # Errors
/// The file can't be read, nothing answers at the host, or any request failed that should not.
pub async fn run(command: ScenarioCommand) -> anyhow::Result<()> {
    let (arguments, defaults) = match &command {
        ScenarioCommand::BrowseAndStream(arguments) | ScenarioCommand::NoisyNeighbour(arguments) => (arguments, "1m"),
        ScenarioCommand::OnboardingWave(arguments) => (arguments, "1m"),
        ScenarioCommand::Soak(arguments) => (arguments, "1h"),
    };
    let mut configuration = arguments.goose.clone();
    configuration.host.get_or_insert_with(|| "http://127.0.0.1:8080".to_owned());
    configuration.users.get_or_insert(10);
    if configuration.iterations.is_none() {
        configuration.run_time.get_or_insert_with(|| defaults.to_owned());
    }
    let people = Arc::new(People::new(arguments.tokens.as_deref(), &arguments.code, arguments.play)?);
    let attack = GooseAttack::initialize_with_config(configuration)?;
    let attack = match command {
        ScenarioCommand::BrowseAndStream(_) | ScenarioCommand::Soak(_) => {
            attack.register_scenario(browse::scenario(&people, pause())?)
        }
        ScenarioCommand::OnboardingWave(_) => attack.register_scenario(onboarding::scenario(&people)?),
        ScenarioCommand::NoisyNeighbour(_) => attack
            .register_scenario(noisy::scenario(&people))
            .register_scenario(browse::scenario(&people, pause())?.set_weight(4)?),
    };
    let metrics = attack.execute().await?;
    let failed: usize = metrics.requests.values().map(|request| request.fail_count).sum();
    anyhow::ensure!(failed == 0, "{failed} requests failed");
    Ok(())
}

/// Between two things that a person does.
fn pause() -> (Duration, Duration) {
    (Duration::from_millis(200), Duration::from_secs(2))
}

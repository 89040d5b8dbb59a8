//! The command line: `platform api | worker | migrate | doctor | openapi | settings | dev | operator-token`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use platform::{
    commands,
    config::{self, Config, MigrateConfig},
    secrets::Variables,
    server,
    telemetry::{self, LogOutput},
};

/// FFP, the platform for fitness businesses. Settings are environment variables; see the README.
#[derive(Parser)]
#[command(name = "platform", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API; SIGTERM drains
    Api,
    /// Run background jobs; SIGTERM drains
    Worker,
    /// Bring the database's schema up to date, and make its roles if FFP_ADMIN_DATABASE_URL or its parts are set
    Migrate,
    /// Name everything about the database that would let tenants meet; exit status 1 if there is anything
    Doctor,
    /// Print the OpenAPI document
    Openapi,
    /// Print the environment variables that api, worker and migrate read, and what else an environment must agree with
    Settings,
    /// Make two tenants at a running deployment and attack one as the other; exit status 1 if anything leaks
    ProveIsolation(Box<platform::prove::ProveArguments>),
    /// Run everything on this machine: database, AWS emulator, edge, API, worker and demo data
    #[cfg(feature = "dev")]
    Dev,
    /// Print a token of the demo operator of a running `platform dev`
    #[cfg(feature = "dev")]
    OperatorToken,
    /// Fill an empty database with tenants and tokens for measuring
    #[cfg(feature = "dev")]
    Seed(platform::dev::seed::SeedArguments),
}

/// A request makes some two hundred small allocations: this takes half the time of the system's, and keeps less.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(arguments.command)));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // The terminal may be gone; then there is nobody to tell.
            let _ = writeln!(io::stderr(), "platform: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    if let Some(leak) = tenants::sabotage::check().map_err(anyhow::Error::msg)? {
        writeln!(io::stderr(), "platform: the leak `{}` is planted, which is for tests alone", leak.name())?;
    }
    match command {
        Command::ProveIsolation(arguments) => return commands::prove::run(&arguments).await,
        Command::Openapi => io::stdout().write_all(server::document()?.as_bytes())?,
        Command::Settings => io::stdout().write_all(config::settings::document()?.as_bytes())?,
        #[cfg(feature = "dev")]
        Command::Dev => platform::dev::run().await?,
        #[cfg(feature = "dev")]
        Command::OperatorToken => writeln!(io::stdout(), "{}", platform::dev::operator_token().await?)?,
        #[cfg(feature = "dev")]
        Command::Seed(arguments) => platform::dev::seed::run(&arguments).await?,
        command => return configured(command).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// The commands that take their settings from environment and secrets.
async fn configured(command: Command) -> anyhow::Result<ExitCode> {
    let variables = Variables::load(|name: &str| std::env::var(name).ok()).await?;
    let lookup = |name: &str| variables.get(name);
    let telemetry = telemetry::start(&config::telemetry(&lookup)?, &LogOutput::Stdout)?;
    let stop = commands::stop_signal()?;
    let outcome = match command {
        Command::Api => commands::api::run(&Config::read(&lookup)?, stop).await,
        Command::Worker => commands::worker::run(&Config::read(&lookup)?, stop).await,
        Command::Migrate => commands::migrate::run(&MigrateConfig::read(&lookup)?).await,
        _ => return doctor(&config::database(&lookup)?).await,
    };
    if let Err(error) = &outcome {
        tracing::error!(error = format!("{error:#}"), "ended");
    }
    telemetry.stop().await;
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn doctor(config: &tenants::DatabaseConfig) -> anyhow::Result<ExitCode> {
    let defects = commands::doctor::run(config).await?;
    let mut out = io::stdout().lock();
    for defect in &defects {
        writeln!(out, "{defect}")?;
    }
    if defects.is_empty() {
        writeln!(out, "The database keeps tenants apart: no defects.")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{} defects. Nothing is served from this database until they are gone.", defects.len())?;
    Ok(ExitCode::FAILURE)
}

//! `platform dev`: everything on one machine, with no cloud account.
//!
//! The product's parts are the same as in production and read the same settings, some from Secrets Manager; they
//! differ by the endpoint of AWS only. What makes it a local stack is here:
//!
//! | File | Does |
//! |---|---|
//! | `settings.rs` | ports, directory, and the environment that the product is given |
//! | `provision.rs` | what Terraform does in the cloud: buckets, user pools, secrets, keys, the database |
//! | `pools.rs` | the user pools |
//! | `services.rs` | API, worker, edge and the internal port, in this process |
//! | `demo.rs`, `footage.rs`, `client.rs` | demo data, made through the API's own routes |
//! | `operator_token.rs` | a token for trying the operators' routes |
//! | `terminal.rs` | what is printed |
//!
//! [`seed`] is no part of it: it fills a database for measuring.
//!
//! Everything is made if it is not there: an interrupted first start is finished by the next.

pub mod buckets;
mod client;
mod demo;
mod footage;
mod operator_token;
pub mod pools;
mod provision;
pub mod seed;
mod services;
mod settings;
mod terminal;

use devstack::{
    ministack::{MiniStack, MiniStackOptions},
    ports::Port,
    postgres::{Postgres, PostgresOptions, Profile},
    programs,
};
use tokio_util::sync::CancellationToken;

pub use operator_token::operator_token;

use self::{provision::Provisioned, services::Services, settings::Settings};
use crate::{
    commands,
    telemetry::{self, LogOutput},
};

/// Runs the local stack until SIGINT or SIGTERM.
///
/// # Errors
/// One sentence that ends with the remedy: a missing program, a taken port, an unreachable registry.
pub async fn run() -> anyhow::Result<()> {
    // Before anything is started: whatever happens from here on ends in `stop` below.
    let stop_signal = commands::stop_signal()?;
    let settings = Settings::read(&|name| std::env::var(name).ok())?;
    let logs = settings.data_dir.join("logs/platform.log");
    let telemetry = telemetry::start(&settings.telemetry, &LogOutput::File(logs))?;
    let mut stack = Stack::default();
    let outcome = tokio::select! {
        outcome = stack.run(&settings) => outcome,
        () = stop_signal => Ok(()),
    };
    terminal::line("\nstopping");
    let stopped = stack.stop().await;
    telemetry.stop().await;
    outcome.and(stopped)
}

/// What runs, in the order in which it was started.
#[derive(Default)]
struct Stack {
    postgres: Option<Postgres>,
    ministack: Option<MiniStack>,
    services: Option<Services>,
}

impl Stack {
    /// Starts everything, makes the demo data, and stays until a service ends.
    async fn run(&mut self, settings: &Settings) -> anyhow::Result<()> {
        terminal::line(&format!("FFP on this machine, with its data in {}", settings.data_dir.display()));
        require_programs().await?;
        let listeners = services::Listeners::bind(settings).await?;

        let options = PostgresOptions {
            data_dir: settings.data_dir.join("postgres"),
            port: Port::Wanted { number: settings.postgres_port, variable: "FFP_POSTGRES_PORT" },
            profile: Profile::Durable,
        };
        let postgres = terminal::step("PostgreSQL", "", Postgres::start(options)).await?;
        let postgres = &*self.postgres.insert(postgres);

        let options = MiniStackOptions {
            port: Port::Wanted { number: settings.aws_port, variable: "FFP_AWS_PORT" },
            data_dir: Some(settings.data_dir.join("aws")),
        };
        let hint = "the first start on a machine installs it";
        let ministack = terminal::step("AWS emulator", hint, MiniStack::start(options)).await?;
        let ministack = &*self.ministack.insert(ministack);

        let provisioning = Provisioned::ensure(settings, postgres, ministack);
        let provisioned = terminal::step("schema, buckets, user pools, keys, secrets", "", provisioning).await?;

        let services = self.services.insert(Services::default());
        let starting = services.start(settings, &provisioned, ministack, listeners);
        terminal::step("API, worker, edge", "", starting).await?;

        let data = demo::Demo::new(settings, &provisioned, ministack).await?;
        let hint = "the first start encodes and uploads a video";
        tokio::select! {
            made = terminal::step("demo data", hint, data.ensure()) => made?,
            ended = services.ended() => ended?,
        }
        terminal::ready(settings);
        services.ended().await
    }

    /// Stops everything, the newest first; goes on whatever fails, and tells the first failure.
    async fn stop(self) -> anyhow::Result<()> {
        if let Some(services) = self.services {
            services.stop().await;
        }
        let ministack = match self.ministack {
            Some(ministack) => ministack.stop().await,
            None => Ok(()),
        };
        if let Some(postgres) = self.postgres {
            postgres.stop().await?;
        }
        Ok(ministack?)
    }
}

/// All programs that are needed, before any is started: a machine that lacks two hears of the first at once.
async fn require_programs() -> devstack::Result<()> {
    programs::postgres_bin().await?;
    programs::python().await?;
    programs::ffmpeg()?;
    programs::ffprobe()?;
    Ok(())
}

/// Ends the services of a stack.
type Stop = CancellationToken;

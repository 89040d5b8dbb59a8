//! The command line: `loadtest bench | report`, and the scenarios.

use std::{io::Write, path::Path, process::ExitCode};

use clap::{Parser, Subcommand};
#[cfg(feature = "scenarios")]
use loadtest::scenarios;
use loadtest::{bench, report};

/// Load on a running platform, and how it compares.
#[derive(Parser)]
#[command(name = "loadtest")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure the platform beside its peers and write the report; `make bench`
    Bench(bench::BenchArguments),
    /// Write the report anew from `loadtest/results.json`
    Report,
    #[cfg(feature = "scenarios")]
    #[command(flatten)]
    Scenario(Box<scenarios::ScenarioCommand>),
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let outcome = runtime.block_on(async {
            tokio::select! {
                outcome = run(command) => outcome,
                // What was started ends when `run` is dropped.
                _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped")),
            }
        });
        // Threads that still generate load have nobody left to ask.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The terminal may be gone; then there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Bench(arguments) => bench::run(&arguments).await,
        Command::Report => report::write(&report::results::Results::read(Path::new(report::RESULTS))?),
        #[cfg(feature = "scenarios")]
        Command::Scenario(command) => scenarios::run(*command).await,
    }
}

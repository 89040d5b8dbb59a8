//! `platform prove-isolation`: makes two tenants at a deployment, attacks one as the other in every way there is, and reports
//! each attempt with its verdict.
//!
//! What to attack comes from the deployment itself: operations from its OpenAPI document, tables, columns, keys and functions
//! from its catalogue (`tenants::proof`). An attempt is judged by its twin: the same request or statement with ids that nobody
//! has must come to the same, and what the victim sees of itself must stay as it is. Every request is also sent by its
//! rightful caller, who must succeed.
//!
//! | File | Holds |
//! |---|---|
//! | `target.rs` | which deployments may be attacked without a further word |
//! | `wire.rs` | requests, byte for byte |
//! | `document.rs`, `cases.rs` | the operations, and a rightful request for each |
//! | `prepare.rs`, `people.rs`, `mail.rs`, `objects.rs`, `footage.rs` | the two tenants and what they have |
//! | `before.rs`, `made.rs`, `sessions.rs` | what is put back, what is taken away, tokens that age |
//! | `world.rs`, `fingerprint.rs` | both sides, how answers are compared, what the victim sees |
//! | `operations.rs`, `variants.rs`, `combined.rs`, `accounts.rs`, `repeated.rs` | every operation with the other's ids |
//! | `rightful.rs` | every operation by its rightful caller |
//! | `doors.rs`, `tokens.rs` | where one comes in without a token; forged tokens, changed accounts |
//! | `edge.rs` | signed URLs and stored objects |
//! | `throttle.rs`, `broken.rs`, `jobs.rs` | buckets, requests that break off, hundreds at once, background work |
//! | `memory.rs` | uploads made to fill the memory of whoever examines them |
//! | `part.rs` | the parts in order, each of which can be asked for alone |
//! | `report.rs`, `cleanup.rs` | what came of it, and what is taken away again |

mod accounts;
mod before;
mod broken;
mod cases;
mod cleanup;
mod combined;
mod document;
mod doors;
mod edge;
mod fingerprint;
mod footage;
mod jobs;
mod made;
mod mail;
mod memory;
mod objects;
mod operations;
mod part;
mod people;
mod prepare;
mod repeated;
mod report;
mod rightful;
mod sessions;
mod target;
mod throttle;
mod tokens;
mod variants;
mod wire;
mod world;

use std::{io::Write, path::PathBuf, process::ExitCode, time::Duration};

use chrono::Utc;
use tenants::{
    proof::{self, Ledger, Trial},
    tokens::Verifier,
};
use url::Url;

use self::{part::Part, prepare::prepare, report::Report, world::World};

/// What `prove-isolation` is told on the command line. The environment adds database URLs (`FFP_DATABASE_URL` and siblings),
/// `FFP_OPERATOR_TOKEN` (or `FFP_OPERATOR_TOKEN_COMMAND`, which prints one as often as one is needed), the user pool (`FFP_MEMBERS_POOL_ID` and siblings) and, where nobody can register,
/// `FFP_PROVE_EMAIL`, `FFP_PROVE_PASSWORD` of an owner and `FFP_PROVE_OTHER_EMAIL`, `FFP_PROVE_OTHER_PASSWORD` of another's.
#[derive(clap::Args, Debug)]
pub struct ProveArguments {
    /// The deployment's public address
    #[arg(long)]
    url: Url,
    /// Attack it even if it may be production
    #[arg(long)]
    yes: bool,
    /// Write every attempt to this file, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write a report to read to this file
    #[arg(long)]
    html: Option<PathBuf>,
    /// The code that confirms an address; an AWS emulator mails the same one to everybody
    #[arg(long, default_value = "123456")]
    confirmation_code: String,
    /// The code that resets a password
    #[arg(long, default_value = "654321")]
    reset_code: String,
    /// The AWS emulator whose mailbox holds the invitations; AWS_ENDPOINT_URL, or that of a local stack
    #[arg(long)]
    mail_url: Option<Url>,
    /// Stop at the first leak
    #[arg(long)]
    fail_fast: bool,
    /// Try these parts alone, with commas between
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
}

/// Proves, reports and cleans up, also when `stop` resolves before the end.
///
/// # Errors
/// A deployment that must not be attacked, that does not answer, or whose tenants can't be made.
pub async fn run(
    arguments: &ProveArguments,
    lookup: &(dyn Fn(&str) -> Option<String> + Sync),
    verifier: Verifier,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<ExitCode> {
    target::check(&arguments.url, lookup("FFP_ENVIRONMENT").as_deref(), arguments.yes)?;
    let began_at = Utc::now();
    let ledger = Ledger::new(arguments.fail_fast);
    let mut world = prepare(arguments, lookup, ledger.clone()).await?;
    for part in Part::wanted(&[]).filter(|part| !Part::wanted(&arguments.only).any(|wanted| wanted == *part)) {
        world.left_out.note(part.title(), format!("--only does not name `{}`", part.name()));
    }
    say(&format!(
        "attacker {} ({}), victim {} ({})",
        world.us.name, world.us.tenant_id, world.them.name, world.them.tenant_id
    ));
    let outcome = {
        let progress = progress(&ledger);
        tokio::select! {
            outcome = attack(&mut world, &arguments.only, verifier) => outcome,
            () = stop => Err(anyhow::anyhow!("stopped")),
            () = progress => Ok(()),
        }
    };
    ledger.stop();
    say("cleaning up");
    let remains = cleanup::run(&world).await;
    let attempts = ledger.attempts();
    let report = Report {
        url: world.wire.origin().to_owned(),
        began_at,
        ended_at: Utc::now(),
        requests: world.wire.sent(),
        waits: world.wire.waited(),
        attacker: format!("{} ({})", world.us.name, world.us.tenant_id),
        victim: format!("{} ({})", world.them.name, world.them.tenant_id),
        ended_early: outcome.err().map(|error| format!("{error:#}")),
        groups: Report::count(&attempts),
        left_out: world.left_out.all(),
        remains,
        attempts,
    };
    if let Some(path) = &arguments.json {
        report.write_json(path)?;
    }
    if let Some(path) = &arguments.html {
        report.write_html(path)?;
    }
    let mut out = std::io::stdout().lock();
    out.write_all(report.summary().as_bytes())?;
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything, the cheapest first.
async fn attack(world: &mut World, only: &[Part], verifier: Verifier) -> anyhow::Result<()> {
    let mut operations = Vec::new();
    for part in Part::wanted(only) {
        if world.ledger.is_over() {
            break;
        }
        step(&part.title());
        match part {
            Part::Tokens => {
                tokens::attack(world).await?;
                tokens::standing(world).await?;
            }
            Part::Edge => edge::attack(world).await?,
            Part::Throttle => throttle::attack(world).await?,
            Part::Memory => memory::attack(world).await?,
            Part::Idempotency => repeated::attack(world).await?,
            Part::Broken => {
                broken::attack(world).await?;
                broken::crowd(world).await?;
            }
            Part::Jobs => jobs::attack(world).await?,
            Part::Database => database(world).await?,
            Part::Pools => pools(world, &verifier).await?,
            Part::Operations => {
                prepare_operations(world, &mut operations).await;
                operations::attack(world, &operations).await?;
            }
            Part::Doors => doors::attack(world).await?,
            Part::Rightful => {
                prepare_operations(world, &mut operations).await;
                rightful::attack(world, &operations).await?;
            }
        }
    }
    Ok(())
}

/// Once for the two parts that need them.
async fn prepare_operations(world: &mut World, operations: &mut Vec<operations::Attacked>) {
    if operations.is_empty() {
        *operations = operations::prepare(world).await;
    }
}

async fn database(world: &World) -> anyhow::Result<()> {
    let databases = &world.databases;
    for (url, name) in [
        (&databases.app, "FFP_DATABASE_URL"),
        (&databases.worker, "FFP_WORKER_DATABASE_URL"),
        (&databases.operator, "FFP_OPERATOR_DATABASE_URL"),
    ] {
        if url.is_none() {
            world.left_out.note("SQL as that role", format!("{name} is not set"));
        }
    }
    if databases.are_unknown() {
        return Ok(());
    }
    let (attacker, victim) = (world.us.party()?, world.them.party()?);
    let trial = Trial { attacker: &attacker, victim: &victim, disguise: &world.disguise, ledger: &world.ledger };
    Ok(proof::attack(databases, &trial).await?)
}

async fn pools(world: &World, verifier: &Verifier) -> anyhow::Result<()> {
    let (attacker, victim) = (world.us.party()?, world.them.party()?);
    let trial = Trial { attacker: &attacker, victim: &victim, disguise: &world.disguise, ledger: &world.ledger };
    if !proof::attack_pools(&world.databases, &trial, verifier.clone()).await? {
        world.left_out.note(Part::Pools.title(), "not all three database URLs are set");
    }
    Ok(())
}

/// Counts on the terminal while the attacks go on.
async fn progress(ledger: &Ledger) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let counts = ledger.counts();
        let of = |verdict| counts.get(&verdict).copied().unwrap_or_default();
        let (held, leaked, unproved) =
            (of(proof::Verdict::Held), of(proof::Verdict::Leak), of(proof::Verdict::Unproved));
        say(&format!("  {} attempts: {held} held, {leaked} leaked, {unproved} unproved", held + leaked + unproved));
    }
}

fn step(what: &str) {
    say(&format!("* {what}"));
}

/// To the terminal; the report goes to standard output.
fn say(line: &str) {
    // The terminal may be gone; the report is not.
    let _ = writeln!(std::io::stderr(), "{line}");
}

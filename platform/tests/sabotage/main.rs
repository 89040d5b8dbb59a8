//! `platform prove-isolation` at deployments with a leak each: it must end with an error and name a leak of that kind. A
//! proof that finds nothing here would prove nothing anywhere. The feature `sabotage` is what makes these deployments;
//! no release has it.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, unreachable_pub)]
// Tests look behind the walls as a superuser; the product never does.
#![allow(clippy::disallowed_types)]

#[allow(dead_code, reason = "the test of the proof uses the rest of it")]
#[path = "../prove/deployment.rs"]
mod deployment;
mod leaks;
#[allow(dead_code, reason = "the crash tests use the rest of it")]
#[path = "../crash/process.rs"]
mod process;
#[allow(dead_code, unused_imports, reason = "the API tests use the rest of it")]
#[path = "../api/support/mod.rs"]
mod support;

use std::{collections::BTreeSet, time::Instant};

use deployment::Deployment;
use devstack::edge::Edge;
use leaks::{How, IN_THE_CODE, IN_THE_DATABASE, Planted};
use tenants::sabotage::Leak;

/// Attacks a deployment with this leak; what is wrong with the outcome.
async fn trial(planted: &Planted) -> Result<(), String> {
    let settings: &[_] = match &planted.how {
        How::Code(leak) => &[("FFP_SABOTAGE", leak.name())],
        How::Edge | How::Sql(_) => &[],
    };
    let deployment = Deployment::start_with(settings, async |edge, stop| {
        let stopped = stop.cancelled_owned();
        match planted.how {
            How::Edge => drop(tokio::spawn(Edge::serve_believing(edge, stopped))),
            How::Code(_) | How::Sql(_) => drop(tokio::spawn(Edge::serve(edge, stopped))),
        }
    })
    .await;
    if let How::Sql(sql) = planted.how {
        deployment.by_hand(sql).await;
    }
    let began = Instant::now();
    let proof = deployment.prove(&["--fail-fast", "--only", planted.part]).await;
    deployment.stop().await;

    let failed = proof.failed();
    let leaks = failed.iter().filter(|attempt| attempt["verdict"] == "leak");
    let found: BTreeSet<&str> = leaks.filter_map(|attempt| attempt["group"].as_str()).collect();
    let tried = proof.attempts().len();
    println!("{}: found by {found:?} after {tried} attempts in {:.0?}", planted.name, began.elapsed());
    let why = match proof.output.status.success() {
        true => "the proof says that nothing leaks".to_owned(),
        false if planted.groups.iter().any(|group| found.contains(group)) => return Ok(()),
        false => format!("found by {found:?}, not by {:?}: {failed:#?}", planted.groups),
    };
    Err(format!("{} ({}): {why}\n{}", planted.name, planted.what, proof.said()))
}

/// Tries them one after the other.
async fn trials(all: &[Planted]) {
    let mut wrong = Vec::new();
    for planted in all {
        wrong.extend(trial(planted).await.err());
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proof_finds_every_leak_in_the_code() {
    trials(IN_THE_CODE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proof_finds_every_leak_in_the_database() {
    trials(IN_THE_DATABASE).await;
}

#[test]
fn every_leak_that_the_code_can_have_is_tried() {
    let tried = IN_THE_CODE.iter().filter_map(|planted| match planted.how {
        How::Code(leak) => Some(leak.name()),
        How::Edge | How::Sql(_) => None,
    });
    let known: BTreeSet<_> = Leak::ALL.iter().map(|leak| leak.name()).collect();
    assert_eq!(tried.collect::<BTreeSet<_>>(), known);
    let names: BTreeSet<_> = IN_THE_CODE.iter().chain(IN_THE_DATABASE).map(|planted| planted.name).collect();
    assert_eq!(names.len(), IN_THE_CODE.len() + IN_THE_DATABASE.len());
}

#[test]
fn a_leak_that_nobody_knows_starts_nothing() {
    for (leak, starts) in [("token-key", true), ("no-such-leak", false), ("", false)] {
        let mut platform = std::process::Command::new(env!("CARGO_BIN_EXE_platform"));
        let output = platform.arg("openapi").env("FFP_SABOTAGE", leak).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() == starts && said.contains(&format!("`{leak}`")), "{leak}: {said}");
        assert_eq!(!output.stdout.is_empty(), starts, "{leak}");
    }
}

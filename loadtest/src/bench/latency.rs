//! Latency at 70 % of the highest rate: near enough to the limit to see queues, far enough to be a place to work at.
//!
//! Beside the platform stand a peer at 70 % of its own highest rate, and the platform's answer that needs no token and no
//! database at the rate of a point read: what is left there is the machine's and the generator's.

use std::net::SocketAddr;

use super::{Bench, highest, peers::Peer, say, stack::Server, steady};
use crate::{
    load::{Outcome, Request},
    report::results::{Latency, median},
    seeded::{Read, Seeded},
};

/// Of the highest rate.
const SHARE: f64 = 0.7;
/// Rounds at most: the highest rate's, and those at the constant one.
const ROUNDS: usize = 3;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Latency>> {
    let (stack, plan) = (&bench.stack, bench.plan);
    let seeded = stack.seeded(plan.large).await?;
    let mut all = Vec::new();
    {
        let server = stack.platform(plan.large, &seeded).await?;
        for read in [Read::Point, Read::Page, Read::Stream] {
            all.push(of(bench, &server, read, &seeded).await?);
        }
        let alive = [Request::get("/livez", "")];
        let rate = all.first().map_or(0.0, |point| point.highest * SHARE);
        let highest = usual(bench, server.addr, &alive).await?;
        all.push(at(bench, &server, "alive", &alive, highest, rate).await?);
    }
    match Peer::Fastify.start(stack, plan.large, &seeded).await {
        Ok(server) => {
            for read in [Read::Point, Read::Page] {
                all.push(of(bench, &server, read, &seeded).await?);
            }
        }
        Err(error) => say(&format!("  {} is left out: {error:#}", Peer::Fastify.name())),
    }
    Ok(all)
}

/// One contender's latency for a kind of read, at its own pace.
async fn of(bench: &Bench, server: &Server, read: Read, seeded: &Seeded) -> anyhow::Result<Latency> {
    let requests = seeded.requests(read);
    let highest = usual(bench, server.addr, &requests).await?;
    at(bench, server, read.name(), &requests, highest, highest * SHARE).await
}

/// The middle of several rounds: a single one varies too much to take a share of.
async fn usual(bench: &Bench, addr: SocketAddr, requests: &[Request]) -> anyhow::Result<f64> {
    let mut rates = Vec::new();
    for _ in 0..bench.plan.rounds.min(ROUNDS) {
        rates.push(highest(addr, requests, bench.plan.span()).await?);
    }
    Ok(median(&rates))
}

async fn at(
    bench: &Bench,
    server: &Server,
    read: &str,
    requests: &[Request],
    highest: f64,
    rate: f64,
) -> anyhow::Result<Latency> {
    let mut rounds: Vec<Outcome> = Vec::new();
    for _ in 0..bench.plan.rounds.min(ROUNDS) {
        rounds.push(steady(server.addr, requests, rate, bench.plan.steady()).await?);
        server.process.empty_log();
    }
    let quantile = |q| median(&rounds.iter().map(|round| round.millis(q)).collect::<Vec<_>>());
    let (p50, p95, p99, p999) = (quantile(0.5), quantile(0.95), quantile(0.99), quantile(0.999));
    let rate = median(&rounds.iter().map(Outcome::rate).collect::<Vec<_>>());
    say(&format!("  {} {read}: p50 {p50:.2} ms, p99 {p99:.2} ms at {rate:.0}/s", server.name));
    Ok(Latency { who: server.name.to_owned(), read: read.to_owned(), highest, rate, p50, p95, p99, p999 })
}

//! Whether a thousand times more tenants and rows can be noticed: the same reads, at the same rate, in a small and in a
//! large database, each behind a platform of its own, in turns.

use super::{Bench, highest, say, stack::Server, steady};
use crate::{
    load::Request,
    report::results::{Scaled, Scaling, median},
    seeded::Read,
};

/// Of the highest rate in the large database. The next is for a machine that has become slower since that was found: what
/// is compared is how long an answer takes, and the rate must only be the same for both.
const SHARES: [f64; 3] = [0.5, 0.35, 0.25];

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Scaling> {
    let (stack, plan) = (&bench.stack, bench.plan);
    let (small, large) = (stack.seeded(plan.small).await?, stack.seeded(plan.large).await?);
    let servers = [stack.platform(plan.small, &small).await?, stack.platform(plan.large, &large).await?];
    let mut reads = Vec::new();
    for read in [Read::Point, Read::Page] {
        let lists = [small.requests(read), large.requests(read)];
        let highest = highest(servers[1].addr, &lists[1], plan.span()).await?;
        let mut found = Err(anyhow::anyhow!("no rate was tried"));
        for share in SHARES {
            found = at(bench, &servers, &lists, highest * share).await;
            match &found {
                Ok(_) => break,
                Err(error) => say(&format!("  {} from the beginning, slower: {error:#}", read.name())),
            }
        }
        let (rate, [small, large]) = found?;
        say(&format!("  {}: p50 {:.2} ms and {:.2} ms at {rate:.0}/s", read.name(), median(&small), median(&large)));
        reads.push(Scaled { read: read.name().to_owned(), rate, small, large });
    }
    Ok(Scaling { small: (small.tenants, small.progress), large: (large.tenants, large.progress), reads })
}

/// p50 of all rounds at this rate, in the small and in the large database.
async fn at(
    bench: &Bench,
    servers: &[Server; 2],
    lists: &[Vec<Request>; 2],
    rate: f64,
) -> anyhow::Result<(f64, [Vec<f64>; 2])> {
    let mut p50 = [Vec::new(), Vec::new()];
    for _ in 0..bench.plan.rounds {
        for ((server, list), p50) in servers.iter().zip(lists).zip(&mut p50) {
            let outcome = steady(server.addr, list, rate, bench.plan.steady()).await?;
            p50.push(outcome.millis(0.5));
            server.process.empty_log();
        }
    }
    Ok((rate, p50))
}

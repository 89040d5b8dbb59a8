//! Whether a thousand times more tenants and rows can be noticed: the same reads, at the same rate, in a small and in a
//! large database, each behind a platform of its own, in turns.

use super::{Bench, blocking, say, steady};
use crate::{
    load,
    report::results::{Scaled, Scaling, median},
    seeded::Read,
};

/// Of the highest rate in the large database.
const SHARE: f64 = 0.5;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Scaling> {
    let (stack, plan) = (&bench.stack, bench.plan);
    let (small, large) = (stack.seeded(plan.small).await?, stack.seeded(plan.large).await?);
    let servers = [stack.platform(plan.small, &small).await?, stack.platform(plan.large, &large).await?];
    let mut reads = Vec::new();
    for read in [Read::Point, Read::Page] {
        let lists = [small.requests(read), large.requests(read)];
        let (addr, list, span) = (servers[1].addr, lists[1].clone(), plan.span());
        let rate = blocking(move || load::closed(addr, &list, span)?.all_good()).await?.rate() * SHARE;
        let mut p50 = [Vec::new(), Vec::new()];
        for _ in 0..plan.rounds {
            for ((server, list), p50) in servers.iter().zip(&lists).zip(&mut p50) {
                let outcome = steady(server.addr, list, rate, plan.steady()).await?;
                p50.push(outcome.millis(0.5));
                server.process.empty_log();
            }
        }
        let [small, large] = p50;
        say(&format!("  {}: p50 {:.2} ms and {:.2} ms at {rate:.0}/s", read.name(), median(&small), median(&large)));
        reads.push(Scaled { read: read.name().to_owned(), rate, small, large });
    }
    Ok(Scaling { small: (small.tenants, small.progress), large: (large.tenants, large.progress), reads })
}

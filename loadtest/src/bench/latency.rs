//! Latency at 70 % of the highest rate: near enough to the limit to see queues, far enough to be a place to work at.

use super::{Bench, blocking, steady};
use crate::{
    load::{self, Outcome},
    report::results::{Latency, median},
    seeded::Read,
};

/// Of the highest rate.
const SHARE: f64 = 0.7;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Latency>> {
    let (stack, plan) = (&bench.stack, bench.plan);
    let seeded = stack.seeded(plan.large).await?;
    let server = stack.platform(plan.large, &seeded).await?;
    let addr = server.addr;
    let mut all = Vec::new();
    for read in [Read::Point, Read::Page, Read::Stream] {
        let requests = seeded.requests(read);
        let list = requests.clone();
        let span = plan.span();
        let highest = blocking(move || load::closed(addr, &list, span)?.all_good()).await?.rate();
        let mut rounds: Vec<Outcome> = Vec::new();
        for _ in 0..plan.rounds.min(3) {
            rounds.push(steady(addr, &requests, highest * SHARE, plan.steady()).await?);
            server.process.empty_log();
        }
        let quantile = |q| median(&rounds.iter().map(|round| round.millis(q)).collect::<Vec<_>>());
        let (p50, p95, p99, p999) = (quantile(0.5), quantile(0.95), quantile(0.99), quantile(0.999));
        let rate = median(&rounds.iter().map(Outcome::rate).collect::<Vec<_>>());
        all.push(Latency { read: read.name().to_owned(), highest, rate, p50, p95, p99, p999 });
    }
    Ok(all)
}

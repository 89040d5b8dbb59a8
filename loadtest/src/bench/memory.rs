//! Resident memory over a long run of what members do all day, posts included.

use std::time::{Duration, Instant};

use super::{Bench, blocking, highest, usage::Usage};
use crate::{
    load::{self, Span},
    report::results::Memory,
};

/// Of the highest rate.
const SHARE: f64 = 0.7;
/// How often one looks.
const EVERY: Duration = Duration::from_secs(2);

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Memory> {
    let (stack, plan) = (&bench.stack, bench.plan);
    let seeded = stack.seeded(plan.large).await?;
    let server = stack.platform(plan.large, &seeded).await?;
    let (addr, requests) = (server.addr, seeded.mixed());
    let highest = highest(addr, &requests, plan.span()).await?;

    let span = Span { warm: Duration::ZERO, measured: plan.memory, ..plan.span() };
    let began = Instant::now();
    let running = tokio::spawn(blocking(move || load::constant(addr, &requests, highest * SHARE, span)?.all_good()));
    let mut samples = Vec::new();
    while !running.is_finished() {
        samples.push((began.elapsed().as_secs_f64(), Usage::of_tree(server.process.pid()).resident_mib));
        server.process.empty_log();
        tokio::time::sleep(EVERY).await;
    }
    let outcome = running.await??;
    Ok(Memory { seconds: plan.memory.as_secs_f64(), rate: outcome.rate(), samples: thinned(samples) })
}

/// A hundred of them are enough to draw.
fn thinned(samples: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let step = samples.len().div_ceil(100).max(1);
    let round = |number: f64| (number * 10.0).round() / 10.0;
    samples.into_iter().step_by(step).map(|(at, mib)| (round(at), round(mib))).collect()
}

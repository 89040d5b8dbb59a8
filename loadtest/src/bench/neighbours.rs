//! What a quiet tenant notices of one that asks for ten times what it may, and of one that stays within its limit with
//! queries that each take long.

use std::{thread, time::Duration};

use super::{Bench, blocking, say};
use crate::{
    load::{self, Outcome, Request, Span},
    report::results::{Beside, Neighbours, median},
    seeded::{Caller, Read, Seeded, requests_of},
};

/// A new tenant's limit, a minute.
const LIMIT: f64 = 1000.0;
/// The quiet tenant's requests a second: 90 % of its own limit.
const QUIET: f64 = LIMIT / 60.0 * 0.9;
/// Rounds for each of the other sections': a round has some 200 answers, of which the slowest ten decide.
const ROUNDS: usize = 2;
/// How long the neighbour makes noise before anybody is measured.
const HEAD_START: Duration = Duration::from_secs(2);

struct Neighbour {
    who: &'static str,
    rate: f64,
    requests: Vec<Request>,
}

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Neighbours> {
    let (stack, plan) = (&bench.stack, bench.plan);
    let seeded = stack.seeded(plan.large).await?;
    let server = stack.platform(plan.large, &seeded).await?;
    let addr = server.addr;
    let slow = searches(&seeded.slow);
    let one = Span { connections: 1, warm: Duration::ZERO, measured: Duration::from_secs(2) };
    let list = slow.clone();
    let slow_ms = blocking(move || load::closed(addr, &list, one)?.all_good()).await?.millis(0.5);

    let neighbours = neighbours(&seeded, slow);
    let quiet = requests_of(std::slice::from_ref(&seeded.quiet), Read::Point);
    let mut beside: Vec<Beside> = neighbours.iter().map(Neighbour::nothing_yet).collect();
    for _ in 0..plan.rounds * ROUNDS {
        for (neighbour, found) in neighbours.iter().zip(&mut beside) {
            let (quiet, noise, rate) = (quiet.clone(), neighbour.requests.clone(), neighbour.rate);
            let calm = Span { connections: 4, warm: plan.warm, measured: plan.steady };
            let round = move || -> anyhow::Result<(Outcome, Option<Outcome>)> {
                thread::scope(|scope| {
                    let noise = (rate > 0.0).then(|| {
                        let loud = Span { connections: 32, warm: HEAD_START, measured: calm.warm + calm.measured };
                        let noise = &noise;
                        scope.spawn(move || load::constant(addr, noise, rate, loud))
                    });
                    thread::sleep(HEAD_START);
                    let quiet = load::constant(addr, &quiet, QUIET, calm)?;
                    let noise = noise.map(|noise| noise.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked")));
                    Ok((quiet, noise.transpose()?))
                })
            };
            let (quiet, noise) = blocking(round).await?;
            found.p95.push(quiet.millis(0.95));
            found.quiet_refused += quiet.of(429);
            found.quiet_failed += quiet.broken + quiet.statuses.values().sum::<u64>() - quiet.good() - quiet.of(429);
            if let Some(noise) = noise {
                found.served += noise.good();
                found.refused += noise.of(429);
            }
        }
    }
    for found in &beside {
        say(&format!("  beside {}: p95 {:.2} ms, {} refusals", found.who, median(&found.p95), found.quiet_refused));
    }
    Ok(Neighbours { quiet_rate: QUIET, beside, slow_ms })
}

fn neighbours(seeded: &Seeded, slow: Vec<Request>) -> [Neighbour; 3] {
    let noisy = requests_of(std::slice::from_ref(&seeded.noisy), Read::Page);
    [
        Neighbour { who: "nobody", rate: 0.0, requests: Vec::new() },
        Neighbour { who: "throttled", rate: LIMIT / 60.0 * 10.0, requests: noisy },
        Neighbour { who: "slow", rate: LIMIT / 60.0, requests: slow },
    ]
}

impl Neighbour {
    fn nothing_yet(&self) -> Beside {
        Beside {
            who: self.who.to_owned(),
            rate: self.rate,
            p95: Vec::new(),
            quiet_refused: 0,
            quiet_failed: 0,
            served: 0,
            refused: 0,
        }
    }
}

/// Searches that no title matches: all of the tenant's are looked at.
fn searches(caller: &Caller) -> Vec<Request> {
    (0..50).map(|n| Request::get(&format!("/api/v1/videos?q=nowhere{n}"), &caller.token)).collect()
}

//! How many requests a second everybody answers: all contenders stand ready, and take turns in every round, so that
//! whatever else the machine does meets them alike.

use super::{
    Bench, CONNECTIONS, blocking,
    peers::Peer,
    pgbench::{PgBench, Way},
    same, say,
    stack::Server,
    usage::Usage,
};
use crate::{
    load,
    report::results::{Rates, Series, median},
    seeded::{Read, Seeded},
};

/// One kind of read by one contender, and what its rounds used.
struct Entry {
    who: &'static str,
    read: Read,
    contender: Contender,
    rates: Vec<f64>,
    own: Vec<f64>,
    postgres: Vec<f64>,
    generator: Vec<f64>,
    resident_mib: f64,
}

#[derive(Clone, Copy)]
enum Contender {
    /// Of the list of servers.
    Server(usize),
    PgBench(Way),
}

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Rates> {
    let (stack, plan) = (&bench.stack, bench.plan);
    let seeded = stack.seeded(plan.large).await?;
    let mut rates = Rates {
        tenants: seeded.tenants,
        progress: seeded.progress,
        connections: CONNECTIONS,
        seconds: plan.measured.as_secs_f64(),
        ..Rates::default()
    };
    let mut servers = vec![stack.platform(plan.large, &seeded).await?];
    let mut entries: Vec<Entry> =
        [Read::Point, Read::Page, Read::Stream].map(|read| Entry::new("platform", read, Contender::Server(0))).into();
    for peer in Peer::ALL {
        let started = peer.start(stack, plan.large, &seeded).await;
        let checked = started.and_then(|server| same::compare(&servers[0], &server, &seeded).map(|()| server));
        match checked {
            Ok(server) => {
                let at = Contender::Server(servers.len());
                entries.extend([Read::Point, Read::Page].map(|read| Entry::new(server.name, read, at)));
                servers.push(server);
            }
            Err(error) => {
                say(&format!("{} is left out: {error:#}", peer.name()));
                rates.left_out.insert(peer.name().to_owned(), format!("{error:#}"));
            }
        }
    }
    let pgbench = PgBench::prepare(stack, plan.large, &seeded).await?;
    for way in Way::ALL {
        entries.extend([Read::Point, Read::Page].map(|read| Entry::new(way.name(), read, Contender::PgBench(way))));
    }
    for round in 1..=plan.rounds {
        for entry in &mut entries {
            entry.round(bench, &servers, &pgbench, &seeded).await?;
            servers.iter().for_each(|server| server.process.empty_log());
        }
        say(&format!("  round {round} of {}: {}", plan.rounds, told(&entries)));
    }
    rates.series = entries.into_iter().map(Entry::finish).collect();
    Ok(rates)
}

/// The last figure of each.
fn told(entries: &[Entry]) -> String {
    let each = entries.iter().map(|entry| {
        format!("{} {} {:.0}", entry.who, entry.read.name(), entry.rates.last().copied().unwrap_or_default())
    });
    each.collect::<Vec<_>>().join(", ")
}

impl Entry {
    fn new(who: &'static str, read: Read, contender: Contender) -> Self {
        let none = Vec::new;
        Self {
            who,
            read,
            contender,
            rates: none(),
            own: none(),
            postgres: none(),
            generator: none(),
            resident_mib: 0.0,
        }
    }

    async fn round(
        &mut self,
        bench: &Bench,
        servers: &[Server],
        pgbench: &PgBench,
        seeded: &Seeded,
    ) -> anyhow::Result<()> {
        let (plan, postmaster) = (bench.plan, bench.stack.postmaster());
        match self.contender {
            Contender::PgBench(way) => {
                let (warm, measured) = (plan.warm.as_secs(), plan.measured.as_secs());
                self.rates.push(pgbench.run(way, self.read, CONNECTIONS, warm, measured)?);
            }
            Contender::Server(at) => {
                let server = &servers[at];
                let (addr, requests, span) = (server.addr, seeded.requests(self.read), plan.span());
                let root = server.process.pid();
                let before = (Usage::of_tree(root), Usage::of_tree(postmaster), Usage::of_self());
                let outcome = blocking(move || load::closed(addr, &requests, span)?.all_good()).await?;
                let after = (Usage::of_tree(root), Usage::of_tree(postmaster), Usage::of_self());
                // Usage covers the warm-up too, at about the same rate.
                let answers = outcome.rate() * (span.warm + span.measured).as_secs_f64();
                let each = |before: Usage, after: Usage| (after.cpu - before.cpu) * 1e6 / answers;
                self.rates.push(outcome.rate());
                self.own.push(each(before.0, after.0));
                self.postgres.push(each(before.1, after.1));
                self.generator.push(each(before.2, after.2));
                self.resident_mib = after.0.resident_mib;
            }
        }
        Ok(())
    }

    fn finish(self) -> Series {
        Series {
            who: self.who.to_owned(),
            read: self.read.name().to_owned(),
            own_us: median(&self.own),
            postgres_us: median(&self.postgres),
            generator_us: median(&self.generator),
            resident_mib: self.resident_mib,
            rates: self.rates,
        }
    }
}

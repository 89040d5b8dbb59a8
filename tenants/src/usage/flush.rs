//! Writing what was counted.

use std::{
    collections::{BTreeMap, HashMap},
    pin::pin,
    time::Duration,
};

use chrono::{NaiveDate, Utc};
use serde_json::{Map, Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{MOST, Meter};
use crate::{Result, TenantId, Tenants, scope::Door};

/// How often amounts are written: what a killed process loses.
const EVERY: Duration = Duration::from_secs(5);
/// How long a process that ends waits for the database to take the last of them.
const LAST: Duration = Duration::from_secs(5);
/// Tenants to a statement, which is a transaction: short enough for its timeout.
const TENANTS: usize = 500;

/// Amounts by tenant, meter and day that were not written yet.
#[derive(Default)]
pub(super) struct Batch(BTreeMap<TenantId, HashMap<(Meter, NaiveDate), u64>>);

impl Batch {
    pub(super) fn add(&mut self, tenant: TenantId, meter: Meter, day: NaiveDate, amount: u64) {
        *self.0.entry(tenant).or_default().entry((meter, day)).or_default() += amount;
    }

    #[cfg(test)]
    pub(super) fn amount(&self, tenant: TenantId, meter: Meter, day: NaiveDate) -> u64 {
        self.0.get(&tenant).and_then(|amounts| amounts.get(&(meter, day))).copied().unwrap_or_default()
    }

    /// As the function `usage_add` takes it: the first tenants, and who they are.
    fn first(&self) -> (Vec<TenantId>, Value) {
        let line = |((meter, day), amount): (&(Meter, NaiveDate), &u64)| json!([meter.0, day, amount]);
        let mut tenants = Vec::new();
        let mut amounts = Map::new();
        for (tenant, lines) in self.0.iter().take(TENANTS) {
            tenants.push(*tenant);
            amounts.insert(tenant.to_string(), lines.iter().map(line).collect());
        }
        (tenants, amounts.into())
    }
}

impl Tenants {
    /// Writes what was counted so far.
    ///
    /// # Errors
    /// A database that is away: the amounts are kept, for the next time.
    pub async fn flush_usage(&self) -> Result<()> {
        let usage = self.usage();
        let mut unsent = usage.unsent.lock().await;
        // Behind a database that was away for long, amounts stay where they are counted, which is bounded.
        if unsent.0.len() < MOST {
            usage.collect(&mut unsent, Utc::now().date_naive());
        }
        while !unsent.0.is_empty() {
            let (tenants, amounts) = unsent.first();
            sqlx::query("select usage_add($1)").bind(amounts).execute(self.pool(Door::App)).await?;
            for tenant in tenants {
                unsent.0.remove(&tenant);
            }
        }
        Ok(())
    }

    /// Writes what is counted every 5 s until `stop` resolves, and then the last of it.
    pub async fn keep_usage(&self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_behind = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = &mut stop => break,
            }
            match self.flush_usage().await {
                Ok(()) => is_behind = false,
                // Once an outage: the next line comes with the next one.
                Err(error) if !is_behind => {
                    tracing::warn!(%error, "usage was not written; it is kept and tried again");
                    is_behind = true;
                }
                Err(_) => {}
            }
        }
        if !matches!(timeout(LAST, self.flush_usage()).await, Ok(Ok(()))) {
            tracing::error!("the usage of the last seconds was not written and is lost");
        }
    }
}

//! The gate: a cap over all tenants and processes on expensive work in flight (model calls, analyses).
//!
//! Work that must pass it is a job, ordered by [`TenantTx::enqueue_gated`], which gives it a ticket: a place in line. The
//! worker asks for a lease before it runs such a job and renews it meanwhile (`lease.rs`); without one the job is put
//! back, which costs it no attempt and the worker no slot. What is counted and in which order is decided in one place,
//! `migrations/sql-always/gate.sql`.

mod lease;

use axum::http::StatusCode;
use sea_orm::{QueryResult, Value};
use uuid::Uuid;

pub(crate) use lease::{Attempt, HEARTBEAT, Passage, pass};

use crate::{Error, Job, Result, TenantTx, http::Problem};

/// Seconds after which somebody whom the line had no place for may ask again.
const RETRY_SECONDS: u64 = 15;

/// A piece of work in the gate's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// What [`TenantTx::gate_place`] takes.
    pub id: Uuid,
    /// Its place in line: 1 is the next to run.
    pub position: u32,
}

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In line; 1 is the next to run.
    Waiting(u32),
    /// At work.
    Running,
    /// Neither: the work is done, given up, or waits to be tried again after a failure.
    Elsewhere,
}

/// What of a tenant's work is in the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InGate {
    /// Waits for a slot, or to be tried again.
    pub waiting: u64,
    /// Has a slot.
    pub running: u64,
}

impl InGate {
    /// What [`TenantTx::in_gate`] asks, for a statement that asks for more at once: `running` and `waiting`, of the tenant
    /// `$1`.
    pub const SQL: &str = "select count(*) filter (where coalesce(lease_until > clock_timestamp(), false)) as running, \
                           count(*) filter (where not coalesce(lease_until > clock_timestamp(), false)) as waiting \
                           from gate_ticket where tenant_id = $1";
}

impl TenantTx {
    /// Orders a job that runs behind the gate, once this transaction has committed. A second order with the same `key`
    /// replaces the first while that waits, and keeps its place.
    ///
    /// Everybody's expensive work waits for the end of this transaction from here on: make it the last thing in it.
    ///
    /// # Errors
    /// 429 `gate-full` when ten already wait for each slot, or a third of these are the tenant's own.
    pub async fn enqueue_gated<J: Job>(&self, job: &J, key: &str) -> Result<Ticket> {
        let payload = serde_json::to_value(job).map_err(|error| Error::Internal(error.to_string()))?;
        let slots = i32::try_from(self.gate_slots()).unwrap_or(i32::MAX);
        let values: [Value; 4] = [J::KIND.into(), payload.into(), format!("{}:{key}", J::KIND).into(), slots.into()];
        let rows = self.sql("select ticket, place, waiting, share from gate_enter($1, $2, $3, $4)", values).await?;
        let row = rows.first().ok_or_else(|| Error::Internal("the gate did not answer".into()))?;
        let number =
            |column: &str| Ok::<u32, Error>(u32::try_from(row.try_get::<i32>("", column)?).unwrap_or_default());
        match row.try_get::<Option<Uuid>>("", "ticket")? {
            Some(id) => Ok(Ticket { id, position: number("place")? }),
            None => Err(full(number("share")?, number("waiting")?).into()),
        }
    }

    /// Where a ticket of this tenant stands.
    ///
    /// # Errors
    /// As the database says.
    pub async fn gate_place(&self, ticket: Uuid) -> Result<Place> {
        let rows = self.sql("select gate_place($1) as place", [ticket.into()]).await?;
        let place: Option<i32> = rows.first().map(|row| row.try_get("", "place")).transpose()?.flatten();
        Ok(match place {
            None => Place::Elsewhere,
            Some(0) => Place::Running,
            Some(place) => Place::Waiting(place.unsigned_abs()),
        })
    }

    /// How much of the tenant's work is in the gate, as far as the actor may see it: owners and admins do.
    ///
    /// # Errors
    /// As the database says.
    pub async fn in_gate(&self) -> Result<InGate> {
        let rows = self.sql(InGate::SQL, [self.tenant_id().0.into()]).await?;
        let count = |row: &QueryResult, column: &str| row.try_get::<i64>("", column).map(i64::unsigned_abs);
        let row = rows.first().ok_or_else(|| Error::Internal("the gate was not counted".into()))?;
        Ok(InGate { running: count(row, "running")?, waiting: count(row, "waiting")? })
    }
}

/// Says the tenant's own numbers, whoever fills the line.
fn full(share: u32, waiting: u32) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "gate-full", "Too much work of this kind is waiting.")
        .detail("The line of work that waits is full, or your business's part of it. Try again in a moment.")
        .with("limit", share)
        .with("used", waiting)
        .with("reset_seconds", RETRY_SECONDS)
        .retry_after(RETRY_SECONDS)
}

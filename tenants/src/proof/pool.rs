//! The product's own pools, after requests that hung up, panicked, failed or ran out of time: whoever comes next works in
//! their own tenant.

use std::{panic, pin::pin, time::Duration};

use futures::{FutureExt, future::join_all};
use uuid::Uuid;

use super::{Attempt, Party, Trial, Verdict};
use crate::{
    Actor, Error, MemberId, Result, Role, Tenant, Tenants,
    fetch::{FromRow, Hot, Row},
    scope::Door,
};

const GROUP: &str = "pool";

/// Which tenants the transaction sees, asked the way hot reads ask.
static SEEN: Hot = Hot::new("select id from tenant where kind <> 'platform' order by id");
static SLOW: Hot = Hot::new("select id from tenant, pg_sleep(30)");

/// A tenant's id.
struct Id(Uuid);

impl FromRow for Id {
    fn from_row(row: &mut Row<'_>) -> Result<Self> {
        Ok(Self(row.take("id")?))
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
enum End {
    HungUp,
    Panicked,
    Failed,
    Slow,
}

/// Breaks requests off in every way, and looks who is whose afterwards.
pub(super) async fn attack(tenants: &Tenants, trial: &Trial<'_>) -> Result<()> {
    let (us, them) = (open(tenants, trial.attacker), open(tenants, trial.victim));
    for end in [End::HungUp, End::Panicked, End::Failed, End::Slow] {
        for number in 0..24 {
            if trial.ledger.is_over() {
                return Ok(());
            }
            break_off(&us, end, number).await;
            // The other comes first: it would meet what was left behind.
            for (tenant, whose) in [(&them, trial.victim), (&us, trial.attacker)] {
                look(tenant, whose, trial, &format!("after a request that {end:?} ({number})")).await;
            }
        }
    }
    // The server gives a statement up itself after 5 s.
    let late = async |tenant: &Tenant| {
        tenant.read(async |tx| tx.sql("select pg_sleep(6)", []).await.map_err(Error::from)).await.is_err()
    };
    tokio::join!(late(&us), late(&them));
    let looks = (0..120).map(|number| {
        let (tenant, whose) = if number % 2 == 0 { (&us, trial.attacker) } else { (&them, trial.victim) };
        look(tenant, whose, trial, "side by side")
    });
    join_all(looks).await;
    for (role, door) in [("ffp_app", Door::App), ("ffp_worker", Door::Worker), ("ffp_operator", Door::Operator)] {
        idle(tenants, role, door, trial).await?;
    }
    Ok(())
}

/// The connections of a pool, taken by somebody who does not say who they are: nothing is left of whom they
/// served last.
async fn idle(tenants: &Tenants, role: &str, door: Door, trial: &Trial<'_>) -> Result<()> {
    const NOBODY: &str = "select concat(current_setting('app.tenant_id', true), current_setting('app.member_id', true), \
                                        current_setting('app.role', true)) as who, (select count(*) from member) as seen";
    let pool = tenants.pool(door);
    // Served once more, so that somebody is who comes last.
    for whose in [trial.victim, trial.attacker] {
        let tenant = Tenant { door, ..open(tenants, whose) };
        tenant.write(async |tx| tx.sql("select 1", []).await.map_err(Error::from)).await?;
    }
    // All that it may have at once: one that was given back would come again.
    let mut taken = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        taken.push(pool.acquire().await?);
    }
    for connection in &mut taken {
        let (who, seen): (String, i64) = sqlx::query_as(NOBODY).fetch_one(&mut **connection).await?;
        let (verdict, detail) = match (who.is_empty(), seen) {
            (true, 0) => (Verdict::Held, String::new()),
            _ => (Verdict::Leak, format!("it is still `{who}` and sees {seen} members")),
        };
        trial.ledger.record(Attempt::new(GROUP, format!("idle as {role}"), NOBODY, verdict, detail));
    }
    Ok(())
}

fn open(tenants: &Tenants, party: &Party) -> Tenant {
    let owner = party.member(Role::Owner).unwrap_or_else(Uuid::nil);
    tenants.open(party.tenant, Actor::member(MemberId(owner), Role::Owner), Door::App)
}

/// One request that does not end well. What it changes is its own tenant's, and never committed.
async fn break_off(tenant: &Tenant, end: End, number: u32) {
    const RENAME: &str = "update tenant set updated_at = updated_at where id = $1";
    let id = tenant.id().0;
    match end {
        End::HungUp => {
            // Polled a few times more at each try: before BEGIN, in the midst of it, behind it.
            let mut write = pin!(
                tenant
                    .write(async |tx| {
                        tx.run(RENAME, [id.into()]).await?;
                        futures::future::pending::<Result<()>>().await
                    })
                    .fuse()
            );
            let mut fetch = pin!(tenant.fetch::<Id>(&SEEN, &[]).fuse());
            for _ in 0..=number {
                let _ = futures::poll!(write.as_mut());
                let _ = futures::poll!(fetch.as_mut());
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
        End::Panicked => {
            let tenant = tenant.clone();
            let request = tokio::spawn(async move {
                let outcome: Result<()> = tenant
                    .write(async |tx| {
                        tx.run(RENAME, [id.into()]).await?;
                        // Unwinds like any panic, without a word on the terminal.
                        panic::resume_unwind(Box::new("a request of the proof panics"))
                    })
                    .await;
                outcome
            });
            let _ = request.await;
        }
        End::Failed => {
            let _ = tenant
                .write(async |tx| {
                    tx.run(RENAME, [id.into()]).await?;
                    let _ = tx.sql("select 1 / 0", []).await;
                    Ok::<_, Error>(())
                })
                .await;
        }
        End::Slow => {
            let patience = Duration::from_millis(u64::from(number));
            let read = tenant.read(async |tx| tx.sql("select pg_sleep(30)", []).await.map_err(Error::from));
            let fetch = tenant.fetch::<Id>(&SLOW, &[]);
            // What is slow holds its place until the server gives it up, so only some of these are.
            if number.is_multiple_of(12) {
                let _ = tokio::join!(tokio::time::timeout(patience, read), tokio::time::timeout(patience, fetch));
            }
        }
    }
}

/// Who the tenant's transactions are, over all three ways into the database.
async fn look(tenant: &Tenant, whose: &Party, trial: &Trial<'_>, when: &str) {
    const WHO: &str = "select current_setting('app.tenant_id') as who, \
                              (select string_agg(id::text, ',' order by id) from tenant where kind <> 'platform') as seen";
    let expected = format!("{0}/{0}", whose.tenant);
    let ask = async |tx: &crate::TenantTx| {
        let rows = tx.sql(WHO, []).await?;
        let text = |column: &str| rows.first().map(|row| row.try_get::<Option<String>>("", column)).transpose();
        Ok::<_, Error>(format!(
            "{}/{}",
            text("who")?.flatten().unwrap_or_default(),
            text("seen")?.flatten().unwrap_or_default()
        ))
    };
    let fetched = async {
        let ids = tenant.fetch::<Id>(&SEEN, &[]).await?;
        let ids = ids.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(",");
        Ok::<_, Error>(format!("{}/{ids}", whose.tenant))
    };
    let answers = [
        ("read", patiently(|| tenant.read(ask)).await),
        ("write", patiently(|| tenant.write(ask)).await),
        ("fetch", fetched.await),
    ];
    for (how, answer) in answers {
        let (verdict, detail) = match answer {
            Ok(seen) if seen == expected => (Verdict::Held, String::new()),
            Ok(seen) => (Verdict::Leak, format!("it is and sees {seen}")),
            Err(Error::Refused(problem)) => (Verdict::Held, problem.title.to_owned()),
            Err(error) => (Verdict::Unproved, error.to_string()),
        };
        let side = if whose.tenant == trial.victim.tenant { "the other tenant" } else { "the attacker" };
        trial.ledger.record(Attempt::new(GROUP, format!("{side} {when}"), format!("{how}: {WHO}"), verdict, detail));
    }
}

/// Once more when the tenant's share of the pool is taken by what was broken off.
async fn patiently<T>(mut ask: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    match ask().await {
        Err(Error::Refused(_)) => ask().await,
        answer => answer,
    }
}

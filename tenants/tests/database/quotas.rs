//! Quotas: never more than so many in any window, whoever asks at once and whatever dies in between.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Duration,
};

use futures::future::join_all;
use tenants::{
    Error, LimitsConfig, Quota, Role, Take, Tenant,
    http::Problem,
    quotas::{self, hours},
};
use uuid::Uuid;

use crate::{
    policies::{assert_refused, ids, run},
    support::{ACME, GLOBEX, TestDb},
};

const PLAN: Quota = Quota::per(5, hours(24), "plan.generate");
const TAKEN: &str = "select count(*) from quota_take where quota = 'plan.generate'";

async fn take(tenant: &Tenant, quota: Quota) -> Result<Take, Problem> {
    loop {
        match tenant.write(async |tx| quotas::take(tx, quota).await).await.map_err(Error::into_problem) {
            Ok(take) => return Ok(take),
            // Many ask at once and connections are few: whoever waited too long for one or for the others asks again.
            Err(problem) if ["busy", "unavailable"].contains(&problem.slug) => {}
            Err(problem) => return Err(problem),
        }
    }
}

async fn refund(tenant: &Tenant, take: Uuid) -> bool {
    tenant.write(async |tx| quotas::refund(tx, take).await).await.unwrap()
}

/// Takes at once; how many were granted. The others were refused for the quota and nothing else.
async fn granted_of(tenants: impl IntoIterator<Item = &Tenant>) -> usize {
    let takes = join_all(tenants.into_iter().map(|tenant| take(tenant, PLAN))).await;
    for refused in takes.iter().filter_map(|take| take.as_ref().err()) {
        assert_eq!(refused.slug, "quota-exhausted");
    }
    takes.iter().filter(|take| take.is_ok()).count()
}

#[tokio::test]
async fn what_is_allowed_is_granted_and_the_next_is_told_when_one_is_free() {
    let mut db = TestDb::new().await;
    let athlete = db.member(ACME, Role::Athlete).await;
    for used in 1..=5 {
        let take = take(&athlete, PLAN).await.unwrap();
        assert_eq!((take.limit, take.used), (5, used));
    }
    let place = "taken_at - (select min(taken_at) from quota_take where quota = 'plan.generate')";
    db.execute(&format!("update quota_take set taken_at = now() - interval '23 hours 50 minutes' + ({place}) where quota = 'plan.generate'"))
        .await;

    let refused = take(&athlete, PLAN).await.unwrap_err();

    assert_eq!((refused.status.as_u16(), refused.slug), (429, "quota-exhausted"));
    let reset = refused.extra["reset_seconds"].as_u64().unwrap();
    assert!((1..=600).contains(&reset), "the oldest take leaves the window in ten minutes at most: {reset}");
    assert_eq!(refused.retry_after, Some(reset));
    for (name, value) in [("limit", 5), ("used", 5), ("window_seconds", 24 * 3600)] {
        assert_eq!(refused.extra[name], value, "{name}");
    }
    assert_eq!(refused.extra["quota"], "plan.generate");
}

#[tokio::test]
async fn twenty_takes_at_once_by_two_processes_give_exactly_five() {
    let mut db = TestDb::with_connections(20).await;
    let other = db.another(20, &LimitsConfig::default());
    let one = db.member(ACME, Role::Athlete).await;
    db.tenants = other;
    let two = db.member(ACME, Role::Athlete).await;
    let all: Vec<&Tenant> = (0..20).map(|n| if n % 2 == 0 { &one } else { &two }).collect();

    assert_eq!(granted_of(all).await, 5);
    assert_eq!(db.count(TAKEN).await, 5);
}

#[tokio::test]
async fn every_member_quota_and_tenant_has_an_allowance_of_its_own() {
    let db = TestDb::new().await;
    let athlete = db.member(ACME, Role::Athlete).await;
    assert_eq!(granted_of([&athlete; 6]).await, 5);
    for other in [
        db.caller(ACME, ACME.second_athlete(), Role::Athlete).await,
        db.member(ACME, Role::Owner).await,
        db.member(GLOBEX, Role::Athlete).await,
    ] {
        assert_eq!(granted_of([&other; 6]).await, 5);
    }
    take(&athlete, Quota::per(1, hours(1), "analysis.run")).await.unwrap();
}

#[tokio::test]
async fn a_take_counts_for_exactly_as_long_as_the_window_is() {
    let mut db = TestDb::new().await;
    let athlete = db.member(ACME, Role::Athlete).await;
    assert_eq!(granted_of([&athlete; 5]).await, 5);
    // One of them a minute inside of the window's end, which a minute of this test's own would not pass.
    let oldest = "id = (select min(id::text)::uuid from quota_take where quota = 'plan.generate')";
    db.execute(&format!("update quota_take set taken_at = now() - interval '23:59:00' where {oldest}")).await;
    assert!(take(&athlete, PLAN).await.is_err());
    db.execute(&format!("update quota_take set taken_at = now() - interval '24:00:00' where {oldest}")).await;
    take(&athlete, PLAN).await.unwrap();
    assert!(take(&athlete, PLAN).await.is_err(), "one was free and no more");
    assert_eq!(db.count(TAKEN).await, 5, "and what has left the window is deleted");
}

#[tokio::test]
async fn a_take_is_dated_when_it_is_granted_and_not_when_its_transaction_began() {
    let db = TestDb::new().await;
    let late = db
        .member(ACME, Role::Athlete)
        .await
        .write(async |tx| {
            let take = quotas::take(tx, PLAN).await?;
            let rows =
                tx.sql("select taken_at > now() as late from quota_take where id = $1", [take.id.into()]).await?;
            Ok::<bool, Error>(rows[0].try_get("", "late")?)
        })
        .await;
    assert!(late.unwrap(), "it may have waited for others in between");
}

#[tokio::test]
async fn a_write_that_fails_takes_nothing() {
    let mut db = TestDb::new().await;
    let athlete = db.member(ACME, Role::Athlete).await;
    for _ in 0..10 {
        let failed = athlete
            .write(async |tx| {
                quotas::take(tx, PLAN).await?;
                Err::<(), _>(Error::Internal("the work could not be written".into()))
            })
            .await;
        assert!(matches!(failed, Err(Error::Internal(_))));
    }
    assert_eq!(db.count(TAKEN).await, 0);
    assert_eq!(granted_of([&athlete; 6]).await, 5);
}

const CHILD: &str = "FFP_TEST_QUOTA_DATABASE";

/// A process of its own, which [`a_crash_between_take_and_commit_takes_nothing`] kills.
#[tokio::test]
#[ignore = "only takes, for another test to kill"]
#[allow(clippy::print_stdout)]
async fn takes_and_waits_to_be_killed() {
    let Ok(urls) = std::env::var(CHILD) else { return };
    let [app, worker, operator] = urls.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    let tenants = crate::support::tenants_at(app, worker, operator, 8);
    let athlete = crate::support::caller_of(&tenants, ACME, ACME.member(Role::Athlete), Role::Athlete).await;
    take(&athlete, PLAN).await.unwrap();
    take(&athlete, PLAN).await.unwrap();
    let third = async |tx: &tenants::TenantTx| {
        quotas::take(tx, PLAN).await?;
        println!("\ntaken");
        std::io::stdout().flush().unwrap();
        std::future::pending::<Result<(), Error>>().await
    };
    athlete.write(third).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_take_and_commit_takes_nothing() {
    let mut db = TestDb::with_connections(24).await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "quotas::takes_and_waits_to_be_killed", "--ignored", "--nocapture"])
        .env(CHILD, crate::support::SERVICES.map(|role| db.url(role)).join(" "))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap() == "taken"), "the process takes");
    assert_eq!(db.count(TAKEN).await, 2, "the third is not committed");

    // Twenty more ask while it holds its third, and it dies.
    let athlete = db.member(ACME, Role::Athlete).await;
    let asking = tokio::spawn(async move { granted_of([&athlete; 20]).await });
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'advisory'";
    while db.count(waiting).await == 0 && !asking.is_finished() {
        tokio::task::yield_now().await;
    }
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(asking.await.unwrap(), 3, "five, and two were committed");
    assert_eq!(db.count(TAKEN).await, 5);
}

#[tokio::test]
async fn a_refund_gives_back_one_take_once() {
    let db = TestDb::new().await;
    let athlete = db.member(ACME, Role::Athlete).await;
    let first = take(&athlete, PLAN).await.unwrap();
    assert_eq!(granted_of([&athlete; 5]).await, 4);
    assert!(refund(&athlete, first.id).await);
    assert!(!refund(&athlete, first.id).await, "there is nothing to give back any more");
    assert_eq!(granted_of([&athlete; 3]).await, 1);
}

#[tokio::test]
async fn nobody_gives_back_what_another_member_or_tenant_took() {
    let mut db = TestDb::new().await;
    let athlete = db.member(ACME, Role::Athlete).await;
    let taken = take(&athlete, PLAN).await.unwrap();
    for other in [
        db.caller(ACME, ACME.second_athlete(), Role::Athlete).await,
        db.member(ACME, Role::Coach).await,
        db.member(ACME, Role::Owner).await,
        db.member(GLOBEX, Role::Athlete).await,
        db.tenants.as_system(GLOBEX.id),
    ] {
        assert!(!refund(&other, taken.id).await, "{:?}", other.actor());
    }
    assert_eq!(db.count(TAKEN).await, 1);
    assert!(refund(&db.tenants.as_system(ACME.id), taken.id).await, "a job of the tenant does, when the work fails");
    assert_eq!(db.count(TAKEN).await, 0);
}

#[tokio::test]
async fn an_operator_may_grant_one_tenant_more_or_less_or_none() {
    let mut db = TestDb::new().await;
    let athlete = db.member(ACME, Role::Athlete).await;
    for (granted, in_all) in [("7", 7), ("2", 7), ("9", 9)] {
        db.execute(&format!("update tenant set quotas = '{{\"plan.generate\": {granted}}}' where id = '{}'", ACME.id))
            .await;
        granted_of([&athlete; 8]).await;
        assert_eq!(db.count(TAKEN).await, in_all, "granted {granted}");
    }
    db.execute(&format!("update tenant set quotas = '{{\"plan.generate\": 0}}' where id = '{}'", ACME.id)).await;
    let refused = take(&db.member(ACME, Role::Owner).await, PLAN).await.unwrap_err();
    assert_eq!(
        (refused.slug, &refused.extra["limit"], &refused.extra["used"]),
        ("quota-exhausted", &0.into(), &0.into())
    );
    assert_eq!(
        granted_of([&db.member(GLOBEX, Role::Athlete).await; 6]).await,
        5,
        "another business has what is declared"
    );
}

#[tokio::test]
async fn a_limit_that_was_lowered_frees_the_next_take_when_enough_have_left() {
    let mut db = TestDb::new().await;
    let athlete = db.member(ACME, Role::Athlete).await;
    assert_eq!(granted_of([&athlete; 5]).await, 5);
    // Taken one hour after the other: the first leaves the window in 19 h, the fourth in 22 h, the fifth in 23 h.
    db.execute(
        "update quota_take q set taken_at = now() - interval '1 hour' * (6 - n.place)
         from (select id, row_number() over (order by taken_at) as place from quota_take where quota = 'plan.generate') n
         where n.id = q.id",
    )
    .await;
    for (limit, hours) in [(5, 19), (2, 22), (1, 23)] {
        db.execute(&format!("update tenant set quotas = '{{\"plan.generate\": {limit}}}' where id = '{}'", ACME.id))
            .await;
        let refused = take(&athlete, PLAN).await.unwrap_err();
        let reset = Duration::from_secs(refused.extra["reset_seconds"].as_u64().unwrap());
        let expected = Duration::from_secs(hours * 3600);
        assert!(reset <= expected && reset + Duration::from_secs(600) > expected, "limit {limit}: {reset:?}");
        assert_eq!(refused.extra["used"], 5);
    }
}

#[tokio::test]
async fn a_grant_that_is_no_number_is_none() {
    let mut db = TestDb::new().await;
    let athlete = db.member(ACME, Role::Athlete).await;
    for odd in ["\"7\"", "null", "[]", "true"] {
        db.execute(&format!("update tenant set quotas = '{{\"plan.generate\": {odd}}}' where id = '{}'", ACME.id))
            .await;
        let used = athlete.read(async |tx| quotas::allowances(tx, &[PLAN]).await).await.unwrap();
        assert_eq!(used[0].limit, 5, "{odd}");
    }
    db.execute(&format!("update tenant set quotas = '{{\"plan.generate\": -3.5}}' where id = '{}'", ACME.id)).await;
    assert!(take(&athlete, PLAN).await.is_err(), "less than none is none");
}

#[tokio::test]
async fn allowances_tell_what_is_used_and_when_it_frees() {
    const OTHER: Quota = Quota::per(10, hours(1), "analysis.run");
    let db = TestDb::new().await;
    let athlete = db.member(ACME, Role::Athlete).await;
    let other = db.caller(ACME, ACME.second_athlete(), Role::Athlete).await;
    take(&athlete, PLAN).await.unwrap();
    take(&athlete, PLAN).await.unwrap();
    take(&other, PLAN).await.unwrap();
    take(&db.member(GLOBEX, Role::Owner).await, PLAN).await.unwrap();

    let own =
        async |tenant: &Tenant| tenant.read(async |tx| quotas::allowances(tx, &[OTHER, PLAN]).await).await.unwrap();
    let seen = own(&athlete).await;
    assert_eq!((seen[0].quota, seen[0].limit, seen[0].used, seen[0].frees_at), (OTHER, 10, 0, None));
    assert_eq!((seen[1].quota, seen[1].limit, seen[1].used, seen[1].used_by_all), (PLAN, 5, 2, 2));
    let frees = seen[1].frees_at.unwrap() - chrono::Utc::now();
    assert!((chrono::Duration::hours(23)..=chrono::Duration::hours(24)).contains(&frees), "{frees}");

    let owner = own(&db.member(ACME, Role::Owner).await).await;
    assert_eq!((owner[1].used, owner[1].used_by_all), (0, 3), "an owner sees what everybody of the business used");
    assert_eq!(own(&db.member(ACME, Role::Coach).await).await[1].used_by_all, 0);
}

#[tokio::test]
async fn takes_are_seen_and_written_by_whom_they_concern() {
    let mut db = TestDb::new().await;
    let athlete = db.member(ACME, Role::Athlete).await;
    let owner = db.member(ACME, Role::Owner).await;
    take(&athlete, PLAN).await.unwrap();
    let members = "select distinct member_id from quota_take";
    assert_eq!(ids(&athlete, members).await, [ACME.member(Role::Athlete).0]);
    assert_eq!(ids(&owner, members).await.len(), 2, "and the owner's own");
    assert!(ids(&db.member(ACME, Role::Coach).await, members).await.is_empty());

    let insert = "insert into quota_take (tenant_id, id, member_id, quota, taken_at) values ($1, $2, $3, 'plan.generate', now())";
    let values = [ACME.id.0, Uuid::now_v7(), ACME.member(Role::Athlete).0].map(sea_orm::Value::from);
    assert_refused(run(&owner, insert, values).await, "a take in another's name");
    assert_refused(run(&athlete, "update quota_take set taken_at = '-infinity'", []).await, "an earlier take");
    assert_eq!(run(&owner, "delete from quota_take where quota = 'plan.generate'", []).await.unwrap(), 0);
    assert_eq!(db.count(TAKEN).await, 1);
}

#[tokio::test]
async fn the_system_has_no_allowance() {
    let db = TestDb::new().await;
    let outcome = db.tenants.as_system(ACME.id).write(async |tx| quotas::take(tx, PLAN).await).await;
    assert!(matches!(outcome, Err(Error::Internal(_))), "{outcome:?}");
}

//! Usage: counted in memory, written in batches, by nobody's transaction.

use sqlx::Executor;
use tenants::{Meter, Role, TenantId, Tenants, usage};
use uuid::Uuid;

use crate::{
    catalogue::refusal,
    policies::{assert_refused, ids, run},
    support::{ACME, Business, GLOBEX, SERVICES, TestDb},
};

const STREAMED: Meter = Meter("test.streamed");

async fn amount(db: &mut TestDb, business: Business, meter: Meter) -> i64 {
    let text = "select coalesce(sum(amount), 0)::bigint from usage where day = (now() at time zone 'UTC')::date";
    db.count(&format!("{text} and tenant_id = '{}' and meter = '{}'", business.id, meter.0)).await
}

fn count(tenants: &Tenants, business: Business, meter: Meter, amount: u64) {
    tenants.usage().add(business.id, meter, amount);
}

#[tokio::test]
async fn what_two_processes_count_is_added_up_by_tenant_and_meter() {
    let mut db = TestDb::new().await;
    let other = db.another(8, &tenants::LimitsConfig::default());
    for tenants in [&db.tenants, &other] {
        count(tenants, ACME, STREAMED, 2);
        count(tenants, ACME, usage::REQUESTS, 10);
        count(tenants, GLOBEX, STREAMED, 1);
    }
    assert_eq!(amount(&mut db, ACME, STREAMED).await, 0, "nothing is written yet");
    let (one, two) = tokio::join!(db.tenants.flush_usage(), other.flush_usage());
    one.and(two).unwrap();
    count(&other, ACME, STREAMED, 3);
    other.flush_usage().await.unwrap();
    other.flush_usage().await.unwrap();
    assert_eq!(amount(&mut db, ACME, STREAMED).await, 7);
    assert_eq!(amount(&mut db, ACME, usage::REQUESTS).await, 20);
    assert_eq!(amount(&mut db, GLOBEX, STREAMED).await, 2);
    let rows = "select count(*) from usage where meter in ('test.streamed', 'requests')";
    assert_eq!(db.count(rows).await, 3, "a row for each tenant, meter and day");
}

#[tokio::test]
async fn what_was_counted_for_a_tenant_that_is_no_more_is_dropped_and_the_rest_is_written() {
    let mut db = TestDb::new().await;
    let gone = [TenantId(Uuid::nil()), TenantId(Uuid::max()), TenantId::new()];
    for tenant in gone {
        db.tenants.usage().add(tenant, STREAMED, 1);
    }
    count(&db.tenants, ACME, STREAMED, 1);
    db.tenants.flush_usage().await.unwrap();
    assert_eq!(db.count("select count(*) from usage where meter = 'test.streamed'").await, 1);
    assert_eq!(amount(&mut db, ACME, STREAMED).await, 1);
}

#[tokio::test]
async fn a_thousand_tenants_are_written_in_one_flush() {
    let mut db = TestDb::new().await;
    db.execute(
        "insert into tenant (id, kind, name, status, storage_limit_bytes)
             select ('00000000-0000-7000-a000-' || lpad(n::text, 12, '0'))::uuid, 'business', 'A gym', 'active', 0
             from generate_series(1, 1200) n",
    )
    .await;
    for number in 1..=1200 {
        let tenant = format!("00000000-0000-7000-a000-{number:012}").parse().unwrap();
        db.tenants.usage().add(TenantId(tenant), STREAMED, number);
    }
    db.tenants.flush_usage().await.unwrap();
    let text = "select (sum(amount) + count(distinct tenant_id))::bigint from usage where meter = 'test.streamed'";
    assert_eq!(db.count(text).await, 1200 * 1201 / 2 + 1200);
}

#[tokio::test]
async fn amounts_that_could_not_be_written_are_written_the_next_time_and_once() {
    let mut db = TestDb::new().await;
    count(&db.tenants, ACME, STREAMED, 4);
    db.execute("revoke execute on function usage_add(jsonb) from ffp_app").await;
    assert!(db.tenants.flush_usage().await.is_err());
    count(&db.tenants, ACME, STREAMED, 5);
    assert!(db.tenants.flush_usage().await.is_err());
    db.execute("grant execute on function usage_add(jsonb) to ffp_app").await;
    db.tenants.flush_usage().await.unwrap();
    db.tenants.flush_usage().await.unwrap();
    assert_eq!(amount(&mut db, ACME, STREAMED).await, 9);
}

#[tokio::test]
async fn a_process_that_ends_writes_what_it_counted_last() {
    let mut db = TestDb::new().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let tenants = db.tenants.clone();
    let keeping = tokio::spawn(async move {
        tenants.keep_usage(async { stopped.await.unwrap_or_default() }).await;
    });
    count(&db.tenants, ACME, STREAMED, 6);
    stop.send(()).unwrap();
    keeping.await.unwrap();
    assert_eq!(amount(&mut db, ACME, STREAMED).await, 6);
}

#[tokio::test]
async fn a_transaction_of_a_tenant_or_of_anybody_adds_nothing() {
    let mut db = TestDb::new().await;
    let batch = format!("select usage_add('{{\"{}\": [[\"test.streamed\", \"2026-11-21\", 5]]}}')", GLOBEX.id);
    let written = db
        .member(ACME, Role::Owner)
        .await
        .write(async |tx| {
            let text =
                "select usage_add(jsonb_build_object($1::uuid, '[[\"test.streamed\", \"2026-11-21\", 5]]'::jsonb))";
            tx.run(text, [GLOBEX.id.0.into()]).await.map_err(tenants::Error::from)
        })
        .await;
    assert_refused(written, "inside Acme's transaction");
    for setting in ["app.tenant_id", "app.member_id", "app.role"] {
        for role in ["ffp_app", "ffp_worker"] {
            let mut connection = db.connect(role).await;
            let set = format!("select set_config('{setting}', '{}', false)", ACME.id);
            connection.execute(sqlx::AssertSqlSafe(set)).await.unwrap();
            assert_eq!(refusal(&mut connection, batch.clone()).await.0, "42501", "{role} with {setting}");
        }
    }
    assert_eq!(refusal(&mut db.connect("ffp_operator").await, batch.clone()).await.0, "42501");
    assert_eq!(db.count("select count(*) from usage where meter = 'test.streamed'").await, 0);

    let mut nobody = db.connect("ffp_app").await;
    nobody.execute("begin").await.unwrap();
    nobody.execute(sqlx::AssertSqlSafe(batch)).await.unwrap();
    let left: String =
        sqlx::query_scalar("select concat(current_setting('app.tenant_id', true), current_setting('app.role', true))")
            .fetch_one(&mut nobody)
            .await
            .unwrap();
    assert_eq!(left, "", "it leaves no tenant set behind");
    nobody.execute("commit").await.unwrap();
    assert_eq!(db.count("select amount from usage where meter = 'test.streamed'").await, 5);
}

#[tokio::test]
async fn usage_is_seen_by_those_who_answer_for_the_business_and_written_by_nobody() {
    let mut db = TestDb::new().await;
    for (role, rows) in [(Role::Athlete, 0), (Role::Coach, 0), (Role::Admin, 1), (Role::Owner, 1)] {
        let tenant = db.member(ACME, role).await;
        assert_eq!(ids(&tenant, "select tenant_id from usage").await.len(), rows, "{role:?}");
        assert_refused(run(&tenant, "update usage set amount = 0", []).await, "less");
        assert_refused(run(&tenant, "delete from usage", []).await, "nothing");
        let insert = "insert into usage (tenant_id, id, meter, day, amount) values ($1, $1, 'x', current_date, 1)";
        assert_refused(run(&tenant, insert, [ACME.id.0.into()]).await, "more");
    }
    for role in SERVICES {
        let may = format!("select (has_table_privilege('{role}', 'usage', 'INSERT, UPDATE, DELETE'))::int::bigint");
        assert_eq!(db.count(&may).await, 0, "{role}");
    }
}

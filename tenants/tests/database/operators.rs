//! What operators may do across tenants and in one: reading the registry, acting with a line in the audit log, and the
//! three functions that are their door to the job queue.

use sea_orm::QueryResult;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tenants::{Audit, Error, Job, JobError, OperatorScope, Tenant, TenantId, WorkerOptions};
use uuid::Uuid;

use crate::{
    catalogue::{enter, refusal},
    policies::assert_refused,
    support::{ACME, Business, GLOBEX, SERVICES, TestDb},
};

fn line(action: &'static str) -> Audit {
    Audit { action, object_kind: "test", object_id: None, detail: serde_json::json!({}) }
}

async fn across(operator: &OperatorScope, sql: &'static str) -> Result<Vec<QueryResult>, Error> {
    operator.across(async |tx| Ok::<_, Error>(tx.sql(sql, []).await?)).await
}

async fn suspend(operator: &OperatorScope, tenant: TenantId, line: Option<Audit>) -> Result<(), Error> {
    operator
        .act(tenant, async |tx| {
            tx.run("update tenant set status = 'suspended'", []).await?;
            Ok(((), line))
        })
        .await
}

const SUSPENDED: &str = "select count(*) from tenant where status = 'suspended'";

#[tokio::test]
async fn across_tenants_there_is_the_registry_and_no_row_of_anything_else() {
    let mut db = TestDb::new().await;
    let operator = db.operator().await;
    for registry in
        ["select distinct id from tenant", "select distinct tenant_id from audit", "select tenant_id from usage"]
    {
        let seen = across(&operator, registry).await.unwrap();
        let ids: Vec<Uuid> = seen.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        assert!(ids.contains(&ACME.id.0) && ids.contains(&GLOBEX.id.0), "{registry}: {ids:?}");
    }
    let setting = across(&operator, "select current_setting('app.tenant_id')").await.unwrap();
    assert_eq!(setting[0].try_get_by_index::<String>(0).unwrap(), "", "no tenant is set, not even the platform's own");
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
           and c.relname not in ('tenant', 'audit', 'usage', '_sqlx_migrations') order by 1",
    )
    .fetch_all(&mut db.admin)
    .await
    .unwrap();
    assert!(tables.len() >= 7, "{tables:?}");
    for table in tables {
        db.execute(&format!("grant select on {table} to ffp_operator")).await;
        // What the platform publishes is everybody's.
        let text = format!("select 1 from {table} where tenant_id in ('{}', '{}')", ACME.id, GLOBEX.id);
        let seen = across(&operator, text.leak()).await.unwrap();
        assert_eq!(seen.len(), 0, "{table}");
    }
}

#[tokio::test]
async fn nothing_is_written_across_tenants() {
    let mut db = TestDb::new().await;
    let operator = db.operator().await;
    for text in [
        "update tenant set status = 'suspended'",
        "insert into audit (tenant_id, id, actor_role, action, object_kind) select id, id, 'operator', 'x', 'x' from tenant",
        "select enqueue('x', '{}', 'k', null)",
        "select operator_retry_job(1)",
    ] {
        assert!(across(&operator, text).await.is_err(), "{text}");
    }
    assert_eq!(db.count(SUSPENDED).await, 0);
}

#[tokio::test]
async fn an_act_and_its_audit_line_are_one() {
    let mut db = TestDb::new().await;
    let operator = db.operator().await;
    suspend(&operator, ACME.id, Some(line("test.acted"))).await.unwrap();
    assert_eq!(db.count(SUSPENDED).await, 1);
    let written = format!(
        "select count(*) from audit where action = 'test.acted' and tenant_id = '{}' and actor_role = 'operator'
            and actor_id = '{}'",
        ACME.id,
        operator.subject()
    );
    assert_eq!(db.count(&written).await, 1);

    db.execute("alter table audit add constraint broken check (action <> 'test.fails') not valid").await;
    suspend(&operator, GLOBEX.id, Some(line("test.fails"))).await.unwrap_err();
    assert_eq!(db.count(SUSPENDED).await, 1, "the line could not be written, so the act did not happen");
}

#[tokio::test]
async fn an_act_without_a_line_is_not_committed() {
    let mut db = TestDb::new().await;
    suspend(&db.operator().await, ACME.id, None).await.unwrap();
    assert_eq!(db.count(SUSPENDED).await, 0);
}

#[tokio::test]
async fn a_tenant_that_does_not_exist_is_neither_opened_nor_acted_upon() {
    let mut db = TestDb::new().await;
    let operator = db.operator().await;
    for nobody in [TenantId(Uuid::from_u128(7)), TenantId(Uuid::nil())] {
        for outcome in [
            operator.open(nobody, "a test").await.map(|_| ()),
            suspend(&operator, nobody, Some(line("test.acted"))).await,
        ] {
            assert!(matches!(&outcome, Err(Error::Refused(problem)) if problem.slug == "not-found"), "{outcome:?}");
        }
    }
    assert_eq!(db.count("select count(*) from audit where action in ('test.acted', 'tenant.opened')").await, 0);
}

/// A job that fails as long as there is no video called `Mended`.
#[derive(Serialize, Deserialize)]
struct Mendable {
    secret: String,
}

impl Job for Mendable {
    const KIND: &'static str = "test.mendable";
    type Context = ();

    async fn run(self, tenant: Tenant, (): ()) -> Result<(), JobError> {
        let mended = tenant
            .read(async |tx| Ok::<_, Error>(tx.sql("select 1 from video where title = 'Mended'", []).await?))
            .await?;
        if mended.is_empty() { Err(JobError("not mended yet".into())) } else { Ok(()) }
    }
}

async fn order(db: &TestDb, business: Business, key: &str) {
    let job = Mendable { secret: "hush".into() };
    db.tenants
        .as_system(business.id)
        .write(async |tx| tx.enqueue(&job, key, None).await.map_err(Error::from))
        .await
        .unwrap();
}

async fn run_due(db: &TestDb) {
    WorkerOptions::new(&db.tenants, 1).context(()).job::<Mendable>().start().await.unwrap().run_due().await.unwrap();
}

/// Numbers and states, of a tenant or of all.
async fn jobs(operator: &OperatorScope, tenant: Option<Business>, state: Option<&'static str>) -> Vec<(i64, String)> {
    let values = [tenant.map(|tenant| tenant.id.0).into(), state.into(), i64::MAX.into(), 100_i32.into()];
    let rows = operator
        .across(async |tx| Ok::<_, Error>(tx.sql("select * from operator_jobs($1, $2, $3, $4)", values).await?))
        .await
        .unwrap();
    rows.iter().map(|row| (row.try_get("", "id").unwrap(), row.try_get("", "state").unwrap())).collect()
}

/// Retries as an act in a tenant; whether it was one.
async fn retry(operator: &OperatorScope, tenant: Business, job: i64) -> bool {
    operator
        .act(tenant.id, async |tx| {
            let rows = tx.sql("select operator_retry_job($1)", [job.into()]).await?;
            let retried: bool = rows[0].try_get_by_index(0)?;
            Ok((retried, retried.then(|| line("job.retried"))))
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn jobs_are_listed_by_tenant_and_state_without_what_they_carry() {
    let db = TestDb::new().await;
    let operator = db.operator().await;
    order(&db, ACME, "a").await;
    run_due(&db).await;
    order(&db, GLOBEX, "b").await;

    let all = jobs(&operator, None, None).await;
    let states: Vec<&str> = all.iter().map(|(_, state)| state.as_str()).collect();
    assert_eq!(states, ["waiting", "failed"], "newest first");
    assert_eq!(jobs(&operator, Some(ACME), None).await, all[1..]);
    assert_eq!(jobs(&operator, Some(GLOBEX), None).await, all[..1]);
    assert_eq!(jobs(&operator, None, Some("failed")).await, all[1..]);
    assert_eq!(jobs(&operator, Some(GLOBEX), Some("failed")).await, []);

    let rows =
        across(&operator, "select operator_jobs::text from operator_jobs(null, null, 1000000, 10)").await.unwrap();
    for row in rows {
        let text: String = row.try_get_by_index(0).unwrap();
        assert!(!text.contains("hush") && !text.contains("mended"), "{text}");
    }
}

#[tokio::test]
async fn a_retry_reaches_a_failed_job_of_the_opened_tenant_and_no_other() {
    let mut db = TestDb::new().await;
    let operator = db.operator().await;
    order(&db, ACME, "a").await;
    run_due(&db).await;
    let (job, _) = jobs(&operator, None, None).await.remove(0);

    assert!(!retry(&operator, GLOBEX, job).await, "Acme's job, from Globex");
    assert!(!retry(&operator, ACME, job + 1).await, "nobody's job");
    assert_eq!(jobs(&operator, Some(ACME), None).await, [(job, "failed".to_owned())]);

    db.execute(&format!("update video set title = 'Mended' where tenant_id = '{}'", ACME.id)).await;
    run_due(&db).await;
    assert_eq!(jobs(&operator, None, None).await.len(), 1, "it is not due yet");
    assert!(retry(&operator, ACME, job).await);
    assert_eq!(jobs(&operator, None, None).await, [(job, "waiting".to_owned())]);
    assert!(!retry(&operator, ACME, job).await, "it waits already");
    run_due(&db).await;
    assert_eq!(jobs(&operator, None, None).await, [], "it ran, and is done");
    assert_eq!(db.count("select count(*) from audit where action = 'job.retried'").await, 1);
}

#[tokio::test]
async fn a_job_that_runs_or_was_replaced_is_not_retried() {
    let mut db = TestDb::new().await;
    let operator = db.operator().await;
    order(&db, ACME, "a").await;
    run_due(&db).await;
    let (job, _) = jobs(&operator, None, None).await.remove(0);

    db.execute("update graphile_worker._private_jobs set locked_at = now(), locked_by = 'w'").await;
    assert_eq!(jobs(&operator, None, None).await, [(job, "running".to_owned())]);
    assert!(!retry(&operator, ACME, job).await);

    // Ordered anew while it runs: what it would do is out of date.
    order(&db, ACME, "a").await;
    db.execute("update graphile_worker._private_jobs set locked_at = null, locked_by = null").await;
    assert_eq!(jobs(&operator, None, Some("replaced")).await, [(job, "replaced".to_owned())]);
    assert!(!retry(&operator, ACME, job).await);
}

#[tokio::test]
async fn the_error_of_a_job_is_read_inside_its_tenant_only() {
    let db = TestDb::new().await;
    let operator = db.operator().await;
    order(&db, ACME, "a").await;
    run_due(&db).await;
    let error = "select operator_job_error(id) from operator_jobs(null, null, 1000000, 1)";
    let read = async |tenant: Tenant| -> Option<String> {
        let rows = tenant.read(async |tx| Ok::<_, Error>(tx.sql(error, []).await?)).await.unwrap();
        rows[0].try_get_by_index(0).unwrap()
    };
    assert!(read(operator.open(ACME.id, "a test").await.unwrap()).await.unwrap().contains("not mended yet"));
    assert_eq!(read(operator.open(GLOBEX.id, "a test").await.unwrap()).await, None);
    let nowhere = across(&operator, error).await.unwrap();
    assert_eq!(nowhere[0].try_get_by_index::<Option<String>>(0).unwrap(), None);
}

#[tokio::test]
async fn nobody_but_operators_may_call_the_operators_functions() {
    let db = TestDb::new().await;
    for role in SERVICES {
        let mut connection = db.connect(role).await;
        for call in ["operator_jobs(null, null, 9, 9)", "operator_job_error(1)", "operator_retry_job(1)"] {
            enter(&mut connection, "operator", None).await;
            let text = format!("select {call}");
            if role == "ffp_operator" {
                connection.execute(AssertSqlSafe(text)).await.unwrap();
            } else {
                assert_eq!(refusal(&mut connection, text).await.0, "42501", "{role}: {call}");
            }
            connection.execute("rollback").await.unwrap();
        }
        connection.close().await.unwrap();
    }
}

#[tokio::test]
async fn an_operator_changes_what_is_granted_and_not_who_a_tenant_is() {
    let db = TestDb::new().await;
    let operator = db.operator().await;
    for text in [
        "update tenant set kind = 'platform'",
        "update tenant set id = gen_random_uuid()",
        "update tenant set created_at = now()",
        "delete from tenant",
        "update member set role = 'owner'",
    ] {
        let outcome = operator.act(ACME.id, async |tx| Ok((tx.run(text, []).await?, Some(line("test.acted"))))).await;
        assert_refused(outcome, text);
    }
}

/// The plan of a query as the operators' role.
async fn plan(db: &TestDb, query: &str) -> String {
    let mut connection = db.connect("ffp_operator").await;
    enter(&mut connection, "operator", None).await;
    connection.execute("set local enable_seqscan = off; set local enable_sort = off").await.unwrap();
    let text = format!("explain {query}");
    let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(text)).fetch_all(&mut connection).await.unwrap();
    lines.join("\n")
}

#[tokio::test]
async fn every_list_of_operators_has_an_index_in_the_order_of_its_pages() {
    let mut db = TestDb::new().await;
    let some = ACME.id;
    // Of which there are enough that a rare one is worth an index.
    let lines = "insert into audit (tenant_id, id, actor_role, actor_id, action, object_kind)
                 select tenant.id, gen_random_uuid(), 'owner', md5((n % 5)::text)::uuid, 'video.added', 'video'
                 from generate_series(1, 5000) n, (select id from tenant limit 1) tenant;
                 analyze audit";
    db.execute(lines).await;
    for (query, index) in [
        (
            format!("select * from audit where id < '{some}' and action = 'rare' order by id desc limit 21"),
            "audit_of_action",
        ),
        (
            format!("select * from audit where id < '{some}' and actor_id = '{some}' order by id desc limit 21"),
            "audit_of_actor",
        ),
        (format!("select * from tenant where id < '{some}' order by id desc limit 21"), "tenant_pkey"),
        (format!("select * from audit where id < '{some}' order by id desc limit 21"), "audit_newest"),
        (
            format!("select * from audit where tenant_id = '{some}' and id < '{some}' order by id desc limit 21"),
            "audit_pkey",
        ),
        (
            format!("select * from member where tenant_id = '{some}' and id < '{some}' order by id desc limit 21"),
            "member_pkey",
        ),
        (format!("select * from usage where tenant_id = '{some}' and day > now()::date - 31"), "usage_of_day"),
    ] {
        let plan = plan(&db, &query).await;
        assert!(plan.contains(index) && !plan.contains("Sort"), "{query}\n{plan}");
    }
    // Else a statement with all filters would soon go by a plan for any of them.
    let mut operator = db.connect("ffp_operator").await;
    let mode: String = sqlx::query_scalar("show plan_cache_mode").fetch_one(&mut operator).await.unwrap();
    assert_eq!(mode, "force_custom_plan");
    let index = db
        .count(
            "select count(*) from pg_indexes where schemaname = 'graphile_worker' and indexname = 'ffp_jobs_of_tenant'",
        )
        .await;
    assert_eq!(index, 1);
}

//! `tenant.fetch`: what holds of a read in one packet, whoever hangs up and whatever goes wrong.

mod standing;
mod tls;

use std::{future::Future, pin::pin, time::Duration};

use tenants::{
    Error, Role, Tenant,
    fetch::{FromRow, FromSql, Hot, Row},
};
use uuid::Uuid;

use crate::support::{ACME, Business, GLOBEX, TestDb, tenants_at};

/// One column of one type.
#[derive(Debug, PartialEq)]
struct One<T>(T);

impl<T> FromRow for One<T>
where
    T: for<'a> FromSql<'a>,
{
    fn from_row(row: &mut Row<'_>) -> Result<Self, Error> {
        Ok(Self(row.take("one")?))
    }
}

static BACKEND: Hot = Hot::new("select pg_backend_pid() as one");
static OTHERS: Hot = Hot::new("select count(*) as one from member where tenant_id <> $1");
static MEMBERS: Hot = Hot::new("select count(*) as one from member");
static WHO: Hot = Hot::new(
    "select current_setting('app.tenant_id') || ' ' || current_setting('app.member_id') || ' ' || \
            current_setting('app.role') as one",
);
static SLEEP: Hot = Hot::new("select pg_sleep($1)::text as one");

pub(super) async fn one<T>(tenant: &Tenant, statement: &'static Hot) -> Result<T, Error>
where
    T: for<'a> FromSql<'a>,
{
    Ok(tenant.fetch::<One<T>>(statement, &[]).await?.remove(0).0)
}

impl TestDb {
    pub(super) async fn owner(&self, business: Business) -> Tenant {
        self.member(business, Role::Owner).await
    }

    /// Waits until as many backends of the application are in this state.
    pub(super) async fn until(&mut self, count: i64, state: &str) {
        let sql = format!(
            "select count(*) from pg_stat_activity where usename = 'ffp_app' and application_name = 'ffp-hot' \
             and datname = current_database() and {state}"
        );
        let reached = async {
            while self.count(&sql).await != count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached).await.expect("the backends come to it");
    }
}

#[track_caller]
fn assert_refused(error: Error, expected: &str) {
    assert!(matches!(&error, Error::Statement { code, .. } if code == expected), "{error:?}");
}

/// Begins, goes as far as the server, and hangs up.
async fn hang_up<T>(db: &mut TestDb, read: impl Future<Output = T>) {
    let mut read = pin!(read);
    tokio::select! {
        _ = &mut read => panic!("it was to be hung up on"),
        () = db.until(1, "state = 'active'") => {}
    }
}

#[tokio::test]
async fn each_business_sees_its_own_rows_also_on_the_same_connection() {
    let db = TestDb::with_connections(1).await;
    let mut backends = std::collections::HashSet::new();
    for _ in 0..3 {
        for business in [ACME, GLOBEX] {
            let tenant = db.owner(business).await;
            let others = tenant.fetch::<One<i64>>(&OTHERS, &[&business.id.0]).await.unwrap();
            assert_eq!((one::<i64>(&tenant, &MEMBERS).await.unwrap(), others), (5, vec![One(0)]));
            let who = format!("{} {} owner", business.id, business.member(Role::Owner));
            assert_eq!(one::<String>(&tenant, &WHO).await.unwrap(), who);
            backends.insert(one::<i32>(&tenant, &BACKEND).await.unwrap());
        }
    }
    assert_eq!(backends.len(), 1);
}

#[tokio::test]
async fn the_role_decides_what_is_seen_as_it_does_in_a_transaction() {
    static DRAFTS: Hot = Hot::new("select count(*) as one from video where published_at is null");
    let db = TestDb::new().await;
    for (role, drafts) in [(Role::Coach, 1), (Role::Athlete, 0)] {
        let member = db.member(ACME, role).await;
        assert_eq!(one::<i64>(&member, &DRAFTS).await.unwrap(), drafts);
        let same = member
            .read(async |tx| Ok::<_, Error>(tx.sql(DRAFTS.text(), []).await?[0].try_get::<i64>("", "one")?))
            .await;
        assert_eq!(same.unwrap(), drafts);
    }
}

#[tokio::test]
async fn a_connection_that_served_a_business_has_no_tenant_afterwards() {
    // Outside a read nobody can ask on the pool's own connection; what it did is done here by hand.
    let mut db = TestDb::with_connections(1).await;
    let acme = db.owner(ACME).await;
    let backend: i32 = one(&acme, &BACKEND).await.unwrap();
    let state = format!(
        "select count(*) from pg_stat_activity where pid = {backend} and state = 'idle' and xact_start is null"
    );
    assert_eq!(db.count(&state).await, 1, "no transaction is open");

    let mut bare = db.connect("ffp_app").await;
    let settings = "select set_config('transaction_read_only', 'on', true), set_config('app.tenant_id', $1, true)";
    sqlx::query(settings).bind(ACME.id.to_string()).execute(&mut bare).await.unwrap();
    let (tenant, read_only, rows): (Option<String>, String, i64) = sqlx::query_as(
        "select current_setting('app.tenant_id', true), current_setting('transaction_read_only'), (select count(*) from member)",
    )
    .fetch_one(&mut bare)
    .await
    .unwrap();
    assert_eq!((tenant.as_deref(), read_only.as_str(), rows), (Some(""), "off", 0));
}

#[tokio::test]
async fn writes_are_refused() {
    static RENAME: Hot = Hot::new("update tenant set name = 'Hijacked' returning name as one");
    let mut db = TestDb::new().await;
    let refused = one::<String>(&db.owner(ACME).await, &RENAME).await.unwrap_err();
    assert_refused(refused, "25006");
    assert_eq!(db.count("select count(*) from tenant where name = 'Hijacked'").await, 0);
}

#[tokio::test]
async fn statements_that_could_leave_the_tenant_are_refused() {
    static SET: Hot = Hot::new("set app.tenant_id = '00000000-0000-7000-9000-0000000b0000'");
    static CONFIG: Hot =
        Hot::new("select set_config('app.tenant_id', '00000000-0000-7000-9000-0000000b0000', true) as one");
    static COMMIT: Hot = Hot::new("commit");
    static TWO: Hot = Hot::new("select '' as one; select '' as one");
    let db = TestDb::with_connections(1).await;
    let acme = db.owner(ACME).await;
    for statement in [&SET, &CONFIG, &COMMIT] {
        let refused = one::<String>(&acme, statement).await.unwrap_err();
        assert!(refused.to_string().contains("refused a statement"), "{refused}");
    }
    assert_refused(one::<String>(&acme, &TWO).await.unwrap_err(), "42601");
    assert_eq!(one::<i64>(&acme, &MEMBERS).await.unwrap(), 5);
}

#[tokio::test]
async fn an_error_is_an_error_and_the_connection_is_clean_afterwards() {
    static DIVIDE: Hot = Hot::new("select 1 / (count(*) - 5) as one from member");
    static NO_COLUMN: Hot = Hot::new("select no_column as one from member");
    let db = TestDb::with_connections(1).await;
    let (acme, globex) = (db.owner(ACME).await, db.owner(GLOBEX).await);
    let backend: i32 = one(&acme, &BACKEND).await.unwrap();
    for _ in 0..2 {
        // While it runs, and while it is prepared.
        assert_refused(one::<i64>(&acme, &DIVIDE).await.unwrap_err(), "22012");
        assert_refused(one::<i64>(&acme, &NO_COLUMN).await.unwrap_err(), "42703");
        // And what never reaches the server.
        let wrong = acme.fetch::<One<i64>>(&OTHERS, &[&"no UUID"]).await.unwrap_err();
        assert!(matches!(wrong, Error::Internal(_)), "{wrong:?}");
        let missing = acme.fetch::<One<i64>>(&OTHERS, &[]).await.unwrap_err();
        assert!(matches!(missing, Error::Internal(_)), "{missing:?}");
        assert_eq!(one::<i64>(&globex, &MEMBERS).await.unwrap(), 5);
    }
    assert_eq!(one::<i32>(&globex, &BACKEND).await.unwrap(), backend);
}

#[tokio::test]
async fn settings_that_fail_are_an_error_and_never_an_empty_answer() {
    let mut db = TestDb::new().await;
    assert_eq!(one::<i64>(&db.owner(ACME).await, &MEMBERS).await.unwrap(), 5);
    // The application may no longer call what sets the tenant.
    db.execute("revoke execute on function pg_catalog.set_config(text, text, boolean) from public").await;

    let failed = one::<i64>(&db.owner(ACME).await, &MEMBERS).await.unwrap_err();

    assert_refused(failed, "42501");
}

#[tokio::test]
async fn settings_that_are_answered_otherwise_are_not_believed() {
    let mut db = TestDb::new().await;
    db.execute(
        "create or replace function pg_catalog.set_config(text, text, boolean) returns text language sql
             as $$ select 'nothing' $$",
    )
    .await;

    let failed = one::<i64>(&db.owner(ACME).await, &MEMBERS).await.unwrap_err();

    assert!(matches!(failed, Error::Internal(_)), "{failed:?}");
}

#[tokio::test]
async fn whoever_hangs_up_gets_the_connection_back_to_the_pool_only_when_it_is_through() {
    let mut db = TestDb::with_connections(1).await;
    let (acme, globex) = (db.owner(ACME).await, db.owner(GLOBEX).await);
    let backend: i32 = one(&acme, &BACKEND).await.unwrap();

    hang_up(&mut db, acme.fetch::<One<String>>(&SLEEP, &[&1.0_f64])).await;

    // The only connection: Globex waits for it, and finds it without a trace of Acme.
    assert_eq!(
        one::<String>(&globex, &WHO).await.unwrap(),
        format!("{} {} owner", GLOBEX.id, GLOBEX.member(Role::Owner))
    );
    assert_eq!(one::<i32>(&globex, &BACKEND).await.unwrap(), backend);
    db.until(1, "state = 'idle' and xact_start is null").await;
    db.until(0, "state <> 'idle'").await;
}

#[tokio::test]
async fn hanging_up_again_and_again_takes_no_more_than_the_business_share() {
    // Eight connections: two for each tenant.
    let mut db = TestDb::with_connections(8).await;
    // They sleep until they are woken, however long the machine takes for what is between.
    db.execute(
        "do $$ begin execute format('alter role ffp_app in database %I set statement_timeout = 0', \
         current_database()); end $$",
    )
    .await;
    let (acme, globex) = (db.owner(ACME).await, db.owner(GLOBEX).await);
    for sleeping in 1..=2 {
        let read = acme.fetch::<One<String>>(&SLEEP, &[&600.0_f64]);
        let mut read = pin!(read);
        tokio::select! {
            ended = &mut read => panic!("it was to be hung up on, and ended with {:?}", ended.map(|rows| rows.len())),
            () = db.until(sleeping, "state = 'active'") => {}
        }
    }

    let busy = one::<i64>(&acme, &MEMBERS).await.unwrap_err().into_problem();

    assert_eq!((busy.status.as_u16(), busy.slug), (429, "busy"));
    assert_eq!(one::<i64>(&globex, &MEMBERS).await.unwrap(), 5);
    let wake = "select count(pg_cancel_backend(pid)) from pg_stat_activity where application_name = 'ffp-hot' \
                and datname = current_database() and state = 'active'";
    assert_eq!(db.count(wake).await, 2);
    db.until(0, "state = 'active'").await;
    assert_eq!(one::<i64>(&acme, &MEMBERS).await.unwrap(), 5, "and then Acme is served again");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_busy_by_the_roles_own_limit() {
    let db = TestDb::new().await;
    let given_up = db.owner(ACME).await.fetch::<One<String>>(&SLEEP, &[&60.0_f64]).await.unwrap_err();
    let problem = given_up.into_problem();
    assert_eq!((problem.status.as_u16(), problem.slug), (429, "busy"));
}

#[tokio::test]
async fn the_limits_of_the_role_hold_as_on_the_other_pool() {
    static LIMITS: Hot = Hot::new(
        "select current_setting('statement_timeout') || ' ' || current_setting('lock_timeout') || ' ' || \
                current_setting('idle_in_transaction_session_timeout') || ' ' || session_user as one",
    );
    let db = TestDb::new().await;
    let acme = db.owner(ACME).await;
    let limits: String = one(&acme, &LIMITS).await.unwrap();
    assert_eq!(limits, "5s 2s 10s ffp_app");
    let others =
        acme.read(async |tx| Ok::<_, Error>(tx.sql(LIMITS.text(), []).await?[0].try_get::<String>("", "one")?)).await;
    assert_eq!(limits, others.unwrap());
}

#[tokio::test]
async fn a_table_that_was_changed_is_read_with_a_new_plan() {
    #[derive(Debug, PartialEq)]
    struct Name(String, Option<i32>);
    impl FromRow for Name {
        fn from_row(row: &mut Row<'_>) -> Result<Self, Error> {
            Ok(Self(row.take("tenant_id").map(|id: Uuid| id.to_string())?, row.take("extra").unwrap_or(None)))
        }
    }
    static STAR: Hot = Hot::new("select * from extra_table");
    let mut db = TestDb::with_connections(1).await;
    db.execute("create table extra_table (tenant_id uuid); grant select on extra_table to ffp_app").await;
    db.execute(&format!("insert into extra_table values ('{}')", ACME.id)).await;
    let acme = db.owner(ACME).await;
    assert_eq!(one_row::<Name>(&acme, &STAR).await, Name(ACME.id.to_string(), None));

    db.execute("alter table extra_table add column extra int default 7").await;

    assert_eq!(one_row::<Name>(&acme, &STAR).await, Name(ACME.id.to_string(), Some(7)));
    let backend =
        format!("select count(*) from pg_stat_activity where pid = {}", one::<i32>(&acme, &BACKEND).await.unwrap());
    assert_eq!(db.count(&backend).await, 1);
}

#[tokio::test]
async fn a_hot_read_is_planned_once_and_not_for_each_value() {
    static NAMED: Hot = Hot::new("select count(*) as one from member where full_name = $1");
    static PLANS: Hot = Hot::new(
        "select generic_plans || ' for any, ' || custom_plans || ' for one' as one \
         from pg_prepared_statements where statement like '% from member where full_name = $1'",
    );
    let db = TestDb::with_connections(1).await;
    let (acme, globex) = (db.owner(ACME).await, db.owner(GLOBEX).await);
    for tenant in [&acme, &globex, &acme] {
        assert_eq!(tenant.fetch::<One<i64>>(&NAMED, &[&"nobody of this name"]).await.unwrap().remove(0).0, 0);
    }
    assert_eq!(one::<String>(&globex, &PLANS).await.unwrap(), "3 for any, 0 for one");
}

#[tokio::test]
async fn a_connection_that_forgot_its_statements_is_replaced_and_nobody_notices() {
    static FORGET: Hot = Hot::new("select forget() as one");
    let mut db = TestDb::with_connections(1).await;
    db.execute(
        "create function forget() returns int language plpgsql as $$ begin execute 'deallocate all'; return 1; end $$",
    )
    .await;
    let (acme, globex) = (db.owner(ACME).await, db.owner(GLOBEX).await);
    let backend: i32 = one(&acme, &BACKEND).await.unwrap();
    assert_eq!(one::<i32>(&acme, &FORGET).await.unwrap(), 1);

    assert_eq!(one::<i64>(&globex, &MEMBERS).await.unwrap(), 5);
    assert_ne!(one::<i32>(&acme, &BACKEND).await.unwrap(), backend);
}

#[tokio::test]
async fn a_type_that_cannot_be_read_is_a_defect_of_ours_and_no_outage() {
    static MOOD: Hot = Hot::new("select 'calm'::mood as one");
    let mut db = TestDb::with_connections(1).await;
    db.execute("create type mood as enum ('calm')").await;
    let acme = db.owner(ACME).await;
    let backend: i32 = one(&acme, &BACKEND).await.unwrap();
    let odd = one::<String>(&acme, &MOOD).await.unwrap_err();
    assert!(matches!(&odd, Error::Internal(what) if what.contains("the type of one")), "{odd:?}");
    assert_eq!(one::<i32>(&acme, &BACKEND).await.unwrap(), backend, "the connection goes on");
}

async fn one_row<T: FromRow>(tenant: &Tenant, statement: &'static Hot) -> T {
    tenant.fetch::<T>(statement, &[]).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_connection_that_was_cut_is_replaced_and_nobody_notices() {
    let mut db = TestDb::with_connections(8).await;
    let (acme, globex) = (db.owner(ACME).await, db.owner(GLOBEX).await);
    let sleep = || acme.fetch::<One<String>>(&SLEEP, &[&0.2_f64]);
    let (first, second) = tokio::join!(sleep(), sleep());
    first.and(second).unwrap();
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'ffp-hot' \
               and datname = current_database()";
    assert_eq!(db.count(cut).await, 2, "two connections rest in the pool");
    db.until(0, "true").await;

    assert_eq!(one::<i64>(&acme, &MEMBERS).await.unwrap(), 5);
    assert_eq!(one::<i64>(&globex, &MEMBERS).await.unwrap(), 5);

    // In the middle of a read as well, which is repeated.
    let reading = async { acme.fetch::<One<String>>(&SLEEP, &[&2.0_f64]).await };
    let cutting = async {
        db.until(1, "state = 'active'").await;
        assert!(db.count(cut).await >= 1);
    };
    let (read, ()) = tokio::join!(reading, cutting);
    read.unwrap();
}

#[tokio::test]
async fn without_a_server_reads_wait_for_nothing() {
    let db = TestDb::new().await;
    let port = devstack::ports::free().unwrap();
    let nowhere = || format!("postgres://ffp_app:x@127.0.0.1:{port}/none");
    let tenants = tenants_at(nowhere(), nowhere(), nowhere(), 4);
    let away = one::<i64>(&tenants.as_system(ACME.id), &MEMBERS).await.unwrap_err();
    assert_eq!(away.into_problem().status.as_u16(), 503);
    // A password that is wrong is a defect of ours and no outage.
    let wrong = db.url("ffp_app").replace("ffp_app:", "ffp_app:not-");
    let tenants = tenants_at(wrong.clone(), wrong.clone(), wrong, 4);
    let refused = one::<i64>(&tenants.as_system(ACME.id), &MEMBERS).await.unwrap_err();
    assert_refused(refused, "28P01");
}

#[tokio::test]
async fn jobs_and_operators_have_no_hot_reads() {
    let db = TestDb::new().await;
    let opened = db.operator().await.open(ACME.id, "a test").await.unwrap();
    assert!(matches!(one::<i64>(&opened, &MEMBERS).await, Err(Error::Internal(_))));
}

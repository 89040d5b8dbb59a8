//! `TenantTx` and its scopes: what they refuse, and how a transaction ends whatever happens in it.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr, Value};
use tenants::{Error, Role, Tenant, TenantTx};

use crate::support::{ACME, Business, GLOBEX, TestDb};

/// A write that shows: the tenant's name.
async fn rename(tx: &TenantTx, name: &str) -> Result<u64, DbErr> {
    tx.run("update tenant set name = $1", [name.into()]).await
}

async fn names(db: &mut TestDb) -> Vec<String> {
    sqlx::query_scalar("select name from tenant where kind = 'business' order by id")
        .fetch_all(&mut db.admin)
        .await
        .unwrap()
}

async fn number(tenant: &Tenant, sql: &'static str) -> i64 {
    tenant.read(async |tx| Ok::<_, Error>(tx.sql(sql, []).await?[0].try_get_by_index::<i64>(0)?)).await.unwrap()
}

pub(crate) fn is_sqlstate(error: &Error, code: &str) -> bool {
    matches!(error, Error::Database(DbErr::Query(sea_orm::RuntimeErr::SqlxError(cause)))
        if cause.as_database_error().and_then(|error| error.code()).as_deref() == Some(code))
}

#[tokio::test]
async fn statements_that_could_leave_the_tenant_are_refused() {
    let db = TestDb::new().await;
    let owner = db.member(ACME, Role::Owner).await;
    for text in [
        "set app.tenant_id = '00000000-0000-7000-9000-0000000b0000'",
        "set local app.tenant_id = '00000000-0000-7000-9000-0000000b0000'",
        "reset app.tenant_id",
        "select set_config('app.tenant_id', '00000000-0000-7000-9000-0000000b0000', true)",
        "commit",
        "rollback",
        "begin",
        "set role ffp_owner",
        "do $$ begin end $$",
    ] {
        let refused = owner.write(async |tx| tx.run(text, []).await.map_err(Error::from)).await.unwrap_err();
        assert!(refused.to_string().contains("TenantTx refused a statement"), "{text}: {refused}");
    }
    let unprepared = owner
        .write(async |tx| tx.execute_unprepared("select 1").await.map(|_| ()).map_err(Error::from))
        .await
        .unwrap_err();
    assert!(unprepared.to_string().contains("TenantTx refused a statement"), "{unprepared}");
}

#[tokio::test]
async fn one_text_holds_one_statement() {
    let mut db = TestDb::new().await;
    let owner = db.member(ACME, Role::Owner).await;
    let two = "update tenant set name = 'Hijacked'; commit";

    let refused = owner.write(async |tx| tx.run(two, []).await.map_err(Error::from)).await.unwrap_err();

    assert!(is_sqlstate(&refused, "42601"), "{refused}");
    assert_eq!(names(&mut db).await, ["A gym", "A gym"]);
}

#[tokio::test]
async fn a_write_is_there_once_its_scope_has_ended_well() {
    let mut db = TestDb::new().await;
    db.member(ACME, Role::Owner).await.write(async |tx| rename(tx, "Acme").await.map_err(Error::from)).await.unwrap();
    assert_eq!(names(&mut db).await, ["Acme", "A gym"]);
}

#[tokio::test]
async fn a_write_is_gone_when_its_scope_ends_with_an_error() {
    let mut db = TestDb::new().await;
    let outcome = db
        .member(ACME, Role::Owner)
        .await
        .write(async |tx| {
            rename(tx, "Acme").await?;
            Err::<(), _>(Error::Internal("changed my mind".into()))
        })
        .await;
    assert_eq!(outcome.unwrap_err().to_string(), "changed my mind");
    assert_eq!(names(&mut db).await, ["A gym", "A gym"]);
}

#[tokio::test]
async fn a_swallowed_error_does_not_pass_for_a_commit() {
    let mut db = TestDb::new().await;
    let outcome = db
        .member(ACME, Role::Owner)
        .await
        .write(async |tx| {
            rename(tx, "Acme").await?;
            // PostgreSQL gives the transaction up here; COMMIT would answer ROLLBACK and no error.
            let _ = tx.run("update tenant set brand_color = 'no colour'", []).await;
            Ok::<_, Error>(())
        })
        .await;
    assert!(outcome.unwrap_err().to_string().contains("nothing was written"));
    assert_eq!(names(&mut db).await, ["A gym", "A gym"]);
}

#[tokio::test]
async fn a_read_scope_writes_nothing() {
    let mut db = TestDb::new().await;
    let owner = db.member(ACME, Role::Owner).await;
    let refused = owner.read(async |tx| rename(tx, "Acme").await.map_err(Error::from)).await.unwrap_err();
    assert!(is_sqlstate(&refused, "25006"), "{refused}");
    assert_eq!(names(&mut db).await, ["A gym", "A gym"]);
}

/// Adds a column to a table whose rows a connection has read before.
async fn widen(db: &mut TestDb, tenant: &Tenant) {
    db.execute(
        "create table extra_table (tenant_id uuid);
         insert into extra_table values (null);
         grant select, update on extra_table to ffp_app",
    )
    .await;
    assert_eq!(columns(tenant, "select * from extra_table").await.unwrap(), ["tenant_id"]);
    assert_eq!(columns(tenant, TOUCH).await.unwrap(), ["tenant_id"]);
    db.execute("alter table extra_table add column extra int").await;
}

const TOUCH: &str = "update extra_table set tenant_id = null returning *";

async fn columns(tenant: &Tenant, text: &'static str) -> Result<Vec<String>, Error> {
    tenant.write(async |tx| Ok(tx.sql(text, []).await?[0].column_names())).await
}

#[tokio::test]
async fn a_statement_whose_table_was_changed_is_prepared_again_as_the_first_of_its_transaction() {
    let mut db = TestDb::with_connections(1).await;
    let (acme, globex) = (db.as_owner(ACME).await, db.as_owner(GLOBEX).await);
    widen(&mut db, &acme).await;
    let seen = globex
        .read(async |tx| {
            let columns = tx.sql("select * from extra_table", []).await?[0].column_names();
            let who = tx.sql("select current_setting('app.tenant_id') as who, (select count(*) from tenant where kind <> 'platform') as seen", []).await?;
            let refused = tx.run(TOUCH, []).await.map_err(Error::from);
            Ok::<_, Error>((columns, who[0].try_get::<String>("", "who")?, who[0].try_get::<i64>("", "seen")?, refused))
        })
        .await
        .unwrap();
    assert_eq!(seen.0, ["tenant_id", "extra"]);
    assert_eq!((seen.1, seen.2), (GLOBEX.id.to_string(), 1), "the transaction that began anew is the same tenant's");
    assert!(is_sqlstate(&seen.3.unwrap_err(), "25006"), "and reads only, like the one before");
    assert_eq!(columns(&acme, TOUCH).await.unwrap(), ["tenant_id", "extra"], "all that was prepared is forgotten");
}

#[tokio::test]
async fn a_changed_table_later_in_a_transaction_is_an_answer_to_try_again_and_the_next_try_succeeds() {
    let mut db = TestDb::with_connections(1).await;
    let (acme, globex) = (db.as_owner(ACME).await, db.as_owner(GLOBEX).await);
    widen(&mut db, &acme).await;
    let work = async |tenant: &Tenant| {
        tenant
            .write(async |tx| {
                rename(tx, "Renamed").await?;
                Ok::<_, Error>(tx.sql(TOUCH, []).await?[0].column_names())
            })
            .await
    };
    let refused = work(&acme).await.unwrap_err().into_problem();
    assert_eq!((refused.status.as_u16(), refused.slug), (503, "unavailable"));
    assert_eq!(names(&mut db).await, ["A gym", "A gym"]);
    assert_eq!(work(&globex).await.unwrap(), ["tenant_id", "extra"]);
    assert_eq!(work(&acme).await.unwrap(), ["tenant_id", "extra"]);
}

#[tokio::test]
async fn a_transaction_dropped_in_the_middle_of_a_query_leaves_nothing_behind() {
    let mut db = TestDb::with_connections(1).await;
    let backend = "select pg_backend_pid()::bigint";
    let acme = db.as_owner(ACME).await;
    let globex = db.as_owner(GLOBEX).await;
    let before = number(&acme, backend).await;

    let cancelled = tokio::time::timeout(
        Duration::from_millis(300),
        acme.write(async |tx| {
            rename(tx, "Acme").await?;
            tx.run("select pg_sleep(1)", []).await?;
            Ok::<_, Error>(())
        }),
    )
    .await;
    assert!(cancelled.is_err(), "the query was still running");

    // The pool has one connection: the next tenant gets this one or nobody gets any.
    let seen = globex
        .read(async |tx| {
            let text = "select current_setting('app.tenant_id'), current_setting('app.member_id'),
                               (select count(*) from tenant), (select count(*) from member where tenant_id <> $1)";
            let rows = tx.sql(text, [tx.tenant_id().0.into()]).await?;
            let row = &rows[0];
            Ok::<_, Error>((
                row.try_get_by_index::<String>(0)?,
                row.try_get_by_index::<String>(1)?,
                row.try_get_by_index::<i64>(2)?,
                row.try_get_by_index::<i64>(3)?,
            ))
        })
        .await
        .unwrap();
    assert_eq!(seen, (GLOBEX.id.to_string(), GLOBEX.member(Role::Owner).to_string(), 1, 0));
    assert_eq!(number(&globex, backend).await, before, "the connection came back");
    assert_eq!(names(&mut db).await, ["A gym", "A gym"], "rolled back");
    let idle = "select count(*) from pg_stat_activity where usename = 'ffp_app' and datname = current_database() and state <> 'idle'";
    // The rollback is sent without waiting for it; nothing else would end the transaction before 10 s.
    for _ in 0..100 {
        if db.count(idle).await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a transaction is left open");
}

#[tokio::test]
async fn tenants_that_share_a_connection_see_their_own() {
    let db = TestDb::with_connections(1).await;
    for _ in 0..3 {
        for business in [ACME, GLOBEX] {
            let tenant = db.as_owner(business).await;
            let (own, others) = tenant
                .read(async |tx| {
                    let text = "select count(*) filter (where tenant_id = $1), count(*) filter (where tenant_id <> $1) from member";
                    let rows = tx.sql(text, [business.id.0.into()]).await?;
                    Ok::<_, Error>((rows[0].try_get_by_index::<i64>(0)?, rows[0].try_get_by_index::<i64>(1)?))
                })
                .await
                .unwrap();
            assert_eq!((own, others), (5, 0));
        }
    }
}

#[tokio::test]
async fn a_text_that_tries_to_break_out_of_a_parameter_stays_a_text() {
    let mut db = TestDb::new().await;
    let name = "x'); select set_config('app.tenant_id', '', true); --";
    db.member(ACME, Role::Owner).await.write(async |tx| rename(tx, name).await.map_err(Error::from)).await.unwrap();
    assert_eq!(names(&mut db).await, [name, "A gym"]);
}

#[tokio::test]
async fn one_business_at_its_share_is_told_to_wait_while_another_is_served() {
    // Eight connections: two for each tenant.
    let db = TestDb::with_connections(8).await;
    let acme = db.as_owner(ACME).await;
    let globex = db.as_owner(GLOBEX).await;
    let (entered, release) = (tokio::sync::Semaphore::new(0), tokio::sync::Semaphore::new(0));
    let hold = async || {
        acme.read(async |_tx| {
            entered.add_permits(1);
            release.acquire().await.unwrap().forget();
            Ok::<_, Error>(())
        })
        .await
    };
    let others = async {
        entered.acquire_many(2).await.unwrap().forget();
        assert_eq!(number(&globex, "select count(*) from tenant").await, 1);
        let busy = acme.read(async |_tx| Ok::<_, Error>(())).await.unwrap_err().into_problem();
        assert_eq!((busy.status.as_u16(), busy.slug), (429, "busy"));
        assert_eq!(busy.retry_after, Some(1));
        let told = serde_json::json!({ "limit": 2, "used": 2, "reset_seconds": 1 });
        assert_eq!(serde_json::Value::from(busy.extra.clone()), told);
        assert_eq!(number(&globex, "select count(*) from tenant").await, 1);
        release.add_permits(2);
    };
    let (first, second, ()) = tokio::join!(hold(), hold(), others);
    first.and(second).unwrap();
    assert_eq!(number(&acme, "select count(*) from tenant").await, 1, "and then Acme is served again");
}

#[tokio::test]
async fn a_lock_that_is_not_let_go_is_busy_and_not_a_defect() {
    let mut db = TestDb::new().await;
    db.execute("begin; lock table tenant").await;
    let outcome = db
        .member(ACME, Role::Owner)
        .await
        .read(async |tx| tx.sql("select 1 from tenant", []).await.map_err(Error::from))
        .await;
    let problem = outcome.unwrap_err().into_problem();
    assert_eq!((problem.status.as_u16(), problem.slug), (429, "busy"));
}

#[tokio::test]
async fn a_caller_whose_tenant_does_not_exist_has_nothing() {
    let db = TestDb::new().await;
    let nobody = db.tenants.as_system(tenants::TenantId::new());
    assert_eq!(number(&nobody, "select count(*) from member").await, 0);
    let none: [Value; 0] = [];
    let touched =
        nobody.write(async |tx| tx.run("delete from registration", none).await.map_err(Error::from)).await.unwrap();
    assert_eq!(touched, 0);
}

impl TestDb {
    async fn as_owner(&self, business: Business) -> Tenant {
        self.member(business, Role::Owner).await
    }
}

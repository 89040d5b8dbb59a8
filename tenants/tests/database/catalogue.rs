//! The wall, table by table: every table there is, as every role, with the bare connections of the services. Tables
//! are found in the catalogue, so a new one is under test without a word here.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use uuid::Uuid;

use crate::support::{ACME, GLOBEX, SERVICES, TestDb};

/// What operators read across tenants, and nobody else does.
const REGISTRY: [&str; 3] = ["tenant", "audit", "usage"];

/// A table with the column that holds its tenant.
struct Table {
    name: String,
    tenant: &'static str,
}

async fn tables(db: &mut TestDb) -> Vec<Table> {
    let names: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
           and relname <> '_sqlx_migrations' order by 1",
    )
    .fetch_all(&mut db.admin)
    .await
    .unwrap();
    assert!(names.len() >= 8, "{names:?}");
    names.into_iter().map(|name| Table { tenant: if name == "tenant" { "id" } else { "tenant_id" }, name }).collect()
}

impl Table {
    /// The rows no one but their own tenant may see: all but what the platform publishes.
    fn private(&self) -> String {
        format!("select count(*) from {} where {} in ('{}', '{}')", self.name, self.tenant, ACME.id, GLOBEX.id)
    }

    fn rows_of_globex(&self) -> String {
        format!("select count(*) from {} where {} = '{}'", self.name, self.tenant, GLOBEX.id)
    }
}

/// Who has what on a table.
async fn may(db: &mut TestDb, role: &str, privilege: &str, table: &Table) -> bool {
    let text = "select has_table_privilege($1, $2, $3) or $3 <> 'DELETE' and has_any_column_privilege($1, $2, nullif($3, 'DELETE'))";
    sqlx::query_scalar(text).bind(role).bind(&table.name).bind(privilege).fetch_one(&mut db.admin).await.unwrap()
}

/// Begins a transaction as `TenantTx` does.
pub(crate) async fn enter(connection: &mut PgConnection, role: &str, member: Option<Uuid>) {
    let member = member.map(|id| id.to_string()).unwrap_or_default();
    let text = format!(
        "begin; select set_config('app.tenant_id', '{}', true), set_config('app.member_id', '{member}', true),
                       set_config('app.role', '{role}', true)",
        ACME.id
    );
    connection.execute(AssertSqlSafe(text)).await.unwrap();
}

pub(crate) async fn count(connection: &mut PgConnection, sql: String) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.clone()))
        .fetch_one(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The SQLSTATE and message of a statement that must fail.
pub(crate) async fn refusal(connection: &mut PgConnection, sql: String) -> (String, String) {
    match connection.execute(AssertSqlSafe(sql.clone())).await {
        Ok(done) => panic!("went through, {} rows: {sql}", done.rows_affected()),
        Err(sqlx::Error::Database(error)) => (error.code().unwrap_or_default().into(), error.message().to_owned()),
        Err(error) => panic!("{sql}: {error}"),
    }
}

/// `insert` of a row like one that Globex has.
async fn forged_insert(db: &mut TestDb, table: &Table, changes: &str) -> (String, Option<Uuid>) {
    let name = &table.name;
    let text = format!("select to_jsonb(t) || {changes} as row, coalesce(to_jsonb(t) ->> 'member_id', to_jsonb(t) ->> 'actor_id', t.id::text)::uuid as member
                        from {name} t where {} = '{}' order by t.id limit 1", table.tenant, GLOBEX.id);
    let row = sqlx::query(AssertSqlSafe(text)).fetch_one(&mut db.admin).await.unwrap();
    let json: serde_json::Value = row.get("row");
    let literal = json.to_string().replace('\'', "''");
    // What PostgreSQL makes of other columns is given by nobody.
    let text = "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute \
                where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = ''";
    let columns: String = sqlx::query_scalar(text).bind(name).fetch_one(&mut db.admin).await.unwrap();
    let given = format!("select {columns} from jsonb_populate_record(null::{name}, '{literal}')");
    (format!("insert into {name} ({columns}) {given}"), row.get("member"))
}

#[tokio::test]
async fn every_table_has_rows_of_both_businesses_to_test_with() {
    let mut db = TestDb::new().await;
    for table in tables(&mut db).await {
        for business in [ACME, GLOBEX] {
            let sql = format!("select count(*) from {} where {} = '{}'", table.name, table.tenant, business.id);
            assert!(db.count(&sql).await > 0, "give `{}` a row in `rows_of`, tests/database/support.rs", table.name);
        }
    }
}

#[tokio::test]
async fn a_connection_without_a_tenant_sees_no_row_and_changes_none() {
    let mut db = TestDb::new().await;
    for role in SERVICES {
        let mut fresh = db.connect(role).await;
        sees_and_changes_nothing(&mut db, &mut fresh, role).await;
    }
}

#[tokio::test]
async fn a_connection_that_just_served_a_tenant_sees_no_row_and_changes_none() {
    let mut db = TestDb::new().await;
    for role in SERVICES {
        let mut used = db.connect(role).await;
        enter(&mut used, "owner", None).await;
        assert!(count(&mut used, "select count(*) from member".into()).await > 0);
        used.execute("commit").await.unwrap();
        let setting: Option<String> =
            sqlx::query_scalar("select current_setting('app.tenant_id', true)").fetch_one(&mut used).await.unwrap();
        assert_eq!(setting.as_deref(), Some(""), "the case that policies must cope with: '' and not NULL");

        sees_and_changes_nothing(&mut db, &mut used, role).await;
    }
}

async fn sees_and_changes_nothing(db: &mut TestDb, connection: &mut PgConnection, role: &str) {
    // Whatever the connection claims to be, without a tenant it is nobody.
    connection.execute("select set_config('app.role', 'system', false)").await.unwrap();
    for table in tables(db).await {
        let name = &table.name;
        let across = role == "ffp_operator" && REGISTRY.contains(&name.as_str());
        if may(db, role, "SELECT", &table).await {
            let seen = count(connection, table.private()).await;
            assert_eq!(seen > 0, across, "{role} sees {seen} rows of {name}");
        }
        let (insert, _) = forged_insert(db, &table, "jsonb_build_object('id', gen_random_uuid())").await;
        assert_eq!(refusal(connection, insert).await.0, "42501", "{role} inserts into {name}");

        // With every right there is, the policies alone must hold.
        db.execute(&format!("grant select, update, delete on {name} to {role}")).await;
        let tenant = table.tenant;
        let updated =
            connection.execute(AssertSqlSafe(format!("update {name} set {tenant} = {tenant}"))).await.unwrap();
        assert_eq!(updated.rows_affected(), 0, "{role} updates {name}");
        let deleted = connection.execute(AssertSqlSafe(format!("delete from {name}"))).await.unwrap();
        assert_eq!(deleted.rows_affected(), 0, "{role} deletes from {name}");
    }
}

#[tokio::test]
async fn inside_one_business_no_row_of_another_is_seen_or_changed() {
    let mut db = TestDb::new().await;
    for role in SERVICES {
        let mut connection = db.connect(role).await;
        for acting_as in ["athlete", "coach", "admin", "owner", "system", "operator"] {
            for table in tables(&mut db).await {
                let name = &table.name;
                let across = role == "ffp_operator" && REGISTRY.contains(&name.as_str());
                db.execute(&format!("grant select, update, delete on {name} to {role}")).await;
                enter(&mut connection, acting_as, None).await;
                let seen = count(&mut connection, table.rows_of_globex()).await;
                assert_eq!(seen > 0, across, "{role} as {acting_as} sees {seen} rows of {name}");
                for statement in ["update {table} set {column} = {column}", "delete from {table}"] {
                    let text = statement.replace("{table}", name).replace("{column}", table.tenant);
                    let text = format!("{text} where {} = '{}'", table.tenant, GLOBEX.id);
                    let touched = connection.execute(AssertSqlSafe(text)).await.unwrap().rows_affected();
                    assert_eq!(touched, 0, "{role} as {acting_as}: {statement} on {name}");
                }
                connection.execute("rollback").await.unwrap();
            }
        }
    }
    for table in tables(&mut db).await {
        assert!(db.count(&table.rows_of_globex()).await > 0, "{} of Globex is untouched", table.name);
    }
}

#[tokio::test]
async fn a_row_that_names_another_tenant_is_refused_by_the_wall() {
    let mut db = TestDb::new().await;
    for role in SERVICES {
        let mut connection = db.connect(role).await;
        for table in tables(&mut db).await {
            let name = &table.name;
            db.execute(&format!("grant select, insert, update on {name} to {role}")).await;
            let mut walls = 0;
            for acting_as in ["athlete", "owner", "system", "operator"] {
                // Everything else about the row is right, so that nothing but the wall stands in its way.
                let changes = format!("jsonb_build_object('id', gen_random_uuid(), 'actor_role', '{acting_as}')");
                let (insert, member) = forged_insert(&mut db, &table, &changes).await;
                enter(&mut connection, acting_as, member).await;
                let (code, message) = refusal(&mut connection, insert).await;
                assert_eq!(code, "42501", "{role} as {acting_as} into {name}: {message}");
                walls += usize::from(message.contains("wall"));
                connection.execute("rollback").await.unwrap();
            }
            assert!(walls > 0, "nothing but other policies kept {role} from a forged row in {name}");
        }
    }
}

#[tokio::test]
async fn a_row_cannot_be_moved_to_another_tenant() {
    let mut db = TestDb::new().await;
    // Nothing may hold the row back but the policies.
    db.execute(
        "do $$ declare k record; begin
             for k in select conrelid::regclass as t, conname from pg_constraint
                      where contype in ('f', 'c') and connamespace = 'public'::regnamespace loop
                 execute format('alter table %s drop constraint %I', k.t, k.conname);
             end loop;
         end $$",
    )
    .await;
    for role in SERVICES {
        let mut connection = db.connect(role).await;
        for table in tables(&mut db).await {
            let (name, tenant) = (&table.name, table.tenant);
            let granted = db
                .count(&format!("select has_column_privilege('{role}', '{name}', '{tenant}', 'UPDATE')::int::bigint"))
                .await;
            assert_eq!(granted, 0, "{role} was granted UPDATE of {name}.{tenant}");
            // A permissive policy as wide as they come: the restrictive one must hold by itself.
            db.execute(&format!(
                "grant update on {name} to {role}; grant select on {name} to {role};
                                 create policy wide_{role} on {name} to {role} using (true) with check (true)"
            ))
            .await;
            enter(&mut connection, "system", None).await;
            let text = format!("update {name} set {tenant} = '{}' where {tenant} = '{}'", Uuid::from_u128(7), ACME.id);
            let (code, message) = refusal(&mut connection, text).await;
            assert!(code == "42501" && message.contains("wall"), "{role} moves a row of {name}: {message}");
            connection.execute("rollback").await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_policy_that_somebody_adds_later_cannot_widen_the_wall() {
    let mut db = TestDb::new().await;
    for table in tables(&mut db).await {
        db.execute(&format!("create policy wide on {} using (true) with check (true)", table.name)).await;
        for role in ["ffp_app", "ffp_worker"] {
            db.execute(&format!("grant select on {} to {role}", table.name)).await;
            let mut connection = db.connect(role).await;
            enter(&mut connection, "system", None).await;
            assert_eq!(count(&mut connection, table.rows_of_globex()).await, 0, "{role} on {}", table.name);
            connection.close().await.unwrap();
        }
    }
}

//! The four roles. Passwords come from the caller (Secrets Manager in the cloud) and are never logged.

use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::Error;

/// A password for each role, as the services' database URLs carry them.
pub struct RolePasswords {
    /// `ffp_owner`: owns the schema; used by migrations only.
    pub owner: String,
    /// `ffp_app`: the API.
    pub app: String,
    /// `ffp_worker`: background jobs.
    pub worker: String,
    /// `ffp_operator`: the operator console.
    pub operator: String,
}

/// What each role waits for at most. A request must not hold a connection; a job may take its time; migrations
/// wait for locks a little and for work as long as it takes.
const TIMEOUTS: [(&str, &str, &str); 3] =
    [("ffp_app", "5s", "10s"), ("ffp_operator", "5s", "10s"), ("ffp_worker", "5min", "10s")];

/// Makes or repairs the roles and gives the current database to `ffp_owner`. `admin` may be a superuser, or a
/// master user with CREATEROLE such as Amazon RDS gives.
///
/// # Errors
/// [`Error::Database`] when the admin lacks a right.
pub async fn prepare(admin: &mut PgConnection, passwords: &RolePasswords) -> Result<(), Error> {
    let roles = [
        ("ffp_owner", &passwords.owner),
        ("ffp_app", &passwords.app),
        ("ffp_worker", &passwords.worker),
        ("ffp_operator", &passwords.operator),
    ];
    for (role, password) in roles {
        let exists: Option<i32> = sqlx::query_scalar("select 1 from pg_roles where rolname = $1")
            .bind(role)
            .fetch_optional(&mut *admin)
            .await?;
        if exists.is_none() {
            run(admin, format!("create role {role} login nocreatedb nocreaterole")).await?;
        }
        // The server quotes the password; `alter role` takes no parameters.
        let statement: String =
            sqlx::query_scalar("select format('alter role %I login password %L', $1::text, $2::text)")
                .bind(role)
                .bind(password)
                .fetch_one(&mut *admin)
                .await?;
        run(admin, statement).await?;
    }
    for (role, statement_timeout, idle_timeout) in TIMEOUTS {
        run(admin, format!("alter role {role} set statement_timeout = '{statement_timeout}'")).await?;
        run(admin, format!("alter role {role} set lock_timeout = '2s'")).await?;
        run(admin, format!("alter role {role} set idle_in_transaction_session_timeout = '{idle_timeout}'")).await?;
    }
    // Operators search by any of several filters in one statement. A plan that is good for any of them would read whole
    // logs where one made for these values takes the index of the filter that is given.
    run(admin, "alter role ffp_operator set plan_cache_mode = 'force_custom_plan'".into()).await?;
    let database: String = sqlx::query_scalar("select format('%I', current_database())").fetch_one(&mut *admin).await?;
    // A master user that is no superuser must be a member of the role it hands things to.
    run(admin, "grant ffp_owner to current_user".into()).await?;
    run(admin, format!("revoke all on database {database} from public")).await?;
    run(admin, format!("grant connect on database {database} to ffp_app, ffp_worker, ffp_operator")).await?;
    run(admin, format!("grant connect, create, temporary on database {database} to ffp_owner")).await?;
    run(admin, "alter schema public owner to ffp_owner".into()).await?;
    run(admin, "revoke all on schema public from public".into()).await?;
    run(admin, "grant usage on schema public to ffp_app, ffp_worker, ffp_operator".into()).await?;
    Ok(())
}

/// Runs DDL made of constants, or quoted by the server itself.
async fn run(admin: &mut PgConnection, statement: String) -> Result<(), Error> {
    admin.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}

//! The four roles. Passwords come from the caller (Secrets Manager in the cloud) and are never logged, by the server
//! neither: it is told what it checks a password with, and not the password.

use postgres_protocol::password::scram_sha_256;
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
        run(admin, password_of(role, password)).await?;
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
    // A master user that is no superuser must be a member of the role it hands things to. From PostgreSQL 16 on, having
    // made a role means being allowed to grant it, also to oneself, and not being a member.
    run(admin, "grant ffp_owner to current_user".into()).await?;
    run(admin, format!("revoke all on database {database} from public")).await?;
    run(admin, format!("grant connect on database {database} to ffp_app, ffp_worker, ffp_operator")).await?;
    run(admin, format!("grant connect, create, temporary on database {database} to ffp_owner")).await?;
    run(admin, "alter schema public owner to ffp_owner".into()).await?;
    run(admin, "revoke all on schema public from public".into()).await?;
    run(admin, "grant usage on schema public to ffp_app, ffp_worker, ffp_operator".into()).await?;
    Ok(())
}

/// Lets a role log in with this password. Servers that log changes of the schema write such a statement out, so it holds
/// the verifier of SCRAM-SHA-256 (RFC 7677), of whose characters none needs quoting.
fn password_of(role: &str, password: &str) -> String {
    format!("alter role {role} login password '{}'", scram_sha_256(password.as_bytes()))
}

/// Runs DDL made of constants, or quoted by the server itself.
async fn run(admin: &mut PgConnection, statement: String) -> Result<(), Error> {
    admin.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_in_no_statement() {
        let statement = password_of("ffp_app", "a';b\"c%");
        let verifier = statement.strip_prefix("alter role ffp_app login password 'SCRAM-SHA-256$4096:");
        let verifier = verifier.and_then(|rest| rest.strip_suffix('\'')).unwrap_or_default();
        assert!(!verifier.is_empty() && !statement.contains("a'"), "{statement}");
        assert!(verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=$:".contains(&byte)), "{statement}");
    }
}

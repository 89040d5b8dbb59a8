//! The roles, and the connections this process makes as them.

use std::collections::BTreeSet;

use sqlx::{PgConnection, Row};

use super::{Check, Defect};
use crate::Result;

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "role.missing",
        find: "select r from unnest(array['ffp_owner', 'ffp_app', 'ffp_worker', 'ffp_operator']) r
               where not exists (select from pg_roles where rolname = r)",
        remedy: "does not exist: run `platform migrate`, which makes the four roles",
    },
    Check {
        code: "role.attributes",
        find: "select rolname::text from pg_roles
               where rolname in ('ffp_owner', 'ffp_app', 'ffp_worker', 'ffp_operator')
                 and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)",
        remedy: "is above row security or could lift itself there: run \
                 `alter role … nosuperuser nobypassrls nocreaterole nocreatedb noreplication`",
    },
    Check {
        code: "role.owns",
        find: "select s.name || ': ' || case d.classid when 'pg_class'::regclass then d.objid::regclass::text
                                                       else pg_describe_object(d.classid, d.objid, 0) end
               from service s join pg_shdepend d on d.refclassid = 'pg_authid'::regclass and d.refobjid = s.oid
               where d.deptype = 'o' and d.dbid in (0, (select oid from pg_database where datname = current_database()))",
        remedy: "is owned by a service role, and an owner can lift any protection: run `alter … owner to ffp_owner`",
    },
    Check {
        code: "role.member",
        // rds_iam lets a role of Amazon RDS log in by IAM token and gives it nothing else.
        find: "select s.name || ' in ' || r.rolname from service s join pg_roles r on r.oid <> s.oid
               where pg_has_role(s.oid, r.oid, 'MEMBER') and r.rolname <> 'rds_iam'",
        remedy: "is a membership through which a service role can take on another's rights: run `revoke … from …`",
    },
];

/// Something that must hold of a connection, and the defect if it does not.
struct Fact {
    holds: bool,
    code: &'static str,
    object: String,
    remedy: &'static str,
}

/// Looks at the connection itself, which must be one of `role`, and answers which database it is to. The application's
/// second pool, for hot reads, is made of the same URL and nothing besides.
pub(super) async fn examine(connection: &mut PgConnection, role: &str, found: &mut BTreeSet<Defect>) -> Result<String> {
    let row = sqlx::query(
        "select session_user::text as session_user, current_user::text as acting_as,
                (select rolsuper or rolbypassrls from pg_catalog.pg_roles where rolname = current_user) as above_policies,
                current_setting('row_security') = 'on' as row_security,
                current_schemas(false)::text as path,
                concat(current_database(), ' since ', pg_postmaster_start_time()) as database,
                nullif(concat(current_setting('app.tenant_id', true), current_setting('app.member_id', true),
                              current_setting('app.role', true)), '') as preset",
    )
    .fetch_one(&mut *connection)
    .await?;
    let session: String = row.try_get("session_user")?;
    let acting: String = row.try_get("acting_as")?;
    let path: String = row.try_get("path")?;
    let facts = [
        Fact {
            holds: session == role && acting == role,
            code: "connection.role",
            object: format!("the pool for {role}"),
            remedy: "connects as another role: correct its database URL",
        },
        Fact {
            holds: !row.try_get::<bool, _>("above_policies")?,
            code: "connection.above-policies",
            object: format!("the pool for {role}"),
            remedy: "connects as a superuser or with BYPASSRLS, so policies don't bind it: give its URL the role it is for",
        },
        Fact {
            holds: row.try_get("row_security")?,
            code: "connection.row-security",
            object: format!("the pool for {role}"),
            remedy: "has `row_security` off, so queries fail instead of being filtered: remove the setting",
        },
        Fact {
            holds: path == "{public}",
            code: "connection.search-path",
            object: format!("the pool for {role} with the search path {path}"),
            remedy: "finds names in other schemas than `public`: remove the setting, or the schema named like the role",
        },
        Fact {
            holds: row.try_get::<Option<String>, _>("preset")?.is_none(),
            code: "connection.tenant-preset",
            object: format!("the pool for {role}"),
            remedy: "starts with app.tenant_id, app.member_id or app.role set: remove it from the role, database or URL",
        },
    ];
    for Fact { code, object, remedy, .. } in facts.into_iter().filter(|fact| !fact.holds) {
        found.insert(Defect { code, object, remedy });
    }
    examine_timeouts(connection, role, found).await?;
    Ok(row.try_get("database")?)
}

/// Data rule 13, milliseconds. Zero stands for none, so a limit may be lower and not zero.
async fn examine_timeouts(connection: &mut PgConnection, role: &str, found: &mut BTreeSet<Defect>) -> Result<()> {
    let statement = if role == "ffp_worker" { 300_000 } else { 5_000 };
    let limits =
        [("statement_timeout", statement), ("lock_timeout", 2_000), ("idle_in_transaction_session_timeout", 10_000)];
    for (setting, limit) in limits {
        let value: i32 = sqlx::query_scalar("select setting::int from pg_catalog.pg_settings where name = $1")
            .bind(setting)
            .fetch_one(&mut *connection)
            .await?;
        if !(1..=limit).contains(&value) {
            found.insert(Defect {
                code: "connection.timeout",
                object: format!("{setting} of {role}"),
                remedy: "is longer than a tenant may hold up the others, or not set: run `platform migrate`, which sets it on the role",
            });
        }
    }
    Ok(())
}

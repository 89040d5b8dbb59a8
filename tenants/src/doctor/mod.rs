//! The doctor: looks for defects in the database that would let one tenant reach another.
//!
//! The server refuses to start while there is one, and `platform doctor` prints them. Everything is read from the
//! system catalogues, read-only, over the three pools themselves, so that what is examined is what this process works
//! with: its own connections, their roles, and the one database they must share.
//!
//! A check is a query that answers the names of what is wrong. The checks stand in lists by subject:
//! [`connection`], [`tables`], [`keys`], [`grants`], [`functions`].

mod connection;
mod functions;
mod grants;
mod keys;
mod tables;

use std::{collections::BTreeSet, fmt};

use sqlx::{AssertSqlSafe, PgConnection};

use crate::{Result, Tenants, scope::Door};

/// Something in the database that breaks a rule the isolation of tenants rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Defect {
    /// Which rule; stable, for programs: `policy.wall`.
    pub code: &'static str,
    /// What breaks it: `public.video: SELECT by ffp_app`.
    pub object: String,
    /// What is wrong with it and how to put it right.
    pub remedy: &'static str,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.code, self.object, self.remedy)
    }
}

/// One rule.
struct Check {
    code: &'static str,
    /// Continues [`COMMON`]; answers one text for each thing that breaks the rule.
    find: &'static str,
    /// Continues a sentence that begins with such a text.
    remedy: &'static str,
}

/// Each pool and the role it must connect as.
const DOORS: [(Door, &str); 3] =
    [(Door::App, "ffp_app"), (Door::Worker, "ffp_worker"), (Door::Operator, "ffp_operator")];

/// The tables outside row protection, each with its reason. Any other table that is not protected is a defect.
const OUTSIDE: [(&str, &str); 2] = [
    (
        "public._sqlx_migrations",
        "which migrations were applied; holds nothing of a tenant and is written by the owner only",
    ),
    (
        "graphile_worker.*",
        "the job queue, another crate's schema; only ffp_worker reaches it, and each job carries its tenant",
    ),
];

/// The tables operators read across tenants.
const REGISTRY: [&str; 3] = ["public.tenant", "public.audit", "public.usage"];

/// Whether a table stands outside row protection, by name with its schema.
pub(crate) fn is_outside(table: &str) -> bool {
    let in_schema = |listed: &str| listed.strip_suffix('*').is_some_and(|schema| table.starts_with(schema));
    OUTSIDE.iter().any(|(listed, _reason)| *listed == table || in_schema(listed))
}

/// Whether operators read a table across tenants.
pub(crate) fn is_registry(table: &str) -> bool {
    REGISTRY.contains(&table)
}

/// The indexes that do not begin with the tenant, each with its reason. Any other is a defect.
const ACROSS: [(&str, &str); 3] = [
    (
        "public.audit_newest",
        "operators read the audit log of all tenants, newest first; it is not unique, so it betrays nothing",
    ),
    ("public.audit_of_action", "operators look for an action in the audit log of all tenants; it is not unique"),
    ("public.audit_of_actor", "operators look for an actor in the audit log of all tenants; it is not unique"),
];

/// What every check may use:
/// - `service`: the roles the services connect as. A superuser is left out: it would break every rule on privileges,
///   and `role.attributes` says so once.
/// - `relation`: tables, views, indexes and sequences outside the system's schemas
/// - `tenant_table`: every table that is not on the list, and the column that holds its tenant
/// - `tenant_carrier`: the columns that hold the row's own tenant, or one that a CHECK ties to it
///
/// `$1` is the list of tables outside, `$2` the registry, `$3` the wall with `%I` for the column, `$4` the wider wall
/// of shared tables, `$5` the indexes across tenants.
const COMMON: &str = r"
with service as (
    select oid, rolname::text as name from pg_roles
    where rolname in ('ffp_app', 'ffp_worker', 'ffp_operator') and not rolsuper),
relation as (
    select c.*, c.oid::regclass::text as name, n.nspname as schema
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname <> 'information_schema' and n.nspname !~ '^pg_'),
tenant_table as (
    select oid, name, relrowsecurity, relforcerowsecurity,
           case name when 'public.tenant' then 'id' else 'tenant_id' end as tenant_column
    from relation
    where relkind in ('r', 'p') and not (name = any ($1::text[]) or schema || '.*' = any ($1::text[]))),
tenant_carrier as (
    select t.oid as table_oid, a.attnum, a.attname, a.attname = t.tenant_column as own
    from tenant_table t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    where a.attname = t.tenant_column
       or a.attname like '%\_tenant\_id' and exists (
           select from pg_constraint k
           where k.conrelid = t.oid and k.contype = 'c' and k.convalidated and pg_get_constraintdef(k.oid) =
               format('CHECK (((%1$I = tenant_id) OR (%1$I = public.platform_tenant())))', a.attname))),
given as (select $2::text[] as registry, $3::text as wall, $4::text as shared_wall, $5::text[] as across)
";

/// Every defect of the database and of this process's connections to it; an empty list is a clean bill of health.
///
/// # Errors
/// A database that is away, or that one of the roles may not connect to.
pub async fn diagnose(tenants: &Tenants) -> Result<Vec<Defect>> {
    let mut found = BTreeSet::new();
    let mut examined = None;
    for (door, role) in DOORS {
        let mut tx = tenants.pool(door).begin_with("begin isolation level repeatable read read only").await?;
        let database = connection::examine(&mut tx, role, &mut found).await?;
        match &examined {
            None => {
                examine_database(&mut tx, &mut found).await?;
                examined = Some(database);
            }
            Some(first) if *first == database => {}
            Some(_) => {
                let object = format!("the pool for {role}");
                let remedy =
                    "connects to another database than the application's, which is the one examined: correct its URL";
                found.insert(Defect { code: "connection.database", object, remedy });
            }
        }
        tx.rollback().await?;
    }
    Ok(found.into_iter().collect())
}

/// What is the same whoever looks: the system catalogues are open to every role.
async fn examine_database(connection: &mut PgConnection, found: &mut BTreeSet<Defect>) -> Result<()> {
    // From here on every name and expression is printed with its schema, whatever the role's own path is.
    sqlx::query("select set_config('search_path', 'pg_catalog', true)").execute(&mut *connection).await?;
    for checks in [connection::CHECKS, tables::CHECKS, keys::CHECKS, grants::CHECKS] {
        for check in checks {
            run(connection, check, found).await?;
        }
    }
    functions::examine(connection, found).await
}

async fn run(connection: &mut PgConnection, check: &Check, found: &mut BTreeSet<Defect>) -> Result<()> {
    let objects: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("{COMMON} {}", check.find)))
        .bind(OUTSIDE.map(|(name, _reason)| name).as_slice())
        .bind(REGISTRY.as_slice())
        .bind(tables::WALL)
        .bind(tables::SHARED_WALL)
        .bind(ACROSS.map(|(name, _reason)| name).as_slice())
        .fetch_all(connection)
        .await?;
    found.extend(objects.into_iter().map(|object| Defect { code: check.code, object, remedy: check.remedy }));
    Ok(())
}

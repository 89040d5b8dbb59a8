//! `platform migrate` by a master such as RDS gives: no superuser, but one that may make roles and databases, and owns this
//! one. PostgreSQL 16 changed what that means, so this is worth trying on each version (`PG_BIN`).

use std::collections::HashMap;

use devstack::postgres::{Postgres, execute};
use sqlx::{Connection, PgConnection};

use crate::{run, said};

const DATABASE: &str = "ffp";
const MASTER: &str = "ffp_admin";
/// As RDS makes one: of everything printable but `/`, `@`, `"` and a space.
const PASSWORD: &str = "p%41:#?[]&=+~!$(*),;<>^`{|}";

/// A variable, the role in its URL, and that role's password.
const ROLES: [(&str, &str, &str); 4] = [
    ("FFP_OWNER_DATABASE_URL", "ffp_owner", "owner-s"),
    ("FFP_DATABASE_URL", "ffp_app", "app-s"),
    ("FFP_WORKER_DATABASE_URL", "ffp_worker", "worker-s"),
    ("FFP_OPERATOR_DATABASE_URL", "ffp_operator", "operator-s"),
];

/// A server with the master and its database, and the environment of a migration there.
async fn server(rights: &str) -> (Postgres, HashMap<String, String>) {
    let postgres = Postgres::throwaway().await.unwrap();
    let master = format!("create role {MASTER} login {rights} password '{PASSWORD}'");
    execute(&postgres.admin_url("postgres"), &master).await.unwrap();
    let database = format!("create database {DATABASE} owner {MASTER}");
    execute(&postgres.admin_url("postgres"), &database).await.unwrap();
    let mut environment: HashMap<String, String> =
        ROLES.map(|(name, role, password)| (name.to_owned(), postgres.url(role, password, DATABASE))).into();
    for (name, value) in [
        ("ADDRESS", format!("127.0.0.1:{}/{DATABASE}?sslmode=disable", postgres.port())),
        ("USER", MASTER.to_owned()),
        ("PASSWORD", PASSWORD.to_owned()),
    ] {
        environment.insert(format!("FFP_ADMIN_DATABASE_{name}"), value);
    }
    (postgres, environment)
}

async fn succeeds(command: &str, environment: &HashMap<String, String>) {
    let output = run(command, environment).await;
    assert!(output.status.success(), "{command}: {}", said(&output));
}

#[tokio::test]
async fn a_master_that_is_no_superuser_makes_roles_and_schema_as_often_as_it_likes() {
    let (postgres, mut environment) = server("createrole createdb").await;
    for _ in 0..2 {
        succeeds("migrate", &environment).await;
        succeeds("doctor", &environment).await;
    }
    let mut superuser = PgConnection::connect(&postgres.admin_url(DATABASE)).await.unwrap();
    let above: Vec<String> = sqlx::query_scalar(
        "select rolname::text from pg_roles where rolname ~ '^ffp_' and (rolsuper or rolbypassrls or rolreplication)",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert_eq!(above, [""; 0]);
    let owners: Vec<String> = sqlx::query_scalar(
        "select distinct pg_get_userbyid(relowner)::text from pg_class
         where relnamespace in ('public'::regnamespace, 'graphile_worker'::regnamespace)",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert_eq!(owners, ["ffp_owner"]);

    // A release without a new password asks for no administrator.
    environment.retain(|name, _| !name.starts_with("FFP_ADMIN_"));
    succeeds("migrate", &environment).await;
    succeeds("doctor", &environment).await;
}

#[tokio::test]
async fn a_password_that_was_rotated_in_its_url_is_the_roles_after_the_next_migration() {
    let (postgres, mut environment) = server("createrole createdb").await;
    succeeds("migrate", &environment).await;
    let old = environment["FFP_DATABASE_URL"].clone();
    environment.insert("FFP_DATABASE_URL".to_owned(), postgres.url("ffp_app", "next-s", DATABASE));
    assert!(!run("doctor", &environment).await.status.success(), "it is not the role's yet");
    succeeds("migrate", &environment).await;
    succeeds("doctor", &environment).await;
    assert!(PgConnection::connect(&old).await.is_err(), "the old one opens nothing");
    // Nobody logs in with what the server keeps, and what the server's log may have repeated.
    let mut superuser = PgConnection::connect(&postgres.admin_url(DATABASE)).await.unwrap();
    let kept: Vec<String> = sqlx::query_scalar("select rolpassword from pg_authid where rolname = any($1)")
        .bind(ROLES.map(|(_, role, _)| role).as_slice())
        .fetch_all(&mut superuser)
        .await
        .unwrap();
    assert_eq!(kept.len(), 4);
    assert!(kept.iter().all(|kept| kept.starts_with("SCRAM-SHA-256$4096:")), "{kept:?}");
    assert!(PgConnection::connect(&postgres.url("ffp_app", &kept[0], DATABASE)).await.is_err());
}

#[tokio::test]
async fn a_master_that_may_make_no_roles_is_told_so_with_the_variables_that_name_it() {
    let (_postgres, environment) = server("createdb").await;
    let output = run("migrate", &environment).await;
    let said = said(&output);
    assert!(!output.status.success() && said.contains("FFP_ADMIN_DATABASE_ADDRESS"), "{said}");
    assert!(said.contains("permission denied to create role") && !said.contains(PASSWORD), "{said}");
}

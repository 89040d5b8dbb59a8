//! `platform seed`, as the benchmark runs it: the rows are there, the walls stand again, and the tokens let their members
//! in and nobody else.
#![cfg(feature = "dev")]
#![allow(clippy::unwrap_used, missing_docs)]
// What the command wrote is looked at as a superuser.
#![allow(clippy::disallowed_types)]

use std::{
    collections::HashMap,
    path::Path,
    process::{Command, Output},
};

use axum::{Json, Router, routing::get};
use devstack::postgres::Postgres;
use migrations::RolePasswords;
use platform::{config::Config, server};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::net::TcpListener;

const PASSWORD: &str = "role-password";
const DATABASE: &str = "seeded";

/// A migrated database with nobody in it.
async fn database() -> Postgres {
    let postgres = Postgres::throwaway().await.unwrap();
    postgres.ensure_database(DATABASE).await.unwrap();
    let password = || PASSWORD.to_owned();
    let passwords = RolePasswords { owner: password(), app: password(), worker: password(), operator: password() };
    migrations::prepare_at(&postgres.admin_url(DATABASE), &passwords).await.unwrap();
    migrations::migrate_at(&postgres.url("ffp_owner", PASSWORD, DATABASE)).await.unwrap();
    postgres
}

fn environment(postgres: &Postgres) -> HashMap<String, String> {
    let url = |role: &str| postgres.url(role, PASSWORD, DATABASE);
    [
        ("FFP_OWNER_DATABASE_URL", url("ffp_owner")),
        ("FFP_DATABASE_URL", url("ffp_app")),
        ("FFP_WORKER_DATABASE_URL", url("ffp_worker")),
        ("FFP_OPERATOR_DATABASE_URL", url("ffp_operator")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn platform(postgres: &Postgres, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_platform"));
    command.args(arguments).envs(environment(postgres)).output().unwrap()
}

fn seed(postgres: &Postgres, out: &Path) -> Output {
    let out = out.to_str().unwrap();
    let scale = ["seed", "--scale", "3", "--progress", "600", "--members", "5", "--videos", "40"];
    platform(postgres, &[&scale[..], &["--slow-videos", "50", "--callers", "6", "--out", out]].concat())
}

/// The platform over the seeded database, with the seeded settings. Answers its address.
async fn serve(postgres: &Postgres, seeded: &Value) -> String {
    let keys = seeded["jwks"].clone();
    let pool = Router::new().route("/jwks.json", get(move || async { Json(keys) }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let jwks_url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, pool).await });

    let mut variables = environment(postgres);
    for (name, value) in seeded["settings"].as_object().unwrap() {
        variables.insert(name.clone(), value.as_str().unwrap().to_owned());
    }
    variables.insert("FFP_MEMBERS_JWKS_URL".into(), jwks_url.clone());
    variables.insert("FFP_OPERATORS_JWKS_URL".into(), jwks_url);
    let config = Config::read(&|name| variables.get(name).cloned()).unwrap();
    let platform = config.platform().await.unwrap();
    let health = server::Health::starting(platform.tenants.clone());
    health.serve();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = server::router(platform, &config.http, health);
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

/// Every key and index of the table, as the server describes it.
async fn keys(postgres: &Postgres) -> Vec<String> {
    let mut admin = PgConnection::connect(&postgres.admin_url(DATABASE)).await.unwrap();
    let text = "select conname || ' ' || pg_get_constraintdef(oid) from pg_constraint
                 where conrelid = 'video_progress'::regclass
                union all
                select pg_get_indexdef(indexrelid) from pg_index where indrelid = 'video_progress'::regclass order by 1";
    sqlx::query_scalar(text).fetch_all(&mut admin).await.unwrap()
}

async fn count(postgres: &Postgres, text: &'static str) -> i64 {
    let mut admin = PgConnection::connect(&postgres.admin_url(DATABASE)).await.unwrap();
    sqlx::query_scalar(text).fetch_one(&mut admin).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seeded_database_is_whole_and_its_tokens_open_their_own_tenant() {
    let postgres = database().await;
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("seeded.json");
    let before = keys(&postgres).await;

    let made = seed(&postgres, &out);

    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert_eq!(keys(&postgres).await, before, "keys and indexes are as the migrations made them");
    let doctor = platform(&postgres, &["doctor"]);
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));
    // Three tenants to measure, three beside them, and the platform's own.
    assert_eq!(count(&postgres, "select count(*) from tenant").await, 7);
    assert_eq!(count(&postgres, "select count(*) from video_progress").await, 600);

    let seeded: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let base = serve(&postgres, &seeded).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |caller: &Value, path: String| {
        let token = caller["token"].as_str().unwrap();
        let answer = client.get(format!("{base}/api/v1/{path}")).bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let callers = seeded["callers"].as_array().unwrap();
    assert_eq!(callers.len(), 6);
    for (caller, other) in callers.iter().zip(callers.iter().cycle().skip(1)) {
        let (status, page) = ask(caller, "videos?limit=20".to_owned()).await;
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), 20);
        assert!(["library", "tenant"].iter().all(|scope| items.iter().any(|item| item["scope"] == *scope)));
        let (status, video) = ask(caller, format!("videos/{}", caller["videos"][0].as_str().unwrap())).await;
        assert_eq!(status, 200, "{video}");
        assert!(video["progress"]["position_seconds"].is_number(), "every member has watched every video");
        let (status, _) = ask(caller, format!("videos/{}", other["videos"][0].as_str().unwrap())).await;
        assert_eq!(status, 404, "another tenant's video");
    }
    for name in ["noisy", "slow", "quiet"] {
        assert_eq!(ask(&seeded[name], "videos?q=nowhere".to_owned()).await.0, 200, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_use_is_not_seeded() {
    let postgres = database().await;
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("seeded.json");
    assert!(seed(&postgres, &out).status.success());

    let again = seed(&postgres, &dir.path().join("again.json"));

    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("has tenants"));
    assert_eq!(count(&postgres, "select count(*) from tenant").await, 7);
    assert!(!dir.path().join("again.json").exists());
}

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use devstack::{
    Error,
    ports::{self, Port},
    postgres::{Postgres, PostgresOptions, Profile},
};
use sqlx::{Connection, Executor, PgConnection, Row};

use crate::helper::{Launch, Launcher, eventually, is_root, open_dir, processes_mentioning};

fn durable(data_dir: &Path) -> PostgresOptions {
    PostgresOptions { data_dir: data_dir.to_owned(), port: Port::Any, profile: Profile::Durable }
}

async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect(url).await
}

async fn text(url: &str, query: &'static str) -> String {
    let mut connection = connect(url).await.unwrap();
    connection.fetch_one(query).await.unwrap().get(0)
}

async fn run(url: &str, statement: &'static str) {
    connect(url).await.unwrap().execute(statement).await.unwrap();
}

#[tokio::test]
async fn data_survive_a_stop_and_a_start() {
    let dir = open_dir();
    let data = dir.path().join("data");

    let server = Postgres::start(durable(&data)).await.unwrap();
    run(&server.admin_url("postgres"), "CREATE TABLE kept AS SELECT 'still here' AS what").await;
    server.stop().await.unwrap();
    assert_eq!(processes_mentioning(data.to_str().unwrap()), Vec::<String>::new());

    let server = Postgres::start(durable(&data)).await.unwrap();
    assert_eq!(text(&server.admin_url("postgres"), "SELECT what FROM kept").await, "still here");
    assert_eq!(text(&server.admin_url("postgres"), "SHOW fsync").await, "on");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_launcher_leaves_no_server_and_its_data_are_there_at_the_next_start() {
    let dir = open_dir();
    let data = dir.path().join("data");
    let launcher = Launcher::start(Launch::Postgres, &data, None);
    run(&launcher.url, "CREATE TABLE kept AS SELECT 'still here' AS what").await;

    launcher.kill();

    // At once, while the old server is still stopping.
    let server = Postgres::start(durable(&data)).await.unwrap();
    assert_eq!(text(&server.admin_url("postgres"), "SELECT what FROM kept").await, "still here");

    let launcher = {
        server.stop().await.unwrap();
        Launcher::start(Launch::Postgres, &data, None)
    };
    launcher.kill();
    eventually("the end of the server", || processes_mentioning(data.to_str().unwrap()).is_empty()).await;
}

#[tokio::test]
async fn a_server_whose_watcher_was_killed_too_is_stopped_at_the_next_start() {
    let dir = open_dir();
    let data = dir.path().join("data");
    let launcher = Launcher::start(Launch::Postgres, &data, None);
    run(&launcher.url, "CREATE TABLE kept AS SELECT 'still here' AS what").await;
    for line in processes_mentioning(data.to_str().unwrap()) {
        if line.contains("watch") {
            let pid = line.split_whitespace().next().unwrap().to_owned();
            std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
        }
    }
    launcher.kill();

    let server = Postgres::start(durable(&data)).await.unwrap();

    assert_eq!(text(&server.admin_url("postgres"), "SELECT what FROM kept").await, "still here");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_launcher_of_a_throwaway_server_leaves_neither_processes_nor_files() {
    let launcher = Launcher::start(Launch::ThrowawayPostgres, Path::new("/unused"), None);
    let pgdata = text(&launcher.url, "SHOW data_directory").await;
    let home = Path::new(&pgdata).parent().unwrap().to_owned();
    assert!(home.exists());

    launcher.kill();

    eventually("the end of the server", || processes_mentioning(&pgdata).is_empty()).await;
    eventually("the removal of its files", || !home.exists()).await;
}

#[tokio::test]
async fn throwaway_servers_run_side_by_side_and_are_gone_when_stopped_or_dropped() {
    let (one, two) = tokio::join!(Postgres::throwaway(), Postgres::throwaway());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.port(), two.port());
    assert_eq!(text(&one.admin_url("postgres"), "SHOW fsync").await, "off");
    assert_eq!(text(&one.admin_url("postgres"), "SHOW max_connections").await, "200");
    let dir_of_one = text(&one.admin_url("postgres"), "SHOW data_directory").await;
    let dir_of_two = text(&two.admin_url("postgres"), "SHOW data_directory").await;

    one.stop().await.unwrap();
    assert!(!Path::new(&dir_of_one).exists());
    assert_eq!(processes_mentioning(&dir_of_one), Vec::<String>::new());

    drop(two);
    eventually("the end of the server", || processes_mentioning(&dir_of_two).is_empty()).await;
    eventually("the removal of its files", || !Path::new(&dir_of_two).exists()).await;
}

#[tokio::test]
async fn nobody_gets_in_without_the_password() {
    let server = Postgres::throwaway().await.unwrap();
    let wrong = server.url("postgres", "wrong", "postgres");
    assert!(connect(&wrong).await.unwrap_err().to_string().contains("password"));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_url_carries_any_role_password_and_database() {
    let server = Postgres::throwaway().await.unwrap();
    run(&server.admin_url("postgres"), r#"CREATE ROLE "odd role/@" LOGIN PASSWORD 'p:a/s s%@+?#é'"#).await;
    run(&server.admin_url("postgres"), r#"CREATE DATABASE "odd db/?+""#).await;

    let url = server.url("odd role/@", "p:a/s s%@+?#é", "odd db/?+");

    assert_eq!(text(&url, "SELECT current_user || ' in ' || current_database()").await, "odd role/@ in odd db/?+");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_password_is_kept_for_its_owner_only() {
    let dir = open_dir();
    let data = dir.path().join("data");
    let server = Postgres::start(durable(&data)).await.unwrap();
    server.stop().await.unwrap();

    let mode = |name: &str| fs::metadata(data.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("superuser-password"), 0o600);
    assert_eq!(mode("postgresql.log"), 0o600);
    assert_eq!(mode("pgdata"), 0o700);
}

#[tokio::test]
async fn a_taken_port_is_said_and_the_data_stay_as_they_are() {
    let dir = open_dir();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = holder.local_addr().unwrap().port();
    let mut options = durable(&dir.path().join("data"));
    options.port = Port::Wanted { number, variable: "FFP_TEST_PORT" };

    let error = Postgres::start(options.clone()).await.unwrap_err();

    assert!(matches!(&error, Error::PortTaken { port, .. } if *port == number), "{error}");
    assert!(error.to_string().contains("FFP_TEST_PORT"));

    drop(holder);
    let server = Postgres::start(options).await.unwrap();
    assert_eq!(server.port(), number);
    server.stop().await.unwrap();
    assert!(ports::is_free(number));
}

#[tokio::test]
async fn a_directory_is_used_by_one_server_at_a_time() {
    let dir = open_dir();
    let data = dir.path().join("data");
    let server = Postgres::start(durable(&data)).await.unwrap();

    let error = Postgres::start(durable(&data)).await.unwrap_err();

    assert!(matches!(error, Error::DirectoryInUse { .. }), "{error}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_failed_start_quotes_the_log() {
    let dir = open_dir();
    let data = dir.path().join("data");
    Postgres::start(durable(&data)).await.unwrap().stop().await.unwrap();
    fs::write(data.join("pgdata/postgresql.conf"), "no_such_setting = 1\n").unwrap();

    let message = Postgres::start(durable(&data)).await.unwrap_err().to_string();

    assert!(message.contains("no_such_setting") && message.contains("postgresql.log"), "{message}");
}

#[tokio::test]
async fn an_initdb_that_was_cut_short_is_begun_again() {
    let dir = open_dir();
    let data = dir.path().join("data");
    fs::create_dir_all(data.join("pgdata.new/base")).unwrap();
    fs::write(data.join("pgdata.new/PG_VERSION"), "15\n").unwrap();

    let server = Postgres::start(durable(&data)).await.unwrap();

    assert_eq!(text(&server.admin_url("postgres"), "SELECT 'works'").await, "works");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn directories_made_on_the_way_to_the_data_do_not_keep_the_server_out() {
    let dir = open_dir();
    let server = Postgres::start(durable(&dir.path().join("one/two/data"))).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn root_is_told_which_directory_keeps_the_server_out() {
    if !is_root() {
        return eprintln!("skipped: only root takes another account");
    }
    let owner_only = fs::Permissions::from_mode(0o700);
    let closed = tempfile::Builder::new().permissions(owner_only).tempdir().unwrap();

    let error = Postgres::start(durable(&closed.path().join("inner/data"))).await.unwrap_err();

    assert!(matches!(&error, Error::Unreachable { blocked, .. } if blocked == closed.path()), "{error}");
}

#[tokio::test]
async fn an_unprivileged_user_starts_a_server_whose_data_root_can_use_later() {
    const NOBODY: u32 = 65534;
    if !is_root() {
        return eprintln!("skipped: only root can become another user");
    }
    let dir = open_dir();
    let data = dir.path().join("data");
    let launcher = Launcher::start(Launch::Postgres, &data, Some(NOBODY));
    run(&launcher.url, "CREATE TABLE kept AS SELECT 'still here' AS what").await;
    launcher.kill();

    let server = Postgres::start(durable(&data)).await.unwrap();
    assert_eq!(text(&server.admin_url("postgres"), "SELECT what FROM kept").await, "still here");
    server.stop().await.unwrap();

    let launcher = Launcher::start(Launch::Postgres, &data, Some(NOBODY));
    assert_eq!(text(&launcher.url, "SELECT what FROM kept").await, "still here");
    launcher.kill();
    eventually("the end of the server", || processes_mentioning(data.to_str().unwrap()).is_empty()).await;
}

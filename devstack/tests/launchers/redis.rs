use devstack::redis::Redis;
use tempfile::tempdir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::helper::{Launch, Launcher, eventually, processes_mentioning};

/// One command and the one line of its answer.
async fn ask(port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_server_goes_away_and_comes_back_empty_on_the_same_port() {
    let mut redis = Redis::start().await.unwrap();
    let port = redis.port();
    assert_eq!(ask(port, "SET key 1").await.unwrap(), "+OK");
    redis.stop().await.unwrap();
    redis.stop().await.unwrap();
    assert!(ask(port, "PING").await.is_err());
    redis.start_again().await.unwrap();
    assert_eq!((ask(port, "PING").await.unwrap(), redis.port()), ("+PONG".to_owned(), port));
    assert_eq!(ask(port, "EXISTS key").await.unwrap(), ":0");
}

#[tokio::test]
async fn a_killed_launcher_leaves_no_server() {
    let launcher = Launcher::start(Launch::Redis, tempdir().unwrap().path(), None);
    let port = launcher.url.rsplit(':').next().unwrap().to_owned();
    let mine = format!("127.0.0.1:{port}");
    assert!(!processes_mentioning(&mine).is_empty());
    launcher.kill();
    eventually("the server's end", || processes_mentioning(&mine).is_empty()).await;
}

#[test]
fn a_missing_program_is_named_with_its_package() {
    let said = Launcher::failure(Launch::Redis, tempdir().unwrap().path(), &[("PATH", "/nonexistent")]);
    assert!(said.contains(r#"MissingProgram { program: "redis-server", package: "redis-server" }"#), "{said}");
}

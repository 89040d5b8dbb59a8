use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{BucketVersioningStatus, VersioningConfiguration},
};
use devstack::{
    Error,
    ministack::{self, MiniStack, MiniStackOptions},
    ports::Port,
};
use serde_json::{Value, json};

use crate::helper::{Launch, Launcher, eventually, processes_mentioning};

fn persistent(data_dir: &Path) -> MiniStackOptions {
    MiniStackOptions { port: Port::Any, data_dir: Some(data_dir.to_owned()) }
}

fn s3(endpoint: &str) -> Client {
    let keys = Credentials::new(ministack::ACCESS_KEY_ID, ministack::SECRET_ACCESS_KEY, None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(ministack::REGION))
        .credentials_provider(keys)
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

/// Calls the user pools' JSON protocol. The root key's signature is not checked, so none is made.
async fn cognito(endpoint: &str, action: &str, body: Value) -> Value {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/20260101/{}/cognito-idp/aws4_request, SignedHeaders=host, Signature=0",
        ministack::ACCESS_KEY_ID,
        ministack::REGION
    );
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .post(endpoint)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("AWSCognitoIdentityProviderService.{action}"))
        .header("authorization", authorization)
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{action}: {}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

/// A pool with one client and one user who has not confirmed the address.
async fn pool_with_a_user(endpoint: &str) -> String {
    let pool = json!({"PoolName": "people", "AutoVerifiedAttributes": ["email"]});
    let pool = cognito(endpoint, "CreateUserPool", pool).await["UserPool"]["Id"].as_str().unwrap().to_owned();
    let client = cognito(endpoint, "CreateUserPoolClient", json!({"UserPoolId": pool, "ClientName": "app"})).await;
    let sign_up = json!({
        "ClientId": client["UserPoolClient"]["ClientId"],
        "Username": "ann",
        "Password": "Correct-horse-1",
        "UserAttributes": [{"Name": "email", "Value": "ann@example.com"}],
    });
    cognito(endpoint, "SignUp", sign_up).await;
    pool
}

async fn users(endpoint: &str, pool: &str) -> Value {
    cognito(endpoint, "ListUsers", json!({"UserPoolId": pool})).await["Users"].clone()
}

async fn bucket_with_two_versions(endpoint: &str) {
    let client = s3(endpoint);
    client.create_bucket().bucket("kept").send().await.unwrap();
    let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    client.put_bucket_versioning().bucket("kept").versioning_configuration(versioning).send().await.unwrap();
    for body in ["first", "second"] {
        client.put_object().bucket("kept").key("a/b.txt").body(body.as_bytes().to_vec().into()).send().await.unwrap();
    }
}

async fn object(endpoint: &str) -> Vec<u8> {
    let answer = s3(endpoint).get_object().bucket("kept").key("a/b.txt").send().await.unwrap();
    answer.body.collect().await.unwrap().to_vec()
}

async fn versions(endpoint: &str) -> usize {
    let answer = s3(endpoint).list_object_versions().bucket("kept").prefix("a/").send().await.unwrap();
    answer.versions().len()
}

#[tokio::test]
async fn a_bucket_and_a_user_pool_survive_a_stop_and_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let stack = MiniStack::start(persistent(dir.path())).await.unwrap();
    bucket_with_two_versions(&stack.endpoint()).await;
    let pool = pool_with_a_user(&stack.endpoint()).await;
    stack.stop().await.unwrap();
    assert_eq!(processes_mentioning(dir.path().to_str().unwrap()), Vec::<String>::new());

    let stack = MiniStack::start(persistent(dir.path())).await.unwrap();

    assert_eq!(object(&stack.endpoint()).await, b"second");
    assert_eq!(versions(&stack.endpoint()).await, 2);
    assert_eq!(users(&stack.endpoint(), &pool).await[0]["Username"], "ann");
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_launcher_leaves_no_emulator_and_its_state_is_there_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let launcher = Launcher::start(Launch::MiniStack, dir.path(), None);
    bucket_with_two_versions(&launcher.url).await;
    let pool = pool_with_a_user(&launcher.url).await;

    launcher.kill();

    // At once, while the old one is still saving.
    let stack = MiniStack::start(persistent(dir.path())).await.unwrap();
    assert_eq!(object(&stack.endpoint()).await, b"second");
    assert_eq!(users(&stack.endpoint(), &pool).await[0]["Username"], "ann");
    stack.stop().await.unwrap();

    Launcher::start(Launch::MiniStack, dir.path(), None).kill();
    eventually("the end of the emulator", || processes_mentioning(dir.path().to_str().unwrap()).is_empty()).await;
}

#[tokio::test]
async fn state_is_saved_while_running_so_that_a_killed_emulator_has_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let stack = MiniStack::start(persistent(dir.path())).await.unwrap();
    bucket_with_two_versions(&stack.endpoint()).await;
    let pool = pool_with_a_user(&stack.endpoint()).await;
    let saved = |name: &str, text: &str| {
        fs::read_to_string(dir.path().join("state").join(name)).is_ok_and(|state| state.contains(text))
    };
    eventually("saving the user", || saved("cognito.json", "ann@example.com")).await;
    eventually("saving the bucket's versioning", || saved("s3.json", "Enabled")).await;

    let pid = fs::read_to_string(dir.path().join("program.pid")).unwrap();
    Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
    stack.stop().await.unwrap();

    let stack = MiniStack::start(persistent(dir.path())).await.unwrap();
    assert_eq!(versions(&stack.endpoint()).await, 2);
    assert_eq!(users(&stack.endpoint(), &pool).await[0]["Username"], "ann");
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_data_directory_nothing_is_kept() {
    let options = MiniStackOptions { port: Port::Any, data_dir: None };
    let stack = MiniStack::start(options.clone()).await.unwrap();
    bucket_with_two_versions(&stack.endpoint()).await;
    stack.stop().await.unwrap();

    let stack = MiniStack::start(options).await.unwrap();
    assert!(s3(&stack.endpoint()).list_buckets().send().await.unwrap().buckets().is_empty());
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn the_mail_with_a_sign_up_code_can_be_read() {
    let stack = MiniStack::start(MiniStackOptions { port: Port::Any, data_dir: None }).await.unwrap();
    assert_eq!(stack.mails().await.unwrap(), []);
    pool_with_a_user(&stack.endpoint()).await;

    let mails = stack.mails().await.unwrap();

    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, ["ann@example.com"]);
    assert!(mails[0].body.contains("123456"), "{:?}", mails[0]);
    assert!(mails[0].sent_at.elapsed().unwrap() < Duration::from_secs(60), "{:?}", SystemTime::now());
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_said() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = holder.local_addr().unwrap().port();
    let port = Port::Wanted { number, variable: "FFP_TEST_PORT" };

    let error = MiniStack::start(MiniStackOptions { port, data_dir: None }).await.unwrap_err();

    assert!(matches!(&error, Error::PortTaken { port, .. } if *port == number), "{error}");
    assert!(error.to_string().contains("MiniStack") && error.to_string().contains("FFP_TEST_PORT"), "{error}");
}

#[tokio::test]
async fn only_this_machine_reaches_it() {
    let stack = MiniStack::start(MiniStackOptions { port: Port::Any, data_dir: None }).await.unwrap();
    // The whole of 127.0.0.0/8 is this machine, so a server on all addresses would answer here.
    let elsewhere = std::net::SocketAddr::from(([127, 0, 0, 2], stack.port()));
    if cfg!(target_os = "linux") {
        assert!(std::net::TcpStream::connect_timeout(&elsewhere, Duration::from_secs(2)).is_err());
    }
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn the_interpreter_has_the_signer_of_aws() {
    let python = ministack::python().await.unwrap();
    let program = "from botocore.signers import CloudFrontSigner; print(CloudFrontSigner.__name__)";
    let output = Command::new(python).args(["-I", "-c", program]).output().unwrap();
    assert_eq!(output.stdout.trim_ascii(), b"CloudFrontSigner");
}

#[tokio::test]
async fn an_unreachable_package_registry_is_said_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let variables = [
        ("FFP_CACHE_DIR", cache.to_str().unwrap()),
        ("PIP_INDEX_URL", "http://127.0.0.1:9/simple"),
        ("PIP_RETRIES", "0"),
        ("PIP_NO_CACHE_DIR", "1"),
    ];

    let said = Launcher::failure(Launch::MiniStack, dir.path(), &variables);

    assert!(said.contains("PackageRegistry"), "{said}");
    let unfinished = fs::read_dir(&cache).unwrap().filter(|entry| entry.as_ref().unwrap().path().join("bin").exists());
    assert_eq!(unfinished.count(), 0);
}

#[tokio::test]
async fn several_launchers_at_once_make_the_environment_once() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let variables = [("FFP_CACHE_DIR", cache.to_str().unwrap())];
    let launchers: Vec<Launcher> = std::thread::scope(|scope| {
        let start = |name: &str| {
            let data = dir.path().join(name);
            scope.spawn(move || Launcher::start_with(Launch::MiniStack, &data, &variables))
        };
        let started = [start("one"), start("two"), start("three")];
        started.map(|thread| thread.join().unwrap()).into()
    });

    let environments =
        fs::read_dir(&cache).unwrap().filter(|entry| entry.as_ref().unwrap().path().join("bin").exists());
    assert_eq!(environments.count(), 1);
    launchers.into_iter().for_each(Launcher::kill);
    eventually("the end of the emulators", || processes_mentioning(dir.path().to_str().unwrap()).is_empty()).await;
}

//! What one test process has once: the servers, the user pools, the template database with its two businesses.

use std::{collections::HashMap, sync::LazyLock};

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use devstack::{
    ministack::{MiniStack, MiniStackOptions},
    ports::Port,
    postgres::Postgres,
    testdb::TestServer,
};
use migrations::RolePasswords;
use platform::{
    cognito::{AuthOutcome, Directory, PoolSettings},
    config::{AwsConfig, Reader},
    dev::pools,
    videos::signing::SigningKey,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sqlx::{Connection, PgConnection, PgPool};

use super::app::TestApp;

/// The emulator's codes.
pub const CONFIRMATION_CODE: &str = "123456";
pub const RESET_CODE: &str = "654321";
pub const BUCKET: &str = "ffp-test-videos";
pub const PASSWORD: &str = "a test's password";
const SENDER: &str = "hello@ffp.example";
const ROLE_PASSWORD: &str = "role-password";

/// The servers and what was made on them.
pub struct Stack {
    pub server: TestServer,
    pub ministack: MiniStack,
    pub members_pool: PoolSettings,
    pub operators_pool: PoolSettings,
    pub key: (String, String, String),
    pub fixture: Fixture,
}

/// The people that exist in every test, by `business.person`, and the operator's token.
#[derive(Clone, Default)]
pub struct Fixture {
    pub people: HashMap<String, Person>,
    pub operator: String,
}

#[derive(Clone, Debug)]
pub struct Person {
    pub email: String,
    pub id_token: String,
    pub access_token: String,
    pub refresh_token: String,
    pub tenant_id: String,
    pub member_id: String,
}

/// The stack lives on a thread of its own: each test has a runtime that ends with it.
static STACK: LazyLock<Stack> = LazyLock::new(|| {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let stack = runtime.block_on(Stack::start());
        send.send(stack).unwrap();
        // Never ends: the servers die with the process.
        runtime.block_on(std::future::pending::<()>());
    });
    receive.recv().expect("the test stack starts")
});

/// The process's stack; the first call starts it.
pub fn stack() -> &'static Stack {
    &STACK
}

/// What is known before the template is filled.
pub struct Basis<'a> {
    pub postgres: &'a Postgres,
    pub ministack: &'a MiniStack,
    pub members_pool: &'a PoolSettings,
    pub operators_pool: &'a PoolSettings,
    pub key: &'a (String, String, String),
}

impl Stack {
    async fn start() -> Self {
        let ministack = MiniStack::start(MiniStackOptions { port: Port::Any, data_dir: None })
            .await
            .expect("the AWS emulator starts");
        let aws = aws(&ministack.endpoint());
        let sdk = aws.sdk().await;
        let s3 = aws.s3(&sdk);
        s3.create_bucket().bucket(BUCKET).send().await.unwrap();
        let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        s3.put_bucket_versioning().bucket(BUCKET).versioning_configuration(versioned).send().await.unwrap();
        let cognito = platform::cognito::client(&sdk);
        let pools = pools::ensure(&cognito, "ffp-test-members", "ffp-test-operators").await.unwrap();
        pools::ensure_sender(&platform::mail::client(&sdk), SENDER).await.unwrap();
        let key = generate_key();
        let mut fixture = Fixture::default();
        let server = TestServer::start(async |postgres, database| {
            prepare_database(postgres, database).await;
            let basis = Basis {
                postgres,
                ministack: &ministack,
                members_pool: &pools.members,
                operators_pool: &pools.operators,
                key: &key,
            };
            fixture = make_fixture(&basis, database, &cognito).await;
            Ok(())
        })
        .await
        .expect("PostgreSQL starts and takes the template");
        Self { server, ministack, members_pool: pools.members, operators_pool: pools.operators, key, fixture }
    }

    pub fn basis(&self) -> Basis<'_> {
        Basis {
            postgres: self.server.postgres(),
            ministack: &self.ministack,
            members_pool: &self.members_pool,
            operators_pool: &self.operators_pool,
            key: &self.key,
        }
    }
}

/// A configuration as the process's environment would give it.
pub fn environment(basis: &Basis<'_>, database: &str, public_url: &str) -> HashMap<String, String> {
    let url = |role: &str| basis.postgres.url(role, ROLE_PASSWORD, database);
    let jwks = |pool: &PoolSettings| format!("{}/{}/.well-known/jwks.json", basis.ministack.endpoint(), pool.pool_id);
    [
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_ENDPOINT_URL", basis.ministack.endpoint()),
        ("FFP_HTTP_ADDR", "127.0.0.1:0".to_owned()),
        ("FFP_METRICS_ADDR", "127.0.0.1:0".to_owned()),
        ("FFP_PUBLIC_URL", public_url.to_owned()),
        ("FFP_DATABASE_URL", url("ffp_app")),
        ("FFP_WORKER_DATABASE_URL", url("ffp_worker")),
        ("FFP_OPERATOR_DATABASE_URL", url("ffp_operator")),
        ("FFP_DATABASE_CONNECTIONS", "8".to_owned()),
        ("FFP_WORKER_DATABASE_CONNECTIONS", "4".to_owned()),
        ("FFP_OPERATOR_DATABASE_CONNECTIONS", "2".to_owned()),
        ("FFP_MEMBERS_POOL_ID", basis.members_pool.pool_id.clone()),
        ("FFP_MEMBERS_CLIENT_ID", basis.members_pool.client_id.clone()),
        ("FFP_MEMBERS_CLIENT_SECRET", basis.members_pool.client_secret.expose_secret().to_owned()),
        ("FFP_MEMBERS_JWKS_URL", jwks(basis.members_pool)),
        ("FFP_OPERATORS_POOL_ID", basis.operators_pool.pool_id.clone()),
        ("FFP_OPERATORS_CLIENT_ID", basis.operators_pool.client_id.clone()),
        ("FFP_OPERATORS_JWKS_URL", jwks(basis.operators_pool)),
        ("FFP_VIDEOS_BUCKET", BUCKET.to_owned()),
        ("FFP_SIGNING_KEY_ID", basis.key.0.clone()),
        ("FFP_SIGNING_KEY_PEM", basis.key.1.clone()),
        ("FFP_MAIL_FROM", SENDER.to_owned()),
        ("FFP_AUTH_FLOOR_MS", "0".to_owned()),
        ("FFP_DRAIN_DELAY_SECONDS", "0".to_owned()),
        // All clients of a test share one address. What these are for is tested with values of its own.
        ("FFP_BURST_PER_MINUTE", "1000000".to_owned()),
        ("FFP_LOGIN_ATTEMPTS", "100000".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

pub fn aws(endpoint: &str) -> AwsConfig {
    let value = |name: &str| match name {
        "AWS_REGION" => Some("us-east-1".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        "AWS_ENDPOINT_URL" => Some(endpoint.to_owned()),
        _ => None,
    };
    AwsConfig::read(&mut Reader::new(&value)).unwrap()
}

fn generate_key() -> (String, String, String) {
    let made = SigningKey::generate_rsa().unwrap();
    (made.id, made.private_pem.expose_secret().to_owned(), made.public_pem)
}

async fn prepare_database(postgres: &Postgres, database: &str) {
    let mut admin = PgConnection::connect(&postgres.admin_url(database)).await.unwrap();
    let password = || ROLE_PASSWORD.to_owned();
    let passwords = RolePasswords { owner: password(), app: password(), worker: password(), operator: password() };
    migrations::prepare(&mut admin, &passwords).await.unwrap();
    admin.close().await.unwrap();
    let owner = PgPool::connect(&postgres.url("ffp_owner", ROLE_PASSWORD, database)).await.unwrap();
    migrations::migrate(&owner).await.unwrap();
    owner.close().await;
}

/// Two businesses with an owner, an admin, a coach and two athletes each, and an operator.
async fn make_fixture(basis: &Basis<'_>, database: &str, cognito: &aws_sdk_cognitoidentityprovider::Client) -> Fixture {
    let app = TestApp::on(basis, None, database).await;
    let mut people = HashMap::new();
    for business in ["acme", "globex"] {
        let owner = app.register_business(&format!("owner@{business}.example"), business).await;
        for (person, role) in [("admin", "admin"), ("coach", "coach"), ("athlete", "athlete"), ("athlete2", "athlete")]
        {
            let joined = app.invite_and_accept(&owner, &format!("{person}@{business}.example"), role).await;
            people.insert(format!("{business}.{person}"), joined);
        }
        people.insert(format!("{business}.owner"), owner);
    }
    let operator = operator_token(cognito, basis.operators_pool).await;
    app.stop().await;
    Fixture { people, operator }
}

async fn operator_token(cognito: &aws_sdk_cognitoidentityprovider::Client, pool: &PoolSettings) -> String {
    let directory = Directory::new(cognito.clone(), pool.clone());
    let password = SecretString::from(PASSWORD);
    let subject = directory.create_operator("operator@ffp.example").await.unwrap();
    directory.set_password(&subject, &password).await.unwrap();
    match directory.authenticate("operator@ffp.example", &password).await.unwrap() {
        AuthOutcome::Tokens(tokens) => tokens.id.expose_secret().to_owned(),
        AuthOutcome::Challenge { .. } => panic!("no second factor on a laptop"),
    }
}

/// The body of a registration.
pub fn registration(email: &str, business: Option<&str>) -> serde_json::Value {
    json!({"email": email, "password": PASSWORD, "full_name": "Olive Owner", "business_name": business})
}

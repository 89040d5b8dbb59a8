//! One running product: the API behind the edge, on a database of the test's own.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
};

use devstack::{
    edge::{Edge, EdgeConfig, KeyGroup},
    testdb::TestDatabase,
};
use platform::{Platform, config::Config, server};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tenants::throttle::{Clock, Hand};
use tokio::net::TcpListener;
use url::Url;

use super::{
    Answer, Business, User,
    stack::{self, BUCKET, Basis, CONFIRMATION_CODE, PASSWORD, Person, aws, environment, registration},
};

static SERIAL: AtomicU32 = AtomicU32::new(0);

/// The product, listening.
pub struct TestApp {
    pub platform: Platform,
    /// Where the edge listens: the public origin.
    pub base: String,
    pub http: reqwest::Client,
    pub database_name: String,
    admin_url: String,
    endpoint: String,
    clock: Clock,
    _database: Option<TestDatabase>,
    stop: tokio_util::sync::CancellationToken,
}

impl TestApp {
    /// A product with acme and globex in it.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, with settings of the test's own.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_changed(set(settings)).await
    }

    /// The same, with an environment that the test changes where it likes.
    pub async fn start_changed(change: impl FnOnce(&mut HashMap<String, String>)) -> Self {
        let stack = stack::stack();
        let database = stack.server.database().await.unwrap();
        let name = database.name().to_owned();
        Self::assemble(&stack.basis(), Some(database), &name, change, Clock::Machine).await
    }

    /// The same, with throttles that refill only when the test says that time passes.
    pub async fn start_by_hand(settings: &[(&str, &str)]) -> (Self, Hand) {
        Self::start_by_hand_changed(set(settings)).await
    }

    /// The same, with an environment that the test changes where it likes.
    pub async fn start_by_hand_changed(change: impl FnOnce(&mut HashMap<String, String>)) -> (Self, Hand) {
        let (stack, hand) = (stack::stack(), Hand::default());
        let database = stack.server.database().await.unwrap();
        let name = database.name().to_owned();
        let app = Self::assemble(&stack.basis(), Some(database), &name, change, Clock::Hand(hand.clone())).await;
        (app, hand)
    }

    /// The same, with `more` among the routes that members call.
    pub async fn start_serving(more: axum::Router<Platform>, settings: &[(&str, &str)]) -> Self {
        let stack = stack::stack();
        let database = stack.server.database().await.unwrap();
        let (basis, name, change) = (stack.basis(), database.name().to_owned(), set(settings));
        Self::assemble_with(more, &basis, Some(database), &name, change, Clock::Machine).await
    }

    /// A second instance on the same database.
    pub async fn another_instance(&self) -> Self {
        self.another_instance_with(&[]).await
    }

    /// The same, with settings of its own.
    pub async fn another_instance_with(&self, settings: &[(&str, &str)]) -> Self {
        let (basis, name) = (stack::stack().basis(), &self.database_name);
        Self::assemble(&basis, None, name, set(settings), self.clock.clone()).await
    }

    pub(super) async fn on(basis: &Basis<'_>, database: Option<TestDatabase>, name: &str) -> Self {
        Self::assemble(basis, database, name, |_| {}, Clock::Machine).await
    }

    async fn assemble(
        basis: &Basis<'_>,
        database: Option<TestDatabase>,
        name: &str,
        change: impl FnOnce(&mut HashMap<String, String>),
        clock: Clock,
    ) -> Self {
        Self::assemble_with(axum::Router::new(), basis, database, name, change, clock).await
    }

    async fn assemble_with(
        more: axum::Router<Platform>,
        basis: &Basis<'_>,
        database: Option<TestDatabase>,
        name: &str,
        change: impl FnOnce(&mut HashMap<String, String>),
        clock: Clock,
    ) -> Self {
        let (inner, edge) = (listener().await, listener().await);
        let (inner_addr, edge_addr) = (inner.local_addr().unwrap(), edge.local_addr().unwrap());
        let base = format!("http://{edge_addr}");
        let mut variables = environment(basis, name, &base);
        change(&mut variables);
        let mut config = Config::read(&|name| variables.get(name).cloned()).expect("the test's configuration is good");
        config.limits.clock = clock.clone();
        let platform = config.platform().await.unwrap();

        let stop = tokio_util::sync::CancellationToken::new();
        let health = server::Health::starting(platform.tenants.clone());
        health.serve();
        let router = server::router_with(more, platform.clone(), &config.http, health);
        let stopped = stop.clone().cancelled_owned();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(inner, service).with_graceful_shutdown(stopped).await });

        let aws = aws(&basis.ministack.endpoint());
        let edge = EdgeConfig {
            listen: edge,
            public_url: Url::parse(&base).unwrap(),
            upstream: inner_addr,
            s3: aws.s3(&aws.sdk().await),
            prefixes: vec![("videos/".into(), BUCKET.into())],
            keys: KeyGroup::from_pems([(basis.key.0.as_str(), basis.key.2.as_str())]).unwrap(),
            origin_secret: variables.get("FFP_ORIGIN_SECRETS").cloned(),
        };
        tokio::spawn(Edge::serve(edge, stop.clone().cancelled_owned()));

        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self {
            platform,
            base,
            http,
            database_name: name.to_owned(),
            admin_url: basis.postgres.admin_url(name),
            endpoint: basis.ministack.endpoint(),
            clock,
            _database: database,
            stop,
        }
    }

    /// Stops listening and lets go of the database.
    pub async fn stop(self) {
        self.stop.cancel();
        self.platform.tenants.close().await;
    }

    pub fn acme(&self) -> Business<'_> {
        Business { app: self, name: "acme" }
    }

    pub fn globex(&self) -> Business<'_> {
        Business { app: self, name: "globex" }
    }

    pub fn operator(&self) -> User<'_> {
        User::new(self, stack::stack().fixture.operator.clone())
    }

    /// Somebody without a token.
    pub fn anonymous(&self) -> User<'_> {
        User::new(self, String::new())
    }

    /// Somebody with the given ID token.
    pub fn with_token(&self, token: impl Into<String>) -> User<'_> {
        User::new(self, token.into())
    }

    /// Runs the jobs that are due now.
    pub async fn run_jobs(&self) {
        platform::jobs::worker(&self.platform, 1).await.unwrap().run_due().await.unwrap();
    }

    /// A connection that sees everything: tests look behind the walls with it, the product never has one.
    pub async fn superuser(&self) -> PgConnection {
        PgConnection::connect(&self.admin_url).await.unwrap()
    }

    /// A statement by that connection, for what takes weeks outside a test.
    pub async fn by_hand(&self, sql: &'static str) {
        let mut connection = self.superuser().await;
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }

    /// A number by that connection.
    pub async fn count(&self, sql: &'static str) -> i64 {
        let mut connection = self.superuser().await;
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }

    /// An address nobody has used.
    pub fn fresh_email(&self, name: &str) -> String {
        format!("{name}-{}-{}@example.com", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed))
    }

    /// Mails sent to an address, oldest first.
    pub async fn mails_to(&self, email: &str) -> Vec<String> {
        let url = format!("{}/_ministack/ses/messages", self.endpoint);
        let all: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        let accounts = all["messages"].as_object().unwrap();
        let mails = accounts.values().flat_map(|mails| mails.as_array().unwrap());
        let to_them = mails.filter(|mail| mail["To"].as_array().is_some_and(|to| to.iter().any(|to| to == email)));
        to_them.map(|mail| mail.to_string()).collect()
    }

    /// The token of the newest invitation mailed to an address.
    pub async fn invitation_token(&self, email: &str) -> String {
        let mails = self.mails_to(email).await;
        let mail = mails.iter().rev().find(|mail| mail.contains("token=")).expect("an invitation was mailed");
        let token = mail.split("token=").nth(1).unwrap();
        token.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect()
    }

    /// Registers, confirms and logs in.
    pub async fn register_business(&self, email: &str, business: &str) -> Person {
        self.register(email, Some(business)).await
    }

    /// Registers somebody who trains alone.
    pub async fn register_individual(&self, email: &str) -> Person {
        self.register(email, None).await
    }

    async fn register(&self, email: &str, business: Option<&str>) -> Person {
        let anyone = self.anonymous();
        let made = anyone.post("/api/v1/auth/register", &registration(email, business)).await.assert(201);
        let confirmation = json!({"email": email, "code": CONFIRMATION_CODE});
        anyone.post("/api/v1/auth/confirm", &confirmation).await.assert(204);
        self.log_in(email, PASSWORD, &made).await
    }

    /// Invites as this owner and accepts as the invited.
    pub async fn invite_and_accept(&self, owner: &Person, email: &str, role: &str) -> Person {
        let owner = self.with_token(&owner.id_token);
        owner.post("/api/v1/invitations", &json!({"email": email, "role": role})).await.assert(201);
        self.run_jobs().await;
        let token = self.invitation_token(email).await;
        let acceptance = json!({"token": token, "password": PASSWORD, "full_name": format!("{role} of theirs")});
        let joined = self.anonymous().post("/api/v1/auth/accept-invitation", &acceptance).await.assert(201);
        self.log_in(email, PASSWORD, &joined).await
    }

    async fn log_in(&self, email: &str, password: &str, ids: &Answer) -> Person {
        let credentials = json!({"email": email, "password": password});
        let tokens = self.anonymous().post("/api/v1/auth/login", &credentials).await.assert(200);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Person {
            email: email.to_owned(),
            id_token: text(&tokens.body["id_token"]),
            access_token: text(&tokens.body["access_token"]),
            refresh_token: text(&tokens.body["refresh_token"]),
            tenant_id: text(&ids.body["tenant_id"]),
            member_id: text(&ids.body["member_id"]),
        }
    }

    /// Any request to the edge.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        self.http.request(method, url)
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Sets variables of the environment.
fn set<'a>(settings: &'a [(&str, &str)]) -> impl FnOnce(&mut HashMap<String, String>) + 'a {
    let owned = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    |variables| variables.extend(owned)
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

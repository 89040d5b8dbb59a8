//! A deployment to attack: API and worker as processes of their own, the edge before them, a database and an emulator.

use std::{
    collections::HashMap,
    path::Path,
    process::{Output, Stdio},
};

use devstack::{
    edge::{Edge, EdgeConfig, KeyGroup},
    testdb::TestDatabase,
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    process::{GLANCE, Process},
    support::{aws, stack, stack::BUCKET, stack::environment},
};

/// What of its environment the proof is given: what a deployment's operator has.
const GIVEN: [&str; 10] = [
    "FFP_DATABASE_URL",
    "FFP_WORKER_DATABASE_URL",
    "FFP_OPERATOR_DATABASE_URL",
    "FFP_MEMBERS_POOL_ID",
    "FFP_MEMBERS_CLIENT_ID",
    "FFP_MEMBERS_CLIENT_SECRET",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ENDPOINT_URL",
];

/// A running deployment.
pub struct Deployment {
    pub base: String,
    environment: HashMap<String, String>,
    database: TestDatabase,
    api: Process,
    worker: Process,
    stop: CancellationToken,
}

/// What the proof said.
pub struct Proof {
    pub output: Output,
    pub report: Value,
}

impl Deployment {
    /// A sound one.
    pub async fn start() -> Self {
        Self::start_with(&[], async |edge, stop| {
            tokio::spawn(Edge::serve(edge, stop.cancelled_owned()));
        })
        .await
    }

    /// With settings of the test's own, and an edge that it starts itself.
    pub async fn start_with(settings: &[(&str, &str)], serve: impl AsyncFnOnce(EdgeConfig, CancellationToken)) -> Self {
        let (stack, basis) = (stack(), stack().basis());
        let database = stack.server.database().await.unwrap();
        let edge = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", edge.local_addr().unwrap());
        let mut environment = environment(&basis, database.name(), &base);
        environment.insert("FFP_DATABASE_CONNECTIONS".to_owned(), "16".to_owned());
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (api, upstream) = Process::api(&environment, None).await;
        let worker = Process::start("worker", &environment, None);

        let aws = aws(&basis.ministack.endpoint());
        let stop = CancellationToken::new();
        let edge = EdgeConfig {
            listen: edge,
            public_url: Url::parse(&base).unwrap(),
            upstream: upstream.trim_start_matches("http://").parse().unwrap(),
            s3: aws.s3(&aws.sdk().await),
            prefixes: vec![("videos/".into(), BUCKET.into())],
            keys: KeyGroup::from_pems([(basis.key.0.as_str(), basis.key.2.as_str())]).unwrap(),
            origin_secret: None,
        };
        serve(edge, stop.clone()).await;
        let mut deployment = Self { base, environment, database, api, worker, stop };
        // A worker that looks at the database later than a test changes it would not start.
        while deployment.count("select count(*) from graphile_worker._private_workers").await == 0 {
            assert!(!deployment.worker.has_ended(), "{}", deployment.worker.output());
            tokio::time::sleep(GLANCE).await;
        }
        deployment
    }

    /// A statement as the superuser, who plants what a careless hand would.
    pub async fn by_hand(&self, sql: &str) {
        let mut connection = self.superuser().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// A number as the superuser, who sees everything.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.superuser().await).await.unwrap()
    }

    /// A text as the superuser.
    pub async fn text(&self, sql: &'static str) -> String {
        let text: Option<String> = sqlx::query_scalar(sql).fetch_one(&mut self.superuser().await).await.unwrap();
        text.unwrap_or_default()
    }

    /// A request as somebody with this token, who must succeed.
    pub async fn request(&self, method: reqwest::Method, path: &str, token: &str, body: &Value) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(method, format!("{}{path}", self.base)).json(body);
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn superuser(&self) -> PgConnection {
        PgConnection::connect(&stack().server.postgres().admin_url(self.database.name())).await.unwrap()
    }

    /// Runs `platform prove-isolation` at it, as somebody with every credential would.
    pub async fn prove(&self, arguments: &[&str]) -> Proof {
        let given = GIVEN.iter().map(|name| (*name, self.environment[*name].as_str()));
        let operator = ("FFP_OPERATOR_TOKEN", stack().fixture.operator.as_str());
        let leak = self.environment.get("FFP_SABOTAGE").map(|leak| ("FFP_SABOTAGE", leak.as_str()));
        self.prove_with(given.chain([operator]).chain(leak), arguments).await
    }

    /// The same, with these variables alone.
    pub async fn prove_with<'a>(
        &self,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
        arguments: &[&str],
    ) -> Proof {
        self.prove_until(variables, arguments, async |_| ()).await
    }

    /// The same, interrupted once this statement counts something.
    pub async fn prove_interrupted<'a>(
        &self,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
        arguments: &[&str],
        when: &'static str,
    ) -> Proof {
        let interrupt = async |proof: &mut Child| {
            while self.count(when).await == 0 {
                assert!(proof.try_wait().unwrap().is_none(), "it ended before");
                tokio::time::sleep(GLANCE).await;
            }
            let pid = proof.id().unwrap().to_string();
            assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
        };
        self.prove_until(variables, arguments, interrupt).await
    }

    async fn prove_until<'a>(
        &self,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
        arguments: &[&str],
        meanwhile: impl AsyncFnOnce(&mut Child),
    ) -> Proof {
        let dir = tempfile::tempdir().unwrap();
        let (json, html) = (dir.path().join("proof.json"), dir.path().join("proof.html"));
        let inherited = ["PATH", "HOME", "TMPDIR"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut proof = Command::new(env!("CARGO_BIN_EXE_platform"))
            .args(["prove-isolation", "--url", &self.base])
            .arg("--json")
            .arg(&json)
            .arg("--html")
            .arg(&html)
            .args(arguments)
            .env_clear()
            .envs(inherited)
            .envs(variables)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        meanwhile(&mut proof).await;
        let output = proof.wait_with_output().await.unwrap();
        let said =
            || format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let report = std::fs::read(&json).unwrap_or_else(|error| panic!("no report ({error}): {}", said()));
        check_page(&html);
        Proof { report: serde_json::from_slice(&report).unwrap(), output }
    }

    /// Ends its processes.
    pub async fn stop(self) {
        self.stop.cancel();
        self.api.kill().await;
        self.worker.kill().await;
    }
}

/// The page is one file, with everything in it.
fn check_page(path: &Path) {
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page.starts_with("<!doctype html>") && !page.contains("src=") && !page.contains("<link"));
}

impl Proof {
    /// What was written to both streams.
    pub fn said(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!("{}\n{}", text(&self.output.stdout), text(&self.output.stderr))
    }

    pub fn attempts(&self) -> &[Value] {
        self.report["attempts"].as_array().unwrap()
    }

    /// What could not be taken away again, a line each.
    pub fn remains(&self) -> Vec<&str> {
        self.report["remains"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
    }

    /// Attempts that did not hold.
    pub fn failed(&self) -> Vec<&Value> {
        self.attempts().iter().filter(|attempt| attempt["verdict"] != "held").collect()
    }
}

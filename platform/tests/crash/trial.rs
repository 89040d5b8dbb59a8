//! One run of a flow: a database and a bucket of its own, the API and the worker as processes, and a client that does
//! not give up at the first broken connection.

use std::collections::HashMap;

use platform::cognito;
use reqwest::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    process::{GLANCE, PATIENCE, Process},
    support::{Answer, TestApp, aws, stack, stack::environment},
};

/// How often a client asks.
const TRIES: u32 = 3;

/// How the tests look at AWS; one for each test, since connections belong to its runtime.
#[derive(Clone)]
pub struct World {
    pub cognito: aws_sdk_cognitoidentityprovider::Client,
    pub s3: aws_sdk_s3::Client,
    pub pool_id: String,
}

impl World {
    pub async fn new() -> Self {
        let aws = aws(&stack().ministack.endpoint());
        let sdk = aws.sdk().await;
        Self { cognito: cognito::client(&sdk), s3: aws.s3(&sdk), pool_id: stack().members_pool.pool_id.clone() }
    }
}

/// Where a process dies.
#[derive(Clone, Debug)]
pub struct Fault {
    /// `api` or `worker`.
    pub process: &'static str,
    /// As `FFP_FAULT` takes it.
    pub point: String,
}

pub struct Trial {
    /// The same database and bucket, served undisturbed in this process: for what precedes the flow, and to look.
    pub app: TestApp,
    pub world: World,
    pub bucket: String,
    /// The addresses whose accounts count.
    pub emails: Vec<String>,
    /// The points passed, with their process.
    pub passes: Vec<(&'static str, String)>,
    fault: Option<Fault>,
    /// Whether a process died of the fault.
    struck: bool,
    environment: HashMap<String, String>,
    api: Option<(Process, String)>,
}

/// A request, and which answers end the trying.
pub struct Ask<'a> {
    pub method: Method,
    pub path: &'a str,
    pub token: &'a str,
    pub body: Option<Value>,
    pub idempotency_key: Option<&'a str>,
    /// The answer to a request that does its work.
    pub done: u16,
    /// The answer to its repetition when the first try had done the work already; 0 when it is `done` as well.
    pub done_before: u16,
}

impl<'a> Ask<'a> {
    pub fn new(method: Method, path: &'a str, done: u16) -> Self {
        Self { method, path, token: "", body: None, idempotency_key: None, done, done_before: 0 }
    }

    pub fn by(self, token: &'a str) -> Self {
        Self { token, ..self }
    }

    pub fn with(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    pub fn key(self, key: &'a str) -> Self {
        Self { idempotency_key: Some(key), ..self }
    }

    pub fn or_when_repeated(self, status: u16) -> Self {
        Self { done_before: status, ..self }
    }
}

impl Trial {
    pub async fn new(world: &World, fault: Option<Fault>) -> Self {
        static SERIAL: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let bucket = format!("ffp-crash-{serial}");
        versioned_bucket(&world.s3, &bucket).await;
        let app = TestApp::start_with(&[("FFP_VIDEOS_BUCKET", &bucket)]).await;
        let mut environment = environment(&stack().basis(), &app.database_name, &app.base);
        environment.insert("FFP_VIDEOS_BUCKET".to_owned(), bucket.clone());
        // Jobs one after the other, so that every run passes the points in the same order.
        environment.insert("FFP_WORKER_CONCURRENCY".to_owned(), "1".to_owned());
        Self {
            app,
            world: world.clone(),
            bucket,
            emails: Vec::new(),
            passes: Vec::new(),
            fault,
            struck: false,
            environment,
            api: None,
        }
    }

    /// An address whose account counts.
    pub fn email(&mut self, name: &str) -> String {
        let email = self.app.fresh_email(name);
        self.emails.push(email.clone());
        email
    }

    /// Asks the API until it answers, three times at most; a server that died is started again.
    pub async fn ask(&mut self, ask: Ask<'_>) -> Answer {
        for tried in 0..TRIES {
            if let Some(answer) = self.try_once(&ask).await {
                let status = answer.status.as_u16();
                let right = status == ask.done || (tried > 0 && status == ask.done_before);
                assert!(right, "{} {} at try {}: {status} {}", ask.method, ask.path, tried + 1, answer.text);
                return answer;
            }
        }
        panic!("{} {}: no answer in {TRIES} tries", ask.method, ask.path)
    }

    /// Asks once; no answer when the server dies.
    pub async fn try_once(&mut self, ask: &Ask<'_>) -> Option<Answer> {
        if self.api.is_none() {
            self.api = Some(Process::api(&self.environment, self.fault_of("api").as_deref()).await);
        }
        let (_, base) = self.api.as_ref().unwrap();
        let mut request = self.app.http.request(ask.method.clone(), format!("{base}{}", ask.path));
        if !ask.token.is_empty() {
            request = request.bearer_auth(ask.token);
        }
        if let Some(key) = ask.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        match request.send().await {
            Ok(answer) => Some(Answer::read(answer).await),
            Err(_) => {
                self.api.take().unwrap().0.dies_of_its_fault().await;
                self.struck = true;
                None
            }
        }
    }

    /// Has the due jobs done by a worker; if it dies, by another one, some minutes later.
    pub async fn work(&mut self) {
        let mut worker = Process::start("worker", &self.environment, self.fault_of("worker").as_deref());
        let begun = Instant::now();
        while self.due_jobs().await > 0 {
            assert!(begun.elapsed() < PATIENCE, "jobs are not done: {}", worker.output());
            if worker.has_ended() {
                worker.dies_of_its_fault().await;
                self.struck = true;
                self.minutes_pass().await;
                worker = Process::start("worker", &self.environment, None);
            }
            if self.struck {
                self.recovered_jobs_are_due().await;
            }
            sleep(GLANCE).await;
        }
        if self.fault.is_none() {
            self.passes.extend(worker.stop().await.into_iter().map(|point| ("worker", point)));
        }
    }

    /// Jobs that are due, or will be when a pause after a failure is over.
    async fn due_jobs(&self) -> i64 {
        self.app
            .count("select count(*) from graphile_worker._private_jobs where run_at < now() + interval '1 hour'")
            .await
    }

    /// A worker that was killed counts as dead when it has not been heard of for five minutes.
    pub async fn minutes_pass(&self) {
        self.app
            .by_hand("update graphile_worker._private_workers set last_heartbeat_at = now() - interval '10 minutes'")
            .await;
    }

    /// What is taken from a dead worker rests for half a minute.
    pub async fn recovered_jobs_are_due(&self) {
        let text = "update graphile_worker._private_jobs set run_at = now() \
                    where locked_at is null and run_at between now() and now() + interval '1 hour'";
        self.app.by_hand(text).await;
    }

    /// Days pass: every job that waits for its day has been done, and none is left.
    pub async fn days_pass(&self) {
        for _ in 0..5 {
            self.app.by_hand("update graphile_worker._private_jobs set run_at = now()").await;
            self.app.run_jobs().await;
            if self.app.count("select count(*) from graphile_worker._private_jobs").await == 0 {
                return;
            }
        }
        panic!("jobs are left that never end");
    }

    /// The flow is over. Without a fault the points it passed are known now; a fault must have struck.
    pub async fn end(&mut self) {
        match &self.fault {
            Some(fault) => assert!(self.struck, "no process died of {fault:?}"),
            None => {
                let (api, _) = self.api.take().expect("a flow asks the API");
                let passes = api.stop().await;
                self.passes.splice(..0, passes.into_iter().map(|point| ("api", point)));
            }
        }
    }

    /// The environment of its processes.
    pub fn environment(&self) -> &HashMap<String, String> {
        &self.environment
    }

    /// The fault, if this process is to die of it and none did yet.
    fn fault_of(&self, process: &str) -> Option<String> {
        let fault = self.fault.as_ref().filter(|fault| fault.process == process && !self.struck)?;
        Some(fault.point.clone())
    }
}

async fn versioned_bucket(s3: &aws_sdk_s3::Client, bucket: &str) {
    use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
    s3.create_bucket().bucket(bucket).send().await.unwrap();
    let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    s3.put_bucket_versioning().bucket(bucket).versioning_configuration(versioned).send().await.unwrap();
}

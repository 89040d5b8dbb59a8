//! Three instances of `platform api` behind a proxy, one Redis, one PostgreSQL: throttles and quotas hold over all of
//! them together, and an instance that is killed takes no answered request with it.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, unreachable_pub)]
// Tests look behind the walls as a superuser; the product never does.
#![allow(clippy::disallowed_types)]

#[allow(dead_code, reason = "the crash tests use the rest of it")]
#[path = "crash/process.rs"]
mod process;
#[allow(dead_code, unused_imports, reason = "the API tests use the rest of it")]
#[path = "api/support/mod.rs"]
mod support;

use std::{
    collections::HashMap,
    net::SocketAddr,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use axum::{Router, http::StatusCode, routing};
use devstack::redis::Redis;
use futures::future::join_all;
use platform::{config::Config, server};
use process::{GLANCE, PATIENCE, Process};
use serde_json::json;
use support::{Answer, TestApp, stack, stack::environment};
use tenants::{
    Tenant,
    quotas::{self, Quota, hours},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};
use uuid::Uuid;

const INSTANCES: usize = 3;
const ME: &str = "/api/v1/me";
const PLAN: Quota = Quota::per(5, hours(24), "fleet.test");

/// A proxy that gives each connection to the next instance, and to the one after it when that is gone.
struct RoundRobin {
    addr: SocketAddr,
    /// Connections that each instance took.
    taken: Arc<Vec<AtomicUsize>>,
}

impl RoundRobin {
    async fn before(instances: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let taken: Arc<Vec<_>> = Arc::new(instances.iter().map(|_| AtomicUsize::new(0)).collect());
        let counts = Arc::clone(&taken);
        tokio::spawn(async move {
            for turn in 0.. {
                let Ok((mut client, _)) = listener.accept().await else { return };
                let (instances, counts) = (instances.clone(), Arc::clone(&counts));
                tokio::spawn(async move {
                    for index in (0..instances.len()).map(|step| (turn + step) % instances.len()) {
                        if let Ok(mut server) = TcpStream::connect(instances[index]).await {
                            counts[index].fetch_add(1, Ordering::SeqCst);
                            // Broken off in the middle, it is broken for the client as well.
                            let _ = copy_bidirectional(&mut client, &mut server).await;
                            return;
                        }
                    }
                });
            }
        });
        Self { addr, taken }
    }

    fn taken(&self) -> Vec<usize> {
        self.taken.iter().map(|count| count.load(Ordering::SeqCst)).collect()
    }
}

struct Fleet {
    /// The same database, to look at it.
    app: TestApp,
    environment: HashMap<String, String>,
    instances: Vec<Process>,
    proxy: RoundRobin,
    client: reqwest::Client,
    _redis: Redis,
}

impl Fleet {
    async fn start() -> Self {
        let (app, redis) = (TestApp::start().await, Redis::start().await.unwrap());
        let mut environment = environment(&stack().basis(), &app.database_name, &app.base);
        for (name, value) in [
            ("VALKEY_URL", redis.url()),
            ("FFP_INSTANCES", INSTANCES.to_string()),
            // A slow machine is no store that is away.
            ("FFP_VALKEY_TIMEOUT_MS", "10000".to_owned()),
        ] {
            environment.insert(name.to_owned(), value);
        }
        let started = join_all((0..INSTANCES).map(|_| Process::api(&environment, None))).await;
        let (instances, bases): (Vec<_>, Vec<_>) = started.into_iter().unzip();
        let addresses = bases.iter().map(|base| base.trim_start_matches("http://").parse().unwrap());
        let proxy = RoundRobin::before(addresses.collect()).await;
        // A connection for each request, so that each goes to the next instance.
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { app, environment, instances, proxy, client, _redis: redis }
    }

    fn request(&self, method: reqwest::Method, path: &str, token: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.proxy.addr)).bearer_auth(token)
    }

    /// So many requests at once; how many were served.
    async fn burst(&self, token: &str, count: usize) -> usize {
        let ask = async || {
            let answer = Answer::read(self.request(reqwest::Method::GET, ME, token).send().await.unwrap()).await;
            if answer.status == 200 {
                return true;
            }
            let answer = answer.assert_problem(429, "throttled");
            assert_eq!(answer.body["limit"], answer.body["used"], "{}", answer.text);
            false
        };
        join_all((0..count).map(|_| ask())).await.into_iter().filter(|served| *served).count()
    }

    /// An invitation, and its id once it is answered; none when the instance went away before.
    async fn invite(&self, token: &str) -> Option<String> {
        let body = json!({"email": self.app.fresh_email("invited"), "role": "athlete"});
        let sent = self.request(reqwest::Method::POST, "/api/v1/invitations", token).json(&body).send().await.ok()?;
        let status = sent.status();
        let body: serde_json::Value = sent.json().await.ok()?;
        assert_eq!(status, 201, "{body}");
        Some(body["id"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn three_instances_serve_exactly_the_limit_of_each_business_together() {
    let fleet = Fleet::start().await;
    let (acme, globex) = (fleet.app.acme(), fleet.app.globex());
    let set = sqlx::query("update tenant set requests_per_minute = 32 where id = $1::uuid").bind(acme.tenant_id());
    set.execute(&mut fleet.app.superuser().await).await.unwrap();

    let since = Instant::now();
    let (loud, quiet) = tokio::join!(
        fleet.burst(&acme.details("owner").id_token, 120),
        fleet.burst(&globex.details("owner").id_token, 30)
    );
    // More than three times a third of it, rounded down. What came back meanwhile is little, as a rule; the sum is exact
    // however slow the machine is.
    let back = usize::try_from(since.elapsed().as_millis() * 32 / 60_000).unwrap();
    assert!((32..=32 + back).contains(&loud), "{loud} of 32 and {back}");
    assert_eq!(quiet, 30);
    assert!(fleet.proxy.taken().iter().all(|taken| *taken >= 40), "{:?}", fleet.proxy.taken());
}

#[tokio::test]
async fn killing_one_instance_loses_no_answered_request_and_the_others_go_on() {
    const ANSWERED_BEFORE: usize = 20;
    const WANTED: usize = 60;
    let mut fleet = Fleet::start().await;
    let owner = fleet.app.globex().details("owner").id_token.clone();
    let (answered, unanswered) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    let victim = fleet.instances.remove(0);

    let writing = async || {
        while answered.lock().unwrap().len() < WANTED {
            match fleet.invite(&owner).await {
                Some(id) => answered.lock().unwrap().push(id),
                None => {
                    let lost = unanswered.fetch_add(1, Ordering::SeqCst) + 1;
                    assert!(lost < WANTED, "the others do not go on");
                }
            }
        }
    };
    let killing = async {
        while answered.lock().unwrap().len() < ANSWERED_BEFORE {
            tokio::time::sleep(GLANCE).await;
        }
        victim.kill().await;
    };
    tokio::join!(join_all((0..6).map(|_| writing())), killing);

    let answered = answered.into_inner().unwrap();
    let ids: Vec<Uuid> = answered.iter().map(|id| id.parse().unwrap()).collect();
    let kept: i64 = sqlx::query_scalar("select count(*) from invitation where id = any($1)")
        .bind(&ids)
        .fetch_one(&mut fleet.app.superuser().await)
        .await
        .unwrap();
    assert_eq!(usize::try_from(kept).unwrap(), answered.len(), "an answered request is lost");
    // With the one gone for sure, nobody who asks now sees that it is.
    let before = fleet.proxy.taken();
    assert_eq!(fleet.burst(&owner, 20).await, 20);
    let after = fleet.proxy.taken();
    assert_eq!(after[0], before[0]);
    assert!(after[1] > before[1] && after[2] > before[2], "{after:?}");
    assert!(!fleet.instances.iter_mut().any(Process::has_ended));
}

#[tokio::test]
async fn three_instances_give_exactly_what_an_allowance_holds_and_one_that_is_killed_gives_nothing_back() {
    let fleet = Fleet::start().await;
    let (mut serving, addresses): (Vec<_>, Vec<_>) =
        join_all((0..INSTANCES).map(|_| instance(&fleet))).await.into_iter().unzip();
    let fleet = Fleet { proxy: RoundRobin::before(addresses).await, ..fleet };
    let (acme, globex) = (fleet.app.acme(), fleet.app.globex());
    let (ours, theirs) = (&acme.details("athlete").id_token, &globex.details("athlete").id_token);

    let (taken, others) = tokio::join!(fleet.takes(ours, 40), fleet.takes(theirs, 20));
    assert_eq!(taken, 5);
    assert_eq!(others, 5, "another's allowance is untouched");
    assert!(fleet.proxy.taken().iter().all(|taken| *taken >= 20), "{:?}", fleet.proxy.taken());

    serving.remove(0).kill().await.unwrap();
    assert_eq!(fleet.takes(ours, 10).await, 0);
    assert_eq!(fleet.app.count("select count(*) from quota_take").await, 10);
}

const TAKE: &str = "/api/v1/test/take";

impl Fleet {
    /// So many takes at once; how many were given.
    async fn takes(&self, token: &str, count: usize) -> usize {
        let take = async || loop {
            let answer = Answer::read(self.request(reqwest::Method::POST, TAKE, token).send().await.unwrap()).await;
            match answer.status.as_u16() {
                204 => return true,
                // The tenant's own share of the connections: it may wait for itself.
                _ if answer.body["type"] == "urn:ffp:problem:busy" => {}
                _ => {
                    let refused = answer.assert_problem(429, "quota-exhausted");
                    assert_eq!((&refused.body["limit"], &refused.body["used"]), (&json!(5), &json!(5)));
                    return false;
                }
            }
        };
        join_all((0..count).map(|_| take())).await.into_iter().filter(|taken| *taken).count()
    }
}

/// An instance in a process of its own, with a route that takes an allowance: no feature has one yet.
async fn instance(fleet: &Fleet) -> (Child, SocketAddr) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "serves_for_another_test", "--ignored", "--nocapture"])
        .envs(&fleet.environment)
        .env(SERVES, "yes")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, address)) = line.split_once("serves at ") {
                return address.parse().unwrap();
            }
        }
        panic!("it ended before it served")
    };
    let address = tokio::time::timeout(PATIENCE, address).await.expect("it serves");
    // What else it says must not stand in its way.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, address)
}

const SERVES: &str = "FFP_TEST_SERVES";

#[tokio::test]
#[ignore = "only serves for another test"]
async fn serves_for_another_test() {
    if std::env::var(SERVES).is_err() {
        return;
    }
    let config = Config::read(&|name| std::env::var(name).ok()).unwrap();
    let platform = config.platform().await.unwrap();
    let take = async |tenant: Tenant| {
        tenant.write(async |tx| quotas::take(tx, PLAN).await).await.map(|_| StatusCode::NO_CONTENT)
    };
    let health = server::Health::starting(platform.tenants.clone());
    health.serve();
    let routes = Router::new().route(TAKE, routing::post(take));
    let router = server::router_with(routes, platform, &config.http, health);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("serves at {}", listener.local_addr().unwrap());
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
}

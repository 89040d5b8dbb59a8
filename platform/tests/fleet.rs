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

use axum::extract::FromRequestParts;
use devstack::redis::Redis;
use futures::future::join_all;
use platform::config::Config;
use process::{GLANCE, PATIENCE, Process};
use serde_json::json;
use support::{Answer, TestApp, stack, stack::environment};
use tenants::{
    Caller, Error, MemberId, Role, Tenant, TenantId,
    quotas::{self, Quota, hours},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
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
async fn processes_that_take_from_one_allowance_get_exactly_what_it_holds() {
    let fleet = Fleet::start().await;
    let (acme, globex) = (fleet.app.acme(), fleet.app.globex());
    let takers = join_all((0..INSTANCES).map(|_| take(&fleet, acme.tenant_id(), acme.member_id("athlete"))));
    let others = take(&fleet, globex.tenant_id(), globex.member_id("athlete"));
    let (takers, others) = tokio::join!(takers, others);
    assert_eq!(takers.iter().sum::<usize>(), 5, "{takers:?}");
    assert_eq!(others, 5, "another's allowance is untouched");
    // Ten more of the same member, in a process of their own.
    assert_eq!(take(&fleet, acme.tenant_id(), acme.member_id("athlete")).await, 0);
    assert_eq!(fleet.app.count("select count(*) from quota_take").await, 10);
}

const TAKER: [&str; 2] = ["FFP_TEST_TENANT", "FFP_TEST_MEMBER"];

/// Twenty takes at once by a process of their own; how many were given.
async fn take(fleet: &Fleet, tenant: &str, member: &str) -> usize {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "takes_for_another_test", "--ignored", "--nocapture"])
        .envs(&fleet.environment)
        .envs(TAKER.into_iter().zip([tenant, member]))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("the taker ends").unwrap();
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let taken = said.split_once("taken: ").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    taken.unwrap_or_else(|| panic!("{said}{complaint}"))
}

#[tokio::test]
#[ignore = "only takes for another test"]
async fn takes_for_another_test() {
    let [Ok(tenant), Ok(member)] = TAKER.map(std::env::var) else {
        return;
    };
    let config = Config::read(&|name| std::env::var(name).ok()).unwrap();
    let platform = config.platform().await.unwrap();
    let caller = Caller {
        tenant_id: TenantId(tenant.parse().unwrap()),
        member_id: MemberId(member.parse().unwrap()),
        role: Role::Athlete,
        subject: "whoever it is".into(),
    };
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.extensions.insert(caller);
    let tenant = Tenant::from_request_parts(&mut parts, &platform).await.unwrap();
    let take = async || loop {
        match tenant.write(async |tx| quotas::take(tx, PLAN).await).await {
            Ok(_) => return true,
            Err(Error::Refused(problem)) if problem.slug == "quota-exhausted" => return false,
            // The tenant's own share of the connections: it may wait for itself.
            Err(Error::Refused(problem)) if problem.slug == "busy" => {}
            Err(error) => panic!("{error}"),
        }
    };
    let taken = join_all((0..20).map(|_| take())).await.into_iter().filter(|taken| *taken).count();
    println!("taken: {taken}");
}

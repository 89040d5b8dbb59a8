//! Expensive work through HTTP: a test's route that takes a member's allowance and orders a job behind the gate, which is
//! answered with its place in line.

use axum::{Router, extract::State, routing};
use platform::Platform;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenants::{
    Job, JobError, Quota, Tenant, Worker, WorkerOptions,
    http::{Json, PathId},
    quotas::{self, hours},
};
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;
use validator::Validate;

use crate::support::{Answer, TestApp, User};

/// Fewer than fit into the line, and more than are needed to fill a slot.
pub const WORK: Quota = Quota::per(5, hours(24), "test.work");
pub const PATH: &str = "/api/v1/test/work";

/// A piece of work that comes to the end that it was ordered with.
#[derive(Serialize, Deserialize)]
struct Work {
    name: String,
    take: Uuid,
    end: End,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum End {
    #[default]
    Well,
    /// It finds that it can't be done, says so once, and gives the allowance back itself.
    Hopeless,
    Fails,
    Panics,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Order {
    name: String,
    #[serde(default)]
    end: End,
}

impl Job for Work {
    const KIND: &'static str = "test.work";
    type Context = UnboundedSender<String>;

    fn take(&self) -> Option<Uuid> {
        Some(self.take)
    }

    async fn run(self, tenant: Tenant, done: Self::Context) -> Result<(), JobError> {
        match self.end {
            End::Well => done.send(format!("{} for {}", self.name, tenant.id())).unwrap(),
            End::Hopeless => drop(tenant.write(async |tx| quotas::refund(tx, self.take).await).await?),
            End::Fails => return Err(JobError("the model is away".into())),
            End::Panics => panic!("as it was ordered to"),
        }
        Ok(())
    }
}

/// Orders a piece of work, and tells where one stands.
pub fn routes() -> Router<Platform> {
    let order = async |tenant: Tenant, State(_): State<Platform>, Json(order): Json<Order>| {
        let ticket = tenant
            .write(async |tx| {
                let take = quotas::take(tx, WORK).await?.id;
                let work = Work { name: order.name.clone(), take, end: order.end };
                tx.enqueue_gated(&work, &order.name).await
            })
            .await?;
        let answer = json!({"id": ticket.id, "position": ticket.position});
        Ok::<_, tenants::Error>((StatusCode::ACCEPTED, axum::Json(answer)))
    };
    let place = async |tenant: Tenant, PathId(id): PathId| {
        let place = tenant.read(async |tx| tx.gate_place(id).await).await?;
        Ok::<_, tenants::Error>(axum::Json(json!({"place": format!("{place:?}")})))
    };
    Router::new().route(PATH, routing::post(order)).route("/api/v1/test/work/{id}", routing::get(place))
}

async fn worker(app: &TestApp, done: UnboundedSender<String>) -> Worker {
    WorkerOptions::new(&app.platform.tenants, 2).context(done).job::<Work>().start().await.unwrap()
}

async fn order(user: &User<'_>, name: &str) -> Answer {
    user.post(PATH, &json!({ "name": name })).await
}

async fn one_slot() -> TestApp {
    TestApp::start_serving(routes(), &[("FFP_GATE_SLOTS", "1")]).await
}

#[tokio::test]
async fn work_is_accepted_with_its_place_in_line_and_done_in_its_own_business() {
    let app = one_slot().await;
    let (ours, theirs) = (app.acme(), app.globex());
    let first = order(&ours.athlete(), "one").await.assert(202);
    let second = order(&ours.athlete(), "two").await.assert(202);
    let other = order(&theirs.athlete(), "three").await.assert(202);
    let positions = [&first, &second, &other].map(|answer| answer.body["position"].clone());
    assert_eq!(positions, [json!(1), json!(2), json!(2)], "a business's second waits for another's first");
    let place = async |user: User<'_>, answer: &Answer| {
        user.get(&format!("{PATH}/{}", answer.id())).await.assert(200).body["place"].as_str().unwrap().to_owned()
    };
    assert_eq!(place(ours.athlete(), &second).await, "Waiting(3)");
    assert_eq!(place(theirs.athlete(), &second).await, "Elsewhere", "nobody learns of another business's work");

    let (done, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let worker = worker(&app, done).await;
    let mut all = Vec::new();
    while all.len() < 3 {
        app.by_hand("update graphile_worker._private_jobs set run_at = now() where locked_at is null").await;
        worker.run_due().await.unwrap();
        all.extend(std::iter::from_fn(|| hear.try_recv().ok()));
    }
    all.sort();
    let mut expected = [("one", ours), ("two", ours), ("three", theirs)]
        .map(|(name, whose)| format!("{name} for {}", whose.tenant_id()));
    expected.sort();
    assert_eq!(all, expected);
    assert_eq!(place(ours.athlete(), &second).await, "Elsewhere");
    assert_eq!(app.count("select count(*) from gate_ticket").await, 0);
}

#[tokio::test]
async fn a_full_line_is_429_and_takes_no_allowance() {
    let app = one_slot().await;
    for name in ["one", "two", "three"] {
        order(&app.acme().athlete(), name).await.assert(202);
    }
    let refused = order(&app.acme().athlete(), "four").await.assert_problem(429, "gate-full");
    assert_eq!((&refused.body["limit"], &refused.body["used"]), (&json!(3), &json!(3)));
    assert_eq!(refused.header("retry-after"), refused.body["reset_seconds"].to_string());
    assert_eq!(app.count("select count(*) from quota_take").await, 3, "what is not done costs nothing");
    // Another business has its own part of the line.
    order(&app.globex().athlete(), "four").await.assert(202);
}

#[tokio::test]
async fn work_that_fails_through_no_fault_of_the_member_gives_the_allowance_back() {
    let app = one_slot().await;
    let athlete = app.acme().athlete();
    athlete.post(PATH, &json!({"name": "one", "end": "hopeless"})).await.assert(202);
    assert_eq!(app.count(TAKEN).await, 1);
    let (done, _hear) = tokio::sync::mpsc::unbounded_channel();
    worker(&app, done).await.run_due().await.unwrap();
    assert_eq!(app.count(TAKEN).await, 0);
}

const TAKEN: &str = "select count(*) from quota_take";

#[tokio::test]
async fn work_that_is_given_up_gives_the_allowance_back_and_work_that_will_be_tried_again_does_not() {
    for end in ["fails", "panics"] {
        let app = one_slot().await;
        app.globex().athlete().post(PATH, &json!({"name": "theirs"})).await.assert(202);
        let (done, _hear) = tokio::sync::mpsc::unbounded_channel();
        let worker = worker(&app, done).await;
        worker.run_due().await.unwrap();
        app.acme().athlete().post(PATH, &json!({"name": "one", "end": end})).await.assert(202);
        worker.run_due().await.unwrap();
        assert_eq!(app.count(TAKEN).await, 2, "{end}: it will be tried again");

        app.by_hand("update graphile_worker._private_jobs set attempts = max_attempts - 1, run_at = now()").await;
        worker.run_due().await.unwrap();
        assert_eq!(
            app.count("select count(*) from graphile_worker._private_jobs where attempts = max_attempts").await,
            1
        );
        let left = "select count(*) from quota_take where tenant_id = (select id from tenant where name = 'globex')";
        assert_eq!((app.count(TAKEN).await, app.count(left).await), (1, 1), "{end}: another business's stays");
    }
}

#[tokio::test]
async fn an_owner_sees_how_much_of_the_business_is_in_the_gate() {
    let app = one_slot().await;
    order(&app.acme().athlete(), "one").await.assert(202);
    order(&app.acme().coach(), "two").await.assert(202);
    order(&app.globex().coach(), "three").await.assert(202);
    let gate = async |user: User<'_>| user.get("/api/v1/usage").await.assert(200).body["business"]["gate"].clone();
    assert_eq!(gate(app.acme().owner()).await, json!({"waiting": 2, "running": 0}));
    app.by_hand(
        "update gate_ticket set holder = id, lease_until = now() + interval '1 minute'
         where id = (select min(id::text)::uuid from gate_ticket where tenant_id = (select id from tenant where name = 'acme'))",
    )
    .await;
    assert_eq!(gate(app.acme().admin()).await, json!({"waiting": 1, "running": 1}));
    assert_eq!(gate(app.globex().owner()).await, json!({"waiting": 1, "running": 0}));
    assert_eq!(gate(app.acme().athlete()).await, Value::Null);
}

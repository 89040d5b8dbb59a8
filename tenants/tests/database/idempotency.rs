//! `Idempotency-Key`: the same creation twice is one thing.

use axum::{body::Body, extract::FromRequest, http::Request};
use serde::Deserialize;
use tenants::{
    Error, Role, Tenant,
    http::{Idempotent, Once},
};
use tokio::sync::Semaphore;
use uuid::Uuid;
use validator::Validate;

use crate::support::{ACME, GLOBEX, TestDb};

#[derive(Debug, Deserialize, Validate)]
struct NewThing {
    #[allow(dead_code)] // only its presence in the hash counts
    name: String,
}

/// What the extractor makes of `POST /things`.
async fn request(key: Option<&str>, body: &str) -> Once {
    let mut request = Request::post("/things").header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    Idempotent::<NewThing>::from_request(request, &()).await.unwrap().once
}

/// Creates a thing that counts: a line of the audit log.
async fn create(tenant: &Tenant, once: &Once) -> Result<Uuid, Error> {
    tenant.write(async |tx| once.create(tx, async || made(tx).await).await).await
}

async fn made(tx: &tenants::TenantTx) -> Result<Uuid, Error> {
    let id = Uuid::now_v7();
    tx.audit(tenants::Audit {
        action: "thing.made",
        object_kind: "thing",
        object_id: Some(id),
        detail: serde_json::json!({}),
    })
    .await?;
    Ok(id)
}

const MADE: &str = "select count(*) from audit where action = 'thing.made'";
const BODY: &str = r#"{"name":"one"}"#;

#[tokio::test]
async fn a_repeated_creation_answers_the_first_ones_thing() {
    let mut db = TestDb::new().await;
    let owner = db.member(ACME, Role::Owner).await;
    let first = create(&owner, &request(Some("key"), BODY).await).await.unwrap();
    let second = create(&owner, &request(Some("key"), BODY).await).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(db.count(MADE).await, 1);
}

#[tokio::test]
async fn without_a_key_every_creation_makes_a_thing() {
    let mut db = TestDb::new().await;
    let owner = db.member(ACME, Role::Owner).await;
    for _ in 0..2 {
        create(&owner, &request(None, BODY).await).await.unwrap();
    }
    assert_eq!(db.count(MADE).await, 2);
}

#[tokio::test]
async fn a_key_that_comes_with_another_request_is_refused() {
    let mut db = TestDb::new().await;
    let owner = db.member(ACME, Role::Owner).await;
    create(&owner, &request(Some("key"), BODY).await).await.unwrap();
    let refused = create(&owner, &request(Some("key"), r#"{"name":"two"}"#).await).await.unwrap_err().into_problem();
    assert_eq!((refused.status.as_u16(), refused.slug), (422, "idempotency-key-reused"));
    assert_eq!(db.count(MADE).await, 1);
}

#[tokio::test]
async fn a_key_belongs_to_one_member_of_one_tenant() {
    let mut db = TestDb::new().await;
    for (business, role) in [(ACME, Role::Owner), (ACME, Role::Admin), (GLOBEX, Role::Owner)] {
        create(&db.member(business, role).await, &request(Some("key"), BODY).await).await.unwrap();
    }
    assert_eq!(db.count(MADE).await, 3);
}

#[tokio::test]
async fn a_failed_creation_does_not_use_up_its_key() {
    let mut db = TestDb::new().await;
    let owner = db.member(ACME, Role::Owner).await;
    let once = request(Some("key"), BODY).await;
    let failed = owner
        .write(async |tx| {
            once.create(tx, async || {
                made(tx).await?;
                Err(Error::Internal("no".into()))
            })
            .await
        })
        .await;
    assert!(failed.is_err());
    create(&owner, &once).await.unwrap();
    assert_eq!(db.count(MADE).await, 1);
}

#[tokio::test]
async fn two_at_the_same_moment_make_one_thing() {
    let mut db = TestDb::new().await;
    let owner = db.member(ACME, Role::Owner).await;
    let once = request(Some("key"), BODY).await;
    let (reserved, go_on) = (Semaphore::new(0), Semaphore::new(0));
    let first = owner.write(async |tx| {
        once.create(tx, async || {
            reserved.add_permits(1);
            go_on.acquire().await.unwrap().forget();
            made(tx).await
        })
        .await
    });
    let twin = async {
        reserved.acquire().await.unwrap().forget();
        create(&owner, &once).await
    };
    let release = async {
        // The twin is at the lock that the first one holds.
        let waiting =
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
        while db.count(waiting).await == 0 {
            tokio::task::yield_now().await;
        }
        go_on.add_permits(1);
    };
    let (first, twin, ()) = tokio::join!(first, twin, release);
    assert_eq!(first.unwrap(), twin.unwrap());
    assert_eq!(db.count(MADE).await, 1);
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let mut db = TestDb::new().await;
    let owner = db.member(ACME, Role::Owner).await;
    let once = request(Some("key"), BODY).await;
    create(&owner, &once).await.unwrap();
    db.execute("update idempotency set created_at = now() - interval '25 hours'").await;
    create(&owner, &once).await.unwrap();
    assert_eq!(db.count(MADE).await, 2);
}

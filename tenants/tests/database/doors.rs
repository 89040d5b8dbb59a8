//! The ways from one tenant to what is not its own: keys, the platform's library, the job queue, operators.

use sqlx::{AssertSqlSafe, Executor};
use tenants::Role;
use uuid::Uuid;

use crate::{
    catalogue::{count, enter, refusal},
    support::{ACME, GLOBEX, SERVICES, TestDb},
};

#[tokio::test]
async fn a_key_cannot_point_at_another_tenants_row_nor_tell_that_it_exists() {
    let db = TestDb::new().await;
    let mut connection = db.connect("ffp_app").await;
    let insert = |video_tenant: String, video: Uuid| {
        let member = ACME.member(Role::Owner);
        format!(
            "insert into video_progress (tenant_id, id, member_id, video_tenant_id, video_id, position_seconds, recorded_at)
                 values ('{}', gen_random_uuid(), '{member}', '{video_tenant}', '{video}', 1, now())",
            ACME.id
        )
    };
    let mut answers = Vec::new();
    for (tenant, video) in [
        (GLOBEX.id.to_string(), GLOBEX.published_video()),
        (GLOBEX.id.to_string(), Uuid::from_u128(1)),
        (ACME.id.to_string(), GLOBEX.published_video()),
        (ACME.id.to_string(), Uuid::from_u128(1)),
    ] {
        enter(&mut connection, "owner", Some(ACME.member(Role::Owner).0)).await;
        answers.push(refusal(&mut connection, insert(tenant, video)).await);
        connection.execute("rollback").await.unwrap();
    }
    assert_eq!(answers[0].0, "23514", "{answers:?}");
    assert_eq!(answers[0], answers[1], "a row of Globex and no row at all answer the same");
    assert_eq!(answers[2].0, "23503", "{answers:?}");
    assert_eq!(answers[2], answers[3], "a row of Globex and no row at all answer the same");
}

#[tokio::test]
async fn everybody_sees_what_the_platform_published_and_nothing_else_of_it() {
    let mut db = TestDb::new().await;
    let platform = "where tenant_id = '00000000-0000-7000-8000-000000000001'";
    assert_eq!(db.count(&format!("select count(*) from video {platform}")).await, 2);
    for role in SERVICES {
        let mut connection = db.connect(role).await;
        enter(&mut connection, "owner", None).await;
        assert_eq!(count(&mut connection, format!("select count(*) from video {platform}")).await, 1, "{role}");
        db.execute(&format!("grant update, delete on video to {role}")).await;
        for text in [format!("update video set title = 'ours' {platform}"), format!("delete from video {platform}")] {
            assert_eq!(
                connection.execute(AssertSqlSafe(text.clone())).await.unwrap().rows_affected(),
                0,
                "{role}: {text}"
            );
        }
        connection.execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn the_application_and_operators_have_nothing_in_the_job_queue() {
    let db = TestDb::new().await;
    for role in ["ffp_app", "ffp_operator"] {
        let mut connection = db.connect(role).await;
        for text in [
            "select * from graphile_worker._private_jobs",
            "select * from graphile_worker.jobs",
            "insert into graphile_worker._private_jobs (task_id) values (1)",
            "delete from graphile_worker._private_jobs",
            "select graphile_worker.add_job('x')",
            "select job_state(j) from graphile_worker._private_jobs j",
        ] {
            assert_eq!(refusal(&mut connection, text.into()).await.0, "42501", "{role}: {text}");
        }
    }
}

#[tokio::test]
async fn operators_write_only_inside_the_one_tenant_they_opened() {
    let mut db = TestDb::new().await;
    let mut connection = db.connect("ffp_operator").await;
    assert!(count(&mut connection, "select count(*) from tenant".into()).await >= 3, "the registry is theirs to read");
    enter(&mut connection, "operator", Some(Uuid::from_u128(0x0b))).await;
    let suspend = connection.execute("update tenant set status = 'suspended'").await.unwrap();
    assert_eq!(suspend.rows_affected(), 1, "Acme and nobody else");
    connection.execute("commit").await.unwrap();
    let suspended = "select count(*) from tenant where status = 'suspended'";
    assert_eq!(db.count(&format!("{suspended} and id = '{}'", ACME.id)).await, db.count(suspended).await);
}

//! What time clears away: uploads that nobody finished, registrations that nobody confirmed.

use reqwest::Method;

use crate::{
    flow::survives_every_crash,
    support::{registration, video::MP4},
    trial::{Ask, Trial},
};

/// A flow asks the API; this one need not.
async fn look_around(trial: &mut Trial) {
    trial.ask(Ask::new(Method::GET, "/livez", 200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collecting_an_unfinished_upload_survives_every_crash() {
    let path = [
        "worker db.collect_upload",
        "worker s3.list_multipart_uploads",
        "worker s3.abort_multipart_upload",
        "worker s3.list_object_versions",
    ];
    survives_every_crash(&path, async |trial: &mut Trial| {
        look_around(trial).await;
        trial.app.acme().coach().begin_video("/api/v1/videos", "Never finished", &MP4).await;
        trial.app.by_hand("update video set upload_expires_at = now() - interval '1 minute'").await;
        let due = "update graphile_worker._private_jobs set run_at = now() where task_id = \
                   (select id from graphile_worker._private_tasks where identifier = 'videos.collect_upload')";
        trial.app.by_hand(due).await;
        trial.work().await;
        assert_eq!(trial.app.count("select count(*) from video").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expiring_an_unconfirmed_registration_survives_every_crash() {
    let path = ["worker cognito.find", "worker db.delete_pending", "worker cognito.delete"];
    survives_every_crash(&path, async |trial: &mut Trial| {
        look_around(trial).await;
        let email = trial.email("nobody");
        trial.app.anonymous().post("/api/v1/auth/register", &registration(&email, Some("Never"))).await.assert(201);
        let due = "update graphile_worker._private_jobs j set run_at = now() from tenant t \
                   where t.status = 'pending' and j.payload->>'tenant_id' = t.id::text";
        trial.app.by_hand(due).await;
        trial.work().await;
        assert_eq!(trial.app.count("select count(*) from tenant where status = 'pending'").await, 0);
    })
    .await;
}

//! A video's life: announced, uploaded, published, deleted; refused; never finished.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    flow::survives_every_crash,
    support::video::{MP4, announcement},
    trial::{Ask, Fault, Trial, World},
};

const VIDEOS: &str = "/api/v1/videos";

fn video(id: &str) -> String {
    format!("{VIDEOS}/{id}")
}

/// Announces a video and sends its parts; its id, and the list that completes the upload.
async fn send(trial: &mut Trial, bytes: &[u8]) -> (String, Value) {
    let coach = trial.app.acme().coach().token;
    let create =
        Ask::new(Method::POST, VIDEOS, 201).by(&coach).with(announcement("Crash course", bytes)).key("video-1");
    let made = trial.ask(create).await;
    let parts = trial.app.acme().coach().send_parts(&made.body["upload"], bytes).await;
    (made.id().to_owned(), json!({ "parts": parts }))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_every_crash_from_its_announcement_to_its_publication() {
    let path = [
        "api db.add_video",
        "api s3.list_multipart_uploads",
        "api s3.create_multipart_upload",
        "api db.begin_upload",
        "api s3.list_parts",
        "api s3.complete_multipart_upload",
        "api s3.head_object",
        "api s3.get_object",
        "api db.settle_upload",
        "api db.publish_video",
    ];
    survives_every_crash(&path, async |trial: &mut Trial| {
        let coach = trial.app.acme().coach().token;
        let (id, parts) = send(trial, &MP4).await;
        let upload = format!("{}/upload", video(&id));
        let resumed = trial.ask(Ask::new(Method::GET, &upload, 200).by(&coach)).await;
        assert_eq!(resumed.body["received"][0]["etag"], parts["parts"][0]["etag"]);
        trial.ask(Ask::new(Method::PUT, &upload, 200).by(&coach).with(parts)).await;
        trial.ask(Ask::new(Method::PUT, &format!("{}/publication", video(&id)), 200).by(&coach)).await;
        trial.app.acme().athlete().get(&format!("{}/stream", video(&id))).await.assert(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_s3_has_put_together_and_the_database_not_is_resumed_with_nothing_to_send() {
    let world = World::new().await;
    let fault = Fault { process: "api", point: "s3.complete_multipart_upload".to_owned() };
    let mut trial = Trial::new(&world, Some(fault)).await;
    let coach = trial.app.acme().coach().token;
    let (id, parts) = send(&mut trial, &MP4).await;
    let upload = format!("{}/upload", video(&id));
    let complete = Ask::new(Method::PUT, &upload, 200).by(&coach).with(parts);
    assert!(trial.try_once(&complete).await.is_none(), "the server dies");

    let resumed = trial.ask(Ask::new(Method::GET, &upload, 200).by(&coach)).await;
    assert_eq!(
        (resumed.body["parts"].as_array().unwrap().len(), resumed.body["received"].as_array().unwrap().len()),
        (0, 1)
    );
    let completed = trial.ask(Ask {
        body: Some(json!({ "parts": [{"number": 1, "etag": resumed.body["received"][0]["etag"]}] })),
        ..complete
    });
    assert_eq!(completed.await.body["status"], "ready");
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_video_survives_every_crash_and_nothing_of_it_is_stored() {
    let path = [
        "api db.delete_video",
        "worker s3.list_multipart_uploads",
        "worker s3.list_object_versions",
        "worker s3.delete_objects",
        "worker s3.list_object_versions",
    ];
    survives_every_crash(&path, async |trial: &mut Trial| {
        let made = trial.app.acme().coach().add_published_video("Short life").await;
        let coach = trial.app.acme().coach().token;
        trial.ask(Ask::new(Method::DELETE, &video(made.id()), 204).by(&coach).or_when_repeated(404)).await;
        trial.work().await;
        nothing_is_stored(trial).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusing_what_is_no_video_survives_every_crash_and_nothing_of_it_is_stored() {
    let path = [
        "api db.add_video",
        "api s3.list_multipart_uploads",
        "api s3.create_multipart_upload",
        "api db.begin_upload",
        "api s3.complete_multipart_upload",
        "api s3.head_object",
        "api s3.get_object",
        "api db.settle_upload",
        "worker s3.list_multipart_uploads",
        "worker s3.list_object_versions",
        "worker s3.delete_objects",
        "worker s3.list_object_versions",
    ];
    survives_every_crash(&path, async |trial: &mut Trial| {
        let coach = trial.app.acme().coach().token;
        let (id, parts) = send(trial, b"this is no video, whatever its name says").await;
        let upload = format!("{}/upload", video(&id));
        let refused = trial.ask(Ask::new(Method::PUT, &upload, 422).by(&coach).with(parts)).await;
        refused.assert_problem(422, "not-a-video");
        trial.work().await;
        nothing_is_stored(trial).await;
    })
    .await;
}

async fn nothing_is_stored(trial: &Trial) {
    let (s3, bucket) = (&trial.world.s3, &trial.bucket);
    let versions = s3.list_object_versions().bucket(bucket).send().await.unwrap();
    assert!(versions.versions().is_empty() && versions.delete_markers().is_empty(), "{versions:?}");
    let uploads = s3.list_multipart_uploads().bucket(bucket).send().await.unwrap();
    assert!(uploads.uploads().is_empty(), "{uploads:?}");
}

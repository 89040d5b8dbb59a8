//! Videos: uploading, publishing, streaming through the edge, progress, the platform's library.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    TestApp,
    video::{MP4, announcement},
};

const VIDEOS: &str = "/api/v1/videos";
const LIBRARY: &str = "/api/v1/admin/library/videos";

fn video(id: &str) -> String {
    format!("{VIDEOS}/{id}")
}

fn titles(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|video| video["title"].as_str().unwrap()).collect()
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_athlete_streams_a_published_video_through_the_edge() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    let made = coach.add_video("Deadlift").await;
    assert_eq!(made.body["status"], "ready");
    assert_eq!(made.body["width"], 320);
    assert!((made.body["duration_seconds"].as_f64().unwrap() - 2.0).abs() < 0.2, "{}", made.text);
    coach.put_empty(&format!("{}/publication", video(made.id()))).await.assert(200);

    let athlete = app.acme().athlete();
    let stream = athlete.get(&format!("{}/stream", video(made.id()))).await.assert(200);
    let url = stream.body["url"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("{}/videos/tenants/{}/{}/", app.base, app.acme().tenant_id(), made.id())),
        "{url}"
    );
    let left = time(&stream.body["expires_at"]) - Utc::now();
    assert!(left > TimeDelta::seconds(235) && left <= TimeDelta::seconds(300), "{left}");
    assert!(time(&stream.body["renew_at"]) < time(&stream.body["expires_at"]));

    let whole = app.http.get(url).send().await.unwrap();
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.bytes().await.unwrap(), MP4.as_slice());
    let part = app.http.get(url).header("range", "bytes=100-199").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], format!("bytes 100-199/{}", MP4.len()));
    assert_eq!(part.bytes().await.unwrap(), &MP4[100..200]);
}

#[tokio::test]
async fn without_a_signature_or_with_anothers_the_edge_gives_nothing() {
    let app = TestApp::start().await;
    let (ours, theirs) = (app.acme().coach().add_video("Ours").await, app.globex().coach().add_video("Theirs").await);
    let stream = app.acme().coach().get(&format!("{}/stream", video(ours.id()))).await.assert(200);
    let url = stream.body["url"].as_str().unwrap();
    let (bare, query) = url.split_once('?').unwrap();
    let theirs_path = format!("{}/videos/tenants/{}/{}/source.mp4", app.base, app.globex().tenant_id(), theirs.id());
    for refused in [
        bare.to_owned(),
        format!("{theirs_path}?{query}"),
        url.replace("source.mp4", "../source.mp4"),
        format!("{url}x"),
    ] {
        let answer = app.http.get(&refused).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{refused}");
    }
    assert_eq!(app.http.get(url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_video_is_invisible_to_another_business() {
    let app = TestApp::start().await;
    let ours = app.acme().owner().add_published_video("Intro").await;
    let stranger = app.globex().owner();
    let path = video(ours.id());
    stranger.get(&path).await.assert_not_found();
    stranger.get(&format!("{path}/stream")).await.assert_not_found();
    stranger.get(&format!("{path}/upload")).await.assert_not_found();
    stranger.patch(&path, &json!({"title": "Mine now"})).await.assert_not_found();
    stranger.delete(&path).await.assert_not_found();
    stranger.delete(&format!("{path}/publication")).await.assert_not_found();
    stranger.post(&format!("{path}/progress"), &json!({"position_seconds": 1})).await.assert_not_found();
    assert!(titles(&stranger.get(VIDEOS).await.body).is_empty());
    let still = app.acme().athlete().get(&path).await.assert(200);
    assert_eq!(still.body["title"], "Intro");
}

#[tokio::test]
async fn athletes_see_published_videos_and_coaches_all() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    let draft = coach.add_video("Draft").await;
    let published = coach.add_published_video("Published").await;
    let athlete = app.acme().athlete();
    assert_eq!(titles(&athlete.get(VIDEOS).await.body), ["Published"]);
    assert_eq!(titles(&coach.get(VIDEOS).await.body), ["Published", "Draft"]);
    athlete.get(&video(draft.id())).await.assert_not_found();
    athlete.get(&format!("{}/stream", video(draft.id()))).await.assert_not_found();
    athlete.get(&format!("{}/stream", video(published.id()))).await.assert(200);
    // Taken back, it is gone for athletes at once: renewing is refused.
    coach.delete(&format!("{}/publication", video(published.id()))).await.assert(204);
    athlete.get(&format!("{}/stream", video(published.id()))).await.assert_not_found();
    coach.get(&format!("{}/stream", video(published.id()))).await.assert(200);
    athlete.post(VIDEOS, &announcement("Mine", &MP4)).await.assert(403);
}

#[tokio::test]
async fn publishing_twice_is_one_publication_and_what_is_not_ready_cannot_be_published() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    let (made, _) = coach.begin_video(VIDEOS, "Unfinished", &MP4).await;
    coach.put_empty(&format!("{}/publication", video(made.id()))).await.assert_problem(409, "not-ready");
    coach.get(&format!("{}/stream", video(made.id()))).await.assert_problem(409, "not-ready");
    let ready = coach.add_video("Ready").await;
    let path = format!("{}/publication", video(ready.id()));
    let first = coach.put_empty(&path).await.assert(200);
    let second = coach.put_empty(&path).await.assert(200);
    assert_eq!(first.body["published_at"], second.body["published_at"]);
    assert_eq!(app.count("select count(*) from audit where action = 'video.published'").await, 1);
}

#[tokio::test]
async fn an_upload_goes_on_where_it_stopped() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    // Three parts: 8 MiB, 8 MiB, and what the video itself has; a free box pads the front.
    let padding = 16 * 1024 * 1024 - 8;
    let mut bytes = Vec::from((padding as u32 + 8).to_be_bytes());
    bytes.extend(b"free");
    bytes.resize(padding + 8, 0);
    let mut padded = MP4[..32].to_vec();
    let ftyp = u32::from_be_bytes(padded[..4].try_into().unwrap()) as usize;
    padded.truncate(ftyp);
    padded.extend(bytes);
    padded.extend(&MP4[ftyp..]);

    let made = coach.post(VIDEOS, &announcement("Long", &padded)).await.assert(201);
    let upload = &made.body["upload"];
    assert_eq!(upload["part_size"], 8 * 1024 * 1024);
    assert_eq!(upload["parts"].as_array().unwrap().len(), 3);
    let mut first = upload.clone();
    first["parts"].as_array_mut().unwrap().truncate(1);
    coach.send_parts(&first, &padded).await;
    let path = format!("{}/upload", video(made.id()));
    let rest = coach.get(&path).await.assert(200);
    assert_eq!(rest.body["received"][0]["number"], 1, "{}", rest.text);
    assert_eq!(rest.body["parts"].as_array().unwrap().len(), 2);
    // Completing too early names the missing parts and loses nothing.
    let early: Vec<Value> = rest.body["received"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| json!({"number": part["number"], "etag": part["etag"]}))
        .collect();
    coach.put(&path, &json!({"parts": early})).await.assert(422);
    let mut parts = early;
    parts.extend(coach.send_parts(&rest.body, &padded).await);
    let ready = coach.put(&path, &json!({"parts": parts})).await;
    // The index's offsets no longer fit behind the padding; what counts here is that the parts came together.
    assert!(matches!(ready.status.as_u16(), 200 | 422), "{}", ready.text);
    let size =
        app.platform.storage.head(&format!("videos/tenants/{}/{}/source.mp4", app.acme().tenant_id(), made.id())).await;
    assert_eq!(size.unwrap().size, padded.len() as u64);
}

#[tokio::test]
async fn completing_twice_answers_the_same() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    let (made, parts) = coach.begin_video(VIDEOS, "Twice", &MP4).await;
    let path = format!("{}/upload", video(made.id()));
    let body = json!({ "parts": parts });
    let (one, other) = tokio::join!(coach.put(&path, &body), coach.put(&path, &body));
    let later = coach.put(&path, &body).await.assert(200);
    assert_eq!(one.assert(200).body, later.body);
    assert_eq!(other.assert(200).body, later.body);
    coach.get(&path).await.assert_problem(409, "upload-finished");
}

#[tokio::test]
async fn the_same_key_adds_one_video_with_fresh_urls_each_time() {
    let app = TestApp::start().await;
    let (coach, body) = (app.acme().coach(), announcement("Once", &MP4));
    let key = [("idempotency-key", "add-1")];
    let one = coach.send(Method::POST, VIDEOS, Some(&body), &key).await.assert(201);
    let two = coach.send(Method::POST, VIDEOS, Some(&body), &key).await.assert(201);
    assert_eq!(one.id(), two.id());
    let parts = coach.send_parts(&two.body["upload"], &MP4).await;
    coach.put(&format!("{}/upload", video(one.id())), &json!({ "parts": parts })).await.assert(200);
    assert_eq!(app.count("select count(*) from video").await, 1);
    // The key of one business is nothing to another.
    let theirs = app.globex().coach().send(Method::POST, VIDEOS, Some(&body), &key).await.assert(201);
    assert_ne!(theirs.id(), one.id());
}

#[tokio::test]
async fn a_business_stores_up_to_its_limit_and_anothers_use_does_not_count() {
    let app = TestApp::start().await;
    app.by_hand("update tenant set storage_limit_bytes = 150000").await;
    let body = json!({"title": "Big", "content_type": "video/mp4", "size_bytes": 100_000});
    let coach = app.acme().coach();
    let first = coach.post(VIDEOS, &body).await.assert(201);
    let full = coach.post(VIDEOS, &body).await.assert_problem(413, "storage-quota");
    assert_eq!((full.body["used"].as_i64(), full.body["limit"].as_i64()), (Some(100_000), Some(150_000)));
    app.globex().coach().post(VIDEOS, &body).await.assert(201);
    coach.delete(&video(first.id())).await.assert(204);
    // Twenty at once fit no better than one after the other.
    let attempts = (0..20).map(|_| coach.post(VIDEOS, &body));
    let granted = futures::future::join_all(attempts).await.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(granted, 1);
}

#[tokio::test]
async fn deleting_a_video_deletes_every_version_of_its_object() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    let made = coach.add_published_video("Gone").await;
    let stream = coach.get(&format!("{}/stream", video(made.id()))).await;
    coach.delete(&video(made.id())).await.assert(204);
    coach.get(&video(made.id())).await.assert_not_found();
    app.run_jobs().await;
    let key = format!("videos/tenants/{}/{}/source.mp4", app.acme().tenant_id(), made.id());
    assert!(app.platform.storage.head(&key).await.is_err());
    let url = stream.body["url"].as_str().unwrap();
    assert_eq!(app.http.get(url).send().await.unwrap().status(), 403);
    assert_eq!(app.count("select count(*) from audit where action = 'video.deleted'").await, 1);
}

#[tokio::test]
async fn an_upload_that_nobody_finishes_is_collected_after_a_day() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    let (made, _) = coach.begin_video(VIDEOS, "Abandoned", &MP4).await;
    let finished = coach.add_video("Finished").await;
    app.by_hand("update video set upload_expires_at = now() where title = 'Abandoned'").await;
    app.by_hand("update graphile_worker._private_jobs set run_at = now()").await;
    app.run_jobs().await;
    app.run_jobs().await;
    coach.get(&video(made.id())).await.assert_not_found();
    coach.get(&video(finished.id())).await.assert(200);
    let key = format!("videos/tenants/{}/{}/source.mp4", app.acme().tenant_id(), made.id());
    assert!(app.platform.storage.parts(&key, "any").await.is_err());
}

#[tokio::test]
async fn a_viewer_resumes_on_another_device_and_late_posts_do_not_wind_back() {
    let app = TestApp::start().await;
    let made = app.acme().coach().add_published_video("Stretching").await;
    let (athlete, path) = (app.acme().athlete(), format!("{}/progress", video(made.id())));
    let never = athlete.get(&path).await.assert(200);
    assert_eq!((never.body["position_seconds"].as_f64(), never.body["completed"].as_bool()), (Some(0.0), Some(false)));
    let at = |seconds: i64| (Utc::now() - TimeDelta::seconds(60 - seconds)).to_rfc3339();
    let post = |position: f64, recorded_at: String| {
        let (athlete, path) = (athlete.clone(), path.clone());
        async move {
            athlete.post(&path, &json!({"position_seconds": position, "recorded_at": recorded_at})).await.assert(200)
        }
    };
    let (early, late) = (at(10), at(20));
    post(1.5, late.clone()).await;
    post(0.5, early).await;
    post(1.5, late).await;
    assert_eq!(athlete.get(&path).await.body["position_seconds"], 1.5);
    // A completion that arrives late counts, and its older position does not.
    let finished = json!({"position_seconds": 0.2, "completed": true, "recorded_at": at(5)});
    let finished = athlete.post(&path, &finished).await.assert(200);
    assert_eq!(
        (finished.body["position_seconds"].as_f64(), finished.body["completed"].as_bool()),
        (Some(1.5), Some(true))
    );
    // Listed with the video, for this member only.
    assert_eq!(athlete.get(VIDEOS).await.body["items"][0]["progress"]["position_seconds"], 1.5);
    assert_eq!(app.acme().athlete2().get(VIDEOS).await.body["items"][0]["progress"], Value::Null);
    assert_eq!(app.acme().owner().get(&path).await.body["position_seconds"], 0.0);
}

#[tokio::test]
async fn progress_stays_within_the_video_and_completion_stays() {
    let app = TestApp::start().await;
    let made = app.acme().coach().add_published_video("Short").await;
    let (athlete, path) = (app.acme().athlete(), format!("{}/progress", video(made.id())));
    let over = athlete.post(&path, &json!({"position_seconds": 1e9, "completed": true})).await.assert(200);
    assert_eq!(over.body["position_seconds"], made.body["duration_seconds"]);
    let back = athlete.post(&path, &json!({"position_seconds": 0})).await.assert(200);
    assert_eq!((back.body["position_seconds"].as_f64(), back.body["completed"].as_bool()), (Some(0.0), Some(true)));
    athlete.post(&path, &json!({"position_seconds": -1})).await.assert(422).assert_names("/position_seconds");
    let future = json!({"position_seconds": 1, "recorded_at": (Utc::now() + TimeDelta::days(9)).to_rfc3339()});
    let answer = athlete.post(&path, &future).await.assert(200);
    assert!(time(&answer.body["recorded_at"]) <= Utc::now() + TimeDelta::seconds(1));
}

#[tokio::test]
async fn a_video_is_edited_only_from_the_version_that_was_read() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    let made = coach.add_video("Squat").await;
    let path = video(made.id());
    let etag = coach.get(&path).await.header("etag").to_owned();
    let change = json!({"title": "Squats", "description": "Three sets of five"});
    let changed = coach.send(Method::PATCH, &path, Some(&change), &[("if-match", &etag)]).await.assert(200);
    assert_eq!(changed.body["title"], "Squats");
    coach.send(Method::PATCH, &path, Some(&change), &[("if-match", &etag)]).await.assert_problem(412, "changed");
    coach.send(Method::DELETE, &path, None, &[("if-match", &etag)]).await.assert_problem(412, "changed");
    app.acme().athlete().patch(&path, &change).await.assert(403);
}

#[tokio::test]
async fn the_library_is_read_by_every_business_and_written_by_operators_only() {
    let app = TestApp::start().await;
    let operator = app.operator();
    let made = operator.add_video_to(LIBRARY, "Warm-up").await;
    let (own, path) = (format!("{LIBRARY}/{}", made.id()), video(made.id()));
    let coach = app.acme().coach();
    coach.get(&path).await.assert_not_found();
    operator.put_empty(&format!("{own}/publication")).await.assert(200);
    for business in [app.acme(), app.globex()] {
        let athlete = business.athlete();
        assert_eq!(titles(&athlete.get(&format!("{VIDEOS}?scope=library")).await.body), ["Warm-up"]);
        assert!(titles(&athlete.get(&format!("{VIDEOS}?scope=tenant")).await.body).is_empty());
        let stream = athlete.get(&format!("{path}/stream")).await.assert(200);
        let url = stream.body["url"].as_str().unwrap();
        assert!(url.contains(&format!("/videos/library/{}/", made.id())), "{url}");
        assert_eq!(app.http.get(url).send().await.unwrap().status(), 200);
        business.owner().patch(&path, &json!({"title": "Mine"})).await.assert(403);
        business.owner().delete(&path).await.assert(403);
        business.owner().delete(&format!("{path}/publication")).await.assert(403);
    }
    // Each business's people keep their own progress.
    let progress = format!("{path}/progress");
    app.acme().athlete().post(&progress, &json!({"position_seconds": 1.0})).await.assert(200);
    assert_eq!(app.globex().athlete().get(&progress).await.body["position_seconds"], 0.0);
    coach.get(LIBRARY).await.assert(403);
    coach.post(LIBRARY, &announcement("Mine", &MP4)).await.assert(403);
    operator.get(VIDEOS).await.assert(403);
    // A business's own video is not in the operators' library.
    let theirs = coach.add_video("Secret").await;
    operator.get(&format!("{LIBRARY}/{}", theirs.id())).await.assert_not_found();
    operator.delete(&format!("{LIBRARY}/{}", theirs.id())).await.assert_not_found();
    operator.delete(&own).await.assert(204);
    coach.get(&path).await.assert_not_found();
}

#[tokio::test]
async fn library_and_own_videos_are_listed_together_page_by_page() {
    let app = TestApp::start().await;
    let (operator, coach) = (app.operator(), app.acme().coach());
    for round in 1..=3 {
        let library = operator.add_video_to(LIBRARY, &format!("Library {round}")).await;
        operator.put_empty(&format!("{LIBRARY}/{}/publication", library.id())).await.assert(200);
        coach.add_video(&format!("Own {round}")).await;
    }
    let mut seen = Vec::new();
    let mut path = format!("{VIDEOS}?limit=2");
    loop {
        let page = coach.get(&path).await.assert(200);
        seen.extend(titles(&page.body).into_iter().map(str::to_owned));
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        path = format!("{VIDEOS}?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["Own 3", "Library 3", "Own 2", "Library 2", "Own 1", "Library 1"]);
    let found = coach.get(&format!("{VIDEOS}?q=own")).await;
    assert_eq!(titles(&found.body), ["Own 3", "Own 2", "Own 1"]);
    // Wildcards of the search's own language are plain characters.
    assert!(titles(&coach.get(&format!("{VIDEOS}?q=%25")).await.body).is_empty());
    assert!(titles(&coach.get(&format!("{VIDEOS}?q=Own_1")).await.body).is_empty());
    app.globex().coach().add_video("Theirs").await;
    assert_eq!(titles(&coach.get(&format!("{VIDEOS}?scope=tenant")).await.body), ["Own 3", "Own 2", "Own 1"]);
}

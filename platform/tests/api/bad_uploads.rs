//! Uploads that are not what they say: refused with the reason, their objects gone in every version, their space free,
//! and nothing that they name was fetched.

use std::{io::ErrorKind, net::TcpListener};

use serde_json::json;

use crate::support::{
    TestApp, User, aws, stack,
    stack::BUCKET,
    video::{MP4, announcement},
};

const VIDEOS: &str = "/api/v1/videos";

fn s3_key(app: &TestApp, id: &str, extension: &str) -> String {
    format!("videos/tenants/{}/{id}/source.{extension}", app.acme().tenant_id())
}

/// How much S3 has under a key: versions, delete markers and unfinished uploads.
async fn stored(key: &str) -> usize {
    let aws = aws(&stack().ministack.endpoint());
    let s3 = aws.s3(&aws.sdk().await);
    let versions = s3.list_object_versions().bucket(BUCKET).prefix(key).send().await.unwrap();
    let uploads = s3.list_multipart_uploads().bucket(BUCKET).prefix(key).send().await.unwrap();
    versions.versions().len() + versions.delete_markers().len() + uploads.uploads().len()
}

/// Uploads `bytes` as `content_type` into a tenant that has room for exactly them; demands the refusal, and that nothing
/// is left of them.
async fn assert_refused(coach: &User<'_>, bytes: &[u8], content_type: &str, extension: &str, slug: &str) {
    let app = coach.app;
    let what = format!("{slug} for {}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
    let mut body = announcement("Disguised", bytes);
    body["content_type"] = content_type.into();
    let made = coach.post(VIDEOS, &body).await.assert(201);
    let parts = coach.send_parts(&made.body["upload"], bytes).await;
    let (video, key) = (format!("{VIDEOS}/{}", made.id()), s3_key(app, made.id(), extension));
    assert!(stored(&key).await > 0, "{what}");

    let complete = json!({ "parts": parts });
    let refusal = coach.put(&format!("{video}/upload"), &complete).await;
    assert_eq!(refusal.body["type"], format!("urn:ffp:problem:{slug}"), "{what}: {}", refusal.text);
    let refusal = refusal.assert_problem(422, slug);
    assert!(refusal.body["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{what}: {}", refusal.text);
    // Asked again, it says the same.
    let again = coach.put(&format!("{video}/upload"), &complete).await.assert_problem(422, slug);
    assert_eq!(again.body["detail"], refusal.body["detail"], "{what}");

    let shown = coach.get(&video).await.assert(200);
    assert_eq!((&shown.body["status"], &shown.body["rejection"]["code"]), (&json!("rejected"), &json!(slug)), "{what}");
    coach.put_empty(&format!("{video}/publication")).await.assert_problem(409, "not-ready");
    coach.get(&format!("{video}/stream")).await.assert_problem(409, "not-ready");
    app.run_jobs().await;
    assert_eq!(stored(&key).await, 0, "{what}");
    let place = format!("{}/{key}", app.base);
    assert_eq!(app.http.get(place).send().await.unwrap().status(), 403, "{what}");
    // Its space is free again before it is deleted.
    let next = coach.post(VIDEOS, &body).await.assert(201);
    coach.delete(&format!("{VIDEOS}/{}", next.id())).await.assert(204);
    coach.delete(&video).await.assert(204);
}

#[tokio::test]
async fn what_is_no_whole_video_is_refused_deleted_and_takes_no_space() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    let half = &MP4[..MP4.len() / 2];
    let mut elsewhere = MP4.clone();
    // The flag of the data reference says "in this file"; without it the media lie wherever the reference points.
    let reference = elsewhere.windows(4).position(|window| window == b"url ").unwrap();
    elsewhere[reference + 7] = 0;
    let page = b"<!doctype html><script>fetch('/api/v1/me')</script>";
    let png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR";
    let zeros = vec![0; 70_000];
    let mut wrapped = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom".to_vec();
    wrapped.extend(b"#EXTM3U\n");
    for (bytes, content_type, extension, slug) in [
        (b"x".as_slice(), "video/mp4", "mp4", "not-a-video"),
        (page, "video/mp4", "mp4", "not-a-video"),
        (png, "video/quicktime", "mov", "not-a-video"),
        (&zeros, "video/webm", "webm", "not-a-video"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "video/mp4", "mp4", "unsupported-container"),
        (half, "video/mp4", "mp4", "truncated"),
        (&MP4[..30], "video/mp4", "mp4", "truncated"),
        (&elsewhere, "video/mp4", "mp4", "external-reference"),
        (&MP4, "video/webm", "webm", "content-type-mismatch"),
        (&MP4, "video/x-matroska", "mkv", "content-type-mismatch"),
        (b"\x1a\x45\xdf\xa3", "video/webm", "webm", "damaged"),
        (&wrapped, "video/mp4", "mp4", "damaged"),
    ] {
        let mut admin = app.superuser().await;
        let room = sqlx::query("update tenant set storage_limit_bytes = $1").bind(bytes.len() as i64);
        room.execute(&mut admin).await.unwrap();
        assert_refused(&coach, bytes, content_type, extension, slug).await;
    }
    assert_eq!(app.count("select count(*) from audit where action = 'video.rejected'").await, 12);
}

/// A playlist that makes a player fetch from `port`.
fn playlist(port: u16) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nhttp://127.0.0.1:{port}/segment.ts\n#EXT-X-ENDLIST\n"
    )
}

#[tokio::test]
async fn a_playlist_or_picture_dressed_as_a_video_fetches_nothing() {
    let app = TestApp::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/x");
    let playlist = playlist(port);
    let svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink'><image xlink:href='{url}'/></svg>"
    );
    let dash = format!("<?xml version='1.0'?><MPD><Period><BaseURL>{url}</BaseURL></Period></MPD>");
    let concat = format!("ffconcat version 1.0\nfile '{url}'\n");
    let coach = app.acme().coach();
    for text in [&playlist, &format!("\u{feff}{playlist}"), &format!("\n\n  {playlist}"), &svg, &dash, &concat, &url] {
        assert_refused(&coach, text.as_bytes(), "video/mp4", "mp4", "not-a-video").await;
        assert_refused(&coach, text.as_bytes(), "video/x-matroska", "mkv", "not-a-video").await;
    }
    // Behind a box that promises an MP4, before and after the real thing: whatever else becomes of it, nothing is fetched.
    for bytes in [
        [&MP4[..40], playlist.as_bytes()].concat(),
        [playlist.as_bytes(), &MP4].concat(),
        [&MP4, playlist.as_bytes()].concat(),
    ] {
        let (made, parts) = coach.begin_video(VIDEOS, "Wrapped", &bytes).await;
        let answer = coach.put(&format!("{VIDEOS}/{}/upload", made.id()), &json!({ "parts": parts })).await;
        assert!([200, 422].contains(&answer.status.as_u16()), "{}", answer.text);
    }
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "somebody connected");
}

#[tokio::test]
async fn the_playlist_is_good_bait_an_unguarded_ffprobe_takes_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let bait = dir.path().join("bait.mp4");
    std::fs::write(&bait, playlist(listener.local_addr().unwrap().port())).unwrap();
    let mut ffprobe = tokio::process::Command::new("ffprobe")
        .args(["-v", "quiet", "-protocol_whitelist", "file,http,tcp"])
        .arg(&bait)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    tokio::select! {
        connection = listener.accept() => drop(connection.unwrap()),
        status = ffprobe.wait() => panic!("ffprobe did not connect: {status:?}"),
    }
}

#[tokio::test]
async fn a_part_takes_exactly_the_bytes_that_were_declared() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    let made = coach.post(VIDEOS, &announcement("Exact", &MP4)).await.assert(201);
    let part = &made.body["upload"]["parts"][0];
    let put = async |bytes: Vec<u8>, headers: &[(&str, &str)]| {
        let mut request = app.http.put(part["url"].as_str().unwrap()).body(bytes);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status()
    };
    let longer = [MP4.as_slice(), b"x"].concat();
    assert_eq!(put(longer, &[]).await, 403);
    assert_eq!(put(MP4[..MP4.len() - 1].to_vec(), &[]).await, 403);
    assert_eq!(put(Vec::new(), &[]).await, 403);
    // The URL is for this part of this object alone.
    let url = part["url"].as_str().unwrap();
    for other in [
        url.replace("partNumber=1", "partNumber=2"),
        url.replace("source.mp4", "source.mov"),
        url.replace("source.mp4", "../x.mp4"),
    ] {
        assert_ne!(other, url);
        assert_eq!(app.http.put(other).body(MP4.clone()).send().await.unwrap().status(), 403);
    }
    // Nothing has arrived, and the upload is still open.
    let path = format!("{VIDEOS}/{}/upload", made.id());
    assert_eq!(coach.get(&path).await.assert(200).body["received"], json!([]));
    let guess = json!({"parts": [{"number": 1, "etag": "\"d41d8cd98f00b204e9800998ecf8427e\""}]});
    coach.put(&path, &guess).await.assert_problem(422, "parts-refused").assert_names("/parts");
    let parts = coach.send_parts(&made.body["upload"], &MP4).await;
    coach.put(&path, &json!({ "parts": parts })).await.assert(200);
}

#[tokio::test]
async fn an_object_that_came_out_smaller_or_larger_than_declared_is_refused() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    let aws = aws(&stack().ministack.endpoint());
    let s3 = aws.s3(&aws.sdk().await);
    let longer = [MP4.as_slice(), &[0; 8]].concat();
    for bytes in [&MP4[..MP4.len() - 1], &longer] {
        let made = coach.post(VIDEOS, &announcement("Another size", &MP4)).await.assert(201);
        let key = s3_key(&app, made.id(), "mp4");
        // Past the signed length, as a mistake of the storage would let it.
        let upload_id: String = sqlx::query_scalar("select upload_id from video where id = $1::uuid")
            .bind(made.id())
            .fetch_one(&mut app.superuser().await)
            .await
            .unwrap();
        let part =
            s3.upload_part().bucket(BUCKET).key(&key).upload_id(upload_id).part_number(1).body(bytes.to_vec().into());
        let etag = part.send().await.unwrap().e_tag.unwrap();
        let complete = json!({"parts": [{"number": 1, "etag": etag}]});
        coach.put(&format!("{VIDEOS}/{}/upload", made.id()), &complete).await.assert_problem(422, "size-mismatch");
        app.run_jobs().await;
        assert_eq!(stored(&key).await, 0);
    }
}

#[tokio::test]
async fn an_upload_that_is_never_finished_leaves_nothing_and_frees_its_space() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    app.by_hand("update tenant set storage_limit_bytes = 100000").await;
    let (made, _) = coach.begin_video(VIDEOS, "Abandoned", &MP4).await;
    let key = s3_key(&app, made.id(), "mp4");
    assert!(stored(&key).await > 0);
    coach.post(VIDEOS, &announcement("No room", &MP4)).await.assert_problem(413, "storage-quota");
    app.by_hand("update video set upload_expires_at = now(); update graphile_worker._private_jobs set run_at = now()")
        .await;
    // Collecting orders the deletion.
    app.run_jobs().await;
    app.run_jobs().await;
    coach.get(&format!("{VIDEOS}/{}", made.id())).await.assert_not_found();
    assert_eq!(stored(&key).await, 0);
    coach.post(VIDEOS, &announcement("Room again", &MP4)).await.assert(201);
}

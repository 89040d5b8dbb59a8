//! A page of the app sends parts straight to the store: the browser asks first, and shows the page the `ETag`. Pages of
//! other origins get neither.

use platform::dev::buckets;
use reqwest::{Method, Response};
use serde_json::json;

use crate::support::{
    TestApp, aws, stack,
    video::{MP4, announcement},
};

const STRANGER: &str = "https://elsewhere.example";

/// The product with a bucket of its own, made as `platform dev` makes it.
async fn app_with_its_bucket(bucket: &str) -> TestApp {
    let app = TestApp::start_with(&[("FFP_VIDEOS_BUCKET", bucket)]).await;
    let aws = aws(&stack().ministack.endpoint());
    let s3 = aws.s3(&aws.sdk().await);
    // Twice, as at each start.
    buckets::ensure(&s3, bucket, "http://before.example").await.unwrap();
    buckets::ensure(&s3, bucket, &app.base).await.unwrap();
    app
}

async fn preflight(app: &TestApp, url: &str, origin: &str, method: &str) -> Response {
    let request = app.http.request(Method::OPTIONS, url).header("origin", origin);
    let request = request.header("access-control-request-method", method);
    request.header("access-control-request-headers", "content-type").send().await.unwrap()
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_page_of_the_app_sends_a_part_and_reads_its_etag() {
    let app = app_with_its_bucket("ffp-browser-own").await;
    let coach = app.acme().coach();
    let made = coach.post("/api/v1/videos", &announcement("From a page", &MP4)).await.assert(201);
    let url = made.body["upload"]["parts"][0]["url"].as_str().unwrap();

    let asked = preflight(&app, url, &app.base, "PUT").await;
    assert_eq!(asked.status(), 200);
    assert_eq!(header(&asked, "access-control-allow-origin"), app.base);
    assert!(header(&asked, "access-control-allow-methods").contains("PUT"));
    assert_eq!(header(&asked, "access-control-allow-headers"), "content-type");

    // Browsers send a type of their own along.
    let put = app.http.put(url).header("origin", &app.base).header("content-type", "video/mp4");
    let put = put.body(MP4.clone()).send().await.unwrap();
    assert_eq!(put.status(), 200);
    assert_eq!(header(&put, "access-control-allow-origin"), app.base);
    assert_eq!(header(&put, "access-control-expose-headers"), "ETag");
    let parts = json!({"parts": [{"number": 1, "etag": header(&put, "etag")}]});
    coach.put(&format!("/api/v1/videos/{}/upload", made.id()), &parts).await.assert(200);
}

#[tokio::test]
async fn a_page_of_another_origin_may_nothing_and_is_told_nothing() {
    let app = app_with_its_bucket("ffp-browser-foreign").await;
    let made = app.globex().coach().post("/api/v1/videos", &announcement("From elsewhere", &MP4)).await.assert(201);
    let url = made.body["upload"]["parts"][0]["url"].as_str().unwrap();
    for origin in [STRANGER, "http://before.example", "null", &format!("{}.evil.example", app.base)] {
        let asked = preflight(&app, url, origin, "PUT").await;
        assert_eq!((asked.status().as_u16(), header(&asked, "access-control-allow-origin")), (403, ""), "{origin}");
        let put = app.http.put(url).header("origin", origin).body(MP4.clone()).send().await.unwrap();
        assert_eq!(header(&put, "access-control-allow-origin"), "", "{origin}");
        assert_eq!(header(&put, "access-control-expose-headers"), "", "{origin}");
    }
    // The app's own pages may send, and neither read nor delete.
    for method in ["GET", "DELETE", "POST"] {
        assert_eq!(preflight(&app, url, &app.base, method).await.status(), 403, "{method}");
    }
}

//! The reads that players and pages make all the time answer what any other way of asking answers.

use serde_json::{Value, json};

use crate::support::{TestApp, User};

const VIDEOS: &str = "/api/v1/videos";
const LIBRARY: &str = "/api/v1/admin/library/videos";

async fn watch(user: &User<'_>, id: &str, seconds: f64) {
    let position = json!({"position_seconds": seconds, "recorded_at": "2026-01-02T03:04:05.678901Z"});
    user.post(&format!("{VIDEOS}/{id}/progress"), &position).await.assert(200);
}

/// All pages of a list, with this query.
async fn pages(user: &User<'_>, query: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = user.get(&format!("{VIDEOS}?{query}{cursor}")).await.assert(200).body;
        items.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_video_reads_the_same_alone_in_a_list_and_as_the_answer_to_its_change() {
    let app = TestApp::start().await;
    let (coach, other) = (app.acme().coach(), app.globex().coach());
    let made = coach.add_published_video("Squats").await;
    let url = format!("{VIDEOS}/{}", made.id());
    watch(&coach, made.id(), 1.5).await;

    // Answered by the other way of asking.
    let changed = coach.patch(&url, &json!({"description": "Slowly, \"deep\" and ü"})).await.assert(200);
    let shown = coach.get(&url).await.assert(200);
    let listed = pages(&coach, "limit=1").await;

    assert_eq!(shown.body, changed.body);
    assert_eq!(shown.header("etag"), changed.header("etag"));
    assert_eq!(listed, std::slice::from_ref(&shown.body));
    let expected = json!({"position_seconds": 1.5, "completed": false, "recorded_at": "2026-01-02T03:04:05.678901Z"});
    assert_eq!(shown.body["progress"], expected);
    assert_eq!(coach.get(&format!("{url}/progress")).await.assert(200).body, expected);
    // The same text, down to the order of members.
    assert_eq!(shown.text, changed.text);
    other.get(&url).await.assert_not_found();
    other.get(&format!("{url}/progress")).await.assert_not_found();
    other.get(&format!("{url}/stream")).await.assert_not_found();
    assert!(pages(&other, "limit=100").await.is_empty());
}

#[tokio::test]
async fn progress_is_ones_own_also_for_a_video_of_the_library() {
    let app = TestApp::start().await;
    let shared = app.operator().add_video_to(LIBRARY, "Stretching").await;
    app.operator().put_empty(&format!("{LIBRARY}/{}/publication", shared.id())).await.assert(200);
    let url = format!("{VIDEOS}/{}", shared.id());
    let (athlete, colleague, stranger) = (app.acme().athlete(), app.acme().athlete2(), app.globex().athlete());
    watch(&athlete, shared.id(), 1.0).await;
    watch(&stranger, shared.id(), 2.0).await;

    for (user, seconds) in [(&athlete, json!(1.0)), (&stranger, json!(2.0)), (&colleague, Value::Null)] {
        let shown = user.get(&url).await.assert(200).body;
        assert_eq!(shown["scope"], "library");
        assert_eq!(shown["progress"]["position_seconds"], seconds);
        assert_eq!(pages(user, "scope=library").await, [shown]);
        let told = user.get(&format!("{url}/progress")).await.assert(200).body;
        assert_eq!(told["position_seconds"], if seconds.is_null() { json!(0.0) } else { seconds });
    }
}

#[tokio::test]
async fn a_list_mixes_the_library_and_the_business_own_newest_first_over_all_pages() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    let (mut all, mut own, mut library) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..3 {
        let mine = coach.add_published_video(&format!("Own {number}")).await;
        let shared = app.operator().add_video_to(LIBRARY, &format!("Shared {number}")).await;
        app.operator().put_empty(&format!("{LIBRARY}/{}/publication", shared.id())).await.assert(200);
        app.globex().coach().add_published_video("Theirs").await;
        own.insert(0, mine.id().to_owned());
        library.insert(0, shared.id().to_owned());
        all.splice(..0, [shared.id().to_owned(), mine.id().to_owned()]);
    }
    // Seen by nobody but operators.
    app.operator().add_video_to(LIBRARY, "Draft of the library").await;
    let draft = coach.add_video("Own draft").await;

    for limit in [1, 2, 4, 100] {
        let query = format!("limit={limit}");
        assert_eq!(ids(&pages(&app.acme().athlete(), &query).await), all, "{query}");
        assert_eq!(ids(&pages(&coach, &query).await)[0], draft.id());
        assert_eq!(ids(&pages(&app.acme().athlete(), &format!("{query}&scope=tenant")).await), own);
        assert_eq!(ids(&pages(&coach, &format!("{query}&scope=library")).await), library);
        assert_eq!(ids(&pages(&coach, &format!("{query}&q=oWn%201")).await), [own[1].as_str()]);
        assert!(pages(&coach, &format!("{query}&q=_wn%25")).await.is_empty(), "signs mean themselves");
    }
}

#[tokio::test]
async fn an_unfinished_video_is_not_played_and_says_why() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    let body = json!({"title": "Later", "content_type": "video/mp4", "size_bytes": 5});
    let begun = coach.post(VIDEOS, &body).await.assert(201);
    coach.get(&format!("{VIDEOS}/{}/stream", begun.id())).await.assert_problem(409, "not-ready");
    let shown = coach.get(&format!("{VIDEOS}/{}", begun.id())).await.assert(200).body;
    assert_eq!(
        (&shown["status"], &shown["container"], &shown["progress"]),
        (&json!("uploading"), &Value::Null, &Value::Null)
    );
    app.acme().athlete().get(&format!("{VIDEOS}/{}/stream", begun.id())).await.assert_not_found();
}

//! Members look through the videos and watch some.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use goose::prelude::*;
use serde_json::{Value, json};

use super::people::{People, get, post};

/// As many positions are posted of one video.
const POSTS: u64 = 3;
/// As players do.
const BETWEEN_POSTS: f64 = 10.0;

pub(super) fn scenario(people: &Arc<People>, pause: (Duration, Duration)) -> Result<Scenario, GooseError> {
    let (joining, watching) = (Arc::clone(people), Arc::clone(people));
    let join = Transaction::new(Arc::new(move |user| {
        let people = Arc::clone(&joining);
        Box::pin(async move { people.join(user).await })
    }));
    let watch = Transaction::new(Arc::new(move |user| {
        let play = watching.play;
        Box::pin(async move { watch(user, play).await })
    }));
    let browse = Transaction::new(Arc::new(|user| Box::pin(browse(user))));
    Ok(scenario!("browse and stream")
        .set_wait_time(pause.0, pause.1)?
        .register_transaction(join.set_name("join").set_on_start())
        .register_transaction(browse.set_name("browse").set_weight(3)?)
        .register_transaction(watch.set_name("watch")))
}

/// Two pages, and a look at one video.
async fn browse(user: &mut GooseUser) -> TransactionResult {
    let page = get(user, "/api/v1/videos?limit=20", "videos").await?;
    if let Some(cursor) = page["next_cursor"].as_str() {
        get(user, &format!("/api/v1/videos?limit=20&cursor={cursor}"), "videos, next page").await?;
    }
    if let Some(id) = any(&page) {
        get(user, &format!("/api/v1/videos/{id}"), "video").await?;
    }
    Ok(())
}

/// Asks where a video is, and tells how far it was watched.
async fn watch(user: &mut GooseUser, play: bool) -> TransactionResult {
    let page = get(user, "/api/v1/videos?limit=20", "videos").await?;
    let Some(id) = any(&page) else {
        return Ok(());
    };
    let stream = get(user, &format!("/api/v1/videos/{id}/stream"), "stream").await?;
    if let Some(url) = stream["url"].as_str().filter(|_| play) {
        let builder = user.client.get(url).header("range", "bytes=0-1048575");
        let request = GooseRequest::builder().set_request_builder(builder).name("bytes").build();
        user.request(request).await?;
    }
    let path = format!("/api/v1/videos/{id}/progress");
    let begun = get(user, &path, "progress").await?["position_seconds"].as_f64().unwrap_or_default();
    for n in 1..=POSTS {
        let position = begun + n as f64 * BETWEEN_POSTS;
        post(user, &path, Some("progress"), &json!({"position_seconds": position})).await?;
    }
    Ok(())
}

/// Some video of a page that can be played; not always the same one.
fn any(page: &Value) -> Option<String> {
    let ready: Vec<&Value> = page["items"].as_array()?.iter().filter(|video| video["status"] == "ready").collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_micros() as usize);
    ready.get(now % ready.len().max(1))?["id"].as_str().map(str::to_owned)
}

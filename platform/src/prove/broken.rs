//! Requests that break off in the midst, and hundreds of both tenants at once: whoever comes next, or at the same time,
//! sees its own.

use std::time::Duration;

use futures::{StreamExt, future::try_join_all, stream};
use http::Method;
use serde_json::json;
use tenants::proof::Verdict;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{objects::VIDEOS, people::Business, wire::Request, world::World};

const BROKEN: &str = "broken-off";
const CROWD: &str = "crowd";
/// How long a body may be awaited; the server gives up after 30 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// Hangs up at every moment of a request, while others never send theirs to the end, and looks who is whose.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn attack(world: &World) -> anyhow::Result<()> {
    let stalled = try_join_all((0..8).map(|number| stalled(world, number)));
    tokio::try_join!(stalled, hung_up(world))?;
    for number in 0..20 {
        if world.ledger.is_over() {
            return Ok(());
        }
        look(world, BROKEN, if number % 2 == 0 { &world.them } else { &world.us }, number).await?;
    }
    Ok(())
}

async fn hung_up(world: &World) -> anyhow::Result<()> {
    for number in 0..160u64 {
        if world.ledger.is_over() {
            return Ok(());
        }
        let side = if number % 2 == 0 { &world.us } else { &world.them };
        hang_up(world, side, number).await;
        // The other comes first: it would meet what was left behind.
        let next = if number % 2 == 0 { &world.them } else { &world.us };
        look(world, BROKEN, next, number).await?;
        look(world, BROKEN, side, number).await?;
    }
    Ok(())
}

/// Hundreds at once, of both tenants in turns.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn crowd(world: &World) -> anyhow::Result<()> {
    let looks = (0..600).map(|number| {
        let side = if number % 2 == 0 { &world.us } else { &world.them };
        look(world, CROWD, side, number)
    });
    // As many as a tenant may have at work and more.
    let mut looks = stream::iter(looks).buffer_unordered(32);
    while let Some(outcome) = looks.next().await {
        outcome?;
        if world.ledger.is_over() {
            break;
        }
    }
    Ok(())
}

/// A request given up after some hundreds of microseconds more each time: before it is read, while it works, behind it.
async fn hang_up(world: &World, side: &Business, number: u64) {
    let token = &side.owner().token;
    let video = side.objects.of(VIDEOS).first().map_or("", String::as_str);
    let request = match number / 2 % 5 {
        0 => Request::get("/api/v1/tenant").by(token),
        1 => Request::get(format!("{VIDEOS}?limit=100")).by(token),
        2 => Request::new(Method::POST, format!("{VIDEOS}/{video}/progress"))
            .by(token)
            .json(&json!({"position_seconds": 0.5})),
        3 => Request::new(Method::PUT, format!("{VIDEOS}/{video}/publication")).by(token),
        _ => Request::get(format!("{VIDEOS}/{video}/stream")).by(token),
    };
    let patience = Duration::from_micros(number * 90);
    // Dropping the request closes its connection.
    let _ = tokio::time::timeout(patience, world.wire.send_once(&request)).await;
}

/// A body that is announced and never comes, of both sides in turns: the server runs out of patience with it, or the proof
/// does.
async fn stalled(world: &World, number: u64) -> anyhow::Result<()> {
    const BEGUN: &str = r#"{"position_seconds""#;
    let side = if number.is_multiple_of(2) { &world.us } else { &world.them };
    let video = side.objects.of(VIDEOS).first().map_or("", String::as_str);
    let request = Request::new(Method::POST, format!("{VIDEOS}/{video}/progress"));
    let host = world.wire.origin().split_once("://").map_or("", |(_, host)| host);
    let token = world.wire.in_force(&side.owner().token).await;
    let head = format!(
        "{} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: 4096\r\n\r\n{BEGUN}",
        request.text(),
    );
    let mut connection = world.wire.connect().await?;
    connection.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    let given_up = async {
        // Until it has answered or hung up.
        while connection.read_buf(&mut answer).await? > 0 && !answer.windows(4).any(|end| end == b"\r\n\r\n") {}
        anyhow::Ok(())
    };
    let over = async {
        while !world.ledger.is_over() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let waited = tokio::select! {
        waited = tokio::time::timeout(PATIENCE, given_up) => waited,
        () = over => return Ok(()),
    };
    let text = String::from_utf8_lossy(&answer).into_owned();
    let first = text.lines().next().unwrap_or("it hung up").to_owned();
    let (verdict, detail) = match foreign(world, side, &text) {
        Some(id) => (Verdict::Leak, format!("the answer holds the other's {id}")),
        None if waited.is_err() => (Verdict::Held, format!("still waiting after {} s", PATIENCE.as_secs())),
        None if text.starts_with("HTTP/1.1 2") => (Verdict::Unproved, format!("half a body was enough: {first}")),
        None => (Verdict::Held, first),
    };
    let action = format!("{} with {} of 4096 bytes, for {} ({number})", request.text(), BEGUN.len(), side.name);
    world.record(BROKEN, "a body that never comes", action, verdict, detail);
    Ok(())
}

/// The first id or name of the other side's in a text.
fn foreign<'a>(world: &'a World, side: &Business, text: &str) -> Option<&'a str> {
    let other = if side.tenant_id == world.us.tenant_id { &world.them } else { &world.us };
    other.objects.all().chain([other.tenant_id.as_str(), other.name.as_str()]).find(|id| text.contains(id))
}

/// One read of a side's own, which must hold its own and nothing of the other's.
async fn look(world: &World, group: &'static str, side: &Business, number: u64) -> anyhow::Result<()> {
    let person = &side.people[number as usize / 2 % side.people.len()];
    let video = side.objects.of(VIDEOS).first().cloned().unwrap_or_default();
    let (path, own) = match number / 2 % 5 {
        0 => ("/api/v1/me".to_owned(), &person.member_id),
        1 => ("/api/v1/tenant".to_owned(), &side.tenant_id),
        2 => (format!("{VIDEOS}/{video}"), &video),
        3 => (format!("{VIDEOS}?limit=100&scope=tenant"), &video),
        _ => (format!("{VIDEOS}/{video}/stream"), &side.tenant_id),
    };
    let request = Request::get(path).by(&person.token);
    let answer = world.wire.send(&request).await?;
    let text = answer.text();
    let (verdict, detail) = match foreign(world, side, &text) {
        Some(id) => (Verdict::Leak, format!("the answer holds the other's {id}")),
        // A tenant that has too much at work is told so, and that is fair.
        None if answer.status == 429 => (Verdict::Held, "429".to_owned()),
        None if answer.is_success() && text.contains(own.as_str()) => (Verdict::Held, String::new()),
        None if answer.status >= 500 => (Verdict::Unproved, format!("{} {text}", answer.status)),
        None => (Verdict::Leak, format!("it does not see its own: {} {text}", answer.status)),
    };
    let who = format!("{} of {}", person.role.as_str(), side.name);
    world.record(group, "whoever comes next", format!("{} by the {who} ({number})", request.text()), verdict, detail);
    Ok(())
}

//! Memory: a tenant uploads indexes made to fill the memory of whoever examines them, and the deployment goes on.
//!
//! From outside one sees verdicts and answers, not how much memory the processes take: what remains is what their limits
//! allow (`videos::probe`), which the probe's own tests hold.

use bytes::Bytes;
use http::Method;
use tenants::proof::Verdict;

use super::{
    footage,
    objects::{VIDEOS, send_parts},
    wire::Request,
    world::World,
};

const GROUP: &str = "memory";
/// Each file is sent so many times: more at once than any process examines.
const AT_ONCE: usize = 4;

/// Uploads hostile indexes as the attacker, and asks for the victim meanwhile.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn attack(world: &World) -> anyhow::Result<()> {
    let files = [
        ("an index of 75 million pictures in 400 kB", footage::crowded(), "index-too-large"),
        ("an index padded to 33 MiB", footage::padded(), "index-too-large"),
    ];
    for (what, bytes, code) in files {
        if world.ledger.is_over() {
            break;
        }
        let sent = (0..AT_ONCE).map(|_| refused(world, what, &bytes, code));
        let (outcomes, ()) = tokio::join!(futures::future::join_all(sent), neighbour(world, what));
        outcomes.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
        // A process that ran out of memory is not there any more, or is just starting.
        neighbour(world, what).await;
    }
    Ok(())
}

/// The file is refused with a verdict, and not with an outage.
async fn refused(world: &World, what: &'static str, bytes: &Bytes, code: &str) -> anyhow::Result<()> {
    let token = &world.us.owner().token;
    let (id, parts) = send_parts(&world.wire, VIDEOS, token, what, bytes).await?;
    let path = format!("{VIDEOS}/{id}/upload");
    let answer = world.wire.send_once(&Request::new(Method::PUT, path.clone()).by(token).json(&parts)).await;
    let action = format!("PUT {path}");
    match answer {
        Ok(answer) if answer.status == 422 && answer.json()["type"] == format!("urn:ffp:problem:{code}") => {
            world.check(GROUP, what, action, Ok(code.to_owned()));
        }
        // Its own limits may stand in the way: then nothing was tried.
        Ok(answer) if answer.status == 429 => {
            world.record(GROUP, what, action, Verdict::Unproved, answer.text());
        }
        Ok(answer) => {
            let why = format!("answered {} {} instead of refusing it as `{code}`", answer.status, answer.text());
            world.check(GROUP, what, action, Err(why));
        }
        Err(error) => world.check(GROUP, what, action, Err(format!("no answer: {error:#}"))),
    }
    world.wire.send(&Request::new(Method::DELETE, format!("{VIDEOS}/{id}")).by(token)).await?;
    Ok(())
}

/// The victim is answered.
async fn neighbour(world: &World, what: &str) {
    let request = Request::get(VIDEOS).by(&world.them.owner().token);
    let outcome = match world.wire.send_once(&request).await {
        Ok(answer) if answer.status == 200 => {
            Ok("answered; how much memory that took is not seen from outside".to_owned())
        }
        Ok(answer) => Err(format!("the other is answered {} {}", answer.status, answer.text())),
        Err(error) => Err(format!("the other is not answered: {error:#}")),
    };
    world.check(GROUP, "the other beside it", format!("GET {VIDEOS} beside {what}"), outcome);
}

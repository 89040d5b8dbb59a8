//! The other tenant's `Idempotency-Key`, with the very same body: it makes a thing of one's own, and answers none of theirs.

use http::Method;
use tenants::proof::Verdict;

use super::{
    objects::{Keyed, id_of},
    people::{Business, Person},
    wire::Request,
    world::World,
};

const GROUP: &str = "http.idempotency";

/// Repeats the victim's creations as the attacker.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn attack(world: &World) -> anyhow::Result<()> {
    for keyed in &world.them.objects.keyed {
        for person in &world.us.people {
            for _ in 0..2 {
                if world.ledger.is_over() {
                    return Ok(());
                }
                repeat(world, keyed, person).await?;
            }
        }
        rightful(world, &world.them, keyed).await?;
    }
    Ok(())
}

async fn repeat(world: &World, keyed: &Keyed, person: &Person) -> anyhow::Result<()> {
    let request = request(keyed, person);
    let answer = world.wire.send(&request).await?;
    let outcome = match (id_of(&answer.json()), answer.status) {
        (Ok(id), 201) if id != keyed.id => {
            let shown = world.wire.send(&Request::get(format!("{}/{id}", keyed.collection)).by(&person.token)).await?;
            // Where single things can't be read there is nothing to compare.
            match shown.status {
                200 | 405 | 404 if shown.status != 404 || !keyed.collection.ends_with("videos") => {
                    Ok("a thing of its own".to_owned())
                }
                status => Err(format!("what it made is not its own: {status}")),
            }
        }
        // Refused for the role, or because the same one was made before.
        (_, 403 | 409) => Ok(answer.status.to_string()),
        (_, status) => Err(format!("{status} {}", answer.text())),
    };
    let outcome = match world.disguise.betrayed(&answer.text(), &request.text()) {
        Some(secret) => Err(format!("the answer holds the other tenant's {secret}")),
        None => outcome,
    };
    world.check(GROUP, &format!("POST {} by {}", keyed.collection, person.role.as_str()), request.text(), outcome);
    Ok(())
}

/// Its owner repeats it and is answered what was made the first time.
async fn rightful(world: &World, business: &Business, keyed: &Keyed) -> anyhow::Result<()> {
    let request = request(keyed, business.owner());
    let answer = world.wire.send(&request).await?;
    let (verdict, detail) = match id_of(&answer.json()) {
        Ok(id) if id == keyed.id => (Verdict::Held, String::new()),
        _ => (Verdict::Unproved, format!("{} {}", answer.status, answer.text())),
    };
    world.record(GROUP, &format!("POST {} by its rightful caller", keyed.collection), request.text(), verdict, detail);
    Ok(())
}

fn request(keyed: &Keyed, person: &Person) -> Request {
    let request = Request::new(Method::POST, keyed.collection.clone()).by(&person.token);
    request.header("Idempotency-Key", &keyed.key).json(&keyed.body)
}

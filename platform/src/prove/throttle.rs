//! Whose requests are counted: one tenant's do not empty the other's bucket.

use futures::{StreamExt, stream};
use tenants::proof::Verdict;

use super::{
    before::{MOST, limit},
    wire::Request,
    world::World,
};

const GROUP: &str = "throttle";
const PATH: &str = "/api/v1/me";
/// A limit that is soon used up.
const LOW: u64 = 30;
/// A limit at which so little flows back that each request shows.
const SLOW: u64 = 100;

/// What a bucket says of itself.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u64,
    limit: u64,
}

/// Attacks the victim's throttle.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn attack(world: &World) -> anyhow::Result<()> {
    if look(world, &world.them.owner().token).await?.is_none() {
        world.left_out.note("throttle buckets", "answers carry no RateLimit header");
        return Ok(());
    }
    let outcome = lowered(world).await;
    // Whatever came of it, the parts behind this one are no proof of patience. `cleanup.rs` puts back what was before all.
    for business in [&world.us, &world.them] {
        limit(world, business, MOST).await?;
    }
    outcome
}

async fn lowered(world: &World) -> anyhow::Result<()> {
    let is_slow = limit(world, &world.us, SLOW).await? && limit(world, &world.them, SLOW).await?;
    counted(world).await?;
    if is_slow {
        return exhausted(world).await;
    }
    world.left_out.note("a throttle that is used up", "FFP_OPERATOR_TOKEN is not set, so no limit can be lowered");
    Ok(())
}

/// The victim's bucket before and after the attacker's requests.
async fn counted(world: &World) -> anyhow::Result<()> {
    for round in 0..20 {
        if world.ledger.is_over() {
            break;
        }
        let Some(start) = look(world, &world.them.owner().token).await? else { break };
        let spent = 10 + round;
        let own = Request::get(PATH).by(&world.attacker().token);
        // Refused or not: they are sent.
        let requests = (0..spent).map(|_| world.wire.send_once(&own));
        stream::iter(requests).buffer_unordered(8).collect::<Vec<_>>().await;
        let Some(end) = look(world, &world.them.owner().token).await? else { break };
        // One for looking; what flowed back meanwhile is to its good.
        let outcome = match start.left.saturating_sub(end.left) {
            taken @ 0..=2 => Ok(format!("{taken} taken")),
            taken => {
                Err(format!("{taken} of the other's {} were taken by {spent} requests of the attacker's", end.limit))
            }
        };
        world.check(GROUP, "the other's bucket", format!("{spent} times GET {PATH} by the attacker"), outcome);
    }
    Ok(())
}

/// The attacker's limit is lowered and used up.
async fn exhausted(world: &World) -> anyhow::Result<()> {
    limit(world, &world.us, LOW).await?;
    limit(world, &world.them, LOW * 100).await?;
    let mut refused = 0;
    for _ in 0..LOW * 4 {
        let answer = world.wire.send_once(&Request::get(PATH).by(&world.attacker().token)).await?;
        refused += u32::from(answer.status == 429);
        let theirs = world.wire.send_once(&Request::get(PATH).by(&world.them.owner().token)).await?;
        let outcome = match theirs.status {
            200 => Ok(String::new()),
            status => Err(format!("the other is answered {status} once the attacker has used its limit up")),
        };
        world.check(GROUP, "the other beside an exhausted attacker", format!("GET {PATH} by the other"), outcome);
        if world.ledger.is_over() {
            break;
        }
    }
    if refused == 0 {
        let why = format!("{} requests at a limit of {LOW} a minute were all answered: nothing was proved", LOW * 4);
        world.record(GROUP, "the attacker's own limit", format!("GET {PATH}"), Verdict::Unproved, why);
    }
    Ok(())
}

async fn look(world: &World, token: &str) -> anyhow::Result<Option<Bucket>> {
    let answer = world.wire.send(&Request::get(PATH).by(token)).await?;
    let number = |header: &str, name: &str| {
        answer.header(header).split(';').find_map(|part| part.trim().strip_prefix(name)?.parse::<u64>().ok())
    };
    let (left, limit) = (number("ratelimit", "r="), number("ratelimit-policy", "q="));
    Ok(left.zip(limit).map(|(left, limit)| Bucket { left, limit }))
}

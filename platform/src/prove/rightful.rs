//! Every request by its rightful caller, of both sides: an attack on what nobody can do proves nothing.

use tenants::proof::{Attempt, Verdict};

use super::{
    cases::Case,
    document::Caller,
    operations::{Attacked, prepare_one},
    people::Business,
    world::World,
};

/// Sends them.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn attack(world: &World, all: &[Attacked]) -> anyhow::Result<()> {
    for attacked in all {
        let sides = [("the other tenant", &world.them, &attacked.theirs), ("the attacker", &world.us, &attacked.own)];
        for (side, business, prepared) in sides {
            if world.ledger.is_over() {
                return Ok(());
            }
            send(world, attacked, side, business, prepared.as_ref()).await?;
        }
    }
    Ok(())
}

async fn send(
    world: &World,
    attacked: &Attacked,
    side: &str,
    business: &Business,
    prepared: Option<&Case>,
) -> anyhow::Result<()> {
    let operation = &attacked.operation;
    // What needs no token lives by codes and secrets, which age: it is prepared only now.
    let case = match operation.is_door() {
        true => prepare_one(world, business, operation).await,
        false => prepared.cloned(),
    };
    let Some(case) = case else { return Ok(()) };
    if operation.caller == Caller::Operator && world.operator().await.is_none() {
        world.left_out.note(format!("{}, as its rightful caller", operation.name), "the operator's token has expired");
        return Ok(());
    }
    let request = case.request(operation);
    let answer = world.wire.send(&request).await?;
    let (verdict, detail) = match case.success.contains(&answer.status) {
        true => (Verdict::Held, answer.status.to_string()),
        false => (Verdict::Unproved, format!("{} {}", answer.status, answer.text())),
    };
    let subject = format!("{} by {side}", operation.name);
    world.ledger.record(Attempt::new("rightful", subject, request.text(), verdict, detail));
    Ok(())
}

//! What ends one's own sessions, with somebody else's ids in it: sent by people who were made for it, since nobody gets
//! further with a token that was just taken back.

use serde_json::{Value, json};
use tenants::proof::Verdict;

use super::{
    document::{Caller, Operation},
    people::Person,
    variants,
    wire::{Answer, Request},
    world::World,
};

const GROUP: &str = "http.account";
const PASSWORDS: [&str; 2] = ["a proof's password 7!", "another password 8!"];

/// Where an id is put.
#[derive(Clone, Copy, Debug)]
enum Place {
    Query(&'static str),
    Header(&'static str),
    Body(&'static str),
    /// In all three.
    All(&'static str, &'static str),
}

const PLACES: [Place; 10] = [
    Place::Query("member_id"),
    Place::Query("email"),
    Place::Query("tenant_id"),
    Place::Header("X-Member-Id"),
    Place::Header("X-User-Id"),
    Place::Header("X-Tenant-Id"),
    Place::Body("member_id"),
    Place::Body("email"),
    Place::Body("tenant_id"),
    Place::All("member_id", "X-Member-Id"),
];

/// Whether an operation acts on the caller's own account, and can't be sent twice with one token.
pub(super) fn wears_out(operation: &Operation) -> bool {
    operation.caller == Caller::Member && operation.ids() == 0 && ["PUT", "DELETE"].contains(&operation.method.as_str())
}

/// Attacks the victim's last person, who is nobody's loss.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn attack(world: &World) -> anyhow::Result<()> {
    let operations = world.document.operations.iter().filter(|operation| wears_out(operation));
    futures::future::try_join_all(operations.map(|operation| attack_one(world, operation))).await?;
    Ok(())
}

async fn attack_one(world: &World, operation: &Operation) -> anyhow::Result<()> {
    let victim = world.them.people.last().unwrap_or(world.them.owner());
    let people = tokio::try_join!(world.registrar.individual(), world.registrar.individual());
    let Ok((mut attacker, mut control)) = people else {
        let what = format!("{}, by a member, with the other's ids", operation.name);
        world.left_out.note(what, "it takes an account of its own, and none can be registered here");
        return Ok(());
    };
    for place in PLACES {
        if world.ledger.is_over() {
            return Ok(());
        }
        let attack = request(world, operation, place, victim, &attacker);
        let twin = world.disguised(&request(world, operation, place, victim, &control));
        let (seen, expected) = tokio::try_join!(world.wire.send(&attack), world.wire.send(&twin))?;
        let outcome = match untouched(world, victim).await? {
            Ok(()) => world.judge(&attack, &seen, &expected),
            Err(why) => Err(why),
        };
        world.check(GROUP, &operation.name, attack.text(), outcome);
        tokio::try_join!(again(world, &mut attacker, &seen, &attack), again(world, &mut control, &expected, &twin))?;
    }
    // As oneself it works: or it would be no attack.
    let own = request(world, operation, Place::Header("X-Nothing"), &attacker, &attacker);
    let answer = world.wire.send(&own).await?;
    let verdict = if answer.is_success() { Verdict::Held } else { Verdict::Unproved };
    world.record(GROUP, &operation.name, format!("{} by its rightful caller", own.text()), verdict, answer.text());
    // Their token is good still; is their password?
    let outcome = world.registrar.log_in(&victim.email, &victim.password).await;
    let outcome = outcome.map(|_| String::new()).map_err(|error| format!("{error:#}"));
    world.check(GROUP, &operation.name, "log in as the other's person".to_owned(), outcome);
    Ok(())
}

fn request(world: &World, operation: &Operation, place: Place, victim: &Person, who: &Person) -> Request {
    let of = |name: &str| match name {
        "email" => victim.email.clone(),
        name if name.to_lowercase().contains("tenant") => victim.tenant_id.clone(),
        _ => victim.member_id.clone(),
    };
    let mut body = operation.body.as_ref().map(|schema| world.document.example(schema));
    if let Some(Value::Object(members)) = &mut body {
        let next = PASSWORDS.into_iter().find(|password| *password != who.password).unwrap_or_default();
        members.insert("current_password".to_owned(), json!(who.password));
        members.insert("new_password".to_owned(), json!(next));
    }
    let mut request = Request::new(operation.method.clone(), operation.path.clone()).by(&who.token);
    request.body = body.as_ref().map(Value::to_string);
    let (query, header, member) = match place {
        Place::Query(name) => (Some(name), None, None),
        Place::Header(name) => (None, Some(name), None),
        Place::Body(name) => (None, None, Some(name)),
        Place::All(name, header) => (Some(name), Some(header), Some(name)),
    };
    if let Some(name) = query {
        request.path = format!("{}?{}", request.path, variants::parameter(name, &of(name)));
    }
    if let Some(name) = header {
        request = request.header(name, &of(name));
    }
    if let Some(name) = member {
        let bodies = variants::with_member(&body.unwrap_or(json!({})), name, &of(name));
        request.body = bodies.into_iter().next();
    }
    request
}

/// Whether the victim's session goes on.
async fn untouched(world: &World, victim: &Person) -> anyhow::Result<Result<(), String>> {
    let answer = world.wire.send(&Request::get("/api/v1/me").by(&victim.token)).await?;
    Ok(match answer.is_success() {
        true => Ok(()),
        false => Err(format!("the other's person is refused since: {} {}", answer.status, answer.text())),
    })
}

/// Whoever has just ended their sessions logs in again, with the password that is theirs now.
async fn again(world: &World, person: &mut Person, answer: &Answer, asked: &Request) -> anyhow::Result<()> {
    if !answer.is_success() {
        return Ok(());
    }
    let body: Value = asked.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let password = body["new_password"].as_str().unwrap_or(&person.password).to_owned();
    *person = world.registrar.log_in(&person.email, &password).await?;
    Ok(())
}

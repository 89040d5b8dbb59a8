//! Where one comes in without a token: what is told of the other tenant's people there, and its secrets taken apart.

use http::Method;
use serde_json::{Value, json};
use tenants::proof::Verdict;

use super::{
    document::{Caller, Operation, fresh_email},
    people::PASSWORD,
    wire::Request,
    world::{Pair, World},
};

const GROUP: &str = "doors";

/// Asks every public operation about the victim's people, and about people that nobody is.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn attack(world: &World) -> anyhow::Result<()> {
    let public =
        world.document.operations.iter().filter(|it| it.caller == Caller::Anyone && it.path.starts_with("/api/"));
    for operation in public {
        let bodies = bodies(world, operation);
        if bodies.is_empty() && !operation.is_safe() {
            let why =
                "no request could be made that names the other tenant's people: teach platform/src/prove/doors.rs";
            world.record(GROUP, &operation.name, "attack it".to_owned(), Verdict::Unproved, why.to_owned());
        }
        for body in bodies {
            if world.ledger.is_over() {
                return Ok(());
            }
            let request = Request::new(operation.method.clone(), operation.path.clone());
            let mut control: Value = serde_json::from_str(&world.disguise.apply(&body.to_string()))?;
            // Mails go there: never to a domain that somebody might have.
            if let Some(email) = body["email"].as_str() {
                let nobodys = fresh_email("nobody");
                let is_upper = email.to_uppercase() == email;
                control["email"] = json!(if is_upper { nobodys.to_uppercase() } else { nobodys });
            }
            let pair = Pair { attack: request.clone().json(&body), control: request.json(&control) };
            world.compare(GROUP, &operation.name, &pair).await?;
        }
    }
    invitations(world).await
}

/// Bodies that name the victim's owner, with everything else wrong. Few: who guesses too often is stopped, and should be.
fn bodies(world: &World, operation: &Operation) -> Vec<Value> {
    let Some(schema) = &operation.body else { return Vec::new() };
    let owner = world.them.owner();
    let example = world.document.example(schema);
    let has = |name: &str| example.get(name).is_some();
    let mut bodies = Vec::new();
    if has("email") {
        let mut body = example.clone();
        body["email"] = json!(owner.email);
        if has("password") {
            body["password"] = json!("a wrong password 1!");
        }
        if has("code") {
            body["code"] = json!("000000");
        }
        bodies.push(body.clone());
        body["email"] = json!(owner.email.to_uppercase());
        bodies.push(body.clone());
        if let Some(members) = body.as_object_mut() {
            members.insert("tenant_id".to_owned(), json!(world.them.tenant_id));
        }
        bodies.push(body);
    }
    for name in ["token", "session", "refresh_token"].into_iter().filter(|name| has(name)) {
        let nobodys_secret = "A".repeat(43);
        for word in [
            format!("{}.{nobodys_secret}", world.them.tenant_id),
            world.them.tenant_id.clone(),
            owner.member_id.clone(),
        ] {
            let mut body = example.clone();
            body[name] = json!(word);
            bodies.push(body);
        }
    }
    bodies
}

/// A right secret in the wrong tenant.
async fn invitations(world: &World) -> anyhow::Result<()> {
    const DOOR: &str = "/api/v1/auth/accept-invitation";
    let Ok((_, token)) = world.registrar.invitation(&world.us, tenants::Role::Athlete).await else {
        world.left_out.note(
            "an invitation's secret in the other tenant",
            "nobody could be invited: there is no mailbox, or no worker",
        );
        return Ok(());
    };
    let secret = token.split_once('.').map_or("", |(_, secret)| secret);
    let them = &world.them.tenant_id;
    for token in [
        format!("{them}.{secret}"),
        format!("{}.{secret}", them.to_uppercase()),
        format!("{them}.{token}"),
        format!("{token}.{them}"),
    ] {
        let knock = |token: &str| {
            let body = json!({"token": token, "password": PASSWORD, "full_name": "Prove a door"});
            Request::new(Method::POST, DOOR).json(&body)
        };
        let pair = Pair { attack: knock(&token), control: knock(&world.disguise.apply(&token)) };
        world.compare(GROUP, "POST /api/v1/auth/accept-invitation", &pair).await?;
    }
    Ok(())
}

//! Every operation of the document, attacked as everybody of the other tenant.

use futures::{StreamExt, stream};
use serde_json::Value;
use tenants::{Role, proof::Verdict};

use super::{
    accounts,
    cases::{self, Case, Prepared},
    combined,
    document::{Caller, Operation, fresh_email},
    fingerprint,
    objects::VIDEOS,
    people::Business,
    variants,
    wire::Request,
    world::{Attacker, Pair, World},
};

/// Operations prepared at once.
const ABREAST: usize = 6;
/// Of how many attempts one is made. Attempts come in groups, an id in each of three places or of a body's few strings:
/// a step that has no factor in common with a group's size reaches each place in turn.
const THINNED: usize = 5;
/// The same where all are refused before anything is read.
const REFUSED: usize = 7;

/// An operation with a rightful request of each side.
pub(super) struct Attacked {
    pub(super) operation: Operation,
    /// None where nobody is rightful, and for doors.
    pub(super) theirs: Option<Case>,
    pub(super) own: Option<Case>,
}

/// Prepares every operation for both sides.
pub(super) async fn prepare(world: &mut World) -> Vec<Attacked> {
    let operations = world.document.operations.clone();
    let prepared = stream::iter(operations).map(|operation| {
        let world = &*world;
        async move {
            // What needs no token is attacked by `doors.rs`.
            let (theirs, own) = match operation.is_door() {
                true => (None, None),
                false => {
                    (prepare_one(world, &world.them, &operation).await, prepare_one(world, &world.us, &operation).await)
                }
            };
            Attacked { operation, theirs, own }
        }
    });
    let all: Vec<Attacked> = prepared.buffered(ABREAST).collect().await;
    // What was prepared is the victim's as well, and there to be changed; and nobody else may see it.
    for attacked in &all {
        let (Some(collection), Some(case)) = (attacked.operation.collection(), &attacked.theirs) else { continue };
        if attacked.operation.caller == Caller::Member {
            world.disguise.learn(case.ids.iter().cloned());
            for id in &case.ids {
                if !world.them.objects.of(collection).contains(id) {
                    world.them.objects.add(collection, id.clone());
                }
            }
        }
    }
    all
}

/// A rightful request of one side; why there is none is written down.
pub(super) async fn prepare_one(world: &World, business: &Business, operation: &Operation) -> Option<Case> {
    match cases::prepare(world, business, operation).await {
        Ok(Prepared::Case(case)) => Some(case),
        Ok(Prepared::LeftOut(why)) => {
            world.left_out.note(format!("{}, as its rightful caller", operation.name), why);
            None
        }
        Err(error) => {
            let why = format!("no rightful request: {error:#}");
            world.record("rightful", &operation.name, "prepare it".to_owned(), Verdict::Unproved, why);
            None
        }
    }
}

/// Attacks them all. What is put into bodies is kept by the attacker's own things, so it is no secret from here on. What the victim sees is looked at after each operation.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn attack(world: &mut World, all: &[Attacked]) -> anyhow::Result<()> {
    world.disguise.release(&world.sacrificed());
    let mut before = fingerprint::take(world).await?;
    for attacked in all {
        let operation = &attacked.operation;
        let sent = world.ledger.counts().values().sum::<usize>();
        for attacker in world.attackers() {
            if world.ledger.is_over() {
                return Ok(());
            }
            paths(world, attacked, &attacker).await?;
            queries(world, attacked, &attacker).await?;
            headers(world, attacked, &attacker).await?;
            bodies(world, attacked, &attacker).await?;
            combined::attack(world, attacked, &attacker).await?;
        }
        // What needs no token and changes something is `doors.rs`'s.
        let is_door = operation.caller == Caller::Anyone && !operation.is_safe();
        if !is_door && world.ledger.counts().values().sum::<usize>() == sent {
            let why = "no request could be made that attacks it: teach platform/src/prove/operations.rs";
            world.record("http.path", &operation.name, "attack it".to_owned(), Verdict::Unproved, why.to_owned());
        }
        let after = fingerprint::take(world).await?;
        let outcome = before.difference(&after).map_or(Ok(String::new()), Err);
        let what = "compare everything the other tenant sees of itself, before and after".to_owned();
        world.check("http.unchanged", &operation.name, what, outcome);
        before = after;
    }
    accounts::attack(world).await
}

/// The victim's ids in the path, in every spelling, and ids of other kinds.
async fn paths(world: &World, attacked: &Attacked, attacker: &Attacker) -> anyhow::Result<()> {
    let operation = &attacked.operation;
    if operation.ids() == 0 {
        return Ok(());
    }
    let own = attacked.own.as_ref().and_then(|case| case.ids.first().cloned());
    let own = own.unwrap_or_else(|| world.attacker().member_id.clone());
    let body = attacked.theirs.as_ref().or(attacked.own.as_ref()).and_then(|case| case.body.clone());
    let request = |segment: String| {
        let path = operation.path_with(&vec![segment; operation.ids()]);
        let request = Request::new(operation.method.clone(), path).by(&attacker.token);
        body.as_ref().map_or(request.clone(), |body| request.json(body))
    };
    // An operator's operation is nobody's of a tenant, whatever the id.
    let targets = match (operation.caller, &attacked.theirs) {
        (Caller::Member, Some(case)) => case.ids.clone(),
        _ => vec![world.them.tenant_id.clone()],
    };
    let mut pairs = Vec::new();
    for id in &targets {
        let nobodys = world.disguise.apply(id);
        for form in variants::FORMS {
            let (attack, control) = (form(id, &own), form(&nobodys, &own));
            pairs.push(Pair { attack: request(attack), control: request(control) });
        }
    }
    let kinds = world.them.objects.one_of_each().map(|(_, id)| id.to_owned());
    for id in kinds.chain([world.them.tenant_id.clone(), world.them.owner().email.clone(), "..".to_owned()]) {
        pairs.push(Pair { attack: request(id.clone()), control: request(world.disguise.apply(&id)) });
    }
    // What ought to be refused changes nothing, whichever comes first.
    let pairs = if operation.caller == Caller::Operator { thinned(pairs, attacked, attacker) } else { pairs };
    world.compare_all("http.path", &attacker.subject(operation), &pairs).await
}

/// The victim's ids in the query, of one's own request.
async fn queries(world: &World, attacked: &Attacked, attacker: &Attacker) -> anyhow::Result<()> {
    let Some(base) = harmless(attacked, &attacker.token) else { return Ok(()) };
    let them = &world.them;
    let ids = [them.tenant_id.clone(), them.owner().member_id.clone()];
    let ids: Vec<String> = ids.into_iter().chain(them.objects.of(VIDEOS).first().cloned()).collect();
    let documented = attacked.operation.query.iter().map(String::as_str);
    let mut pairs = Vec::new();
    for name in variants::PARAMETERS.iter().copied().chain(documented) {
        for id in &ids {
            let ask = |id: &str| {
                let mut request = base.clone();
                let joint = if request.path.contains('?') { '&' } else { '?' };
                request.path = format!("{}{joint}{}", request.path, variants::parameter(name, id));
                request
            };
            // What is made of an id, a cursor, does not show it: the twin is made of nobody's.
            pairs.push(Pair { attack: ask(id), control: world.disguised(&ask(&world.disguise.apply(id))) });
        }
    }
    // One id is enough where nothing reads a query.
    if !attacked.operation.is_safe() {
        pairs.retain(|pair| pair.attack.path.contains(&them.tenant_id));
    }
    let pairs = thinned(pairs, attacked, attacker);
    send(world, attacked, "http.query", attacker, pairs).await
}

/// The victim's ids, paths, tags and keys in headers of one's own request.
async fn headers(world: &World, attacked: &Attacked, attacker: &Attacker) -> anyhow::Result<()> {
    let Some(base) = harmless(attacked, &attacker.token) else { return Ok(()) };
    let them = &world.them;
    let mut pairs = Vec::new();
    let mut add = |name: &str, value: String| pairs.push(world.pair(base.clone().header(name, &value)));
    for name in variants::HEADERS {
        add(name, them.tenant_id.clone());
    }
    add("X-Member-Id", them.owner().member_id.clone());
    add("Cookie", format!("tenant={0}; session={0}; id_token={0}", them.tenant_id));
    let video = them.objects.of(VIDEOS).first().cloned().unwrap_or_default();
    for name in variants::PATH_HEADERS {
        add(name, format!("{VIDEOS}/{video}"));
    }
    for method in ["DELETE", "PATCH"] {
        let overridden = format!("{method} {VIDEOS}/{video}");
        add("X-HTTP-Method-Override", overridden.clone());
        add("X-Method-Override", overridden);
    }
    for name in ["If-Match", "If-None-Match", "Idempotency-Key"] {
        add(name, format!("\"{}\"", them.tenant_id));
    }
    let pairs = thinned(pairs, attacked, attacker);
    send(world, attacked, "http.header", attacker, pairs).await
}

/// The victim's ids in the body: members that are not in the schema, and in the place of strings that are.
async fn bodies(world: &World, attacked: &Attacked, attacker: &Attacker) -> anyhow::Result<()> {
    let Some(base) = harmless(attacked, &attacker.token) else { return Ok(()) };
    let case = attacked.own.as_ref().or(attacked.theirs.as_ref());
    let Some(body) = case.and_then(|case| case.body.clone()) else { return Ok(()) };
    let them = &world.them;
    let mut pairs = Vec::new();
    let with = |body: String| Request { body: Some(body), ..base.clone() };
    for name in variants::MEMBERS {
        let bodies = variants::with_member(&body, name, &them.tenant_id);
        pairs.extend(bodies.into_iter().map(|body| world.pair(with(body))));
    }
    for word in world.sacrificed() {
        let bodies = variants::with_word(&body, &word);
        pairs.extend(bodies.into_iter().map(|body| world.pair(with(body.to_string()))));
    }
    let pairs = if operation_creates(attacked) { pairs } else { thinned(pairs, attacked, attacker) };
    send(world, attacked, "http.body", attacker, pairs).await
}

fn operation_creates(attacked: &Attacked) -> bool {
    attacked.operation.success.contains(&201)
}

/// All of them where each may come to something else; a part where all are refused for the same reason, where each would
/// make another thing, and for roles between the highest and the lowest.
pub(super) fn thinned<T>(pairs: Vec<T>, attacked: &Attacked, attacker: &Attacker) -> Vec<T> {
    let step = match (attacked.operation.caller, attacker.role) {
        (Caller::Operator, _) => REFUSED,
        (_, None) => THINNED,
        _ if operation_creates(attacked) => THINNED,
        (_, Some(Role::Owner | Role::Athlete)) => 1,
        (_, Some(_)) => THINNED,
    };
    pairs.into_iter().step_by(step).collect()
}

/// One's own request where it may be sent again and again; else the same to the victim's own thing, which is there to be
/// changed: one's own would be used up.
pub(super) fn harmless(attacked: &Attacked, token: &str) -> Option<Request> {
    let operation = &attacked.operation;
    // A public operation acts on whom its body names; guessing there is `doors.rs`.
    if operation.caller == Caller::Anyone && !operation.is_safe() {
        return None;
    }
    // The caller's own password and sessions are `accounts.rs`'s; without a token they are nobody's.
    if accounts::wears_out(operation) && !token.is_empty() {
        return None;
    }
    let wears_out = ["PUT", "DELETE"].contains(&operation.method.as_str()) || operation.path.ends_with("/resend");
    let (own, theirs) = (attacked.own.as_ref(), attacked.theirs.as_ref());
    let case = if wears_out { theirs.or(own) } else { own.or(theirs) };
    // As an operator's operation it is refused before anything is read.
    let body = case.and_then(|case| case.body.clone());
    let ids = match case.filter(|_| !wears_out).or(theirs.filter(|_| operation.caller == Caller::Member)) {
        Some(case) => case.ids.clone(),
        None => vec![uuid::Uuid::now_v7().to_string(); operation.ids()],
    };
    let request = Request::new(operation.method.clone(), operation.path_with(&ids)).by(token);
    Some(body.map_or(request.clone(), |body| request.json(&body)))
}

/// Side by side where nothing changes, else one after the other.
pub(super) async fn send(
    world: &World,
    attacked: &Attacked,
    group: &'static str,
    attacker: &Attacker,
    pairs: Vec<Pair>,
) -> anyhow::Result<()> {
    let subject = attacker.subject(&attacked.operation);
    if attacked.operation.is_safe() {
        return world.compare_all(group, &subject, &pairs).await;
    }
    for pair in pairs.into_iter().map(freshened) {
        if world.ledger.is_over() {
            break;
        }
        world.compare(group, &subject, &pair).await?;
    }
    Ok(())
}

/// Addresses that nobody has invited yet, each time: the same one twice is a conflict.
fn freshened(pair: Pair) -> Pair {
    let fresh =
        |request: Request| match request.body.as_deref().and_then(|body| serde_json::from_str::<Value>(body).ok()) {
            Some(mut body)
                if body["email"].as_str().is_some_and(|email| email.starts_with("prove-isolation-invited")) =>
            {
                let text = request.body.clone().unwrap_or_default();
                let old = body["email"].as_str().unwrap_or_default().to_owned();
                body["email"] = Value::Null;
                Request { body: Some(text.replace(&old, &fresh_email("invited"))), ..request }
            }
            _ => request,
        };
    Pair { attack: fresh(pair.attack), control: fresh(pair.control) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::prove::document::Document;

    #[test]
    fn a_part_of_the_attempts_has_every_id_and_every_spelling() {
        let document = Document::read(&serde_json::from_str(&crate::server::document().unwrap()).unwrap()).unwrap();
        for (name, role) in [("GET /api/v1/videos", Role::Coach), ("GET /api/v1/admin/tenants", Role::Owner)] {
            let operation = document.find(name).unwrap().clone();
            let attacked = Attacked { operation, theirs: None, own: None };
            let attacker = Attacker { role: Some(role), token: String::new() };
            for group in 2..=4 {
                let all: Vec<usize> = (0..60).map(|number| number % group).collect();
                let kept = thinned(all, &attacked, &attacker);
                assert!(kept.len() < 20, "{}", kept.len());
                assert_eq!(kept.into_iter().collect::<BTreeSet<_>>().len(), group, "{name} in groups of {group}");
            }
        }
    }
}

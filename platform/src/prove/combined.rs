//! The victim's ids in several places of one request: a handler that takes the thing from the path and the tenant from
//! somewhere else leaks only when both are the other's.

use http::Method;
use serde_json::json;

use super::{
    document::Caller,
    operations::{Attacked, harmless, send, thinned},
    variants,
    wire::Request,
    world::{Attacker, World},
};

/// Where a handler might take the tenant from, beside the path.
const QUERIES: [&str; 3] = ["tenant_id", "tenant", "member_id"];
const HEADER: &str = "X-Tenant-Id";
const MEMBER: &str = "tenant_id";

/// Path, query, header and body, at least two of them the victim's.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn attack(world: &World, attacked: &Attacked, attacker: &Attacker) -> anyhow::Result<()> {
    let Some(base) = aimed(world, attacked, attacker) else { return Ok(()) };
    let them = &world.them;
    let is_in_path = usize::from(attacked.operation.ids() > 0);
    let body = base.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or(json!({}));
    let with_body = variants::with_member(&body, MEMBER, &them.tenant_id).into_iter().next();
    let mut pairs = Vec::new();
    for query in [None].into_iter().chain(QUERIES.map(Some)) {
        for header in [None, Some(HEADER)] {
            for body in [None, with_body.as_ref()] {
                let places = is_in_path
                    + [query.is_some(), header.is_some(), body.is_some()].map(usize::from).iter().sum::<usize>();
                if places < 2 {
                    continue;
                }
                let mut request = base.clone();
                if let Some(name) = query {
                    let id = if name == "member_id" { &them.owner().member_id } else { &them.tenant_id };
                    request.path = format!("{}?{}", request.path, variants::parameter(name, id));
                }
                if let Some(name) = header {
                    request = request.header(name, &them.tenant_id);
                }
                request.body = body.cloned().or(request.body);
                pairs.push(world.pair(request));
            }
        }
    }
    send(world, attacked, "http.combined", attacker, thinned(pairs, attacked, attacker)).await
}

/// The request with the victim's thing in its path; one's own where its path has no id.
fn aimed(world: &World, attacked: &Attacked, attacker: &Attacker) -> Option<Request> {
    let operation = &attacked.operation;
    if operation.ids() == 0 {
        return harmless(attacked, &attacker.token);
    }
    let ids = match (operation.caller, &attacked.theirs) {
        (Caller::Member, Some(case)) => case.ids.clone(),
        (Caller::Operator, _) => vec![world.them.tenant_id.clone(); operation.ids()],
        _ => return None,
    };
    let body = attacked.theirs.as_ref().or(attacked.own.as_ref()).and_then(|case| case.body.clone());
    let request = Request::new(Method::clone(&operation.method), operation.path_with(&ids)).by(&attacker.token);
    Some(body.map_or(request.clone(), |body| request.json(&body)))
}

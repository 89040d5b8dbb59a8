//! What the two tenants had before the proof changed it: remembered first, put back last.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Map, Value, json};

use super::{people::Business, wire::Request, world::World};

/// The most a tenant's throttle may be set to.
pub(super) const MOST: u64 = 1_000_000;
const TENANTS: &str = "/api/v1/admin/tenants";
/// What a rightful caller's PATCH changes of a tenant and its owner.
const SETTINGS: [&str; 2] = ["/api/v1/tenant", "/api/v1/me"];

/// A tenant's limit and settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    /// None where no operator can read it; then none changes it.
    requests_per_minute: Option<u64>,
    /// What GET answered, by path.
    settings: BTreeMap<&'static str, Value>,
}

/// Reads what the proof will change.
///
/// # Errors
/// It can't be read: then it could not be put back.
pub(super) async fn remember(world: &World, business: &Business) -> anyhow::Result<Before> {
    let mut before = Before::default();
    for path in SETTINGS {
        let request = Request::get(path).by(&business.owner().token);
        before.settings.insert(path, world.wire.send(&request).await?.expect(path)?);
    }
    if let Some(operator) = world.operator().await {
        let request = Request::get(format!("{TENANTS}/{}", business.tenant_id)).by(&operator);
        let tenant = world.wire.send(&request).await?.expect("reading a tenant's limit")?;
        before.requests_per_minute = tenant["requests_per_minute"].as_u64();
    }
    Ok(before)
}

/// An operator sets a tenant's limit. False without an operator's token, or where the limit before is not known.
///
/// # Errors
/// It is refused.
pub(super) async fn limit(world: &World, business: &Business, limit: u64) -> anyhow::Result<bool> {
    let operation = world.document.find("PUT /api/v1/admin/tenants/{id}/throttle");
    let known = operation.filter(|_| business.before.requests_per_minute.is_some());
    let (Some(operation), Some(operator)) = (known, world.operator().await) else { return Ok(false) };
    let path = operation.path_with(std::slice::from_ref(&business.tenant_id));
    let request = Request::new(Method::PUT, path).by(&operator).json(&json!({"requests_per_minute": limit}));
    world.wire.send(&request).await?.expect("setting a throttle")?;
    Ok(true)
}

/// Puts everything back; answers what could not be, with what it was.
pub(super) async fn put_back(world: &World, business: &Business, owner: &str) -> Vec<String> {
    let mut remains = Vec::new();
    for (path, before) in &business.before.settings {
        if let Err(error) = settings_back(world, path, before, owner).await {
            remains.push(format!("{path} of {} ({}) was {before}: {error:#}", business.name, business.tenant_id));
        }
    }
    if let Some(before) = business.before.requests_per_minute {
        let why = match limit(world, business, before).await {
            Ok(true) => return remains,
            Ok(false) => "the operator's token has expired".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        let whose = format!("{} ({})", business.name, business.tenant_id);
        remains.push(format!("the throttle of {whose} was {before} requests a minute: {why}"));
    }
    remains
}

async fn settings_back(world: &World, path: &str, before: &Value, owner: &str) -> anyhow::Result<()> {
    let Some(schema) = world.document.find(&format!("PATCH {path}")).and_then(|operation| operation.body.as_ref())
    else {
        return Ok(());
    };
    let changeable = world.document.example(schema);
    let of = |value: &Value| -> Map<String, Value> {
        let names = changeable.as_object().into_iter().flat_map(Map::keys);
        names.filter_map(|name| Some((name.clone(), value.get(name)?.clone()))).collect()
    };
    let wanted = of(before);
    let now = world.wire.send(&Request::get(path).by(owner)).await?.expect("reading it")?;
    if of(&now) == wanted {
        return Ok(());
    }
    let request = Request::new(Method::PATCH, path).by(owner).json(&Value::Object(wanted.clone()));
    let now = world.wire.send(&request).await?.expect("putting it back")?;
    anyhow::ensure!(of(&now) == wanted, "it is {now} now");
    Ok(())
}

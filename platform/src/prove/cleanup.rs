//! Taking away what was made, by its ids, and putting back what was changed, as far as it can be: the API deletes videos,
//! invitations and members, the database (where its URL is known) tenants, the user pool (where its settings are known)
//! accounts. In a tenant that was there before, nothing goes that was not made here.

use std::{collections::BTreeSet, time::Duration};

use http::Method;
use serde_json::Value;
use tenants::{
    TenantId,
    proof::{self, Party},
};
use uuid::Uuid;

use super::{
    before::{self, MOST},
    made::Account,
    objects::{INVITATIONS, LIBRARY, MEMBERS, VIDEOS, id_of},
    people::Business,
    wire::Request,
    world::World,
};

/// How long a worker may have a job that is to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// Removes what it can; answers what stays, for a reader to find it by.
pub(super) async fn run(world: &World) -> Vec<String> {
    let mut remains = Vec::new();
    for ordered in world.failing.lock().await.drain(..) {
        if let Err(error) = ordered.finish(PATIENCE).await {
            remains.push(format!("a job that fails: {error}"));
        }
    }
    remains.extend(library(world).await);
    for business in [&world.us, &world.them] {
        remains.extend(emptied(world, business).await);
    }
    remains.extend(strangers(world).await);
    remains.extend(tenants(world).await);
    remains.extend(accounts(world).await);
    remains
}

/// What was added to the platform's own library.
async fn library(world: &World) -> Vec<String> {
    let made = world.wire.made.things().remove(LIBRARY).unwrap_or_default();
    if made.is_empty() {
        return Vec::new();
    }
    match world.operator().await {
        Some(operator) => empty(world, LIBRARY, &operator, |item| is_of(&made, item)).await,
        None => vec![format!("in the library, of {}: the operator's token has expired", listed(&made))],
    }
}

/// A business without what was made in it, and with the settings it had.
async fn emptied(world: &World, business: &Business) -> Vec<String> {
    let whose = format!("{} ({})", business.name, business.tenant_id);
    // What is taken away are hundreds of requests, and the proof may have ended at the lowest limit.
    let raised = before::limit(world, business, MOST).await;
    // Logging in asks who one is, so it comes behind.
    let owner = world.registrar.log_in(&business.owner().email, &business.owner().password).await;
    let owner = match owner {
        Ok(owner) => owner,
        Err(error) => {
            let mut remains = vec![format!("everything in {whose}: its owner can't log in any more: {error:#}")];
            remains.extend(before::put_back(world, business, &business.owner().token).await);
            return remains;
        }
    };
    let mut remains = Vec::new();
    if let Err(error) = raised {
        remains.push(format!("the throttle of {whose} as it was while it was cleaned up: {error:#}"));
    }
    let ours = |item: &Value| business.is_ours || id_of(item).is_ok_and(|id| world.wire.made.has(&id));
    let videos = |item: &Value| item["scope"] != "library" && ours(item);
    // Invitations of an address that joined are its member's now.
    let open = |item: &Value| item["status"] == "pending" && ours(item);
    let members = |item: &Value| item["id"] != owner.member_id.as_str() && ours(item);
    remains.extend(empty(world, VIDEOS, &owner.token, videos).await);
    remains.extend(empty(world, INVITATIONS, &owner.token, open).await);
    remains.extend(empty(world, MEMBERS, &owner.token, members).await);
    remains.extend(before::put_back(world, business, &owner.token).await);
    if !business.is_ours {
        remains.push(format!(
            "{whose}: invitations taken back, members removed, and lines in the audit log and its usage, which nobody deletes"
        ));
    }
    remains
}

/// Things in collections that nobody thought of here. They go with a tenant of ours; elsewhere by their own operation.
async fn strangers(world: &World) -> Vec<String> {
    const KNOWN: [&str; 4] = [VIDEOS, INVITATIONS, MEMBERS, LIBRARY];
    let mut remains = Vec::new();
    for (collection, ids) in world.wire.made.things() {
        if KNOWN.contains(&collection.as_str()) || (world.us.is_ours && world.them.is_ours) {
            continue;
        }
        for id in ids {
            let mut is_gone = false;
            for business in [&world.us, &world.them] {
                let remove = Request::new(Method::DELETE, format!("{collection}/{id}")).by(&business.owner().token);
                is_gone |= world.wire.send(&remove).await.is_ok_and(|answer| answer.is_success());
            }
            if !is_gone {
                remains.push(format!("{collection}/{id}"));
            }
        }
    }
    remains
}

/// Deletes what a list shows and `which` picks, page by page; answers what is not deleted.
async fn empty(world: &World, collection: &str, token: &str, which: impl Fn(&Value) -> bool) -> Vec<String> {
    let mut remains = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = Request::get(format!("{collection}?limit=100{cursor}")).by(token);
        let page = match world.wire.send(&page).await.and_then(|answer| answer.expect(collection)) {
            Ok(page) => page,
            Err(error) => {
                remains.push(format!("{collection}, which can't be listed: {error:#}"));
                return remains;
            }
        };
        for item in page["items"].as_array().into_iter().flatten().filter(|item| which(item)) {
            let Ok(id) = id_of(item) else { continue };
            let remove = Request::new(Method::DELETE, format!("{collection}/{id}")).by(token);
            let why = match world.wire.send(&remove).await {
                Ok(answer) if answer.is_success() || answer.status == 404 => continue,
                Ok(answer) => format!("{} {}", answer.status, answer.text()),
                Err(error) => format!("{error:#}"),
            };
            remains.push(format!("{collection}/{id}: {why}"));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return remains,
        }
    }
}

/// The tenants that were registered, which no operation deletes: the two, and those of people who train alone.
async fn tenants(world: &World) -> Vec<String> {
    let mut remains = Vec::new();
    let mut removed = 0;
    for account in registered(world) {
        let named = match [&world.us, &world.them].into_iter().find(|it| it.tenant_id == account.tenant_id) {
            Some(business) => format!("{} ({}, owner {})", business.name, business.tenant_id, account.email),
            None => format!("of {} ({})", account.email, account.tenant_id),
        };
        match remove(world, &account.tenant_id).await {
            Ok(true) => removed += 1,
            Ok(false) => remains.push(format!(
                "the tenant {named}: no operation deletes one, and FFP_DATABASE_URL is not set; were it never confirmed, \
                 it goes after a week"
            )),
            Err(error) => remains.push(format!("the tenant {named}: {error}")),
        }
    }
    if removed > 0 {
        let what = "their lines in the audit log and their usage, which nobody deletes";
        remains.push(format!("of {removed} tenants that are gone: {what}"));
    }
    remains
}

/// Everybody who was registered here. Nobody is, with an address that somebody had before: the answer looks the same.
fn registered(world: &World) -> BTreeSet<Account> {
    let known = |email: &str| {
        let owners = [&world.us, &world.them].into_iter().flat_map(|business| &business.people);
        owners.into_iter().find(|person| person.email.to_lowercase() == email).map(|person| person.tenant_id.clone())
    };
    let all = world.wire.made.registered().into_iter();
    all.filter(|account| known(&account.email).is_none_or(|tenant| tenant == account.tenant_id)).collect()
}

async fn remove(world: &World, tenant_id: &str) -> anyhow::Result<bool> {
    let tenant = TenantId(Uuid::try_parse(tenant_id)?);
    Ok(proof::remove(&world.databases, &Party { tenant, members: Vec::new() }).await?)
}

/// The accounts of those who registered or joined; an account is theirs as long as it names their tenant.
async fn accounts(world: &World) -> Vec<String> {
    // Whoever joined a business that goes on goes with their member row.
    let goes_on = |tenant: &str| [&world.us, &world.them].iter().any(|it| !it.is_ours && it.tenant_id == tenant);
    let joined = world.wire.made.joined().into_iter().filter(|account| !goes_on(&account.tenant_id));
    let all: BTreeSet<Account> = registered(world).into_iter().chain(joined).collect();
    let Some(directory) = &world.directory else {
        let emails: BTreeSet<String> = all.into_iter().map(|account| account.email).collect();
        return match emails.is_empty() {
            true => Vec::new(),
            false => vec![format!(
                "the accounts of {}: the user pool's settings are not in the environment",
                listed(&emails)
            )],
        };
    };
    let mut remains = Vec::new();
    for account in all {
        let gone = async {
            let Some(user) = directory.find(&account.email).await? else { return anyhow::Ok(()) };
            let tenant = user.tenant_id.map(|id| id.to_string()).unwrap_or_default();
            // Registered twice, it names the later tenant.
            let is_ours = world.wire.made.registered().iter().any(|it| it.tenant_id == tenant);
            anyhow::ensure!(is_ours, "it names the tenant {tenant}");
            Ok(directory.delete(&user.subject).await?)
        };
        if let Err(error) = gone.await {
            remains.push(format!("the account of {}: {error:#}", account.email));
        }
    }
    remains
}

fn is_of(ids: &BTreeSet<String>, item: &Value) -> bool {
    id_of(item).is_ok_and(|id| ids.contains(&id))
}

fn listed(words: &BTreeSet<String>) -> String {
    words.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

//! For each operation a request that its rightful caller succeeds with, and all it needs beforehand.
//!
//! Most follow from the document: the path's id is one of the collection's, the body is made of its schema. What needs a
//! certain state, or does away with its object, is prepared here. An operation for which no such request can be made
//! is named in the report and fails the proof: it would be attacked with requests that nobody succeeds with.

use std::time::Duration;

use anyhow::{Context, bail};
use http::Method;
use serde_json::{Value, json};
use tenants::{Job, Role, proof};

use super::{
    document::{Caller, Operation, fresh_email},
    footage,
    objects::{INVITATIONS, LIBRARY, MEMBERS, VIDEOS, announcement, id_of, send_parts, upload},
    people::{Business, PASSWORD},
    wire::Request,
    world::World,
};
use crate::videos::jobs::DeleteObject;

/// How often one looks for a job that a worker is to try.
const GLANCES: u32 = 400;
const GLANCE: Duration = Duration::from_millis(50);

/// A rightful request.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Whose token; empty for public operations. What is sent is the one in force then.
    pub(super) token: String,
    /// The ids in its path.
    pub(super) ids: Vec<String>,
    pub(super) body: Option<Value>,
    /// Statuses of success.
    pub(super) success: Vec<u16>,
}

impl Case {
    /// The request itself.
    pub(super) fn request(&self, operation: &Operation) -> Request {
        self.request_by(operation, &self.token)
    }

    /// The same, as somebody else.
    pub(super) fn request_by(&self, operation: &Operation, token: &str) -> Request {
        let request = Request::new(operation.method.clone(), operation.path_with(&self.ids)).by(token);
        match &self.body {
            Some(body) => request.json(body),
            None => request,
        }
    }
}

/// What preparing came to.
pub(super) enum Prepared {
    Case(Case),
    /// Not tried as its rightful caller, and why.
    LeftOut(&'static str),
}

/// Prepares an operation for one of the businesses.
///
/// # Errors
/// A request that the preparation needs was refused.
pub(super) async fn prepare(world: &World, business: &Business, operation: &Operation) -> anyhow::Result<Prepared> {
    let operator = match operation.caller {
        Caller::Operator => world.operator().await,
        Caller::Anyone | Caller::Member => None,
    };
    if operation.caller == Caller::Operator && operator.is_none() {
        return Ok(Prepared::LeftOut("FFP_OPERATOR_TOKEN is not set, or has expired"));
    }
    let mut case = Case {
        token: match operation.caller {
            Caller::Anyone => String::new(),
            Caller::Member => business.owner().token.clone(),
            Caller::Operator => operator.unwrap_or_default(),
        },
        ids: Vec::new(),
        body: operation.body.as_ref().map(|schema| world.document.example(schema)),
        success: operation.success.clone(),
    };
    if operation.is_door() {
        return public(world, business, operation, case).await;
    }
    let base = if operation.path.starts_with(LIBRARY) { LIBRARY } else { VIDEOS };
    let place = operation.path.strip_prefix(base).map(|rest| (operation.method.as_str(), rest));
    let bytes = footage::marked(&format!("of {}", business.tenant_id));
    match (operation.name.as_str(), place) {
        (_, Some(("POST", ""))) => case.body = Some(announcement("A case", 1000)),
        (_, Some(("GET", "/{id}/upload") | ("DELETE", "/{id}"))) => {
            let request = Request::new(Method::POST, base).by(&case.token).json(&announcement("A case", 1000));
            case.ids = vec![id_of(&world.wire.send(&request).await?.expect("adding a video")?)?];
        }
        (_, Some(("PUT", "/{id}/upload"))) => {
            let (id, parts) = send_parts(&world.wire, base, &case.token, "A case", &bytes).await?;
            (case.ids, case.body) = (vec![id], Some(parts));
        }
        (_, Some((_, rest))) if base == LIBRARY && rest.starts_with("/{") => {
            case.ids = vec![upload(&world.wire, base, &case.token, "A case", &bytes).await?];
        }
        ("POST /api/v1/invitations", _) => case.body = Some(invitation()),
        ("POST /api/v1/invitations/{id}/resend" | "DELETE /api/v1/invitations/{id}", _) => {
            let request = Request::new(Method::POST, INVITATIONS).by(&case.token).json(&invitation());
            case.ids = vec![id_of(&world.wire.send(&request).await?.expect("inviting")?)?];
        }
        ("PATCH /api/v1/members/{id}" | "DELETE /api/v1/members/{id}", _) => {
            let Ok(person) = world.registrar.join(business, Role::Athlete).await else {
                return Ok(Prepared::LeftOut("nobody could be invited: there is no mailbox, or no worker"));
            };
            case.ids = vec![person.member_id];
            case.body = case.body.map(|_| json!({"role": "coach"}));
        }
        ("PUT /api/v1/me/password" | "DELETE /api/v1/me/sessions", _) => {
            let Ok(person) = world.registrar.individual().await else {
                return Ok(Prepared::LeftOut("it takes an account of its own, and none can be registered here"));
            };
            case.token = person.token;
            case.body = case.body.map(|_| json!({"current_password": PASSWORD, "new_password": "another password 8!"}));
        }
        (name, _) if name.contains("/admin/jobs/{id}") => return job(world, business, operation, case).await,
        (name, _) if name.contains("/admin/tenants/{id}") => {
            let Ok(person) = world.registrar.individual().await else {
                return Ok(Prepared::LeftOut("it takes a tenant of its own, and none can be registered here"));
            };
            case.ids = vec![person.tenant_id];
        }
        _ => case.ids = by_document(business, operation)?,
    }
    let is_made = |id: &String| world.wire.made.has(id);
    if !business.is_ours && operation.caller == Caller::Member && !operation.is_safe() && !case.ids.iter().all(is_made)
    {
        return Ok(Prepared::LeftOut("it would change something that was there before"));
    }
    Ok(Prepared::Case(case))
}

/// Ids as the document's paths suggest them.
fn by_document(business: &Business, operation: &Operation) -> anyhow::Result<Vec<String>> {
    let Some(collection) = operation.collection() else { return Ok(Vec::new()) };
    let known = business.objects.of(collection);
    if operation.ids() > 1 || known.is_empty() {
        bail!("no rightful request can be made: `{collection}` has no known id. Teach platform/src/prove/cases.rs");
    }
    // The owner can't be acted on by everything; somebody else comes first where there is somebody else.
    let id = if collection == MEMBERS { known.last() } else { known.first() };
    Ok(id.cloned().into_iter().collect())
}

fn invitation() -> Value {
    json!({"email": fresh_email("invited"), "role": "athlete"})
}

/// A job to look at; one that failed, to try again.
async fn job(world: &World, business: &Business, operation: &Operation, mut case: Case) -> anyhow::Result<Prepared> {
    let mut list = format!("/api/v1/admin/jobs?tenant_id={}", business.tenant_id);
    if !operation.is_safe() {
        if !fails(world, business).await? {
            return Ok(Prepared::LeftOut("no job has failed, and without database URLs none can be made to"));
        }
        list.push_str("&state=failed");
    }
    let list = Request::get(list).by(&case.token);
    for _ in 0..GLANCES {
        let jobs = world.wire.send(&list).await?.expect("listing jobs")?;
        if let Some(job) = jobs["items"].get(0) {
            case.ids = vec![id_of(job)?];
            return Ok(Prepared::Case(case));
        }
        tokio::time::sleep(GLANCE).await;
    }
    Ok(Prepared::LeftOut("no job came to be listed: is a worker running?"))
}

/// Orders a job that must fail: it is to delete an object of a tenant that nobody is.
async fn fails(world: &World, business: &Business) -> anyhow::Result<bool> {
    let key = format!("videos/tenants/{}/none/source.mp4", uuid::Uuid::now_v7());
    let jobs = [(DeleteObject::KIND, json!({ "key": key }))];
    let ordered = proof::order_jobs(&world.databases, &business.party()?, &jobs).await?;
    let is_ordered = ordered.is_some();
    world.failing.lock().await.extend(ordered);
    Ok(is_ordered)
}

/// The operations that need no token.
async fn public(world: &World, business: &Business, operation: &Operation, mut case: Case) -> anyhow::Result<Prepared> {
    const ALONE: &str = "it takes an account of its own, and none can be registered here";
    let registrar = &world.registrar;
    let owner = business.owner();
    case.body = Some(match operation.name.as_str() {
        "POST /api/v1/auth/login" => json!({"email": owner.email, "password": owner.password}),
        "POST /api/v1/auth/refresh" => json!({"refresh_token": owner.refresh_token}),
        "POST /api/v1/auth/challenge" => {
            // Nobody of the proof's has a second factor, so there is no challenge to finish: its handler says so.
            case.success = vec![401];
            json!({"session": "none", "challenge": "SOFTWARE_TOKEN_MFA", "answer": "123456"})
        }
        "POST /api/v1/auth/forgot-password" => json!({"email": fresh_email("unknown")}),
        _ if registrar.confirmation_code.is_none() => return Ok(Prepared::LeftOut(ALONE)),
        "POST /api/v1/auth/register" => {
            json!({"email": fresh_email("registered"), "password": PASSWORD, "full_name": "Prove registration"})
        }
        "POST /api/v1/auth/confirm" => {
            json!({"email": registrar.pending("confirmed", None).await?, "code": registrar.confirmation_code})
        }
        "POST /api/v1/auth/resend" => json!({"email": registrar.pending("resent", None).await?}),
        "POST /api/v1/auth/logout" => json!({"refresh_token": registrar.individual().await?.refresh_token}),
        "POST /api/v1/auth/reset-password" => {
            let person = registrar.individual().await?;
            registrar.post("/api/v1/auth/forgot-password", &json!({"email": person.email})).await?;
            json!({"email": person.email, "code": world.reset_code, "new_password": "another password 8!"})
        }
        "POST /api/v1/auth/accept-invitation" => match registrar.invitation(business, Role::Athlete).await {
            Ok((_, token)) => json!({"token": token, "password": PASSWORD, "full_name": "Prove acceptance"}),
            Err(_) => return Ok(Prepared::LeftOut("nobody could be invited: there is no mailbox, or no worker")),
        },
        _ => case.body.context("no rightful request can be made: teach platform/src/prove/cases.rs")?,
    });
    Ok(Prepared::Case(case))
}

//! An object of every kind, so that there is something to attack.

use std::collections::BTreeMap;

use anyhow::Context;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tenants::Role;
use uuid::Uuid;

use super::{
    document::{Caller, Document},
    footage,
    people::Business,
    wire::{Request, Wire},
};

pub(super) const VIDEOS: &str = "/api/v1/videos";
pub(super) const LIBRARY: &str = "/api/v1/admin/library/videos";
pub(super) const INVITATIONS: &str = "/api/v1/invitations";
pub(super) const MEMBERS: &str = "/api/v1/members";

/// What a business has.
#[derive(Clone, Debug, Default)]
pub(super) struct Objects {
    /// Ids by collection.
    ids: BTreeMap<String, Vec<String>>,
    /// Creations by `Idempotency-Key`: the collection, the key, the body and the id that came of it.
    pub(super) keyed: Vec<Keyed>,
    /// A published video's bytes.
    pub(super) footage: Bytes,
}

/// A creation that was sent with a key.
#[derive(Clone, Debug)]
pub(super) struct Keyed {
    pub(super) collection: String,
    pub(super) key: String,
    pub(super) body: Value,
    pub(super) id: String,
}

impl Objects {
    /// Ids in a collection, the one to be read first.
    pub(super) fn of(&self, collection: &str) -> &[String] {
        self.ids.get(collection).map_or(&[], Vec::as_slice)
    }

    pub(super) fn add(&mut self, collection: &str, id: impl Into<String>) {
        self.ids.entry(collection.to_owned()).or_default().push(id.into());
    }

    /// One id of each kind.
    pub(super) fn one_of_each(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ids.iter().filter_map(|(collection, ids)| Some((collection.as_str(), ids.first()?.as_str())))
    }

    /// Every id.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.ids.values().flatten().map(String::as_str)
    }
}

/// Fills a business.
pub(super) async fn fill(wire: &Wire, document: &Document, business: &mut Business) -> anyhow::Result<()> {
    let owner = business.owner().token.clone();
    for person in business.people.clone() {
        business.objects.add(MEMBERS, person.member_id);
    }
    let bytes = footage::marked(&format!("of {}", business.tenant_id));
    let title = |what: &str| format!("{what} of {}", business.name);
    let (published, hidden) = (title("Published"), title("Hidden"));
    let first = upload(wire, VIDEOS, &owner, &published, &bytes).await?;
    let publication = Request::new(Method::PUT, format!("{VIDEOS}/{first}/publication")).by(&owner);
    wire.send(&publication).await?.expect("publishing")?;
    let second = upload(wire, VIDEOS, &owner, &hidden, &bytes).await?;
    business.objects.footage = bytes.clone();
    for id in [&first, &second] {
        business.objects.add(VIDEOS, id.clone());
    }
    for role in [Role::Owner, Role::Athlete] {
        if let Some(person) = business.person(role) {
            let body = json!({"position_seconds": 0.5});
            let progress =
                Request::new(Method::POST, format!("{VIDEOS}/{first}/progress")).by(&person.token).json(&body);
            wire.send(&progress).await?.expect("progress")?;
        }
    }
    // Named after nobody: the other tenant repeats it word for word.
    let announced = announcement("Unfinished", bytes.len());
    let invited = json!({"email": super::document::fresh_email("keyed"), "role": "athlete"});
    for (collection, body) in [(VIDEOS, announced), (INVITATIONS, invited)] {
        let key = format!("prove-isolation-{}", Uuid::now_v7().simple());
        let request = Request::new(Method::POST, collection).by(&owner).header("Idempotency-Key", &key).json(&body);
        let id = id_of(&wire.send(&request).await?.expect(collection)?)?;
        business.objects.add(collection, id.clone());
        business.objects.keyed.push(Keyed { collection: collection.to_owned(), key, body, id });
    }
    fill_unknown(wire, document, business).await
}

/// Collections that nobody thought of here: made by their own creation, or read from their list.
async fn fill_unknown(wire: &Wire, document: &Document, business: &mut Business) -> anyhow::Result<()> {
    let owner = business.owner().token.clone();
    let collections = document.operations.iter().filter(|operation| operation.caller == Caller::Member);
    let collections: Vec<String> =
        collections.filter_map(|operation| operation.collection().map(str::to_owned)).collect();
    for collection in collections {
        if !business.objects.of(&collection).is_empty() {
            continue;
        }
        if let Some(create) = document.find(&format!("POST {collection}")) {
            let mut request = Request::new(Method::POST, collection.clone()).by(&owner);
            if let Some(schema) = &create.body {
                request = request.json(&document.example(schema));
            }
            let answer = wire.send(&request).await?;
            if let Ok(id) = id_of(&answer.json()) {
                business.objects.add(&collection, id);
            }
        }
        if business.objects.of(&collection).is_empty() {
            let list = wire.send(&Request::get(collection.clone()).by(&owner)).await?.json();
            for item in list["items"].as_array().into_iter().flatten() {
                if let Ok(id) = id_of(item) {
                    business.objects.add(&collection, id);
                }
            }
        }
    }
    Ok(())
}

/// A thing's id, whether it is a UUID or a number.
pub(super) fn id_of(thing: &Value) -> anyhow::Result<String> {
    match &thing["id"] {
        Value::String(id) => Ok(id.clone()),
        Value::Number(id) => Ok(id.to_string()),
        _ => anyhow::bail!("the answer has no id: {thing}"),
    }
}

/// What announces a video.
pub(super) fn announcement(title: &str, size: usize) -> Value {
    json!({"title": title, "content_type": "video/mp4", "size_bytes": size})
}

/// A video that is ready. Answers its id.
pub(super) async fn upload(wire: &Wire, base: &str, token: &str, title: &str, bytes: &Bytes) -> anyhow::Result<String> {
    let (id, parts) = send_parts(wire, base, token, title, bytes).await?;
    let request = Request::new(Method::PUT, format!("{base}/{id}/upload")).by(token).json(&parts);
    wire.send(&request).await?.expect("completing an upload")?;
    Ok(id)
}

/// A video whose bytes are sent and not completed: its id, and the body that completes it.
pub(super) async fn send_parts(
    wire: &Wire,
    base: &str,
    token: &str,
    title: &str,
    bytes: &Bytes,
) -> anyhow::Result<(String, Value)> {
    let request = Request::new(Method::POST, base).by(token).json(&announcement(title, bytes.len()));
    let made = wire.send(&request).await?.expect("adding a video")?;
    let upload = &made["upload"];
    let size = upload["part_size"].as_u64().context("an upload without a part size")? as usize;
    let mut parts = Vec::new();
    for (part, chunk) in upload["parts"].as_array().into_iter().flatten().zip(bytes.chunks(size)) {
        let url = part["url"].as_str().context("a part without URL")?;
        let sent = wire.put(url, &part["headers"], Bytes::copy_from_slice(chunk)).await?;
        anyhow::ensure!(sent.is_success(), "sending a part: {} {}", sent.status, sent.text());
        parts.push(json!({"number": part["number"], "etag": sent.header("etag")}));
    }
    Ok((id_of(&made)?, json!({ "parts": parts })))
}

//! Ways to name another tenant's thing: in the path, the query, the headers, the body.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use uuid::Uuid;

/// Everything but RFC 3986's unreserved characters: an id stays as it is, to be known again in an answer that repeats it.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A segment of a path with somebody's id in it, `own` being one's own.
type Form = fn(id: &str, own: &str) -> String;

/// Every spelling of an id that some reader on the way may take for it.
pub(super) const FORMS: &[Form] = &[
    |id, _| id.to_owned(),
    |id, _| id.to_uppercase(),
    |id, _| id.replace('-', ""),
    |id, _| format!("urn:uuid:{id}"),
    |id, _| format!("%7B{id}%7D"),
    |id, _| format!("{id}/"),
    |id, _| format!("{id}."),
    |id, _| format!("{id}%20"),
    |id, _| format!("%20{id}"),
    |id, _| format!("{id}%00"),
    |id, _| format!("{id}%0a"),
    |id, _| id.replace('-', "%2d"),
    |id, _| id.replace('-', "%252d"),
    |id, _| format!("%{:02x}{}", id.as_bytes().first().copied().unwrap_or(b'0'), id.get(1..).unwrap_or_default()),
    |id, own| format!("{own}/../{id}"),
    |id, own| format!("{own}%2f..%2f{id}"),
    |id, own| format!("{own}/%2e%2e/{id}"),
    |id, own| format!("{own}%252f..%252f{id}"),
    |id, own| format!("{own}..%5c{id}"),
    |id, own| format!("{own},{id}"),
    |id, own| format!("{id},{own}"),
    |id, own| format!("{own};{id}"),
    |id, own| format!("{id};id={own}"),
    |id, _| format!("./{id}"),
    |id, _| format!("/{id}"),
    |id, _| format!("{id}.json"),
    |id, _| format!("{id}%23"),
    |id, own| format!("{own}%3fid={id}"),
];

/// Query parameters that might be read as "whose".
pub(super) const PARAMETERS: &[&str] = &[
    "tenant_id",
    "tenant",
    "tenantId",
    "member_id",
    "member",
    "user_id",
    "id",
    "ids",
    "owner",
    "created_by",
    "video_id",
    "as",
    "on_behalf_of",
    "parent_business_id",
    "app.tenant_id",
    "filter",
    "q",
    "scope",
    "cursor",
];

/// Headers that might be read as "whose", or as another path.
pub(super) const HEADERS: &[&str] = &[
    "X-Tenant-Id",
    "X-Tenant",
    "Tenant-Id",
    "X-Member-Id",
    "X-User-Id",
    "X-Forwarded-User",
    "X-Remote-User",
    "X-Amzn-Oidc-Identity",
    "X-Amzn-Oidc-Data",
    "X-Original-Tenant",
    "X-Impersonate",
    "X-On-Behalf-Of",
    "X-Forwarded-For",
    "Forwarded",
    "X-Request-Id",
    "X-Forwarded-Host",
    "X-Origin-Secret",
    "From",
];

/// Headers that name a path.
pub(super) const PATH_HEADERS: &[&str] =
    &["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Uri", "Referer"];

/// Members of a body that a handler might take.
pub(super) const MEMBERS: &[&str] = &[
    "tenant_id",
    "tenantId",
    "tenant",
    "id",
    "member_id",
    "owner_id",
    "created_by",
    "invited_by",
    "video_tenant_id",
    "video_id",
    "object_key",
    "subject",
    "parent_business_id",
    "storage_limit_bytes",
    "requests_per_minute",
];

/// A query parameter's value. A cursor is opaque, and made of an id.
pub(super) fn parameter(name: &str, id: &str) -> String {
    let value = match (name, Uuid::try_parse(id)) {
        ("cursor", Ok(id)) => URL_SAFE_NO_PAD.encode(id.as_bytes()),
        _ => id.to_owned(),
    };
    format!("{name}={}", utf8_percent_encode(&value, ENCODED))
}

/// Bodies with one more member, at the top and inside.
pub(super) fn with_member(body: &Value, name: &str, id: &str) -> Vec<String> {
    let Value::Object(members) = body else { return Vec::new() };
    let mut added = members.clone();
    added.insert(name.to_owned(), json!(id));
    let mut nested = members.clone();
    nested.insert("tenant".to_owned(), json!({ name: id }));
    let text = body.to_string();
    // The same member twice: whoever reads the first and whoever reads the last disagree.
    let twice = format!("{},\"{name}\":\"{id}\",\"{name}\":null}}", text.trim_end_matches('}'));
    vec![Value::Object(added).to_string(), Value::Object(nested).to_string(), twice]
}

/// Bodies in which one of the strings is `word`.
pub(super) fn with_word(body: &Value, word: &str) -> Vec<Value> {
    let Value::Object(members) = body else { return Vec::new() };
    let strings = members.iter().filter(|(_, value)| value.is_string());
    let changed = strings.map(|(name, _)| {
        let mut members = members.clone();
        members.insert(name.clone(), json!(word));
        Value::Object(members)
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0190a1b2-0000-7000-8000-000000000001";
    const OWN: &str = "0190a1b2-0000-7000-8000-000000000002";

    #[test]
    fn every_form_names_the_id_in_another_way() {
        let all: std::collections::BTreeSet<_> = FORMS.iter().map(|form| form(ID, OWN)).collect();
        assert_eq!(all.len(), FORMS.len());
        assert!(all.iter().all(|form| format!("http://x/{form}").parse::<http::Uri>().is_ok()), "{all:?}");
    }

    #[test]
    fn a_member_is_added_beside_inside_and_twice() {
        let bodies = with_member(&json!({"title": "A"}), "tenant_id", ID);
        assert_eq!(bodies[2], format!("{{\"title\":\"A\",\"tenant_id\":\"{ID}\",\"tenant_id\":null}}"));
        assert!(bodies[0].contains(ID) && bodies[1].contains("\"tenant\":{"));
    }

    #[test]
    fn a_cursor_is_made_of_the_id() {
        assert_eq!(parameter("cursor", ID), format!("cursor={}", "AZChsgAAcACAAAAAAAAAAQ"));
        assert_eq!(parameter("q", "a b"), "q=a%20b");
    }
}

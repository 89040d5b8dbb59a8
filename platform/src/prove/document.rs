//! The OpenAPI document as a list of what can be asked, and how to ask it.

use http::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Deepest nesting of schemas that is followed.
const DEPTH: usize = 12;
/// What values of this proof are called.
const WORD: &str = "prove isolation";

/// Whose call an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Anyone,
    Member,
    Operator,
}

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    /// `GET /api/v1/videos/{id}`
    pub(super) name: String,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) caller: Caller,
    /// The schema of a JSON body.
    pub(super) body: Option<Value>,
    /// Query parameters that are documented.
    pub(super) query: Vec<String>,
    /// The documented statuses of success.
    pub(super) success: Vec<u16>,
}

impl Operation {
    /// `/api/v1/videos` of `/api/v1/videos/{id}/stream`; none for paths without ids.
    pub(super) fn collection(&self) -> Option<&str> {
        self.path.split_once("/{").map(|(collection, _)| collection)
    }

    /// The path with the ids in their places.
    pub(super) fn path_with(&self, ids: &[String]) -> String {
        let mut ids = ids.iter();
        let segment = |segment: &str| match segment.starts_with('{') {
            true => ids.next().cloned().unwrap_or_default(),
            false => segment.to_owned(),
        };
        self.path.split('/').map(segment).collect::<Vec<_>>().join("/")
    }

    /// How many ids its path has.
    pub(super) fn ids(&self) -> usize {
        self.path.matches('{').count()
    }

    /// Where one comes in without a token.
    pub(super) fn is_door(&self) -> bool {
        self.caller == Caller::Anyone && self.path.starts_with("/api/")
    }

    /// Changes nothing.
    pub(super) fn is_safe(&self) -> bool {
        self.method == Method::GET
    }
}

/// The document of a deployment.
#[derive(Clone, Debug)]
pub(super) struct Document {
    schemas: Map<String, Value>,
    pub(super) operations: Vec<Operation>,
}

impl Document {
    /// Reads what `/openapi.json` answered.
    ///
    /// # Errors
    /// A document without paths.
    pub(super) fn read(document: &Value) -> anyhow::Result<Self> {
        let paths = document["paths"].as_object().filter(|paths| !paths.is_empty());
        let paths = paths.ok_or_else(|| anyhow::anyhow!("/openapi.json lists no operation"))?;
        let schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
        let mut operations = Vec::new();
        for (path, item) in paths {
            for (method, operation) in item.as_object().into_iter().flatten() {
                if let Some(method) = method_of(method) {
                    operations.push(read(method, path, operation));
                }
            }
        }
        Ok(Self { schemas, operations })
    }

    /// The operation of this name, if the deployment has it.
    pub(super) fn find(&self, name: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.name == name)
    }

    /// A body that its handler takes, made of the schema alone: no two are alike where it says `email` or names an id.
    pub(super) fn example(&self, schema: &Value) -> Value {
        self.value("", schema, DEPTH)
    }

    fn resolved(&self, schema: &Value, depth: usize) -> Value {
        let one_of = ["oneOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten();
        let first = one_of.into_iter().find(|schema| schema["type"] != "null");
        let reference = schema["$ref"].as_str().and_then(|name| self.schemas.get(name.rsplit('/').next()?));
        match (reference.or(first), depth) {
            (Some(inner), 1..) => self.resolved(inner, depth - 1),
            _ => schema.clone(),
        }
    }

    fn value(&self, name: &str, schema: &Value, depth: usize) -> Value {
        let given = ["example", "const", "default"].iter().map(|key| &schema[*key]).find(|value| !value.is_null());
        if let Some(given) = given {
            return given.clone();
        }
        let schema = self.resolved(schema, depth);
        let given = ["example", "const", "default"].iter().map(|key| &schema[*key]).find(|value| !value.is_null());
        if let Some(given) = given.or_else(|| schema["enum"].get(0)) {
            return given.clone();
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default(),
            kind => kind.clone(),
        };
        match kind.as_str() {
            _ if depth == 0 => Value::Null,
            Some("string") => json!(text(name, &schema)),
            Some("integer" | "number") => {
                schema["minimum"].is_number().then(|| schema["minimum"].clone()).unwrap_or(json!(1))
            }
            Some("boolean") => json!(true),
            Some("array") => json!([self.value(name, &schema["items"], depth - 1)]),
            _ => self.object(&schema, depth),
        }
    }

    /// All members, since a change that changes nothing proves little; those that may be null as well.
    fn object(&self, schema: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        for part in schema["allOf"].as_array().into_iter().flatten() {
            if let Value::Object(members) = self.value("", part, depth - 1) {
                object.extend(members);
            }
        }
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            object.insert(name.clone(), self.value(name, member, depth - 1));
        }
        Value::Object(object)
    }
}

fn method_of(name: &str) -> Option<Method> {
    ["get", "put", "post", "delete", "patch"].contains(&name).then(|| name.to_uppercase().parse().ok())?
}

fn read(method: Method, path: &str, operation: &Value) -> Operation {
    let schemes = operation["security"].as_array().into_iter().flatten();
    let caller = schemes.filter_map(|scheme| scheme.as_object()?.keys().next().cloned()).next();
    let parameters = |place: &str| {
        let all = operation["parameters"].as_array().into_iter().flatten();
        all.filter(|parameter| parameter["in"] == place)
            .filter_map(|parameter| parameter["name"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let responses = operation["responses"].as_object().into_iter().flatten();
    Operation {
        name: format!("{method} {path}"),
        method,
        path: path.to_owned(),
        caller: match caller.as_deref() {
            None => Caller::Anyone,
            Some("operator") => Caller::Operator,
            Some(_) => Caller::Member,
        },
        body: operation["requestBody"]["content"]
            .as_object()
            .and_then(|it| it.values().next())
            .map(|it| it["schema"].clone()),
        query: parameters("query"),
        success: responses
            .filter_map(|(status, _)| status.parse().ok())
            .filter(|status| (200..300).contains(status))
            .collect(),
    }
}

/// A string that fits.
fn text(name: &str, schema: &Value) -> String {
    match schema["format"].as_str() {
        Some("email") => return fresh_email("someone"),
        Some("uuid") => return Uuid::now_v7().to_string(),
        Some("date-time") => return chrono::Utc::now().to_rfc3339(),
        Some("date") => return chrono::Utc::now().date_naive().to_string(),
        Some("uri") => return "https://example.com/".to_owned(),
        _ => {}
    }
    match name {
        name if name.contains("password") => "a proof's password".to_owned(),
        name if name.contains("time_zone") => "Europe/Berlin".to_owned(),
        name if name.contains("color") => "#0a0b0c".to_owned(),
        _ => {
            let least = schema["minLength"].as_u64().unwrap_or_default() as usize;
            let most = schema["maxLength"].as_u64().map_or(usize::MAX, |most| most as usize);
            let words = WORD.repeat(least / WORD.len() + 1);
            words.chars().take(most).collect()
        }
    }
}

/// An address that nobody has used, in a domain that nobody receives mail at.
pub(super) fn fresh_email(who: &str) -> String {
    format!("prove-isolation-{who}-{}@example.com", Uuid::now_v7())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn document() -> Document {
        Document::read(&serde_json::from_str(&crate::server::document().unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn the_products_own_document_is_read_whole() {
        let document = document();
        let show = document.find("GET /api/v1/videos/{id}/stream").unwrap();
        assert_eq!(
            (show.caller, show.collection(), show.success.as_slice()),
            (Caller::Member, Some("/api/v1/videos"), &[200][..])
        );
        assert_eq!(show.path_with(&["7".to_owned()]), "/api/v1/videos/7/stream");
        assert_eq!(document.find("POST /api/v1/auth/login").unwrap().caller, Caller::Anyone);
        assert_eq!(document.find("GET /api/v1/admin/library/videos").unwrap().caller, Caller::Operator);
        assert_eq!(document.find("GET /api/v1/invitations").unwrap().query, ["limit", "cursor"]);
        assert!(document.operations.iter().all(|operation| !operation.success.is_empty()));
    }

    #[test]
    fn a_body_is_made_of_its_schema() {
        let document = document();
        let body = |name: &str| {
            let operation = document.find(name).unwrap();
            document.example(operation.body.as_ref().unwrap())
        };
        let video = body("POST /api/v1/videos");
        assert_eq!((&video["content_type"], &video["size_bytes"]), (&json!("video/mp4"), &json!(1)));
        assert!(video["title"].as_str().unwrap().len() > 3);
        let change = body("PATCH /api/v1/members/{id}");
        assert!(change["role"].is_string() && change["status"].is_string(), "{change}");
        let registration = body("POST /api/v1/auth/register");
        assert!(registration["email"].as_str().unwrap().ends_with("@example.com"));
        assert_ne!(registration["email"], body("POST /api/v1/auth/register")["email"]);
    }
}

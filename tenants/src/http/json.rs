//! Bodies, query parameters and ids in paths, read once and strictly.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::BytesRejection},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;
use uuid::Uuid;
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use super::{Problem, object::Object};

/// A JSON body that was read, is of the right shape, and is valid; or a JSON answer.
///
/// Every bad field is named by a pointer. Unknown fields are refused where the type says `deny_unknown_fields`, as
/// all request bodies do.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned + Validate,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (body, _) = read(request, state).await?;
        Ok(Self(body))
    }
}

/// Reads a body and hands its bytes along, for those who hash them.
pub(super) async fn read<T, S>(request: Request, state: &S) -> Result<(T, Bytes), Problem>
where
    T: DeserializeOwned + Validate,
    S: Send + Sync,
{
    let is_json = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The body must be JSON.",
        )
        .detail("Send the body with `Content-Type: application/json`."));
    }
    let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large.")
                .detail("JSON bodies may have 1 MiB; files go to the upload's own URLs.")
        }
        other => Problem::malformed(other.body_text()),
    })?;
    let body = parse(&bytes)?;
    Ok((body, bytes))
}

fn parse<T: DeserializeOwned + Validate>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let Object(body) =
        serde_path_to_error::deserialize::<_, Object<T>>(&mut reader).map_err(|error| unread(&error, bytes))?;
    reader.end().map_err(|error| Problem::malformed(format!("The body is not valid JSON: {error}.")))?;
    // PostgreSQL's text can't hold U+0000; a field that does is named before anything is tried.
    if bytes.windows(6).any(|window| window == b"\\u0000")
        && let Ok(value) = serde_json::from_slice::<Value>(bytes)
        && let Some(pointer) = nul_in(&value, String::new())
    {
        return Err(Problem::invalid(pointer, "must not contain the character U+0000"));
    }
    body.validate().map_err(|errors| {
        let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-request", "A field is not valid.");
        collect(&errors, "", &mut problem);
        problem.errors.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        problem
    })?;
    Ok(body)
}

/// What could not be read, and where.
fn unread(error: &serde_path_to_error::Error<serde_json::Error>, bytes: &[u8]) -> Problem {
    let message = error.inner().to_string();
    let pointer = pointer(error.path(), &message);
    // serde_json calls some values malformed that are only not wanted: a number out of range, a number for a word.
    if error.inner().is_data() || serde_json::from_slice::<IgnoredAny>(bytes).is_ok() {
        return Problem::invalid(pointer, without_position(&message).replace("expected value", "has the wrong type"));
    }
    let problem = Problem::malformed(format!("The body is not valid JSON: {message}."));
    if pointer.is_empty() { problem } else { problem.field(pointer, without_position(&message)) }
}

/// RFC 6901. A field that is missing, unknown or there twice is pointed at too: the path ends at what it belongs in.
fn pointer(path: &serde_path_to_error::Path, message: &str) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escaped(key))),
            Segment::Enum { variant } => pointer.push_str(&format!("/{}", escaped(variant))),
            // Where the reader was when the JSON broke.
            Segment::Unknown => {}
        }
    }
    if let Some(name) = field_in(message) {
        let name = format!("/{}", escaped(name));
        if !pointer.ends_with(&name) {
            pointer.push_str(&name);
        }
    }
    pointer
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The field that serde's message is about.
fn field_in(message: &str) -> Option<&str> {
    let about = ["missing field `", "unknown field `", "duplicate field `"];
    let rest = about.iter().find_map(|start| message.strip_prefix(start))?;
    Some(rest.split('`').next().unwrap_or(rest))
}

/// serde_json ends its messages with a position that means nothing beside a pointer.
fn without_position(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

fn nul_in(value: &Value, at: String) -> Option<String> {
    match value {
        Value::String(text) if text.contains('\0') => Some(at),
        Value::Array(items) => items.iter().enumerate().find_map(|(i, item)| nul_in(item, format!("{at}/{i}"))),
        Value::Object(members) => members.iter().find_map(|(key, item)| {
            if key.contains('\0') { Some(at.clone()) } else { nul_in(item, format!("{at}/{key}")) }
        }),
        _ => None,
    }
}

fn collect(errors: &ValidationErrors, at: &str, problem: &mut Problem) {
    for (field, kind) in errors.errors() {
        let pointer = format!("{at}/{field}");
        match kind {
            ValidationErrorsKind::Field(found) => {
                for error in found {
                    let detail = error.message.clone().unwrap_or_else(|| error.code.clone());
                    *problem = problem.clone().field(pointer.clone(), detail);
                }
            }
            ValidationErrorsKind::Struct(inner) => collect(inner, &pointer, problem),
            ValidationErrorsKind::List(items) => {
                for (index, inner) in items {
                    collect(inner, &format!("{pointer}/{index}"), problem);
                }
            }
        }
    }
}

/// Query parameters, each a bad one named.
#[derive(Clone, Copy, Debug)]
pub struct Params<T>(pub T);

impl<T, S> FromRequestParts<S> for Params<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        for parameter in query.split('&') {
            let text: Vec<u8> = percent_encoding::percent_decode_str(parameter).collect();
            if text.contains(&0) || std::str::from_utf8(&text).is_err() {
                let name = parameter.split('=').next().unwrap_or_default();
                return Err(Problem::invalid(format!("?{name}"), "must be UTF-8 without the character U+0000"));
            }
        }
        let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(reader).map(Self).map_err(|error| {
            let message = error.inner().to_string();
            let path = error.path().to_string();
            // At the top there is no path, only the message.
            let name = if path == "." { field_in(&message).unwrap_or_default() } else { path.as_str() };
            Problem::invalid(format!("?{name}"), message.as_str())
        })
    }
}

/// An id in a path. What is no UUID is no id of anything: 404, like an id that does not exist.
#[derive(Clone, Copy, Debug)]
pub struct PathId(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Uuid::try_parse(&text).map(Self).map_err(|_| Problem::not_found()),
            Err(_) => Err(Problem::not_found()),
        }
    }
}

#[cfg(test)]
mod tests;

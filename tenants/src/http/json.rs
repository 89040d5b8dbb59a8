//! Bodies, query parameters and ids in paths, read once and strictly.

use std::{fmt, marker::PhantomData};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::BytesRejection},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;
use uuid::Uuid;
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use super::Problem;

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
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body must be JSON.")
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
    let Object(body) = serde_path_to_error::deserialize::<_, Object<T>>(&mut reader).map_err(|error| {
        let cause = error.inner();
        match cause.classify() {
            serde_json::error::Category::Data => {
                Problem::invalid(pointer(error.path()), without_position(&cause.to_string()))
            }
            _ => Problem::malformed(format!("The body is not valid JSON: {cause}.")),
        }
    })?;
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

/// A struct that is written as an object. Derived `Deserialize` also takes its fields as an array, by their order in
/// the code, which is nobody's interface.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<PhantomData<T>> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

/// For lists of structs within a body: `#[serde(deserialize_with = "objects")]`. Each is an object, as the body is.
///
/// # Errors
/// What is no list of objects.
pub fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let objects = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(objects.into_iter().map(|Object(object)| object).collect())
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |mut pointer, segment| {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => pointer.push_str(variant),
            Segment::Unknown => pointer.push('?'),
        }
        pointer
    })
}

/// serde_json ends its messages with a position that means nothing beside a pointer.
fn without_position(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

fn nul_in(value: &Value, at: String) -> Option<String> {
    match value {
        Value::String(text) if text.contains('\0') => Some(at),
        Value::Array(items) => items.iter().enumerate().find_map(|(i, item)| nul_in(item, format!("{at}/{i}"))),
        Value::Object(members) => members
            .iter()
            .find_map(|(key, item)| if key.contains('\0') { Some(at.clone()) } else { nul_in(item, format!("{at}/{key}")) }),
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
        if query.contains("%00") || std::str::from_utf8(&percent_decoded(query)).is_err() {
            return Err(Problem::invalid("?", "query parameters must be UTF-8 without the character U+0000"));
        }
        let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(reader).map(Self).map_err(|error| {
            let name = error.path().to_string();
            let name = if name == "." { String::new() } else { name };
            Problem::invalid(format!("?{name}"), error.inner().to_string())
        })
    }
}

fn percent_decoded(query: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(query).collect()
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

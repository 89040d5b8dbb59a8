//! Every operation that takes a body, with one of the right shape to spoil.

use reqwest::RequestBuilder;
use serde_json::Value;
use sqlx::Row;

use super::{LIBRARY, VIDEOS};
use crate::support::{Answer, TestApp, User, video::MP4};

/// Who sends it, the operation, its body, and the members that may not be missing.
type Line = (&'static str, &'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip]
const TABLE: [Line; 26] = [
    ("anyone", "POST /api/v1/auth/register",
     r#"{"email": "new@example.com", "password": "a long password", "full_name": "N", "business_name": "B", "time_zone": "UTC"}"#,
     &["email", "password", "full_name"]),
    ("anyone", "POST /api/v1/auth/confirm", r#"{"email": "new@example.com", "code": "1"}"#, &["email", "code"]),
    ("anyone", "POST /api/v1/auth/resend", r#"{"email": "new@example.com"}"#, &["email"]),
    ("anyone", "POST /api/v1/auth/login", r#"{"email": "new@example.com", "password": "p"}"#, &["email", "password"]),
    ("anyone", "POST /api/v1/auth/challenge",
     r#"{"session": "s", "challenge": "SOFTWARE_TOKEN_MFA", "answer": "1"}"#, &["session", "challenge", "answer"]),
    ("anyone", "POST /api/v1/auth/refresh", r#"{"refresh_token": "r"}"#, &["refresh_token"]),
    ("anyone", "POST /api/v1/auth/logout", r#"{"refresh_token": "r"}"#, &["refresh_token"]),
    ("anyone", "POST /api/v1/auth/forgot-password", r#"{"email": "new@example.com"}"#, &["email"]),
    ("anyone", "POST /api/v1/auth/reset-password",
     r#"{"email": "new@example.com", "code": "1", "new_password": "a long password"}"#, &["email", "code", "new_password"]),
    ("anyone", "POST /api/v1/auth/accept-invitation",
     r#"{"token": "t", "password": "a long password", "full_name": "N"}"#, &["token", "password", "full_name"]),
    ("athlete", "PATCH /api/v1/me", r#"{"full_name": "N", "time_zone": "UTC", "units": "metric"}"#, &[]),
    ("athlete", "PUT /api/v1/me/password",
     r#"{"current_password": "x", "new_password": "a long password"}"#, &["current_password", "new_password"]),
    ("owner", "PATCH /api/v1/tenant", r##"{"name": "N", "time_zone": "UTC", "brand_color": "#000000"}"##, &[]),
    ("admin", "PATCH /api/v1/members/{id}", r#"{"role": "coach", "status": "disabled"}"#, &[]),
    ("admin", "POST /api/v1/invitations", r#"{"email": "new@example.com", "role": "coach"}"#, &["email", "role"]),
    ("coach", "POST /api/v1/videos",
     r#"{"title": "T", "description": "D", "content_type": "video/mp4", "size_bytes": 5}"#, &["title", "content_type", "size_bytes"]),
    ("coach", "PATCH /api/v1/videos/{id}", r#"{"title": "T", "description": "D"}"#, &[]),
    ("coach", "PUT /api/v1/videos/{id}/upload", r#"{"parts": [{"number": 1, "etag": "e"}]}"#, &["parts"]),
    ("athlete", "POST /api/v1/videos/{id}/progress",
     r#"{"position_seconds": 1.5, "completed": true, "recorded_at": "2026-01-01T00:00:00Z"}"#, &["position_seconds"]),
    ("operator", "POST /api/v1/admin/library/videos",
     r#"{"title": "T", "description": "D", "content_type": "video/mp4", "size_bytes": 5}"#, &["title", "content_type", "size_bytes"]),
    ("operator", "PATCH /api/v1/admin/library/videos/{id}", r#"{"title": "T", "description": "D"}"#, &[]),
    ("operator", "PUT /api/v1/admin/library/videos/{id}/upload", r#"{"parts": [{"number": 1, "etag": "e"}]}"#, &["parts"]),
    ("operator", "PUT /api/v1/admin/tenants/{id}/suspension", r#"{"reason": "R"}"#, &["reason"]),
    ("operator", "PUT /api/v1/admin/tenants/{id}/throttle", r#"{"requests_per_minute": 5}"#, &["requests_per_minute"]),
    ("operator", "PUT /api/v1/admin/tenants/{id}/quotas", r#"{"limits": {}}"#, &["limits"]),
    ("operator", "PUT /api/v1/admin/tenants/{id}/storage", r#"{"limit_bytes": 5}"#, &["limit_bytes"]),
];

/// An operation that takes a body, with one that is of the right shape.
pub struct Form<'a> {
    pub user: User<'a>,
    pub operation: &'static str,
    pub path: String,
    pub body: Value,
    pub required: &'static [&'static str],
}

impl Form<'_> {
    pub fn request(&self) -> RequestBuilder {
        let request = self.user.app.request(self.operation.split_once(' ').unwrap().0.parse().unwrap(), &self.path);
        if self.user.token.is_empty() { request } else { request.bearer_auth(&self.user.token) }
    }

    pub async fn send(&self, body: &Value) -> Answer {
        Answer::read(self.request().json(body).send().await.unwrap()).await
    }

    pub fn with(&self, member: &str, value: Value) -> Value {
        let mut body = self.body.clone();
        body[member] = value;
        body
    }

    pub fn members(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.body.as_object().unwrap().iter()
    }
}

/// The table's lines, on things of acme's and of the library that exist.
pub async fn forms(app: &TestApp) -> Vec<Form<'_>> {
    let (coach, operator) = (app.acme().coach(), app.operator());
    let video = coach.add_published_video("Ours").await;
    let (upload, _) = coach.begin_video(VIDEOS, "Begun", &MP4).await;
    let (library, _) = operator.begin_video(LIBRARY, "Begun", &MP4).await;
    let form = |(who, operation, body, required): Line| {
        let (_, path) = operation.split_once(' ').unwrap();
        let id = match path {
            _ if path.starts_with(LIBRARY) => library.id(),
            _ if path.ends_with("/upload") => upload.id(),
            _ if path.starts_with(VIDEOS) => video.id(),
            _ if path.starts_with("/api/v1/admin/tenants") => app.acme().tenant_id(),
            _ => app.acme().member_id("athlete"),
        };
        let user = match who {
            "anyone" => app.anonymous(),
            "operator" => app.operator(),
            role => app.acme().person(role),
        };
        let body = serde_json::from_str(body).unwrap();
        Form { user, operation, path: path.replace("{id}", id), body, required }
    };
    TABLE.into_iter().map(form).collect()
}

/// How many operations of the document take a body.
pub fn operations_with_body() -> usize {
    let document: Value = serde_json::from_str(&platform::server::document().unwrap()).unwrap();
    let items = document["paths"].as_object().unwrap().values();
    let operations = items.flat_map(|item| item.as_object().unwrap().values());
    operations.filter(|operation| operation["requestBody"].is_object()).count()
}

/// A digest of every row there is, the queue's included.
pub async fn state(app: &TestApp) -> Vec<(String, String)> {
    let mut connection = app.superuser().await;
    let tables = "select format('select %L, coalesce(md5(string_agg(x::text, '','' order by x::text)), '''') from %s x', \
                  oid::regclass, oid::regclass) from pg_class where relkind = 'r' and relname !~ 'migration' \
                  and relnamespace in ('public'::regnamespace, 'graphile_worker'::regnamespace) order by oid::regclass::text";
    let queries: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
    assert!(queries.len() > 10);
    let mut digests = Vec::new();
    for query in queries {
        let row = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap();
        digests.push((row.get(0), row.get(1)));
    }
    digests
}

/// A refusal of this status that names this field.
#[track_caller]
pub fn assert_refused(answer: Answer, statuses: &[u16], pointer: Option<&str>, what: &str) {
    assert!(statuses.contains(&answer.status.as_u16()), "{what}: {} {}", answer.status, answer.text);
    answer.assert_is_problem();
    if let Some(pointer) = pointer {
        let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
        assert!(
            errors.iter().any(|error| error["pointer"] == pointer),
            "{what}: {pointer} is not named: {}",
            answer.text
        );
    }
}

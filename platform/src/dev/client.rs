//! A client of our own API, as any user's program would be one.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode, header};
use serde_json::Value;

use super::settings::Settings;

/// How long a call may take; completing an upload examines the file first.
const LIMIT: Duration = Duration::from_secs(60);

/// Calls the API through the edge.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    host: String,
}

/// What was answered.
pub(super) struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body; null when there is none.
    pub body: Value,
    what: String,
}

impl Answer {
    /// The body of a success.
    pub(super) fn expect(self) -> anyhow::Result<Value> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        bail!("{} answered {}: {}", self.what, self.status, self.body)
    }

    /// Whether it is this problem.
    pub(super) fn is(&self, slug: &str) -> bool {
        self.body["type"].as_str().is_some_and(|kind| kind.ends_with(&format!(":{slug}")))
    }
}

impl Client {
    /// A client that goes to where the edge listens and asks for the public host, whatever leads there from outside.
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
        let host = settings.public_url.host_str().unwrap_or_default();
        let host = settings.public_url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut edge = settings.edge_addr;
        if edge.ip().is_unspecified() {
            edge.set_ip([127, 0, 0, 1].into());
        }
        Ok(Self { http, base: format!("http://{edge}"), host })
    }

    /// Makes a call with a JSON body, if any, and a token, if any.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> anyhow::Result<Answer> {
        let what = format!("{method} {path}");
        let mut request = self.http.request(method, format!("{}{path}", self.base)).header(header::HOST, &self.host);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| what.clone())?;
        let status = response.status();
        let text = response.text().await.with_context(|| what.clone())?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, body, what })
    }

    /// `GET` with a token; the body of a success.
    pub(super) async fn get(&self, path: &str, token: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, Some(token), None).await?.expect()
    }

    /// `POST` without a token.
    pub(super) async fn post(&self, path: &str, body: Value) -> anyhow::Result<Answer> {
        self.call(Method::POST, path, None, Some(body)).await
    }

    /// `PUT` of bytes to a presigned URL; answers the entity tag.
    pub(super) async fn put_part(&self, part: &Value, bytes: Vec<u8>) -> anyhow::Result<String> {
        let mut request = self.http.put(part["url"].as_str().context("a part without URL")?);
        for (name, value) in part["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap_or_default());
        }
        let response = request.body(bytes).send().await?.error_for_status()?;
        let tag = response.headers().get(header::ETAG).context("the storage gave no ETag")?;
        Ok(tag.to_str()?.to_owned())
    }
}

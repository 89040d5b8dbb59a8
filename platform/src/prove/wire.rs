//! Requests as an attacker sends them: byte for byte, where a well-behaved client would tidy the path up.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tower::ServiceExt;
use url::Url;

use super::{
    made::Made,
    sessions::{Renewal, Sessions, printed},
};

/// How long one answer may take; the server gives up after 30 s.
const PATIENCE: Duration = Duration::from_secs(40);
/// How often a request waits for its turn before the proof gives up.
const TURNS: u32 = 20;
/// The longest wait that a `Retry-After` may ask for, seconds.
const LONGEST_WAIT: u64 = 120;

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Path and query as they are sent; or a whole URL, for another host.
    pub(super) path: String,
    pub(super) token: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    /// JSON, or something that claims to be.
    pub(super) body: Option<String>,
}

impl Request {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), token: None, headers: Vec::new(), body: None }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn by(self, token: &str) -> Self {
        Self { token: (!token.is_empty()).then(|| token.to_owned()), ..self }
    }

    pub(super) fn json(self, body: &Value) -> Self {
        Self { body: Some(body.to_string()), ..self }
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Everything that is sent but the token: what an answer may repeat.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{} {}", self.method, self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!(" [{name}: {value}]"));
        }
        if let Some(body) = &self.body {
            text.push(' ');
            text.push_str(body);
        }
        text
    }
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Bytes,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The body, `Null` when it is no JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body of a success.
    ///
    /// # Errors
    /// Any other answer, shown.
    pub(super) fn expect(self, what: &str) -> anyhow::Result<Value> {
        if self.is_success() {
            return Ok(self.json());
        }
        bail!("{what}: {} {}", self.status, self.text().chars().take(400).collect::<String>())
    }
}

/// Sends requests to one origin.
#[derive(Debug)]
pub(super) struct Wire {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    connector: HttpsConnector<HttpConnector>,
    origin: String,
    sent: AtomicU64,
    waited: AtomicU64,
    /// The tokens that were given out.
    pub(super) sessions: Sessions,
    /// What came of the requests.
    pub(super) made: Made,
}

impl Wire {
    /// For this origin; its path and query are left out.
    ///
    /// # Errors
    /// A system without trusted certificates, or a URL without a host.
    pub(super) fn to(url: &Url) -> anyhow::Result<Self> {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(aws_lc_rs::default_provider())
            .context("the system's trusted certificates")?
            .https_or_http()
            .enable_http1()
            .build();
        let origin = url.origin();
        if !origin.is_tuple() {
            bail!("{url} is no address of a server");
        }
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector.clone()),
            connector,
            origin: origin.ascii_serialization(),
            sent: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            sessions: Sessions::default(),
            made: Made::default(),
        })
    }

    /// `scheme://host[:port]`
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// A connection of one's own, for bytes that no client would send.
    ///
    /// # Errors
    /// Nobody listens, or not with a trusted certificate.
    pub(super) async fn connect(&self) -> anyhow::Result<impl AsyncRead + AsyncWrite + Unpin + use<>> {
        let connected = self.connector.clone().oneshot(self.origin.parse::<Uri>()?).await;
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(TokioIo::new(connected.map_err(|error| anyhow::anyhow!("{}: {error}", self.origin))?))
    }

    /// Requests sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Times that a request waited for its turn.
    pub(super) fn waited(&self) -> u64 {
        self.waited.load(Ordering::Relaxed)
    }

    /// Sends a request, and again when its tenant or address has sent too many, or a part of the service is away for a
    /// moment: that is no answer.
    ///
    /// # Errors
    /// No answer, or no turn after many tries.
    pub(super) async fn send(&self, request: &Request) -> anyhow::Result<Answer> {
        for _ in 0..TURNS {
            let answer = self.send_once(request).await?;
            let wait = answer.header("retry-after").parse::<u64>().ok().filter(|_| [429, 503].contains(&answer.status));
            let Some(seconds) = wait else { return Ok(answer) };
            self.waited.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(seconds.clamp(1, LONGEST_WAIT))).await;
        }
        bail!("{} {}: told to wait {TURNS} times in a row", request.method, request.path)
    }

    /// Sends a request, with the token that is in force; whatever the answer is, it is the answer.
    ///
    /// # Errors
    /// No answer.
    pub(super) async fn send_once(&self, request: &Request) -> anyhow::Result<Answer> {
        let what = || format!("{} {}", request.method, request.path);
        let mut sent = request.clone();
        if let Some(token) = &request.token {
            sent.token = Some(self.in_force(token).await);
        }
        let sent = self.assemble(&sent, request.body.clone().unwrap_or_default().into()).with_context(what)?;
        let answer = self.exchange(sent).await.with_context(what)?;
        if answer.status == 201 && request.method == Method::POST {
            self.made.note(&request.path, request.body.as_deref(), &answer.json());
        }
        Ok(answer)
    }

    /// The token that is good now of whoever was given this one.
    pub(super) async fn in_force(&self, token: &str) -> String {
        let renew = async |renewal: &Renewal| match renewal {
            Renewal::Command(command) => printed(command).await,
            Renewal::Password { email, password } => {
                let body = json!({"email": email, "password": password}).to_string();
                let log_in = Request::new(Method::POST, "/api/v1/auth/login");
                let log_in = self.assemble(&Request { body: Some(body.clone()), ..log_in }, body.into()).ok()?;
                let answer = self.exchange(log_in).await.ok()?.json();
                answer["id_token"].as_str().map(str::to_owned)
            }
        };
        self.sessions.in_force(token, renew).await
    }

    /// PUTs bytes to a presigned URL of another host.
    ///
    /// # Errors
    /// No answer.
    pub(super) async fn put(&self, url: &str, headers: &Value, bytes: Bytes) -> anyhow::Result<Answer> {
        let mut request = Request::new(Method::PUT, url);
        for (name, value) in headers.as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap_or_default());
        }
        self.exchange(self.assemble(&request, bytes)?).await
    }

    fn assemble(&self, request: &Request, body: Bytes) -> anyhow::Result<http::Request<Full<Bytes>>> {
        let uri = if request.path.starts_with('/') {
            format!("{}{}", self.origin, request.path)
        } else {
            request.path.clone()
        };
        let mut builder = http::Request::builder().method(request.method.clone()).uri(uri.parse::<Uri>()?);
        if let Some(token) = &request.token {
            builder = builder.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if request.body.is_some() {
            builder = builder.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        Ok(builder.body(Full::new(body))?)
    }

    async fn exchange(&self, request: http::Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let exchange = async {
            let (parts, body) = self.client.request(request).await?.into_parts();
            let bytes = body.collect().await?.to_bytes();
            anyhow::Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, bytes })
        };
        tokio::time::timeout(PATIENCE, exchange).await.context("no answer in time")?
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::{Json, Router, http::HeaderMap, routing};

    use super::*;

    /// A server that answers who asked, and logs everybody in as `second`.
    async fn server() -> Url {
        let whoever = async |headers: HeaderMap| {
            headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or("nobody").to_owned()
        };
        let routes = Router::new()
            .route("/me", routing::get(whoever))
            .route("/api/v1/auth/login", routing::post(async || Json(json!({"id_token": "second"}))));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url.parse().unwrap()
    }

    #[tokio::test]
    async fn a_request_that_was_made_long_ago_is_sent_with_a_token_of_today() {
        let mut wire = Wire::to(&server().await).unwrap();
        wire.sessions = Sessions::lasting(Duration::ZERO);
        wire.sessions.keep("first", Renewal::Password { email: "a@b.c".into(), password: "p".into() });
        for (token, sent) in [("first", "Bearer second"), ("forged", "Bearer forged"), ("", "nobody")] {
            assert_eq!(wire.send(&Request::get("/me").by(token)).await.unwrap().text(), sent);
        }
    }
}

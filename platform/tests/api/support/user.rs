//! Somebody who calls the API, and what they are answered.

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::Value;

use super::{TestApp, stack};

/// One of the two businesses that exist in every test.
#[derive(Clone, Copy)]
pub struct Business<'a> {
    pub app: &'a TestApp,
    pub name: &'static str,
}

impl<'a> Business<'a> {
    pub fn owner(&self) -> User<'a> {
        self.person("owner")
    }

    pub fn admin(&self) -> User<'a> {
        self.person("admin")
    }

    pub fn coach(&self) -> User<'a> {
        self.person("coach")
    }

    pub fn athlete(&self) -> User<'a> {
        self.person("athlete")
    }

    pub fn athlete2(&self) -> User<'a> {
        self.person("athlete2")
    }

    pub fn person(&self, name: &str) -> User<'a> {
        User::new(self.app, self.details(name).id_token.clone())
    }

    pub fn details(&self, name: &str) -> &'static stack::Person {
        &stack::stack().fixture.people[&format!("{}.{name}", self.name)]
    }

    pub fn tenant_id(&self) -> &'static str {
        &self.details("owner").tenant_id
    }

    pub fn member_id(&self, name: &str) -> &'static str {
        &self.details(name).member_id
    }
}

/// A caller with a token; an empty one sends none.
#[derive(Clone)]
pub struct User<'a> {
    pub app: &'a TestApp,
    pub token: String,
}

impl<'a> User<'a> {
    pub fn new(app: &'a TestApp, token: String) -> Self {
        Self { app, token }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, &[]).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None, &[]).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body), &[]).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, Some(body), &[]).await
    }

    pub async fn put_empty(&self, path: &str) -> Answer {
        self.send(Method::PUT, path, None, &[]).await
    }

    pub async fn post_empty(&self, path: &str) -> Answer {
        self.send(Method::POST, path, None, &[]).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, Some(body), &[]).await
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.app.request(method, path);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(request.send().await.unwrap()).await
    }
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    pub async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Self { status, headers, body, text }
    }

    /// Demands a status, and shows the answer if it is another.
    #[track_caller]
    pub fn assert(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if status >= 400 {
            self.assert_is_problem();
        }
        self
    }

    #[track_caller]
    pub fn assert_not_found(self) -> Self {
        self.assert(404)
    }

    /// Demands a problem of this type.
    #[track_caller]
    pub fn assert_problem(self, status: u16, slug: &str) -> Self {
        let answer = self.assert(status);
        assert_eq!(answer.body["type"], format!("urn:ffp:problem:{slug}"), "{}", answer.text);
        answer
    }

    /// Demands that a problem names this field.
    #[track_caller]
    pub fn assert_names(self, pointer: &str) -> Self {
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        assert!(errors.iter().any(|error| error["pointer"] == pointer), "{pointer} is not named: {}", self.text);
        self
    }

    /// Every refusal is a whole problem document.
    #[track_caller]
    pub fn assert_is_problem(&self) {
        let kind = self.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(kind, "application/problem+json", "{}", self.text);
        assert_eq!(self.body["status"], self.status.as_u16(), "{}", self.text);
        assert!(self.body["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{}", self.text);
        if self.status == StatusCode::UNAUTHORIZED {
            assert!(self.headers.contains_key("www-authenticate"), "{}", self.text);
        }
    }

    pub fn id(&self) -> &str {
        self.body["id"].as_str().expect("the answer has an id")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

//! Who the users are: seeded callers, or businesses that register.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use goose::prelude::*;
use serde_json::{Value, json};

use crate::seeded::{Caller, Seeded};

/// Of everybody who registers; the emulator keeps it to itself.
const PASSWORD: &str = "a load test's password";

/// What all users share.
pub(super) struct People {
    seeded: Option<Seeded>,
    code: String,
    /// Whether videos are fetched from their URLs too.
    pub play: bool,
    /// Apart from other runs' people.
    run: u128,
    next: AtomicUsize,
}

/// A user's own.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub token: String,
}

impl People {
    pub(super) fn new(tokens: Option<&Path>, code: &str, play: bool) -> anyhow::Result<Self> {
        let seeded = tokens.map(Seeded::read).transpose()?;
        let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Ok(Self { seeded, code: code.to_owned(), play, run, next: AtomicUsize::new(0) })
    }

    /// Makes the user somebody: one of the seeded, or a business that registers now.
    pub(super) async fn join(&self, user: &mut GooseUser) -> TransactionResult {
        let token = match &self.seeded {
            Some(seeded) => {
                let n = self.next.fetch_add(1, Ordering::Relaxed);
                seeded.callers[n % seeded.callers.len()].token.clone()
            }
            None => self.register(user).await?,
        };
        user.set_session_data(Session { token });
        Ok(())
    }

    /// Makes the user the one who asks for too much.
    pub(super) async fn join_noisy(&self, user: &mut GooseUser) -> TransactionResult {
        let token = match self.seeded.as_ref().map(|seeded| &seeded.noisy) {
            Some(Caller { token, .. }) => token.clone(),
            None => self.register(user).await?,
        };
        user.set_session_data(Session { token });
        Ok(())
    }

    /// Registers a business, confirms it and logs in. Answers the token.
    pub(super) async fn register(&self, user: &mut GooseUser) -> Result<String, Box<TransactionError>> {
        let email = self.fresh_address();
        let business = json!({"email": email, "password": PASSWORD, "full_name": "Load Test", "business_name": "Load"});
        post(user, "/api/v1/auth/register", None, &business).await?;
        post(user, "/api/v1/auth/confirm", None, &json!({"email": email, "code": self.code})).await?;
        let tokens = post(user, "/api/v1/auth/login", None, &json!({"email": email, "password": PASSWORD})).await?;
        let token = tokens["id_token"].as_str().ok_or("the login gave no token")?;
        Ok(token.to_owned())
    }

    /// An address that nobody has used.
    pub(super) fn fresh_address(&self) -> String {
        format!("load-{}-{}@example.com", self.run, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// The user's token.
pub(super) fn token(user: &GooseUser) -> Result<String, Box<TransactionError>> {
    let session = user.get_session_data::<Session>().ok_or("the user is nobody")?;
    Ok(session.token.clone())
}

/// GETs JSON as the user; `name` is the request's in goose's tables, where ids would make one line each.
pub(super) async fn get(user: &mut GooseUser, path: &str, name: &str) -> Result<Value, Box<TransactionError>> {
    let token = token(user)?;
    let builder = user.get_request_builder(&GooseMethod::Get, path)?.bearer_auth(token);
    let request = GooseRequest::builder().set_request_builder(builder).name(name).build();
    let answer = user.request(request).await?;
    Ok(answer.response?.json().await?)
}

/// POSTs JSON; answers JSON, null for none.
pub(super) async fn post(
    user: &mut GooseUser,
    path: &str,
    as_member: Option<&str>,
    body: &Value,
) -> Result<Value, Box<TransactionError>> {
    let token = as_member.map(|_| token(user)).transpose()?;
    let mut builder = user.get_request_builder(&GooseMethod::Post, path)?.json(body);
    if let Some(token) = token {
        builder = builder.bearer_auth(token);
    }
    let request = GooseRequest::builder().set_request_builder(builder).name(as_member.unwrap_or(path)).build();
    let answer = user.request(request).await?.response?.error_for_status()?;
    let body = answer.bytes().await?;
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

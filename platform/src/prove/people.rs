//! The two businesses and their people, made through the API as anybody makes them.

use std::sync::Arc;

use anyhow::{Context, bail};
use http::Method;
use serde_json::{Value, json};
use tenants::{Role, TenantId, proof::Party};
use uuid::Uuid;

use super::{
    before::Before,
    document::fresh_email,
    mail::Mailbox,
    objects::Objects,
    sessions::Renewal,
    wire::{Request, Wire},
};

/// Everybody's password.
pub(super) const PASSWORD: &str = "a proof's password 7!";

/// Somebody with a token.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) role: Role,
    pub(super) email: String,
    pub(super) password: String,
    pub(super) tenant_id: String,
    pub(super) member_id: String,
    pub(super) token: String,
    pub(super) refresh_token: String,
}

/// One of the two sides.
#[derive(Clone, Debug)]
pub(super) struct Business {
    pub(super) name: String,
    pub(super) tenant_id: String,
    /// The owner first.
    pub(super) people: Vec<Person>,
    pub(super) objects: Objects,
    /// Made by the proof, so it goes again.
    pub(super) is_ours: bool,
    /// What is put back at the end.
    pub(super) before: Before,
}

impl Business {
    pub(super) fn owner(&self) -> &Person {
        &self.people[0]
    }

    pub(super) fn person(&self, role: Role) -> Option<&Person> {
        self.people.iter().find(|person| person.role == role)
    }

    /// As the database's half of the proof knows it.
    pub(super) fn party(&self) -> anyhow::Result<Party> {
        let members = self.people.iter().map(|person| Ok((Uuid::try_parse(&person.member_id)?, person.role)));
        Ok(Party {
            tenant: TenantId(Uuid::try_parse(&self.tenant_id)?),
            members: members.collect::<anyhow::Result<_>>()?,
        })
    }
}

/// Makes people.
#[derive(Debug)]
pub(super) struct Registrar {
    pub(super) wire: Arc<Wire>,
    /// The code that the emulator mails to everybody; none where mails are real.
    pub(super) confirmation_code: Option<String>,
    pub(super) mailbox: Option<Mailbox>,
}

impl Registrar {
    /// A business of that name, with its owner.
    ///
    /// # Errors
    /// Registering is refused, or the code is not the right one.
    pub(super) async fn business(&self, name: &str) -> anyhow::Result<Business> {
        let owner = self.register("owner", Some(name)).await?;
        Ok(Business {
            name: name.to_owned(),
            tenant_id: owner.tenant_id.clone(),
            people: vec![owner],
            objects: Objects::default(),
            is_ours: true,
            before: Before::default(),
        })
    }

    /// The business of somebody who exists.
    ///
    /// # Errors
    /// Logging in is refused.
    pub(super) async fn existing(&self, email: &str, password: &str) -> anyhow::Result<Business> {
        let owner = self.log_in(email, password).await?;
        let tenant =
            self.wire.send(&Request::get("/api/v1/tenant").by(&owner.token)).await?.expect("GET /api/v1/tenant")?;
        Ok(Business {
            name: tenant["name"].as_str().unwrap_or_default().to_owned(),
            tenant_id: owner.tenant_id.clone(),
            people: vec![owner],
            objects: Objects::default(),
            is_ours: false,
            before: Before::default(),
        })
    }

    /// Somebody who trains alone, for what an account does not survive.
    ///
    /// # Errors
    /// As [`business`](Self::business).
    pub(super) async fn individual(&self) -> anyhow::Result<Person> {
        self.register("individual", None).await
    }

    /// Registers an address that waits for its code.
    ///
    /// # Errors
    /// Registering is refused.
    pub(super) async fn pending(&self, who: &str, business: Option<&str>) -> anyhow::Result<String> {
        let email = fresh_email(who);
        let body = json!({"email": email, "password": PASSWORD, "full_name": format!("Prove {who}"), "business_name": business});
        self.post("/api/v1/auth/register", &body).await?;
        Ok(email)
    }

    async fn register(&self, who: &str, business: Option<&str>) -> anyhow::Result<Person> {
        let code = self.confirmation_code.as_deref().context("the confirmation code can't be known here")?;
        let email = self.pending(who, business).await?;
        self.post("/api/v1/auth/confirm", &json!({"email": email, "code": code})).await?;
        self.log_in(&email, PASSWORD).await
    }

    /// Invites somebody, and accepts as them.
    ///
    /// # Errors
    /// No mailbox to find the token in, no worker that mails it, or a refusal.
    pub(super) async fn join(&self, business: &Business, role: Role) -> anyhow::Result<Person> {
        let (email, token) = self.invitation(business, role).await?;
        let body = json!({"token": token, "password": PASSWORD, "full_name": format!("Prove {}", role.as_str())});
        self.post("/api/v1/auth/accept-invitation", &body).await?;
        self.log_in(&email, PASSWORD).await
    }

    /// An open invitation's address and token.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub(super) async fn invitation(&self, business: &Business, role: Role) -> anyhow::Result<(String, String)> {
        let Some(mailbox) = &self.mailbox else { bail!("there is no mailbox to find an invitation's token in") };
        let email = fresh_email(role.as_str());
        let body = json!({"email": email, "role": role.as_str()});
        let request = Request::new(Method::POST, "/api/v1/invitations").by(&business.owner().token).json(&body);
        self.wire.made.invited(&email, &business.tenant_id);
        self.wire.send(&request).await?.expect("POST /api/v1/invitations")?;
        let token = mailbox.invitation(&email).await.context("no invitation was mailed: is a worker running?")?;
        Ok((email, token))
    }

    /// A person by address and password.
    ///
    /// # Errors
    /// Logging in is refused, or takes a second factor.
    pub(super) async fn log_in(&self, email: &str, password: &str) -> anyhow::Result<Person> {
        let tokens = self.post("/api/v1/auth/login", &json!({"email": email, "password": password})).await?;
        let Some(token) = tokens["id_token"].as_str() else { bail!("{email} needs more than a password to log in") };
        let renewal = Renewal::Password { email: email.to_owned(), password: password.to_owned() };
        self.wire.sessions.keep(token, renewal);
        let me = self.wire.send(&Request::get("/api/v1/me").by(token)).await?.expect("GET /api/v1/me")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Person {
            role: text(&me["role"]).parse().map_err(anyhow::Error::msg)?,
            email: email.to_owned(),
            password: password.to_owned(),
            tenant_id: text(&me["tenant_id"]),
            member_id: text(&me["id"]),
            token: token.to_owned(),
            refresh_token: text(&tokens["refresh_token"]),
        })
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.wire.send(&Request::new(Method::POST, path).json(body)).await?.expect(&format!("POST {path}"))
    }
}

//! The demo business and its people, and an operator; made through the API's own routes, once.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use devstack::ministack::MiniStack;
use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::sleep;
use url::Url;

use super::{
    client::{Answer, Client},
    footage::{self, Footage},
    provision::Provisioned,
    settings::Settings,
};
use crate::cognito::{self, AuthOutcome, Directory};

/// The password of all demo logins. It opens nothing but data on this machine.
pub(super) const PASSWORD: &str = "Demo-Gym-2026";
/// The operator's login.
pub(super) const OPERATOR: &str = "operator@ffp.example";
/// The code that the emulator mails to every new account.
const CODE: &str = "123456";
/// How long a mail may be on its way: a job has to be fetched and run.
const MAIL_LIMIT: Duration = Duration::from_secs(30);
/// How long the API may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Somebody in the demo business.
pub(super) struct Person {
    /// As the member row will say.
    pub role: &'static str,
    /// The login.
    pub email: &'static str,
    name: &'static str,
}

/// The owner first: the others are invited by her.
pub(super) const PEOPLE: [Person; 4] = [
    Person { role: "owner", email: "olivia@demo-gym.example", name: "Olivia Okafor" },
    Person { role: "coach", email: "carlos@demo-gym.example", name: "Carlos Castillo" },
    Person { role: "athlete", email: "anna@demo-gym.example", name: "Anna Andersson" },
    Person { role: "athlete", email: "ahmed@demo-gym.example", name: "Ahmed Aziz" },
];

/// Makes the demo data.
pub(super) struct Demo<'a> {
    client: Client,
    ministack: &'a MiniStack,
    operators: Directory,
    footage: Footage,
}

impl<'a> Demo<'a> {
    /// Makes nothing yet.
    pub(super) async fn new(
        settings: &Settings,
        provisioned: &Provisioned,
        ministack: &'a MiniStack,
    ) -> anyhow::Result<Self> {
        let cognito = cognito::client(&provisioned.aws.sdk().await);
        Ok(Self {
            client: Client::new(settings)?,
            ministack,
            operators: Directory::new(cognito, provisioned.pools.operators.clone()),
            footage: Footage::new(settings.path("demo")),
        })
    }

    /// Makes what is missing of it.
    pub(super) async fn ensure(&self) -> anyhow::Result<()> {
        self.wait_until_ready().await?;
        let [owner, others @ ..] = &PEOPLE;
        // Encoding takes the longest and needs nobody.
        let (file, token, operator) = tokio::try_join!(self.footage.file(), self.owner(owner), self.operator())?;
        try_join_all(others.iter().map(|person| self.member(person, &token))).await.context("the demo members")?;
        let library =
            footage::Upload { base: "/api/v1/admin/library/videos", title: "Welcome to FFP", token: &operator };
        let own = footage::Upload { base: "/api/v1/videos", title: "Demo Gym: warm-up", token: &token };
        for upload in [own, library] {
            upload.ensure(&self.client, &file).await.with_context(|| format!("the video “{}”", upload.title))?;
        }
        Ok(())
    }

    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let answer = self.client.call(Method::GET, "/readyz", None, None).await?;
            if answer.status.is_success() {
                return Ok(());
            }
            if Instant::now() > deadline {
                answer.expect().context("the API is not ready")?;
            }
            sleep(PAUSE).await;
        }
    }

    /// Logs the owner in; registers the business and confirms the address first if need be.
    async fn owner(&self, owner: &Person) -> anyhow::Result<String> {
        let login = self.login(owner).await?;
        if login.status == StatusCode::UNAUTHORIZED {
            let registration = json!({
                "email": owner.email,
                "password": PASSWORD,
                "full_name": owner.name,
                "business_name": "Demo Gym",
                "time_zone": "Europe/Berlin",
            });
            self.client.post("/api/v1/auth/register", registration).await?.expect()?;
        } else if !login.is("email-not-confirmed") {
            return id_token(&login.expect()?);
        }
        let confirmation = json!({ "email": owner.email, "code": CODE });
        self.client.post("/api/v1/auth/confirm", confirmation).await?.expect()?;
        id_token(&self.login(owner).await?.expect()?)
    }

    /// Has a member join, by an invitation that is read from the mail.
    async fn member(&self, person: &Person, owner: &str) -> anyhow::Result<()> {
        if self.login(person).await?.status.is_success() {
            return Ok(());
        }
        let open = self.client.get("/api/v1/invitations?limit=100", owner).await?;
        let open = open["items"].as_array().into_iter().flatten();
        match open.into_iter().find(|open| open["email"] == person.email && open["status"] == "pending") {
            // The emulator forgets mails when it stops.
            Some(open) => {
                let path = format!("/api/v1/invitations/{}/resend", open["id"].as_str().unwrap_or_default());
                self.client.call(Method::POST, &path, Some(owner), None).await?.expect()?;
            }
            None => {
                let invitation = json!({ "email": person.email, "role": person.role });
                self.client.call(Method::POST, "/api/v1/invitations", Some(owner), Some(invitation)).await?.expect()?;
            }
        }
        self.accept(person).await?;
        self.login(person).await?.expect()?;
        Ok(())
    }

    /// Accepts with the newest mail's token. A token that was replaced meanwhile is refused, and its successor's mail
    /// is on its way.
    async fn accept(&self, person: &Person) -> anyhow::Result<()> {
        let deadline = Instant::now() + MAIL_LIMIT;
        let mut tried = None;
        while Instant::now() < deadline {
            let token = self.invitation(person.email).await?;
            if token.is_some() && token != tried {
                let acceptance = json!({ "token": token, "password": PASSWORD, "full_name": person.name });
                let answer = self.client.post("/api/v1/auth/accept-invitation", acceptance).await?;
                if !answer.status.is_client_error() {
                    answer.expect()?;
                    return Ok(());
                }
                tried = token;
            }
            sleep(PAUSE).await;
        }
        bail!("no invitation that works came for {} within {} s", person.email, MAIL_LIMIT.as_secs())
    }

    /// The token in the newest mail to an address.
    async fn invitation(&self, email: &str) -> anyhow::Result<Option<String>> {
        let mails = self.ministack.mails().await?;
        let to_them = mails.iter().rev().filter(|mail| mail.to.iter().any(|to| to == email));
        Ok(to_them.filter_map(|mail| token_in(&mail.body)).next())
    }

    async fn login(&self, person: &Person) -> anyhow::Result<Answer> {
        self.client.post("/api/v1/auth/login", json!({ "email": person.email, "password": PASSWORD })).await
    }

    /// Makes the operator's account and signs in. The API has no route for that: operators sign in at their own pool.
    async fn operator(&self) -> anyhow::Result<String> {
        let password = SecretString::from(PASSWORD);
        let subject = match self.operators.find(OPERATOR).await? {
            Some(user) => user.subject,
            None => self.operators.create_operator(OPERATOR).await?,
        };
        self.operators.set_password(&subject, &password).await?;
        match self.operators.authenticate(OPERATOR, &password).await? {
            AuthOutcome::Tokens(tokens) => Ok(tokens.id.expose_secret().to_owned()),
            AuthOutcome::Challenge { challenge, .. } => bail!("the operators' pool asks for {}", challenge.as_str()),
        }
    }
}

fn id_token(login: &Value) -> anyhow::Result<String> {
    login["id_token"].as_str().map(str::to_owned).context("the login asks for more than the password")
}

/// The token of the link in an invitation.
fn token_in(mail: &str) -> Option<String> {
    let links = mail.split_whitespace().filter_map(|word| Url::parse(word).ok());
    links
        .filter_map(|link| link.query_pairs().find(|(name, _)| name == "token").map(|(_, token)| token.into_owned()))
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_read_from_the_link_of_an_invitation() {
        let mail = "Olivia invites you.\n\nAccept: http://127.0.0.1:8080/accept-invitation?token=018f.a-b_c\n\nIf not, ignore it.";
        assert_eq!(token_in(mail).as_deref(), Some("018f.a-b_c"));
        assert_eq!(token_in("Your code is 123456, see http://127.0.0.1:8080/"), None);
    }
}

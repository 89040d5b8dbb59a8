//! The demo business and its people, and an operator; made through the API's own routes, once.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use devstack::ministack::MiniStack;
use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::sleep;
use url::Url;

use super::{
    client::Client,
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
    aws: &'a crate::config::AwsConfig,
    pool: cognito::PoolSettings,
}

impl<'a> Demo<'a> {
    /// Makes nothing yet.
    pub(super) fn new(settings: &Settings, provisioned: &'a Provisioned, ministack: &'a MiniStack) -> anyhow::Result<Self> {
        todo!()
    }
}

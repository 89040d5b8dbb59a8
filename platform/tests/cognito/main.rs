//! The life of accounts in the user pools of the local stack, through `platform::cognito`, and mail.
#![cfg(feature = "dev")]
#![allow(clippy::unwrap_used)]

mod accounts;
mod outside;
mod sign_in;

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_lc_rs::hmac;
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::config::Credentials;
use aws_sdk_cognitoidentityprovider::types::{SoftwareTokenMfaConfigType, UserPoolMfaType};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use devstack::ministack::{ACCESS_KEY_ID, MiniStack, MiniStackOptions, REGION, SECRET_ACCESS_KEY};
use devstack::ports::Port;
use platform::cognito::{self, AuthOutcome, Challenge, Directory, Error, PoolSettings, Tokens, UserStatus};
use platform::dev::pools::{self, Pools};
use platform::mail::{self, Mailer, Message};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

/// The emulator's fixed codes.
const SIGN_UP_CODE: &str = "123456";
const RESET_CODE: &str = "654321";

const ANN: &str = "ann@acme.example";
const BOB: &str = "bob@globex.example";

struct Stack {
    ministack: MiniStack,
    shared: SdkConfig,
    client: Client,
    pools: Pools,
}

impl Stack {
    async fn start() -> Self {
        let options = MiniStackOptions { port: Port::Any, data_dir: None };
        let ministack = MiniStack::start(options).await.unwrap();
        let shared = sdk_config(&ministack.endpoint()).await;
        let client = cognito::client(&shared);
        let pools = pools::ensure(&client, "members", "operators").await.unwrap();
        Self { ministack, shared, client, pools }
    }

    fn members(&self) -> Directory {
        Directory::new(self.client.clone(), self.pools.members.clone())
    }

    fn operators(&self) -> Directory {
        Directory::new(self.client.clone(), self.pools.operators.clone())
    }

    /// How many mails went to an address.
    async fn mails_to(&self, address: &str) -> usize {
        let mails = self.ministack.mails().await.unwrap();
        mails.iter().filter(|mail| mail.to.iter().any(|to| to == address)).count()
    }
}

async fn sdk_config(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "test"))
        .load()
        .await
}

fn password(text: &str) -> SecretString {
    text.to_owned().into()
}

fn tokens(outcome: AuthOutcome) -> Tokens {
    match outcome {
        AuthOutcome::Tokens(tokens) => tokens,
        AuthOutcome::Challenge { challenge, .. } => panic!("challenged with {challenge:?}"),
    }
}

fn claims(token: &SecretString) -> Value {
    let payload = token.expose_secret().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn signed_in(directory: &Directory, email: &str, secret: &str) -> Tokens {
    tokens(directory.authenticate(email, &password(secret)).await.unwrap())
}

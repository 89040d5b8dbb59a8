//! What the emulator's mailbox holds: the only way to an invitation's token.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use url::Url;

use super::wire::{Request, Wire};

/// How long a worker may take to send a mail.
const PATIENCE: Duration = Duration::from_secs(40);
const GLANCE: Duration = Duration::from_millis(100);

/// The mailbox of an AWS emulator on this machine.
#[derive(Debug)]
pub(super) struct Mailbox {
    wire: Wire,
}

impl Mailbox {
    /// The emulator's at `url`, if one answers there.
    pub(super) async fn at(url: &Url) -> Option<Self> {
        let mailbox = Self { wire: Wire::to(url).ok()? };
        mailbox.messages().await.map(|_| mailbox)
    }

    /// The token of an invitation to `email`, once it is mailed; none when no worker sends it.
    pub(super) async fn invitation(&self, email: &str) -> Option<String> {
        let arriving = async {
            loop {
                let mail = self
                    .messages()
                    .await?
                    .into_iter()
                    .rev()
                    .find(|mail| mail.contains(email) && mail.contains("token="));
                if let Some(token) = mail.as_deref().and_then(token) {
                    return Some(token);
                }
                tokio::time::sleep(GLANCE).await;
            }
        };
        tokio::time::timeout(PATIENCE, arriving).await.ok().flatten()
    }

    async fn messages(&self) -> Option<Vec<String>> {
        let answer = self.wire.send_once(&Request::new(Method::GET, "/_ministack/ses/messages")).await.ok()?;
        let all: Value = answer.json();
        let accounts = all["messages"].as_object()?;
        Some(accounts.values().flat_map(|mails| mails.as_array().into_iter().flatten()).map(Value::to_string).collect())
    }
}

fn token(mail: &str) -> Option<String> {
    let rest = mail.split("token=").nth(1)?;
    Some(rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_token_ends_where_the_link_does() {
        let mail = r#"{"Body":"Join: https://x/accept-invitation?token=0190-a.B_c-d\nThank you"}"#;
        assert_eq!(super::token(mail).as_deref(), Some("0190-a.B_c-d"));
        assert_eq!(super::token("{}"), None);
    }
}

//! The mails that the emulator kept instead of sending.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use serde::Deserialize;

use crate::{Error, Result};

/// A mail that would have been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The sender's address.
    pub from: String,
    /// The addressees, without those of copies.
    pub to: Vec<String>,
    /// The subject, its template filled in.
    pub subject: String,
    /// The plain text; the HTML when there is no plain text.
    pub body: String,
    /// The HTML, if any.
    pub html: Option<String>,
    /// When it was handed in.
    pub sent_at: SystemTime,
}

/// The answer of the inspection endpoint: the mails of each account.
#[derive(Deserialize)]
struct Outbox {
    messages: HashMap<String, Vec<Message>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    source: String,
    to: Vec<String>,
    subject: String,
    body_text: Option<String>,
    body_html: Option<String>,
    /// Seconds since 1970.
    timestamp: f64,
}

impl From<Message> for Mail {
    fn from(message: Message) -> Self {
        let html = message.body_html.filter(|html| !html.is_empty());
        let text = message.body_text.filter(|text| !text.is_empty());
        Self {
            from: message.source,
            to: message.to,
            subject: message.subject,
            body: text.or_else(|| html.clone()).unwrap_or_default(),
            html,
            sent_at: SystemTime::UNIX_EPOCH + Duration::try_from_secs_f64(message.timestamp).unwrap_or_default(),
        }
    }
}

/// All mails of all accounts, oldest first.
pub(super) async fn list(client: &reqwest::Client, endpoint: &str) -> Result<Vec<Mail>> {
    let url = format!("{endpoint}/_ministack/ses/messages");
    let answer = async { client.get(url).send().await?.error_for_status()?.json::<Outbox>().await };
    let outbox = answer.await.map_err(|source| Error::Http { context: "cannot read the sent mails", source })?;
    let mut mails: Vec<Mail> = outbox.messages.into_values().flatten().map(Mail::from).collect();
    mails.sort_by_key(|mail| mail.sent_at);
    Ok(mails)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn message(text: &str, html: Option<&str>) -> Message {
        Message {
            source: "no-reply@example.com".to_owned(),
            to: vec!["ann@example.com".to_owned()],
            subject: "Hello".to_owned(),
            body_text: Some(text.to_owned()),
            body_html: html.map(ToOwned::to_owned),
            timestamp: 1.5,
        }
    }

    #[test]
    fn the_body_is_the_plain_text_if_there_is_one() {
        let mail = Mail::from(message("text", Some("<p>text</p>")));
        assert_eq!((mail.body.as_str(), mail.html.as_deref()), ("text", Some("<p>text</p>")));
        assert_eq!(mail.sent_at, SystemTime::UNIX_EPOCH + Duration::from_millis(1500));
    }

    #[test]
    fn the_body_of_a_mail_in_html_only_is_the_html() {
        assert_eq!(Mail::from(message("", Some("<p>text</p>"))).body, "<p>text</p>");
        assert_eq!(Mail::from(message("", Some(""))).html, None);
    }
}

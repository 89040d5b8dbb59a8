//! Mail that this product sends itself, through Amazon SES. Confirmation and recovery codes are Cognito's to send.
//!
//! Names of businesses and people are other users' input and the mail carries our sender: what goes into it is
//! cleaned (`harmless`) so that a name can neither add a header, hide text, nor put a link of its own before the reader.

mod harmless;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::Builder;
use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message as SesMessage};
use url::Url;

use crate::faults;

/// Longest subject, in characters; longer ones are cut.
const MAX_SUBJECT_LENGTH: usize = 150;
/// Longest name within a mail, in characters; longer ones are cut.
const MAX_NAME_LENGTH: usize = 80;
/// Longest address, in bytes (RFC 5321 section 4.5.3.1.3, less the angle brackets).
const MAX_ADDRESS_LENGTH: usize = 254;

/// Why a mail did not leave. Names no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The recipient is not one plain address.
    #[error("the recipient is not an address")]
    InvalidAddress,
    /// SES cannot be reached, timed out, failed or throttles. The mail may have left all the same.
    #[error("the mail service is unavailable")]
    Unavailable,
    /// SES refused, with this code: an unverified sender, a suspended account, or a wrong setting.
    #[error("the mail service refused: {0}")]
    Refused(String),
}

/// Builds an SES client with time limits: 2 s to connect, 5 s per attempt, 11 s over all, one retry.
pub fn client(shared: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(11))
        .build();
    let retries = RetryConfig::standard().with_max_attempts(2);
    Client::from_conf(Builder::from(shared).timeout_config(timeouts).retry_config(retries).build())
}

/// Sends mail from one address.
#[derive(Clone, Debug)]
pub struct Mailer {
    client: Client,
    from: String,
}

impl Mailer {
    /// A mailer whose mail comes from `from`, an address or `Name <address>` that SES has verified. Makes no call.
    pub fn new(client: Client, from: impl Into<String>) -> Self {
        Self { client, from: from.into() }
    }

    /// Sends a message to one address.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`], [`Error::Unavailable`], [`Error::Refused`].
    pub async fn send(&self, to: &str, message: &Message) -> Result<(), Error> {
        if !is_plain_address(to) {
            return Err(Error::InvalidAddress);
        }
        let body = Body::builder().text(utf8(&message.text)?).html(utf8(&message.html)?).build();
        let simple = SesMessage::builder().subject(utf8(&message.subject)?).body(body).build();
        self.client
            .send_email()
            .from_email_address(&self.from)
            .destination(Destination::builder().to_addresses(to).build())
            .content(EmailContent::builder().simple(simple).build())
            .send()
            .await
            .map_err(|error| read(&error))?;
        faults::after("ses.send");
        Ok(())
    }
}

/// A mail's subject and its body, as plain text and as HTML.
///
/// Debug output shows the subject alone, since a body may hold the secret of an invitation.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    subject: String,
    text: String,
    html: String,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl Message {
    /// A message; line breaks and other control characters in the subject become spaces, and it is cut to 150
    /// characters. The HTML is taken as it is: escape what goes into it.
    pub fn new(subject: &str, text: impl Into<String>, html: impl Into<String>) -> Self {
        Self { subject: harmless::line(subject, MAX_SUBJECT_LENGTH), text: text.into(), html: html.into() }
    }

    /// The subject, in one line.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The plain text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The HTML.
    pub fn html(&self) -> &str {
        &self.html
    }

    /// Invites somebody into a business. `link` holds the invitation's secret and is good for 7 days.
    pub fn invitation(business: &str, inviter: &str, link: &Url) -> Self {
        let (business, inviter) = (harmless::name(business, MAX_NAME_LENGTH), harmless::name(inviter, MAX_NAME_LENGTH));
        compose(
            &format!("{inviter} invites you to join {business}"),
            &[
                &format!("{inviter} invites you to join {business} on FFP."),
                "The invitation is good for 7 days and can be used once.",
            ],
            &[("Accept the invitation", link)],
            "If you did not expect this, ignore it: nothing happens unless you accept.",
        )
    }

    /// Tells an address that somebody tried to register it though it has an account.
    pub fn already_registered(sign_in: &Url, reset_password: &Url) -> Self {
        compose(
            "You already have an account",
            &[
                "Somebody, perhaps you, tried to register this address with FFP.",
                "You already have an account, so nothing was changed.",
            ],
            &[("Sign in", sign_in), ("Choose a new password", reset_password)],
            "If it was not you, there is nothing to do.",
        )
    }
}

/// Lays out paragraphs, links and a closing paragraph as text and as HTML that reads well aloud and without styles.
fn compose(subject: &str, paragraphs: &[&str], links: &[(&str, &Url)], closing: &str) -> Message {
    let mut text = String::new();
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{}</title></head>\n<body>\n",
        escape(subject)
    );
    for paragraph in paragraphs {
        text.push_str(&format!("{paragraph}\n\n"));
        html.push_str(&format!("<p>{}</p>\n", escape(paragraph)));
    }
    for (label, link) in links {
        let address = escape(link.as_str());
        text.push_str(&format!("{label}:\n{link}\n\n"));
        html.push_str(&format!("<p><a href=\"{address}\">{}</a><br>or open {address}</p>\n", escape(label)));
    }
    text.push_str(&format!("{closing}\n"));
    html.push_str(&format!("<p>{}</p>\n</body>\n</html>\n", escape(closing)));
    Message::new(subject, text, html)
}

/// The five characters with a meaning in HTML text and quoted attributes, as entities.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// One address and nothing around it: no list, no display name, no second header line.
fn is_plain_address(to: &str) -> bool {
    let bare = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ',' | ';' | '<' | '>' | '"' | '(' | ')');
    to.len() <= MAX_ADDRESS_LENGTH
        && to.chars().all(bare)
        && to
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'))
}

fn utf8(data: &str) -> Result<Content, Error> {
    Content::builder().data(data).charset("UTF-8").build().map_err(|_: BuildError| Error::Refused("no content".into()))
}

fn read<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Error {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => Error::Unavailable,
        SdkError::ServiceError(failure) => match failure.err().code() {
            Some("TooManyRequestsException" | "LimitExceededException" | "ThrottlingException") => Error::Unavailable,
            _ if failure.raw().status().as_u16() >= 500 => Error::Unavailable,
            Some(code) => Error::Refused(code.to_owned()),
            None => Error::Refused(format!("status {}", failure.raw().status().as_u16())),
        },
        _ => Error::Refused("request could not be built".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn link() -> Url {
        Url::parse("https://ffp.example/join?token=abc&x=1").unwrap()
    }

    #[test]
    fn an_invitation_names_business_inviter_link_and_term() {
        let mail = Message::invitation("Acme Gym", "Ann Lee", &link());
        assert_eq!(mail.subject(), "Ann Lee invites you to join Acme Gym");
        for part in ["Ann Lee", "Acme Gym", "https://ffp.example/join?token=abc&x=1", "7 days"] {
            assert!(mail.text().contains(part), "no {part} in {}", mail.text());
        }
        assert!(mail.html().contains("href=\"https://ffp.example/join?token=abc&amp;x=1\""));
    }

    #[test]
    fn markup_in_a_name_is_shown_and_not_obeyed() {
        let mail = Message::invitation("<img src=x onerror=\"a\">&'", "A", &link());
        assert!(!mail.html().contains("<img"));
        assert!(mail.html().contains("&lt;img src=x onerror=&quot;a&quot;&gt;&amp;&#39;"));
    }

    #[test]
    fn a_name_cannot_add_a_header() {
        let mail = Message::invitation("Acme\r\nBcc: all@example.com", "A\u{2028}B\u{85}C", &link());
        assert_eq!(mail.subject(), "A B C invites you to join Acme Bcc: all@ example. com");
    }

    #[test]
    fn a_name_cannot_bring_a_link_of_its_own() {
        let mail = Message::invitation("Win at https://evil.example/x", "www.evil.example", &link());
        assert!(!mail.text().contains("evil.example"));
        assert!(!mail.text().contains("https://evil"));
    }

    #[test]
    fn long_subjects_are_cut() {
        assert_eq!(Message::new(&"s".repeat(500), "", "").subject().chars().count(), MAX_SUBJECT_LENGTH);
    }

    #[test]
    fn only_one_plain_address_is_written_to() {
        assert!(is_plain_address("ann+gym@example.com"));
        for to in ["", "ann", "@b", "a@", "a@b@c", "a@b,c@d", "a@b\r\nBcc:c@d", "Ann <a@b>", "a @b"] {
            assert!(!is_plain_address(to), "{to}");
        }
    }

    #[test]
    fn debug_output_keeps_the_invitations_secret() {
        assert!(!format!("{:?}", Message::invitation("Acme", "Ann", &link())).contains("token"));
    }
}

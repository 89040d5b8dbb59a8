//! Mail, and services that are away.

use super::*;

#[tokio::test]
async fn an_invitation_is_mailed_from_a_verified_sender_only() {
    let stack = Stack::start().await;
    let ses = mail::client(&stack.shared);
    let mailer = Mailer::new(ses.clone(), "FFP <ffp@ffp.example>");
    let link = Url::parse("https://ffp.example/join?token=t.s").unwrap();
    let message = Message::invitation("Acme <Gym>", "Ann", &link);

    assert_eq!(mailer.send(BOB, &message).await, Err(mail::Error::Refused("MessageRejected".into())));
    pools::ensure_sender(&ses, "ffp@ffp.example").await.unwrap();
    pools::ensure_sender(&ses, "ffp@ffp.example").await.unwrap();
    assert_eq!(mailer.send("a@b.example,c@d.example", &message).await, Err(mail::Error::InvalidAddress));
    mailer.send(BOB, &message).await.unwrap();
    let mails = stack.ministack.mails().await.unwrap();
    let sent = mails.last().unwrap();
    assert_eq!(sent.to, [BOB]);
    assert_eq!(sent.subject, "Ann invites you to join Acme <Gym>");
    assert!(sent.body.contains(link.as_str()));
}

#[tokio::test]
async fn a_service_that_is_away_is_unavailability() {
    // A port that was free a moment ago: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shared = sdk_config(&format!("http://127.0.0.1:{port}")).await;
    let settings = PoolSettings {
        pool_id: "us-east-1_members".into(),
        client_id: "client".into(),
        client_secret: password("secret"),
    };
    let directory = Directory::new(cognito::client(&shared), settings);
    assert_eq!(directory.find(ANN).await, Err(Error::Unavailable));
    assert_eq!(directory.resend(ANN).await, Err(Error::Unavailable));
    assert_eq!(directory.delete("subject").await, Err(Error::Unavailable));
    let refused = directory.authenticate(ANN, &password("Owner-pass1")).await.unwrap_err();
    assert_eq!(refused, Error::Unavailable);

    let mailer = Mailer::new(mail::client(&shared), "ffp@ffp.example");
    let message = Message::new("Hello", "text", "<p>text</p>");
    assert_eq!(mailer.send(ANN, &message).await, Err(mail::Error::Unavailable));
}

//! Passwords, challenges and refresh tokens.

use super::*;

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_look_the_same() {
    let stack = Stack::start().await;
    let directory = stack.members();
    let subject = directory.create(ANN, Uuid::now_v7(), "owner").await.unwrap();
    directory.set_password(&subject, &password("Owner-pass1")).await.unwrap();
    for (email, secret) in [(ANN, "Wrong-pass1"), (BOB, "Owner-pass1"), (ANN, "")] {
        let refused = directory.authenticate(email, &password(secret)).await.unwrap_err();
        assert_eq!(refused, Error::InvalidCredentials);
    }
    // Nor do codes tell.
    for email in [ANN, BOB] {
        assert_eq!(directory.resend(email).await, Ok(()));
        assert_eq!(directory.forgot_password(email).await, Ok(()));
        let reset = directory.confirm_forgot_password(email, "000000", &password("Other-pass1")).await;
        assert_eq!(reset, Err(Error::CodeMismatch));
    }
    assert_eq!(stack.mails_to(BOB).await, 0);
}

#[tokio::test]
async fn a_client_with_a_wrong_secret_is_a_defect_and_not_a_wrong_password() {
    let stack = Stack::start().await;
    let mut settings = stack.pools.members.clone();
    settings.client_secret = password("not the secret");
    let directory = Directory::new(stack.client.clone(), settings);
    let refused = directory.authenticate(ANN, &password("Owner-pass1")).await.unwrap_err();
    assert!(matches!(refused, Error::Unexpected(_)), "{refused:?}");
}

#[tokio::test]
async fn refresh_tokens_work_until_revoked_or_signed_out() {
    let stack = Stack::start().await;
    let directory = stack.members();
    let subject = directory.create(ANN, Uuid::now_v7(), "owner").await.unwrap();
    directory.set_password(&subject, &password("Owner-pass1")).await.unwrap();

    let laptop = signed_in(&directory, ANN, "Owner-pass1").await.refresh.unwrap();
    let phone = signed_in(&directory, ANN, "Owner-pass1").await.refresh.unwrap();
    assert_eq!(claims(&directory.refresh(&laptop).await.unwrap().id)["sub"], subject);

    directory.revoke(&laptop).await.unwrap();
    directory.revoke(&laptop).await.unwrap();
    directory.revoke(&password("no token at all")).await.unwrap();
    assert_eq!(directory.refresh(&laptop).await.unwrap_err(), Error::InvalidCredentials);
    directory.refresh(&phone).await.unwrap();

    directory.global_sign_out(&subject).await.unwrap();
    assert_eq!(directory.refresh(&phone).await.unwrap_err(), Error::InvalidCredentials);
    directory.global_sign_out("00000000-0000-4000-8000-000000000000").await.unwrap();

    // A new sign-in within the same second is not caught by the old sign-out.
    let back = signed_in(&directory, ANN, "Owner-pass1").await.refresh.unwrap();
    directory.refresh(&back).await.unwrap();

    let operators = stack.operators();
    assert_eq!(operators.refresh(&back).await.unwrap_err(), Error::InvalidCredentials);
    let forged = password(&format!("{}x", back.expose_secret()));
    assert_eq!(directory.refresh(&forged).await.unwrap_err(), Error::InvalidCredentials);
}

#[tokio::test]
async fn a_temporary_password_must_be_replaced_by_whoever_knows_it() {
    let stack = Stack::start().await;
    let directory = stack.members();
    let subject = directory.create(ANN, Uuid::now_v7(), "owner").await.unwrap();
    let temporary = stack.client.admin_set_user_password().user_pool_id(directory.pool_id()).username(&subject);
    temporary.password("Temporary-1").permanent(false).send().await.unwrap();

    let outcome = directory.authenticate(ANN, &password("Temporary-1")).await.unwrap();
    let AuthOutcome::Challenge { challenge: Challenge::NewPasswordRequired, session } = outcome else {
        panic!("{outcome:?}");
    };
    let chosen = password("Chosen-pass1");
    for (wrong_session, challenge) in [
        (session.as_str(), Challenge::SoftwareTokenMfa),
        ("made up", Challenge::NewPasswordRequired),
        (&session[1..], Challenge::NewPasswordRequired),
    ] {
        let refused = directory.answer_challenge(wrong_session, challenge, &chosen).await.unwrap_err();
        assert_eq!(refused, Error::InvalidCredentials);
    }
    let elsewhere = stack.operators().answer_challenge(&session, Challenge::NewPasswordRequired, &chosen).await;
    assert_eq!(elsewhere.unwrap_err(), Error::InvalidCredentials);

    let outcome = directory.answer_challenge(&session, Challenge::NewPasswordRequired, &chosen).await.unwrap();
    assert_eq!(claims(&tokens(outcome).id)["sub"], subject);
    signed_in(&directory, ANN, "Chosen-pass1").await;
}

#[tokio::test]
async fn an_operator_signs_in_with_an_authenticator_app() {
    let stack = Stack::start().await;
    let directory = stack.operators();
    let email = "ops@ffp.example";
    let subject = directory.create_operator(email).await.unwrap();
    directory.set_password(&subject, &password("Operator-1")).await.unwrap();

    let access = signed_in(&directory, email, "Operator-1").await.access;
    let access = access.expose_secret();
    let secret = stack.client.associate_software_token().access_token(access).send().await.unwrap();
    let secret = secret.secret_code.unwrap();
    let verify = stack.client.verify_software_token().access_token(access).user_code(totp(&secret));
    verify.send().await.unwrap();
    let app = SoftwareTokenMfaConfigType::builder().enabled(true).build();
    let mfa = stack.client.set_user_pool_mfa_config().user_pool_id(directory.pool_id());
    mfa.software_token_mfa_configuration(app).mfa_configuration(UserPoolMfaType::On).send().await.unwrap();

    let outcome = directory.authenticate(email, &password("Operator-1")).await.unwrap();
    let AuthOutcome::Challenge { challenge: Challenge::SoftwareTokenMfa, session } = outcome else {
        panic!("{outcome:?}");
    };
    for wrong in ["", "12345", "abcdef", &other_than(&totp(&secret))] {
        let refused = directory.answer_challenge(&session, Challenge::SoftwareTokenMfa, &password(wrong)).await;
        assert_eq!(refused.unwrap_err(), Error::CodeMismatch);
    }
    let outcome =
        directory.answer_challenge(&session, Challenge::SoftwareTokenMfa, &password(&totp(&secret))).await.unwrap();
    assert_eq!(claims(&tokens(outcome).id)["sub"], subject);
}

/// The present six digits of an authenticator app (RFC 6238: HMAC-SHA1, 30 s).
fn totp(base32: &str) -> String {
    let mut bits = 0_u64;
    let mut count = 0;
    let mut secret = Vec::new();
    for letter in base32.bytes().filter(|b| *b != b'=') {
        let five = if letter.is_ascii_digit() { letter - b'2' + 26 } else { letter - b'A' };
        bits = (bits << 5) | u64::from(five);
        count += 5;
        if count >= 8 {
            count -= 8;
            secret.push(u8::try_from((bits >> count) & 0xff).unwrap());
        }
    }
    let step = u64::try_from(chrono::Utc::now().timestamp()).unwrap() / 30;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let mac = hmac::sign(&key, &step.to_be_bytes());
    let offset = usize::from(mac.as_ref()[19] & 0xf);
    let word: [u8; 4] = mac.as_ref()[offset..offset + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000)
}

/// Six digits that are right neither now nor a step before or after, but for a chance of 2 in a million.
fn other_than(code: &str) -> String {
    code.chars().map(|c| if c == '9' { '0' } else { char::from(c as u8 + 1) }).collect()
}

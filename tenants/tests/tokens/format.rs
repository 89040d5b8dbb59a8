//! Tokens whose text or JSON is not what it has to be.

use serde_json::json;
use tenants::tokens::{MAX_TOKEN_BYTES, Part, TokenError};

use crate::support::*;

#[tokio::test]
async fn a_megabyte_is_refused_unread() {
    let world = World::start().await;
    let claims = member_claims_with("padding", json!("x".repeat(1 << 20)));
    let token = MEMBERS_KEY.sign(&claims);

    assert_eq!(world.verifier.verify(&token).await, Err(TokenError::TooLong));
    assert_eq!(world.members.fetches(), 0);
}

#[tokio::test]
async fn a_token_of_the_greatest_length_is_read_and_one_byte_more_is_not() {
    let world = World::start().await;
    let of_length = |length: usize| {
        // Three bytes of JSON are four of base64; a byte of header fills the rest.
        (0..4).flat_map(|typ| (0..length).rev().map(move |pad| (typ, pad))).find_map(|(spaces, pad)| {
            let header = format!("{}{}", header(), " ".repeat(spaces));
            let payload = format!("{}{}", member_claims(), " ".repeat(pad));
            let total = encode(&header).len() + encode(&payload).len() + 342 + 2;
            (total == length).then(|| MEMBERS_KEY.sign_text(&header, &payload))
        })
    };
    let longest = of_length(MAX_TOKEN_BYTES).unwrap();
    assert_eq!(longest.len(), MAX_TOKEN_BYTES);
    assert!(world.verifier.verify(&longest).await.is_ok());

    let longer = of_length(MAX_TOKEN_BYTES + 1).unwrap();
    assert_eq!(world.verifier.verify(&longer).await, Err(TokenError::TooLong));
}

#[tokio::test]
async fn a_token_cut_off_anywhere_is_refused() {
    let world = World::start().await;
    let token = MEMBERS_KEY.sign(&member_claims());
    assert!(world.verifier.verify(&token).await.is_ok());

    for length in 0..token.len() {
        let cut = &token[..length];
        assert!(world.verifier.verify(cut).await.is_err(), "cut at {length}");
        let cut = &token[length + 1..];
        assert!(world.verifier.verify(cut).await.is_err(), "cut after {length}");
    }
}

#[tokio::test]
async fn garbage_is_refused_without_asking_for_keys() {
    let world = World::start().await;
    let header = encode(header());
    let garbage = [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "Bearer x".into(),
        "a.b.c".into(),
        "🔑.🔑.🔑".into(),
        "\0\0\0.\0.\0".into(),
        format!("{header}..AAAA"),
        format!("{header}.{}.AAAA", encode("null")),
        format!("{header}.{}.AAAA", encode("[]")),
        format!("{header}.{}.AAAA", encode("{}")),
        format!("{header}.{}.AAAA", encode("{\"iss\":")),
        format!("{header}.{}.AAAA", encode("{} {}")),
        format!("{header}.{}.AAAA", encode([0xff, 0xfe])),
        format!("{header}.{}.AAAA", encode("[".repeat(4000))),
        format!("{header}.{}.AAAA", encode("{\"a\":".repeat(1000))),
        format!("{}.{}.AAAA", encode("\"RS256\""), encode("{}")),
    ];
    for token in garbage {
        assert!(world.verifier.verify(&token).await.is_err(), "{token:?}");
    }
    assert_eq!(world.members.fetches() + world.operators.fetches(), 0);
}

#[tokio::test]
async fn only_three_parts_of_bare_base64url_are_read() {
    let world = World::start().await;
    let token = MEMBERS_KEY.sign(&member_claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let variants = [
        format!(" {token}"),
        format!("{token}\n"),
        format!("{header}\n.{payload}.{signature}"),
        format!("{header}. {payload}.{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{token}=="),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{header}.{payload}.{payload}.{signature}.x"),
        format!("{signed}.+/{}", &signature[2..]),
    ];
    for variant in variants {
        let verdict = world.verifier.verify(&variant).await;
        assert_eq!(verdict, Err(TokenError::Malformed), "{variant}");
    }
}

#[tokio::test]
async fn a_claim_that_occurs_twice_is_refused_however_it_is_written() {
    let world = World::start().await;
    let claims = member_claims().to_string();
    let rest = claims.strip_prefix('{').unwrap();
    let first = [
        format!("\"custom:tenantId\":\"{TENANT}\""),
        "\"custom:tenantId\":\"11111111-1111-4111-8111-111111111111\"".into(),
        "\"custom:tenant\\u0049d\":\"11111111-1111-4111-8111-111111111111\"".into(),
        format!("\"aud\":\"{MEMBER_CLIENT}\""),
        "\"exp\":1".into(),
        "\"x\":1,\"x\":{}".into(),
    ];
    for duplicate in first {
        let token = MEMBERS_KEY.sign_text(&header(), &format!("{{{duplicate},{rest}"));
        let verdict = world.verifier.verify(&token).await;
        assert_eq!(verdict, Err(TokenError::Duplicate(Part::Claims)), "{duplicate}");
    }
}

#[tokio::test]
async fn a_header_member_that_occurs_twice_is_refused() {
    let world = World::start().await;
    for header in [
        format!(r#"{{"alg":"none","alg":"RS256","kid":"{KID}"}}"#),
        format!(r#"{{"alg":"RS256","\u0061lg":"RS256","kid":"{KID}"}}"#),
        format!(r#"{{"alg":"RS256","kid":"{KID}","kid":"{KID}"}}"#),
    ] {
        let token = MEMBERS_KEY.sign_text(&header, &member_claims().to_string());
        let verdict = world.verifier.verify(&token).await;
        assert_eq!(verdict, Err(TokenError::Duplicate(Part::Header)), "{header}");
    }
}

//! Key sets over time: loading, rotation, withdrawal, outage.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use tenants::tokens::{
    Issuer, IssuerKind, KEYS_MAX_AGE_SECONDS, LOAD_RETRY_SECONDS, MAX_JWKS_BYTES, REFETCH_INTERVAL_SECONDS, TokenError,
    Verifier, VerifierOptions,
};

use crate::support::*;

fn signed_with_kid(key: &RsaKey, kid: &str, claims: &serde_json::Value) -> String {
    let header = json!({ "kid": kid, "alg": "RS256" }).to_string();
    key.sign_text(&header, &claims.to_string())
}

fn long_lived() -> serde_json::Value {
    member_claims_with("exp", json!(NOW + 86_400))
}

#[tokio::test]
async fn a_hundred_first_tokens_load_the_keys_once() {
    let world = World::start().await;
    world.members.hold();
    let calls: Vec<_> = (0..100)
        .map(|n| {
            let token = MEMBERS_KEY.sign(&member_claims_with("jti", json!(n)));
            let verifier = world.verifier.clone();
            tokio::spawn(async move { verifier.verify(&token).await })
        })
        .collect();
    world.members.fetched(1).await;
    world.members.release();
    for call in calls {
        assert!(call.await.unwrap().is_ok());
    }
    assert_eq!(world.members.fetches(), 1);
}

#[tokio::test]
async fn after_a_rotation_the_new_key_is_fetched_at_once() {
    let world = World::start().await;
    let old = MEMBERS_KEY.sign(&long_lived());
    assert!(world.verifier.verify(&old).await.is_ok());

    world.members.publish(&[MEMBERS_KEY.jwk(KID), OTHER_KEY.jwk("new")]);
    let new = signed_with_kid(&OTHER_KEY, "new", &long_lived());
    assert!(world.verifier.verify(&new).await.is_ok());
    assert!(world.verifier.verify(&old).await.is_ok());
    assert_eq!(world.members.fetches(), 2);
}

#[tokio::test]
async fn unknown_kids_refetch_at_most_once_per_minute_also_all_at_once() {
    let world = World::start().await;
    assert!(world.verifier.verify(&MEMBERS_KEY.sign(&long_lived())).await.is_ok());

    for minute in 0..3 {
        let calls: Vec<_> = (0..100)
            .map(|n| {
                let token = signed_with_kid(&OTHER_KEY, &format!("guess-{n}"), &long_lived());
                let verifier = world.verifier.clone();
                tokio::spawn(async move { verifier.verify(&token).await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), Err(TokenError::UnknownKey));
        }
        world.clock.advance(REFETCH_INTERVAL_SECONDS - 1);
        let token = signed_with_kid(&OTHER_KEY, "one-more", &long_lived());
        assert_eq!(world.verifier.verify(&token).await, Err(TokenError::UnknownKey));
        assert_eq!(world.members.fetches(), 1 + minute + 1);
        world.clock.advance(1);
    }
    assert_eq!(world.operators.fetches(), 0, "each issuer has its own limit");
}

#[tokio::test]
async fn a_load_that_lacked_the_kid_counts_as_the_minutes_fetch() {
    let world = World::start().await;
    for n in 0..5 {
        let token = signed_with_kid(&OTHER_KEY, &format!("guess-{n}"), &long_lived());
        assert_eq!(world.verifier.verify(&token).await, Err(TokenError::UnknownKey));
    }
    assert_eq!(world.members.fetches(), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_waste_the_minutes_fetch() {
    let world = World::start().await;
    assert!(world.verifier.verify(&MEMBERS_KEY.sign(&long_lived())).await.is_ok());
    world.members.publish(&[MEMBERS_KEY.jwk(KID), OTHER_KEY.jwk("new")]);
    world.members.hold();
    let token = signed_with_kid(&OTHER_KEY, "new", &long_lived());

    let impatient = tokio::spawn({
        let (verifier, token) = (world.verifier.clone(), token.clone());
        async move { verifier.verify(&token).await }
    });
    world.members.fetched(2).await;
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());
    world.members.release();

    assert!(world.verifier.verify(&token).await.is_ok());
    assert_eq!(world.members.fetches(), 2);
}

#[tokio::test]
async fn with_no_keys_nothing_can_be_said_and_loading_is_tried_again() {
    let world = World::start().await;
    let token = MEMBERS_KEY.sign(&member_claims());
    world.members.answer(StatusCode::SERVICE_UNAVAILABLE, "");
    for _ in 0..3 {
        let verdict = world.verifier.verify(&token).await;
        assert_eq!(verdict, Err(TokenError::KeysUnavailable));
    }
    assert_eq!(world.members.fetches(), 1);
    // The other pool is not affected.
    assert!(world.verifier.verify(&OPERATORS_KEY.sign(&operator_claims())).await.is_ok());

    world.members.publish(&[MEMBERS_KEY.jwk(KID)]);
    world.clock.advance(LOAD_RETRY_SECONDS);
    assert!(world.verifier.verify(&token).await.is_ok());
}

#[tokio::test]
async fn known_keys_outlast_an_outage() {
    let world = World::start().await;
    assert!(world.verifier.verify(&MEMBERS_KEY.sign(&long_lived())).await.is_ok());
    world.members.answer(StatusCode::INTERNAL_SERVER_ERROR, "");
    world.clock.advance(2 * KEYS_MAX_AGE_SECONDS);

    let unknown = signed_with_kid(&OTHER_KEY, "new", &long_lived());
    assert_eq!(world.verifier.verify(&unknown).await, Err(TokenError::UnknownKey));
    let another = MEMBERS_KEY.sign(&member_claims_with("exp", json!(NOW + 80_000)));
    assert!(world.verifier.verify(&another).await.is_ok());
    assert_eq!(world.members.fetches(), 2);
}

#[tokio::test]
async fn a_withdrawn_key_ends_its_tokens_also_those_seen_before() {
    let world = World::start().await;
    let token = MEMBERS_KEY.sign(&long_lived());
    assert!(world.verifier.verify(&token).await.is_ok());
    world.members.publish(&[OTHER_KEY.jwk("new")]);
    let new = signed_with_kid(&OTHER_KEY, "new", &long_lived());
    assert!(world.verifier.verify(&new).await.is_ok());

    assert_eq!(world.verifier.verify(&token).await, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn an_old_key_set_is_refreshed_in_the_background() {
    let world = World::start().await;
    let token = MEMBERS_KEY.sign(&long_lived());
    assert!(world.verifier.verify(&token).await.is_ok());
    world.members.publish(&[OTHER_KEY.jwk(KID)]);
    world.clock.advance(KEYS_MAX_AGE_SECONDS);

    // Not seen before, so that a key is needed: the old one serves meanwhile.
    let second = MEMBERS_KEY.sign(&member_claims_with("exp", json!(NOW + 80_000)));
    world.members.hold();
    assert!(world.verifier.verify(&second).await.is_ok());
    world.members.fetched(2).await;
    world.members.release();

    let replaced = OTHER_KEY.sign(&long_lived());
    for _ in 0..1000 {
        if world.verifier.verify(&replaced).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(world.verifier.verify(&replaced).await.is_ok());
    assert_eq!(world.verifier.verify(&token).await, Err(TokenError::Signature));
    assert_eq!(world.members.fetches(), 2);
}

#[tokio::test]
async fn a_token_seen_before_expires_on_the_second() {
    let world = World::start().await;
    let token = MEMBERS_KEY.sign(&member_claims());
    assert!(world.verifier.verify(&token).await.is_ok());
    world.clock.advance(899);
    assert!(world.verifier.verify(&token).await.is_ok());
    world.clock.advance(1);
    assert_eq!(world.verifier.verify(&token).await, Err(TokenError::Expired));
}

#[tokio::test]
async fn only_rsa_keys_for_rs256_signatures_are_taken_from_a_jwks() {
    let with = |name: &str, value: &str| {
        let mut jwk = MEMBERS_KEY.jwk(KID);
        jwk[name] = json!(value);
        jwk
    };
    let mut nameless = MEMBERS_KEY.jwk(KID);
    nameless.as_object_mut().unwrap().remove("kid");
    let unusable = [
        with("use", "enc"),
        with("alg", "RS384"),
        with("alg", "RSA-OAEP"),
        with("kty", "EC"),
        with("n", "not base64!"),
        json!({ "kty": "oct", "kid": KID, "k": encode(MEMBERS_KEY.public_der()) }),
        json!("a key"),
        nameless,
    ];
    let token = MEMBERS_KEY.sign(&member_claims());
    for jwk in unusable {
        let world = World::start().await;
        world.members.publish(&[jwk.clone(), OTHER_KEY.jwk("other")]);
        let verdict = world.verifier.verify(&token).await;
        assert_eq!(verdict, Err(TokenError::UnknownKey), "{jwk}");
    }

    let world = World::start().await;
    let mut bare = MEMBERS_KEY.jwk(KID);
    bare.as_object_mut().unwrap().retain(|name, _| name != "use" && name != "alg");
    world.members.publish(&[json!({ "kty": "EC" }), bare]);
    assert!(world.verifier.verify(&token).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_is_no_jwks_replaces_nothing() {
    let token = MEMBERS_KEY.sign(&member_claims());
    let jwks = json!({ "keys": [MEMBERS_KEY.jwk(KID)] }).to_string();
    let answers = [
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::OK, r#"{"keys":[]}"#.to_owned()),
        (StatusCode::OK, format!("{jwks}{}", " ".repeat(MAX_JWKS_BYTES))),
        (StatusCode::NOT_FOUND, jwks.clone()),
        (StatusCode::FOUND, jwks),
    ];
    for (status, body) in answers {
        let world = World::start().await;
        world.members.answer(status, &body);
        let verdict = world.verifier.verify(&token).await;
        assert_eq!(verdict, Err(TokenError::KeysUnavailable), "{status} {body:.30}");
        assert_eq!(world.members.strays(), 0, "no redirect is followed");

        let world = World::start().await;
        assert!(world.verifier.verify(&token).await.is_ok());
        world.members.answer(status, &body);
        let unknown = signed_with_kid(&OTHER_KEY, "new", &member_claims());
        assert_eq!(world.verifier.verify(&unknown).await, Err(TokenError::UnknownKey));
        assert!(world.verifier.verify(&token).await.is_ok());
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let server = JwksServer::start(json!({ "keys": [MEMBERS_KEY.jwk(KID)] })).await;
    server.hold();
    let issuer = Issuer {
        issuer: MEMBERS.into(),
        jwks_url: server.url(),
        audience: MEMBER_CLIENT.into(),
        kind: IssuerKind::Member,
    };
    let options = VerifierOptions { fetch_timeout: Duration::from_millis(50), ..TestClock::new().options() };
    let verifier = Verifier::new(vec![issuer], options).unwrap();
    let token = MEMBERS_KEY.sign(&member_claims());
    let verdict = tokio::time::timeout(Duration::from_secs(10), verifier.verify(&token)).await;
    assert_eq!(verdict.unwrap(), Err(TokenError::KeysUnavailable));
}

//! Algorithms, keys and issuers: nothing a token says about itself chooses how
//! it is verified.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding,
};
use serde_json::{Value, json};
use tenants::tokens::TokenError;

use crate::support::*;

fn header_with_alg(alg: &Value) -> String {
    json!({ "kid": KID, "alg": alg, "typ": "JWT" }).to_string()
}

/// A token with the members' claims, `sign`ed by other means than RSA.
fn signed_by(alg: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let header = encode(header_with_alg(&json!(alg)));
    let message = format!("{header}.{}", encode(member_claims().to_string()));
    let signature = encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

#[tokio::test]
async fn the_algorithm_is_rs256_and_nothing_else() {
    let world = World::start().await;
    let claims = member_claims().to_string();
    let der = MEMBERS_KEY.public_der();
    let pem = {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(&der);
        format!("-----BEGIN RSA PUBLIC KEY-----\n{text}\n-----END RSA PUBLIC KEY-----\n")
    };
    let hmac_with = |secret: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        signed_by("HS256", |message| hmac::sign(&key, message).as_ref().to_vec())
    };
    let rsa = |alg: &str, encoding: &'static dyn RsaEncoding| {
        MEMBERS_KEY.sign_by(encoding, &header_with_alg(&json!(alg)), &claims)
    };
    let tokens = [
        ("none", signed_by("none", |_| Vec::new())),
        ("None", signed_by("None", |_| Vec::new())),
        ("HS256 by DER", hmac_with(&der)),
        ("HS256 by PEM", hmac_with(pem.as_bytes())),
        ("RS384", rsa("RS384", &RSA_PKCS1_SHA384)),
        ("RS512", rsa("RS512", &RSA_PKCS1_SHA512)),
        ("PS256", rsa("PS256", &RSA_PSS_SHA256)),
        ("ES256", signed_by("ES256", es256)),
        ("rs256", MEMBERS_KEY.sign_text(&header_with_alg(&json!("rs256")), &claims)),
        ("list", MEMBERS_KEY.sign_text(&header_with_alg(&json!(["RS256"])), &claims)),
        ("null", MEMBERS_KEY.sign_text(&header_with_alg(&Value::Null), &claims)),
        ("absent", MEMBERS_KEY.sign_text(&json!({ "kid": KID }).to_string(), &claims)),
    ];
    for (name, token) in tokens {
        let verdict = world.verifier.verify(&token).await;
        assert_eq!(verdict, Err(TokenError::Algorithm), "{name}");
    }
    let token = MEMBERS_KEY.sign_text(&header_with_alg(&json!("RS256")), &claims);
    assert!(world.verifier.verify(&token).await.is_ok());
}

fn es256(message: &[u8]) -> Vec<u8> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
}

#[tokio::test]
async fn calling_another_signature_rs256_does_not_make_it_one() {
    let world = World::start().await;
    let claims = member_claims().to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &MEMBERS_KEY.public_der());
    let tokens = [
        MEMBERS_KEY.sign_by(&RSA_PSS_SHA256, &header(), &claims),
        MEMBERS_KEY.sign_by(&RSA_PKCS1_SHA384, &header(), &claims),
        signed_by("RS256", es256),
        signed_by("RS256", |message| hmac::sign(&key, message).as_ref().to_vec()),
        signed_by("RS256", |_| Vec::new()),
        signed_by("RS256", |_| vec![0; 256]),
        signed_by("RS256", |_| vec![0xff; 256]),
    ];
    for token in tokens {
        let verdict = world.verifier.verify(&token).await;
        assert_eq!(verdict, Err(TokenError::Signature), "{token}");
    }
}

#[tokio::test]
async fn a_change_to_any_signed_byte_breaks_the_signature() {
    let world = World::start().await;
    let token = MEMBERS_KEY.sign(&member_claims());
    let tampered = member_claims_with("sub", json!("somebody-else")).to_string();
    let mut parts: Vec<&str> = token.split('.').collect();
    let payload = encode(tampered);
    parts[1] = &payload;
    let verdict = world.verifier.verify(&parts.join(".")).await;
    assert_eq!(verdict, Err(TokenError::Signature));

    let signature_at = token.rfind('.').unwrap() + 1;
    for position in (signature_at..token.len()).step_by(7) {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'E' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(world.verifier.verify(&changed).await.is_err(), "at {position}");
    }
}

#[tokio::test]
async fn a_key_that_the_token_brings_along_is_not_used() {
    let world = World::start().await;
    let claims = member_claims().to_string();
    let own_jwks = JwksServer::start(json!({ "keys": [OTHER_KEY.jwk(KID)] })).await;
    for (name, value) in [
        ("jwk", OTHER_KEY.jwk(KID)),
        ("jku", json!(own_jwks.url())),
        ("x5u", json!(own_jwks.url())),
        ("x5c", json!([encode(OTHER_KEY.public_der())])),
        ("x5t", json!("AAAA")),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
    ] {
        let header = json!({ "kid": KID, "alg": "RS256", name: value }).to_string();
        // Refused also in a token that the pool itself signed.
        for key in [&OTHER_KEY, &MEMBERS_KEY] {
            let verdict = world.verifier.verify(&key.sign_text(&header, &claims)).await;
            assert_eq!(verdict, Err(TokenError::ForbiddenHeader(name)));
        }
    }
    assert_eq!(own_jwks.fetches(), 0);
}

#[tokio::test]
async fn a_kid_is_only_ever_looked_up_in_the_jwks() {
    let world = World::start().await;
    let mut kids: Vec<Value> = [
        "",
        "../../../../dev/null",
        "/etc/passwd",
        "..%2f..%2fevil",
        "' OR '1'='1",
        "x'; DROP TABLE member; --",
        "http://127.0.0.1:1/jwks.json",
        "$(id)",
        "\u{0}",
        "ID/KEY+1=",
        " id/key+1=",
        "id/key+1",
    ]
    .map(|kid| json!(kid))
    .into();
    kids.extend([json!(null), json!(1), json!([KID]), json!({ "kid": KID })]);
    for kid in kids {
        let header = json!({ "kid": kid, "alg": "RS256" }).to_string();
        let token = OTHER_KEY.sign_text(&header, &member_claims().to_string());
        let verdict = world.verifier.verify(&token).await;
        assert_eq!(verdict, Err(TokenError::UnknownKey), "{kid}");
    }
    let token = MEMBERS_KEY.sign_text(r#"{"alg":"RS256"}"#, &member_claims().to_string());
    assert_eq!(world.verifier.verify(&token).await, Err(TokenError::UnknownKey));

    assert_eq!((world.members.fetches(), world.members.strays()), (1, 0));
}

#[tokio::test]
async fn an_oversized_kid_is_not_worth_a_fetch() {
    let world = World::start().await;
    let header = json!({ "kid": "k".repeat(5000), "alg": "RS256" }).to_string();
    let token = OTHER_KEY.sign_text(&header, &member_claims().to_string());
    assert_eq!(world.verifier.verify(&token).await, Err(TokenError::UnknownKey));
    assert_eq!(world.members.fetches(), 0);
}

#[tokio::test]
async fn a_pools_key_never_verifies_another_pools_token() {
    let world = World::start().await;
    // Both pools' keys have the same kid: only the issuer tells them apart.
    let forged_member = OPERATORS_KEY.sign(&member_claims());
    let forged_operator = MEMBERS_KEY.sign(&operator_claims());
    let verdict = world.verifier.verify(&forged_member).await;
    assert_eq!(verdict, Err(TokenError::Signature));
    let verdict = world.verifier.verify(&forged_operator).await;
    assert_eq!(verdict, Err(TokenError::Signature));
    assert_eq!(world.members.fetches(), 1);
    assert_eq!(world.operators.fetches(), 1);
}

#[tokio::test]
async fn an_issuer_that_is_not_listed_letter_by_letter_is_not_trusted() {
    let world = World::start().await;
    for issuer in [
        format!("{MEMBERS}/"),
        MEMBERS.to_uppercase(),
        MEMBERS.replace("https", "http"),
        format!("{MEMBERS}X"),
        format!(" {MEMBERS}"),
        MEMBERS[..MEMBERS.len() - 1].to_owned(),
        world.members.url().to_string(),
    ] {
        let token = MEMBERS_KEY.sign(&member_claims_with("iss", json!(issuer)));
        let verdict = world.verifier.verify(&token).await;
        assert_eq!(verdict, Err(TokenError::UnknownIssuer), "{issuer}");
    }
    for issuer in [json!(null), json!([MEMBERS]), json!("")] {
        let token = MEMBERS_KEY.sign(&member_claims_with("iss", issuer));
        assert_eq!(world.verifier.verify(&token).await, Err(TokenError::Claim("iss")));
    }
    let token = MEMBERS_KEY.sign(&member_claims_without("iss"));
    assert_eq!(world.verifier.verify(&token).await, Err(TokenError::Claim("iss")));
    assert_eq!(world.members.fetches(), 0);
}

#[tokio::test]
async fn another_kind_of_token_is_no_jwt() {
    let world = World::start().await;
    for typ in [json!("at+jwt"), json!("logout+jwt"), json!(""), json!(null), json!(1)] {
        let header = json!({ "kid": KID, "alg": "RS256", "typ": typ }).to_string();
        let token = MEMBERS_KEY.sign_text(&header, &member_claims().to_string());
        assert_eq!(world.verifier.verify(&token).await, Err(TokenError::Algorithm), "{typ}");
    }
}

//! Which tokens are let in. The verdicts on Cognito-shaped tokens are those of
//! AWS's own verifier; attacks on format, keys and claims are made here, with
//! keys and signatures that do not come from the library under test.

#![allow(clippy::unwrap_used)]

#[path = "tokens/claims.rs"]
mod claims;
#[path = "tokens/format.rs"]
mod format;
#[path = "tokens/keys.rs"]
mod keys;
#[path = "tokens/signature.rs"]
mod signature;
#[path = "tokens/support.rs"]
mod support;

use serde::Deserialize;
use serde_json::Value;
use tenants::tokens::{Issuer, IssuerKind, SetupError, TokenUse, Verifier, VerifierOptions};

use support::{JwksServer, TestClock};

#[derive(Deserialize)]
struct Vectors {
    issuer: String,
    client_id: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    token_use_expected: String,
    token: Option<String>,
    verdict: String,
}

#[tokio::test]
async fn every_token_gets_the_verdict_of_aws_jwt_verify() {
    let vectors: Vectors = serde_json::from_str(include_str!("data/cognito/jwt-vectors.json")).unwrap();
    let jwks: Value = serde_json::from_str(include_str!("data/cognito/jwks.json")).unwrap();
    let server = JwksServer::start(jwks).await;
    let issuer = Issuer {
        issuer: vectors.issuer,
        jwks_url: server.url(),
        audience: vectors.client_id,
        kind: IssuerKind::Member,
    };
    let clock = TestClock::new();
    let verifier = Verifier::new(vec![issuer], clock.options()).unwrap();

    let mut accepted = 0;
    for case in &vectors.cases {
        let expected = match case.token_use_expected.as_str() {
            "id" => TokenUse::Id,
            "access" => TokenUse::Access,
            other => panic!("{}: unknown use {other}", case.name),
        };
        let token = case.token.as_deref().unwrap_or_default();
        let result = verifier.verify_as(token, expected).await;
        match case.verdict.as_str() {
            "accept" => {
                assert!(result.is_ok(), "{}: {result:?}", case.name);
                accepted += 1;
            }
            "reject" => assert!(result.is_err(), "{} was accepted", case.name),
            other => panic!("{}: unknown verdict {other}", case.name),
        }
    }
    assert_eq!((accepted, vectors.cases.len()), (2, 13));
}

#[test]
fn a_list_of_issuers_that_is_empty_or_ambiguous_is_refused() {
    let issuer = |name: &str, audience: &str, url: &str| Issuer {
        issuer: name.into(),
        jwks_url: url.parse().unwrap(),
        audience: audience.into(),
        kind: IssuerKind::Member,
    };
    let refusal = |issuers| Verifier::new(issuers, VerifierOptions::default()).unwrap_err();
    let url = "https://pool.example/jwks.json";

    assert!(matches!(refusal(vec![]), SetupError::NoIssuer));
    let twice = vec![issuer("a", "client", url), issuer("a", "other", url)];
    assert!(matches!(refusal(twice), SetupError::IssuerTwice(name) if name == "a"));
    for incomplete in [issuer("", "client", url), issuer("a", "", url)] {
        assert!(matches!(refusal(vec![incomplete]), SetupError::Incomplete(_)));
    }
    let file = issuer("a", "client", "file:///etc/keys.json");
    assert!(matches!(refusal(vec![file]), SetupError::JwksAddress(_)));
}

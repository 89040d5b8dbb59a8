//! Correctly signed tokens that say the wrong thing, or the right one.

use std::sync::Arc;

use serde_json::{Value, json};
use tenants::tokens::{IssuerKind, LEEWAY_SECONDS, TokenError, TokenUse, Verified};

use crate::support::*;

async fn verdict_on(claims: &Value) -> Result<Arc<Verified>, TokenError> {
    World::start().await.verifier.verify(&MEMBERS_KEY.sign(claims)).await
}

#[tokio::test]
async fn a_members_token_tells_who_and_which_tenant() {
    let world = World::start().await;
    let verified = world.verifier.verify(&MEMBERS_KEY.sign(&member_claims())).await.unwrap();
    let expected = Verified {
        kind: IssuerKind::Member,
        issuer: MEMBERS.into(),
        subject: "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee".into(),
        tenant_id: Some(TENANT.parse().unwrap()),
        email: Some("jane@example.com".into()),
        groups: vec!["coaches".into()],
        issued_at: NOW,
        expires_at: NOW + 900,
        auth_time: Some(NOW - 5),
        token_use: TokenUse::Id,
    };
    assert_eq!(*verified, expected);
    assert!(!format!("{verified:?}").contains("jane"), "addresses stay out of logs");
}

#[tokio::test]
async fn an_operators_token_tells_no_tenant_whatever_it_claims() {
    let world = World::start().await;
    let mut claims = operator_claims();
    claims["custom:tenantId"] = json!(TENANT);
    let verified = world.verifier.verify(&OPERATORS_KEY.sign(&claims)).await.unwrap();
    assert_eq!(verified.kind, IssuerKind::Operator);
    assert_eq!((verified.tenant_id, &verified.email, verified.auth_time), (None, &None, None));
    assert!(verified.groups.is_empty(), "Cognito omits the claim for a user in no group");
}

#[tokio::test]
async fn exp_is_required_and_gets_no_leeway() {
    assert_eq!(verdict_on(&member_claims_without("exp")).await, Err(TokenError::Claim("exp")));
    for exp in [json!(null), json!("9999999999"), json!(4e9), json!(u64::MAX), json!([NOW + 1])] {
        let verdict = verdict_on(&member_claims_with("exp", exp.clone())).await;
        assert_eq!(verdict, Err(TokenError::Claim("exp")), "{exp}");
    }
    for exp in [i64::MIN, -1, 0, NOW - 1, NOW] {
        let verdict = verdict_on(&member_claims_with("exp", json!(exp))).await;
        assert_eq!(verdict, Err(TokenError::Expired), "{exp}");
    }
    assert!(verdict_on(&member_claims_with("exp", json!(NOW + 1))).await.is_ok());
}

#[tokio::test]
async fn iat_is_required_and_may_be_as_far_ahead_as_clocks_differ() {
    assert_eq!(verdict_on(&member_claims_without("iat")).await, Err(TokenError::Claim("iat")));
    for (name, ahead, accepted) in [
        ("iat", LEEWAY_SECONDS, true),
        ("iat", LEEWAY_SECONDS + 1, false),
        ("nbf", LEEWAY_SECONDS, true),
        ("nbf", LEEWAY_SECONDS + 1, false),
    ] {
        let verdict = verdict_on(&member_claims_with(name, json!(NOW + ahead))).await;
        if accepted {
            assert!(verdict.is_ok(), "{name} {ahead} s ahead");
        } else {
            assert_eq!(verdict, Err(TokenError::NotYetValid), "{name} {ahead} s ahead");
        }
    }
    for name in ["iat", "nbf", "auth_time"] {
        let verdict = verdict_on(&member_claims_with(name, json!("1"))).await;
        assert_eq!(verdict, Err(TokenError::Claim(name)));
    }
}

#[tokio::test]
async fn aud_is_the_clients_id_and_not_a_list() {
    for other in ["otherclient", OPERATOR_CLIENT, "memberclien", "memberclient ", "MEMBERCLIENT"] {
        let verdict = verdict_on(&member_claims_with("aud", json!(other))).await;
        assert_eq!(verdict, Err(TokenError::Audience), "{other}");
    }
    for malformed in [json!([MEMBER_CLIENT]), json!([MEMBER_CLIENT, "otherclient"]), json!([]), json!(null), json!("")]
    {
        let verdict = verdict_on(&member_claims_with("aud", malformed.clone())).await;
        assert_eq!(verdict, Err(TokenError::Claim("aud")), "{malformed}");
    }
    assert_eq!(verdict_on(&member_claims_without("aud")).await, Err(TokenError::Claim("aud")));
}

fn access_claims() -> Value {
    let mut claims = member_claims_with("token_use", json!("access"));
    let members = claims.as_object_mut().unwrap();
    members.retain(|name, _| name != "aud" && name != "email" && !name.starts_with("custom:"));
    claims["client_id"] = json!(MEMBER_CLIENT);
    claims
}

#[tokio::test]
async fn an_access_token_is_refused_where_an_id_token_is_due_also_when_seen_before() {
    let world = World::start().await;
    let access = MEMBERS_KEY.sign(&access_claims());
    let id = MEMBERS_KEY.sign(&member_claims());
    for _ in 0..2 {
        let verdict = world.verifier.verify(&access).await;
        assert_eq!(verdict, Err(TokenError::TokenUse));
        let verdict = world.verifier.verify_as(&id, TokenUse::Access).await;
        assert_eq!(verdict, Err(TokenError::TokenUse));
        let verified = world.verifier.verify_as(&access, TokenUse::Access).await.unwrap();
        assert_eq!((verified.token_use, verified.tenant_id), (TokenUse::Access, None));
        assert!(world.verifier.verify(&id).await.is_ok());
    }
    // Dressed as an ID token by all but its use.
    let mut dressed = member_claims_with("token_use", json!("access"));
    dressed["client_id"] = json!(MEMBER_CLIENT);
    assert_eq!(verdict_on(&dressed).await, Err(TokenError::TokenUse));
    for token_use in [json!("ID"), json!("refresh")] {
        let verdict = verdict_on(&member_claims_with("token_use", token_use)).await;
        assert_eq!(verdict, Err(TokenError::TokenUse));
    }
    for malformed in [json!(null), json!(""), json!(["id"])] {
        let verdict = verdict_on(&member_claims_with("token_use", malformed)).await;
        assert_eq!(verdict, Err(TokenError::Claim("token_use")));
    }
}

#[tokio::test]
async fn an_access_token_of_another_client_is_refused() {
    let world = World::start().await;
    for (client, refusal) in
        [(json!("otherclient"), TokenError::Audience), (json!(null), TokenError::Claim("client_id"))]
    {
        let mut claims = access_claims();
        claims["client_id"] = client;
        claims["aud"] = json!(MEMBER_CLIENT);
        let token = MEMBERS_KEY.sign(&claims);
        let verdict = world.verifier.verify_as(&token, TokenUse::Access).await;
        assert_eq!(verdict, Err(refusal));
    }
}

#[tokio::test]
async fn a_members_tenant_id_is_a_uuid_and_not_nil() {
    for tenant in [
        "acme",
        "00000000-0000-0000-0000-000000000000",
        "0198b2a45c0070008000000000000001",
        "{0198b2a4-5c00-7000-8000-000000000001}",
        "urn:uuid:0198b2a4-5c00-7000-8000-000000000001",
        " 0198b2a4-5c00-7000-8000-000000000001",
        "0198b2a4-5c00-7000-8000-00000000000g",
        "0198b2a4-5c00-7000-8000-000000000001' or true --",
    ] {
        let verdict = verdict_on(&member_claims_with("custom:tenantId", json!(tenant))).await;
        assert_eq!(verdict, Err(TokenError::Tenant), "{tenant}");
    }
    let missing = Err(TokenError::Claim("custom:tenantId"));
    for tenant in [json!(null), json!(""), json!(1), json!([TENANT])] {
        let verdict = verdict_on(&member_claims_with("custom:tenantId", tenant)).await;
        assert_eq!(verdict, missing);
    }
    assert_eq!(verdict_on(&member_claims_without("custom:tenantId")).await, missing);
}

#[tokio::test]
async fn sub_is_required_and_optional_claims_must_have_their_type() {
    assert_eq!(verdict_on(&member_claims_without("sub")).await, Err(TokenError::Claim("sub")));
    for (name, value) in [
        ("sub", json!("")),
        ("sub", json!(7)),
        ("email", json!(["jane@example.com"])),
        ("cognito:groups", json!("coaches")),
        ("cognito:groups", json!([1])),
    ] {
        let verdict = verdict_on(&member_claims_with(name, value)).await;
        assert_eq!(verdict, Err(TokenError::Claim(name)));
    }
}

//! Tokens as the members' user pool would give them, from a key that lives as long as this process.

use anyhow::anyhow;
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use serde_json::{Value, json};
use uuid::Uuid;

pub(super) const POOL: &str = "us-east-1_benchmark";
pub(super) const AUDIENCE: &str = "benchmark";
const KEY_ID: &str = "benchmark-1";
/// Seconds for which a token is good: longer than any measurement.
const LIFE: i64 = 24 * 60 * 60;

/// As Amazon Cognito would call itself.
pub(super) fn issuer() -> String {
    format!("https://cognito-idp.us-east-1.amazonaws.com/{POOL}")
}

/// Signs tokens; its private key is in memory only.
pub(super) struct Issuer {
    key: KeyPair,
}

impl Issuer {
    /// One with a new key.
    pub(super) fn generate() -> anyhow::Result<Self> {
        let key = KeyPair::generate(KeySize::Rsa2048).map_err(|_| anyhow!("no RSA key could be made"))?;
        Ok(Self { key })
    }

    /// The public half, as Cognito publishes it.
    pub(super) fn jwks(&self) -> Value {
        let public = self.key.public_key();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID,
            "n": number(public.modulus().big_endian_without_leading_zero()),
            "e": number(public.exponent().big_endian_without_leading_zero()),
        }]})
    }

    /// A member's ID token.
    pub(super) fn token(&self, tenant: Uuid, member: Uuid, role: &str) -> anyhow::Result<String> {
        let now = Utc::now().timestamp();
        let header = json!({"alg": "RS256", "kid": KEY_ID});
        let claims = json!({
            "iss": issuer(), "aud": AUDIENCE, "token_use": "id", "sub": member, "cognito:username": member,
            "email": format!("{member}@example.com"), "email_verified": true, "name": "Somebody Measured",
            "custom:tenantId": tenant, "custom:role": role,
            "auth_time": now, "iat": now, "exp": now + LIFE,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| anyhow!("a token could not be signed"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

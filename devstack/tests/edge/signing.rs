//! A signer for tests, independent of the product's: RSA-2048 or ECDSA P-256 with SHA-256.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(EcdsaKeyPair),
}

pub(crate) struct Signer {
    pub(crate) id: &'static str,
    key: Key,
}

impl Signer {
    pub(crate) fn rsa(id: &'static str) -> Self {
        let key = Key::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
        Self { id, key }
    }

    pub(crate) fn ecdsa(id: &'static str) -> Self {
        let key = Key::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap());
        Self { id, key }
    }

    /// The public half, as a key group takes it.
    pub(crate) fn public(&self) -> (&'static str, String) {
        let der: PublicKeyX509Der = match &self.key {
            Key::Rsa(pair) => pair.public_key().as_der().unwrap(),
            Key::Ecdsa(pair) => pair.public_key().as_der().unwrap(),
        };
        let body = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
        (self.id, pem)
    }

    /// The signature over a text, in CloudFront's base64.
    pub(crate) fn sign(&self, text: &str) -> String {
        let random = SystemRandom::new();
        match &self.key {
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
                encode(&signature)
            }
            Key::Ecdsa(pair) => encode(pair.sign(&random, text.as_bytes()).unwrap().as_ref()),
        }
    }

    /// The query that signs exactly this URL until `expires`.
    pub(crate) fn canned(&self, url: &str, expires: u64) -> String {
        let signature = self.sign(&policy(url, expires));
        let id = self.id;
        format!("Expires={expires}&Signature={signature}&Key-Pair-Id={id}&Hash-Algorithm=SHA256")
    }

    /// The query that signs this policy document.
    pub(crate) fn custom(&self, policy: &str) -> String {
        let (text, signature, id) = (encode(policy.as_bytes()), self.sign(policy), self.id);
        format!("Policy={text}&Signature={signature}&Key-Pair-Id={id}&Hash-Algorithm=SHA256")
    }
}

/// CloudFront's base64.
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes).replace('+', "-").replace('=', "_").replace('/', "~")
}

/// The policy that grants a resource until `expires`.
pub(crate) fn policy(resource: &str, expires: u64) -> String {
    format!(
        r#"{{"Statement":[{{"Resource":"{resource}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{expires}}}}}}}]}}"#
    )
}

/// The same parameters as a Cookie header.
pub(crate) fn as_cookies(query: &str) -> String {
    let cookies: Vec<String> = query.split('&').map(|it| format!("CloudFront-{it}")).collect();
    cookies.join("; ")
}

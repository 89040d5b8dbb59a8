//! The public keys the edge trusts, by key-pair id: CloudFront's *key group*.
//!
//! Only verification lives here; private keys and signing belong to the platform.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA1_ASN1, ECDSA_P256_SHA256_ASN1, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Smallest RSA modulus CloudFront takes, in bytes (2048 bits).
const MIN_RSA_MODULUS_BYTES: usize = 256;

/// The digest a signature was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// What CloudFront assumes when the request names no algorithm.
    Sha1,
    /// `Hash-Algorithm=SHA256`.
    Sha256,
}

/// Why a public key could not be trusted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// A key-pair id is 1 to 64 letters, digits, `-` or `_`.
    #[error("`{0}` is no key-pair id (1 to 64 letters, digits, `-`, `_`)")]
    Id(String),
    /// The text is not one `-----BEGIN PUBLIC KEY-----` block.
    #[error("key {0}: not one PEM block of type PUBLIC KEY")]
    Pem(String),
    /// The key is neither RSA of 2048 bits or more nor ECDSA on P-256.
    #[error("key {0}: CloudFront takes RSA of at least 2048 bits, or ECDSA P-256")]
    Kind(String),
    /// The same id was given twice.
    #[error("key {0} is given twice")]
    Twice(String),
}

/// One trusted key, parsed once for both digests.
#[derive(Clone, Debug)]
struct TrustedKey {
    sha1: ParsedPublicKey,
    sha256: ParsedPublicKey,
}

impl TrustedKey {
    /// Reads a `SubjectPublicKeyInfo` in DER; the key's own type decides between RSA and ECDSA, never the
    /// request, so a signature of one kind cannot be tried against a key of the other.
    fn from_der(der: &[u8]) -> Option<Self> {
        if let Ok(key) = rsa::PublicKey::from_der(der) {
            if key.modulus_len() < MIN_RSA_MODULUS_BYTES {
                return None;
            }
            return Some(Self {
                sha1: ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, der).ok()?,
                sha256: ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).ok()?,
            });
        }
        Some(Self {
            sha1: ParsedPublicKey::new(&ECDSA_P256_SHA1_ASN1, der).ok()?,
            sha256: ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, der).ok()?,
        })
    }

    fn verifies(&self, hash: HashAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let key = match hash {
            HashAlgorithm::Sha1 => &self.sha1,
            HashAlgorithm::Sha256 => &self.sha256,
        };
        key.verify_sig(message, signature).is_ok()
    }
}

/// The keys whose signatures are accepted. Clones share one set, so [`KeyGroup::replace`] on any of them
/// rotates the keys of a running edge.
#[derive(Clone, Debug, Default)]
pub struct KeyGroup {
    keys: Arc<RwLock<HashMap<String, TrustedKey>>>,
}

impl KeyGroup {
    /// A group of `(key-pair id, public key PEM)` pairs.
    ///
    /// # Errors
    /// [`KeyError`] for the first id or key that CloudFront would not take.
    pub fn from_pems<I, Id, Pem>(pems: I) -> Result<Self, KeyError>
    where
        I: IntoIterator<Item = (Id, Pem)>,
        Id: Into<String>,
        Pem: AsRef<str>,
    {
        let group = Self::default();
        group.replace(pems)?;
        Ok(group)
    }

    /// Puts these keys in place of all present ones, at once: a request sees the old set or the new one.
    /// To rotate, give old and new together until the old URLs have expired, then the new one alone.
    ///
    /// # Errors
    /// [`KeyError`] for the first bad id or key; the present keys then stay.
    pub fn replace<I, Id, Pem>(&self, pems: I) -> Result<(), KeyError>
    where
        I: IntoIterator<Item = (Id, Pem)>,
        Id: Into<String>,
        Pem: AsRef<str>,
    {
        let mut keys = HashMap::new();
        for (id, pem) in pems {
            let id = id.into();
            if !is_key_pair_id(&id) {
                return Err(KeyError::Id(id));
            }
            let der = der_of_pem(pem.as_ref()).ok_or_else(|| KeyError::Pem(id.clone()))?;
            let key = TrustedKey::from_der(&der).ok_or_else(|| KeyError::Kind(id.clone()))?;
            if keys.insert(id.clone(), key).is_some() {
                return Err(KeyError::Twice(id));
            }
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// The trusted key-pair ids, sorted.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<String> = keys.keys().cloned().collect();
        ids.sort_unstable();
        ids
    }

    /// Whether `signature` over `message` was made with the key named `id`; `None` when no such key is trusted.
    pub(super) fn verifies(&self, id: &str, hash: HashAlgorithm, message: &[u8], signature: &[u8]) -> Option<bool> {
        let key = {
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            keys.get(id)?.clone()
        };
        Some(key.verifies(hash, message, signature))
    }
}

fn is_key_pair_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// The bytes of a text that is exactly one `PUBLIC KEY` block.
fn der_of_pem(pem: &str) -> Option<Vec<u8>> {
    let body = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?.strip_suffix("-----END PUBLIC KEY-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(body).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING};
    use aws_lc_rs::signature::{EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair};

    const RSA_PEM: &str = include_str!("../../tests/data/cloudfront/test-rsa2048-public.pem");

    fn pem(der: &[u8]) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    fn ec_pem(curve: &'static EcdsaSigningAlgorithm) -> String {
        let pair = EcdsaKeyPair::generate(curve).unwrap();
        let der: PublicKeyX509Der = pair.public_key().as_der().unwrap();
        pem(der.as_ref())
    }

    #[test]
    fn rsa_2048_and_ecdsa_p256_are_trusted() {
        let group =
            KeyGroup::from_pems([("KEC", ec_pem(&ECDSA_P256_SHA256_ASN1_SIGNING)), ("KRSA", RSA_PEM.to_owned())])
                .unwrap();
        assert_eq!(group.ids(), ["KEC", "KRSA"]);
    }

    #[test]
    fn keys_cloudfront_would_not_take_are_refused() {
        let weak = rsa_1024_pem();
        let p384 = ec_pem(&ECDSA_P384_SHA384_ASN1_SIGNING);
        for bad in [weak, p384, pem(b"no key at all"), pem(b"")] {
            assert_eq!(KeyGroup::from_pems([("K1", bad)]).unwrap_err(), KeyError::Kind("K1".into()));
        }
        for bad in ["", "no pem", "-----BEGIN RSA PUBLIC KEY-----\nAA==\n-----END RSA PUBLIC KEY-----"] {
            assert_eq!(KeyGroup::from_pems([("K1", bad)]).unwrap_err(), KeyError::Pem("K1".into()));
        }
        for id in ["", "a b", "ключ", &"K".repeat(65)] {
            assert_eq!(KeyGroup::from_pems([(id, RSA_PEM)]).unwrap_err(), KeyError::Id(id.into()));
        }
        assert_eq!(KeyGroup::from_pems([("K1", RSA_PEM), ("K1", RSA_PEM)]).unwrap_err(), KeyError::Twice("K1".into()));
    }

    #[test]
    fn a_bad_replacement_leaves_the_present_keys() {
        let group = KeyGroup::from_pems([("K1", RSA_PEM)]).unwrap();
        assert!(group.replace([("K2", RSA_PEM), ("K3", "nonsense")]).is_err());
        assert_eq!(group.ids(), ["K1"]);
        group.clone().replace([("K2", RSA_PEM)]).unwrap();
        assert_eq!(group.ids(), ["K2"], "clones share the group");
    }

    /// An RSA-1024 public key, made with `openssl genrsa 1024` and thrown away.
    fn rsa_1024_pem() -> String {
        include_str!("../../tests/data/cloudfront/weak-rsa1024-public.pem").to_owned()
    }
}

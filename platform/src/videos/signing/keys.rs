//! Private keys of the edge: reading, making, signing with them. RSA-2048 and ECDSA P-256, as CloudFront takes.

use super::SignError;
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{SecretString, zeroize::Zeroizing};
use std::fmt;

/// RSA modulus length in bytes of the only RSA size that CloudFront's key groups accept (2048 bits).
const RSA_MODULUS_BYTES: usize = 256;

/// Why a key was not taken. Never contains key material.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key pair id would not survive unescaped in a URL.
    #[error("the key pair id must be 1 to 64 letters, digits, '-' or '_'")]
    Id,
    /// No PEM block of a private key.
    #[error("no private key in PEM form was found (PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY)")]
    NotPem,
    /// A passphrase protects the key.
    #[error("the private key is encrypted with a passphrase; store it unencrypted in the secrets store")]
    Encrypted,
    /// The block is no key of an accepted kind.
    #[error("the private key must be RSA with 2048 bits or ECDSA on P-256")]
    Unsupported,
    /// The cryptographic library could not make or encode a key.
    #[error("the key could not be generated or encoded")]
    Crypto,
}

/// A private key with the id under which the edge knows its public half.
pub struct SigningKey {
    id: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
}

/// A new key for an environment that has none: what goes to the secrets store and what goes to the edge.
pub struct GeneratedKey {
    /// `K` and 13 hexadecimal capitals of the public key's SHA-256: like CloudFront's ids, and reproducible.
    pub id: String,
    /// PKCS#8 in PEM, for the secrets store only.
    pub private_pem: SecretString,
    /// SubjectPublicKeyInfo in PEM, for the key group.
    pub public_pem: String,
}

impl SigningKey {
    /// Reads a private key: RSA-2048 (PKCS#8 or PKCS#1) or ECDSA P-256 (PKCS#8 or SEC 1).
    ///
    /// `key_pair_id` is CloudFront's id of the public key. Other blocks in the text (certificates, `EC
    /// PARAMETERS`) are passed over.
    ///
    /// # Errors
    /// [`KeyError`], naming the defect.
    pub fn from_pem(key_pair_id: &str, pem: &str) -> Result<Self, KeyError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if key_pair_id.is_empty() || key_pair_id.len() > 64 || !key_pair_id.chars().all(fits) {
            return Err(KeyError::Id);
        }
        let (label, der) = private_block(pem)?;
        let pair = match label {
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der).map(Pair::Rsa),
            "EC PRIVATE KEY" => ecdsa(&der),
            _ => RsaKeyPair::from_pkcs8(&der).map(Pair::Rsa).or_else(|_| ecdsa(&der)),
        }
        .map_err(|_| KeyError::Unsupported)?;
        if let Pair::Rsa(rsa) = &pair
            && rsa.public_modulus_len() != RSA_MODULUS_BYTES
        {
            return Err(KeyError::Unsupported);
        }
        Ok(Self { id: key_pair_id.to_owned(), pair })
    }

    /// Makes an RSA-2048 key, the kind that CloudFront took from the beginning. Takes up to a second.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when the library fails, for example for want of randomness.
    pub fn generate_rsa() -> Result<GeneratedKey, KeyError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Crypto)?;
        let private: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Crypto)?;
        let private_pem = pem("PRIVATE KEY", private.as_ref());
        generated(&private_pem, &Pair::Rsa(pair))
    }

    /// Makes an ECDSA key on P-256, which signs about 15 times as fast: where many different videos are watched, no
    /// cache saves the first signature of each.
    ///
    /// # Errors
    /// As [`generate_rsa`](Self::generate_rsa).
    pub fn generate_ecdsa() -> Result<GeneratedKey, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| KeyError::Crypto)?;
        let private = pair.to_pkcs8v1().map_err(|_| KeyError::Crypto)?;
        let private_pem = pem("PRIVATE KEY", private.as_ref());
        generated(&private_pem, &Pair::Ecdsa(pair))
    }

    /// The key pair id that goes with every signature.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half (SubjectPublicKeyInfo, PEM), to register with the edge's key group.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when the library cannot encode it.
    pub fn public_key_pem(&self) -> Result<String, KeyError> {
        Ok(pem("PUBLIC KEY", &public_der(&self.pair)?).to_string())
    }

    /// SHA-256 signature of `message`: RSASSA-PKCS1-v1_5 (the same for the same message), or ECDSA in DER
    /// (different each time).
    ///
    /// # Errors
    /// [`SignError::Crypto`] when the library refuses.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| SignError::Crypto)?;
                Ok(signature)
            }
            Pair::Ecdsa(pair) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()).map_err(|_| SignError::Crypto)
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.pair {
            Pair::Rsa(_) => "RSA-2048",
            Pair::Ecdsa(_) => "ECDSA P-256",
        };
        f.debug_struct("SigningKey").field("id", &self.id).field("kind", &kind).finish_non_exhaustive()
    }
}

impl fmt::Debug for GeneratedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeneratedKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn generated(private_pem: &str, pair: &Pair) -> Result<GeneratedKey, KeyError> {
    let spki = public_der(pair)?;
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &spki);
    let hex: String = hash.as_ref()[..7].iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(GeneratedKey {
        id: format!("K{}", &hex[..13]),
        private_pem: SecretString::from(private_pem),
        public_pem: pem("PUBLIC KEY", &spki).to_string(),
    })
}

fn ecdsa(der: &[u8]) -> Result<Pair, aws_lc_rs::error::KeyRejected> {
    EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der).map(Pair::Ecdsa)
}

fn public_der(pair: &Pair) -> Result<Vec<u8>, KeyError> {
    let der: Result<PublicKeyX509Der<'_>, _> = match pair {
        Pair::Rsa(pair) => pair.public_key().as_der(),
        Pair::Ecdsa(pair) => pair.public_key().as_der(),
    };
    der.map(|der| der.as_ref().to_vec()).map_err(|_| KeyError::Crypto)
}

/// The first private-key block of a PEM text (RFC 7468): its label and decoded content.
fn private_block(text: &str) -> Result<(&'static str, Zeroizing<Vec<u8>>), KeyError> {
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(KeyError::Encrypted);
    }
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
        let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
        let Some((_, rest)) = text.split_once(&begin) else {
            continue;
        };
        let (body, _) = rest.split_once(&end).ok_or(KeyError::NotPem)?;
        let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
        let der = STANDARD.decode(body.as_bytes()).map_err(|_| KeyError::NotPem)?;
        return Ok((label, Zeroizing::new(der)));
    }
    Err(KeyError::NotPem)
}

/// PEM with lines of 64 characters, as RFC 7468 writes it.
fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    for (i, c) in body.chars().enumerate() {
        if i > 0 && i % 64 == 0 {
            text.push('\n');
        }
        text.push(c);
    }
    text.push_str(&format!("\n-----END {label}-----\n"));
    text
}

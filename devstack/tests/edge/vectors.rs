//! Signatures made by AWS's own JavaScript signer and by OpenSSL get the verdict CloudFront gives them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use devstack::edge::KeyGroup;
use devstack::edge::signature::{Refusal, SignedRequest, verify};
use http::{HeaderMap, header};
use serde_json::Value;
use url::Url;

const AWS: &str = include_str!("../data/cloudfront/vectors-aws-sdk-js.json");
const OPENSSL: &str = include_str!("../data/cloudfront/vectors-openssl.json");
const AWS_PEM: &str = include_str!("../data/cloudfront/test-rsa2048-public.pem");
const P256_PEM: &str = include_str!("../data/cloudfront/test-p256-public.pem");
/// When every vector expires.
const EXPIRES: u64 = 1_767_225_600;
const VIEWER: &str = "192.0.2.200";

fn keys() -> KeyGroup {
    KeyGroup::from_pems([("K2JCJMDEHXQW5F", AWS_PEM), ("KP256", P256_PEM)]).unwrap()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn by_url(url: &str, now: u64, viewer: &str) -> Result<(), Refusal> {
    judge(url, &HeaderMap::new(), now, viewer)
}

fn judge(url: &str, headers: &HeaderMap, now: u64, viewer: &str) -> Result<(), Refusal> {
    let url = Url::parse(url).unwrap();
    let request =
        SignedRequest { origin: &url.origin().ascii_serialization(), path: url.path(), query: url.query(), headers };
    verify(&request, &keys(), at(now), viewer.parse().unwrap())
}

fn vectors(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn cookies(vector: &Value) -> HeaderMap {
    let pairs: Vec<String> = vector["signed_cookies"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        })
        .collect();
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, pairs.join("; ").parse().unwrap());
    headers
}

#[test]
fn urls_signed_by_aws_open_their_object_until_they_expire() {
    let vectors = vectors(AWS);
    assert_eq!(vectors.len(), 7);
    for vector in &vectors {
        let url = vector["signed_url"].as_str().unwrap();
        assert_eq!(by_url(url, EXPIRES - 1, VIEWER), Ok(()), "{}", vector["name"]);
        assert_eq!(by_url(url, EXPIRES, VIEWER), Err(Refusal::Expired), "{}", vector["name"]);
    }
}

#[test]
fn cookies_signed_by_aws_open_their_object_until_they_expire() {
    for vector in vectors(AWS) {
        let url = vector["input"]["url"].as_str().unwrap();
        let headers = cookies(&vector);
        assert_eq!(judge(url, &headers, EXPIRES - 1, VIEWER), Ok(()), "{}", vector["name"]);
        assert_eq!(judge(url, &headers, EXPIRES, VIEWER), Err(Refusal::Expired), "{}", vector["name"]);
    }
}

#[test]
fn ecdsa_signatures_made_by_openssl_hold_with_sha1_and_with_sha256() {
    let vectors = vectors(OPENSSL);
    assert_eq!(vectors.len(), 4);
    for vector in &vectors {
        let url = vector["signed_url"].as_str().unwrap();
        assert_eq!(by_url(url, EXPIRES - 1, VIEWER), Ok(()), "{}", vector["name"]);
        assert_eq!(by_url(url, EXPIRES, VIEWER), Err(Refusal::Expired), "{}", vector["name"]);
    }
}

#[test]
fn start_and_address_of_a_policy_are_obeyed() {
    for vector in vectors(AWS) {
        let url = vector["signed_url"].as_str().unwrap();
        match vector["name"].as_str().unwrap() {
            "custom_start" => {
                let start = EXPIRES - 86_400;
                assert_eq!(by_url(url, start, VIEWER), Err(Refusal::NotYetValid));
                assert_eq!(by_url(url, start + 1, VIEWER), Ok(()));
            }
            "custom_ip" => {
                for elsewhere in ["192.0.3.1", "2001:db8::1"] {
                    assert_eq!(by_url(url, EXPIRES - 1, elsewhere), Err(Refusal::WrongAddress));
                }
            }
            _ => assert_eq!(by_url(url, EXPIRES - 1, "2001:db8::1"), Ok(())),
        }
    }
}

#[test]
fn every_signature_fails_once_any_part_of_it_is_changed() {
    for vector in vectors(AWS).into_iter().chain(vectors(OPENSSL)) {
        let url = vector["signed_url"].as_str().unwrap();
        let (base, query) = url.split_once('?').unwrap();
        let fields: Vec<&str> = query.split('&').collect();
        for (at, field) in fields.iter().enumerate() {
            let (name, value) = field.split_once('=').unwrap();
            for changed in [flip(value, 0), flip(value, value.len() / 2), String::new()] {
                let mut tampered = fields.clone();
                let field = format!("{name}={changed}");
                tampered[at] = &field;
                let tampered = format!("{base}?{}", tampered.join("&"));
                assert!(by_url(&tampered, EXPIRES - 1, VIEWER).is_err(), "{tampered}");
            }
            let mut without = fields.clone();
            without.remove(at);
            let without = format!("{base}?{}", without.join("&"));
            assert!(by_url(&without, EXPIRES - 1, VIEWER).is_err(), "{without}");
            let twice = format!("{url}&{field}");
            assert!(by_url(&twice, EXPIRES - 1, VIEWER).is_err(), "{twice}");
        }
        for (from, to) in [
            ("https://", "http://"),
            ("cloudfront.net/", "cloudfront.net:444/"),
            ("d111111abcdef8", "d222222abcdef8"),
            (".net/", ".net/x/"),
        ] {
            let elsewhere = url.replacen(from, to, 1);
            assert!(by_url(&elsewhere, EXPIRES - 1, VIEWER).is_err(), "{elsewhere}");
        }
    }
}

/// The same text with one character replaced by another one of the same kind.
fn flip(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = match bytes[at] {
        b'1' => b'2',
        digit if digit.is_ascii_digit() => b'1',
        b'A' => b'B',
        _ => b'A',
    };
    String::from_utf8(bytes).unwrap()
}

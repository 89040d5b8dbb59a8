//! What somebody might try who holds one valid signature and wants more.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use devstack::edge::KeyGroup;
use devstack::edge::signature::{Refusal, SignedRequest, verify};
use http::{HeaderMap, HeaderValue, header};

use crate::signing::{Signer, as_cookies, encode, policy};

const ORIGIN: &str = "http://127.0.0.1:8080";
const PATH: &str = "/videos/t1/intro.mp4";
const NOW: u64 = 1_800_000_000;
const LATER: u64 = NOW + 600;

struct Attempt<'a> {
    path: &'a str,
    query: String,
    cookies: Vec<String>,
}

fn query(query: impl Into<String>) -> Attempt<'static> {
    Attempt { path: PATH, query: query.into(), cookies: Vec::new() }
}

impl<'a> Attempt<'a> {
    fn path<'b>(self, path: &'b str) -> Attempt<'b> {
        Attempt { path, query: self.query, cookies: self.cookies }
    }

    fn cookies(mut self, line: impl Into<String>) -> Attempt<'a> {
        self.cookies.push(line.into());
        self
    }

    fn verdict(&self, keys: &KeyGroup) -> Result<(), Refusal> {
        self.verdict_at(keys, UNIX_EPOCH + Duration::from_secs(NOW))
    }

    fn verdict_at(&self, keys: &KeyGroup, now: SystemTime) -> Result<(), Refusal> {
        let mut headers = HeaderMap::new();
        for line in &self.cookies {
            headers.append(header::COOKIE, HeaderValue::from_str(line).unwrap());
        }
        let request = SignedRequest {
            origin: ORIGIN,
            path: self.path,
            query: Some(&*self.query).filter(|it| !it.is_empty()),
            headers: &headers,
        };
        verify(&request, keys, now, "203.0.113.9".parse().unwrap())
    }
}

fn url() -> String {
    format!("{ORIGIN}{PATH}")
}

/// A signer and the group that trusts it.
fn trusted() -> (Signer, KeyGroup) {
    let signer = Signer::ecdsa("K1");
    let keys = KeyGroup::from_pems([signer.public()]).unwrap();
    (signer, keys)
}

#[test]
fn rsa_and_ecdsa_signatures_hold_in_query_and_cookies() {
    for signer in [Signer::rsa("K1"), Signer::ecdsa("K1")] {
        let keys = KeyGroup::from_pems([signer.public()]).unwrap();
        for signed in [signer.canned(&url(), LATER), signer.custom(&policy(&format!("{ORIGIN}/videos/t1/*"), LATER))] {
            assert_eq!(query(&*signed).verdict(&keys), Ok(()));
            assert_eq!(query("").cookies(as_cookies(&signed)).verdict(&keys), Ok(()));
        }
    }
}

#[test]
fn the_end_is_exact() {
    let (signer, keys) = trusted();
    let end = UNIX_EPOCH + Duration::from_secs(LATER);
    for signed in [signer.canned(&url(), LATER), signer.custom(&policy(&url(), LATER))] {
        let attempt = query(signed);
        assert_eq!(attempt.verdict_at(&keys, end - Duration::from_nanos(1)), Ok(()));
        assert_eq!(attempt.verdict_at(&keys, end), Err(Refusal::Expired));
    }
    let forever = query(signer.canned(&url(), u64::MAX));
    assert_eq!(forever.verdict(&keys), Ok(()), "the largest date is a date");
    assert_eq!(query(signer.canned(&url(), 0)).verdict(&keys), Err(Refusal::Expired));
}

#[test]
fn without_a_key_pair_id_that_is_what_is_missing() {
    let (signer, keys) = trusted();
    let signed = signer.canned(&url(), LATER);
    for attempt in [
        query(""),
        query("color=red"),
        query(signed.replace("Key-Pair-Id=K1&", "")),
        query(signed.replace("Key-Pair-Id=K1&", "Key-Pair-Id=&")),
        query(signed.replace("Key-Pair-Id", "key-pair-id")),
        query("").cookies("session=1; CloudFront-Policy=e30_"),
        query("").cookies(as_cookies(&signed).replace("CloudFront-", "cloudfront-")),
    ] {
        assert_eq!(attempt.verdict(&keys), Err(Refusal::MissingKeyPairId));
    }
}

#[test]
fn a_signature_opens_no_other_path_host_or_query() {
    let (signer, keys) = trusted();
    let canned = signer.canned(&url(), LATER);
    let wild = signer.custom(&policy(&format!("{ORIGIN}/videos/t1/*"), LATER));
    for path in [
        "/videos/t2/intro.mp4",
        "/videos/t1/intro.mp",
        "/videos/t1/intro.mp4/",
        "/videos/t1/Intro.mp4",
        "/videos/t1/%69ntro.mp4",
        "/videos/t1//intro.mp4",
        "/videos/t1/x/../intro.mp4",
    ] {
        assert_eq!(query(&*canned).path(path).verdict(&keys), Err(Refusal::BadSignature), "{path}");
    }
    for path in ["/videos/t2/intro.mp4", "/videos/t1", "/progress-photos/t1/x", "//videos/t1/x"] {
        assert_eq!(query(&*wild).path(path).verdict(&keys), Err(Refusal::WrongResource), "{path}");
    }
    for elsewhere in [
        "https://127.0.0.1:8080/videos/t1/*",
        "http://127.0.0.1/videos/t1/*",
        "http://localhost:8080/videos/t1/*",
        "/videos/t1/*",
        "videos/t1/*",
        "",
    ] {
        let signed = signer.custom(&policy(elsewhere, LATER));
        assert_eq!(query(signed).verdict(&keys), Err(Refusal::WrongResource), "{elsewhere}");
    }
    assert_eq!(query(format!("{canned}&color=red")).verdict(&keys), Err(Refusal::BadSignature));
    assert_eq!(query(format!("{canned}&")).verdict(&keys), Err(Refusal::BadSignature));
    let exact = signer.custom(&policy(&url(), LATER));
    assert_eq!(query(format!("color=red&{exact}")).verdict(&keys), Err(Refusal::WrongResource));
}

#[test]
fn the_own_query_is_part_of_what_is_signed_wherever_the_parameters_stand() {
    let (signer, keys) = trusted();
    let signed = signer.canned(&format!("{}?color=red&size=m%20l", url()), LATER);
    let (first, rest) = signed.split_once('&').unwrap();
    for good in [
        format!("color=red&size=m%20l&{signed}"),
        format!("{signed}&color=red&size=m%20l"),
        format!("color=red&{first}&size=m%20l&{rest}"),
    ] {
        assert_eq!(query(good).verdict(&keys), Ok(()));
    }
    for bad in [
        format!("size=m%20l&color=red&{signed}"),
        format!("color=red&size=m+l&{signed}"),
        format!("color=red&{signed}"),
        signed.clone(),
    ] {
        assert_eq!(query(bad).verdict(&keys), Err(Refusal::BadSignature));
    }
}

#[test]
fn wildcards_count_only_in_a_custom_policy() {
    let (signer, keys) = trusted();
    let pattern = format!("{ORIGIN}/videos/t1/*");
    let canned = signer.canned(&pattern, LATER);
    assert_eq!(query(&*canned).verdict(&keys), Err(Refusal::BadSignature));
    assert_eq!(query(&*canned).path("/videos/t1/*").verdict(&keys), Ok(()), "only itself");
}

#[test]
fn a_policy_without_a_resource_opens_everything() {
    let (signer, keys) = trusted();
    let everything = format!(r#"{{"Statement":[{{"Condition":{{"DateLessThan":{{"AWS:EpochTime":{LATER}}}}}}}]}}"#);
    let signed = signer.custom(&everything);
    assert_eq!(query(&*signed).path("/progress-photos/t9/x").verdict(&keys), Ok(()));
    let null = everything.replace(r#"{"Condition""#, r#"{"Resource":null,"Condition""#);
    assert_eq!(query(signer.custom(&null)).verdict(&keys), Err(Refusal::Malformed("policy")));
}

#[test]
fn what_is_ambiguous_is_refused() {
    let (signer, keys) = trusted();
    let canned = signer.canned(&url(), LATER);
    let custom = signer.custom(&policy(&url(), LATER));
    let other = signer.canned(&format!("{ORIGIN}/videos/t2/x"), LATER + 1);
    let expires = format!("Expires={LATER}");
    for doubled in [
        format!("{canned}&{expires}"),
        format!("{expires}&{canned}"),
        format!("{canned}&Expires={}", LATER + 1),
        format!("{canned}&Key-Pair-Id=K1"),
        format!("{canned}&Hash-Algorithm=SHA256"),
        format!("{canned}&{other}"),
        format!("{custom}&{expires}"),
        format!("{canned}&Policy={}", encode(b"{}")),
        format!("{canned}&%45xpires={}", LATER + 9),
        format!("{canned}&Key%2DPair%2DId=K2"),
        format!("{canned}&Expires"),
    ] {
        let verdict = query(&*doubled).verdict(&keys);
        assert!(matches!(verdict, Err(Refusal::Ambiguous(_))), "{verdict:?} {doubled}");
    }
    let twice = query("").cookies(as_cookies(&canned)).cookies(format!("CloudFront-{expires}"));
    assert_eq!(twice.verdict(&keys), Err(Refusal::Ambiguous("Expires")));
}

#[test]
fn one_signing_parameter_in_the_query_outranks_all_cookies() {
    let (signer, keys) = trusted();
    let good = signer.canned(&url(), LATER);
    let expired = signer.canned(&url(), NOW - 1);
    let foreign = signer.canned(&format!("{ORIGIN}/videos/t2/x"), LATER);

    assert_eq!(query(&*expired).cookies(as_cookies(&good)).verdict(&keys), Err(Refusal::Expired));
    assert_eq!(query(&*good).cookies(as_cookies(&foreign)).verdict(&keys), Ok(()));
    for alone in ["Expires=1", "Policy=e30_", "Signature=AA__", "Hash-Algorithm=SHA1"] {
        let mixed = query(alone).cookies(as_cookies(&good));
        assert_eq!(mixed.verdict(&keys), Err(Refusal::MissingKeyPairId), "{alone}");
    }
    let half = query("Key-Pair-Id=K1").cookies(as_cookies(&good));
    assert_eq!(half.verdict(&keys), Err(Refusal::Missing("Signature")));
}

#[test]
fn keys_are_not_exchangeable() {
    let (rsa, ec) = (Signer::rsa("KRSA"), Signer::ecdsa("KEC"));
    let stranger = Signer::ecdsa("KX");
    let keys = KeyGroup::from_pems([rsa.public(), ec.public()]).unwrap();
    let by_ec = ec.canned(&url(), LATER);
    let by_rsa = rsa.canned(&url(), LATER);
    assert_eq!(query(&*by_ec).verdict(&keys), Ok(()));
    assert_eq!(query(by_ec.replace("=KEC", "=KRSA")).verdict(&keys), Err(Refusal::BadSignature));
    assert_eq!(query(by_rsa.replace("=KRSA", "=KEC")).verdict(&keys), Err(Refusal::BadSignature));
    let by_stranger = stranger.canned(&url(), LATER);
    assert_eq!(query(&*by_stranger).verdict(&keys), Err(Refusal::UnknownKey));
    assert_eq!(query(by_stranger.replace("=KX", "=KEC")).verdict(&keys), Err(Refusal::BadSignature));
    assert_eq!(query(by_ec.replace("=KEC", "=kec")).verdict(&keys), Err(Refusal::UnknownKey));
}

#[test]
fn rotation_takes_effect_at_once() {
    let (old, new) = (Signer::ecdsa("KOLD"), Signer::rsa("KNEW"));
    let keys = KeyGroup::from_pems([old.public()]).unwrap();
    let (by_old, by_new) = (query(old.canned(&url(), LATER)), query(new.canned(&url(), LATER)));
    assert_eq!(by_new.verdict(&keys), Err(Refusal::UnknownKey));
    keys.replace([old.public(), new.public()]).unwrap();
    assert_eq!((by_old.verdict(&keys), by_new.verdict(&keys)), (Ok(()), Ok(())));
    keys.replace([new.public()]).unwrap();
    assert_eq!(by_old.verdict(&keys), Err(Refusal::UnknownKey));
    assert_eq!(by_new.verdict(&keys), Ok(()));
}

#[test]
fn the_digest_is_the_one_that_is_named() {
    let (signer, keys) = trusted();
    let signed = signer.canned(&url(), LATER);
    let named = "&Hash-Algorithm=SHA256";
    for (instead, refusal) in [
        ("", Refusal::BadSignature),
        ("&Hash-Algorithm=SHA1", Refusal::BadSignature),
        ("&Hash-Algorithm=", Refusal::Malformed("Hash-Algorithm")),
        ("&Hash-Algorithm=sha256", Refusal::Malformed("Hash-Algorithm")),
        ("&Hash-Algorithm=MD5", Refusal::Malformed("Hash-Algorithm")),
        ("&Hash-Algorithm=none", Refusal::Malformed("Hash-Algorithm")),
    ] {
        assert_eq!(query(signed.replace(named, instead)).verdict(&keys), Err(refusal));
    }
}

#[test]
fn malformed_and_huge_values_are_refused() {
    let (signer, keys) = trusted();
    let signed = signer.canned(&url(), LATER);
    let expires = format!("Expires={LATER}");
    for bad in [
        format!("Expires=+{LATER}"),
        format!("Expires=0{LATER}"),
        format!("Expires={LATER}.0"),
        "Expires=-1".to_owned(),
        "Expires=".to_owned(),
        "Expires=99999999999999999999999999".to_owned(),
        format!("Expires=%31{}", &LATER.to_string()[1..]),
    ] {
        let verdict = query(signed.replace(&expires, &bad)).verdict(&keys);
        assert_eq!(verdict, Err(Refusal::Malformed("Expires")), "{bad}");
    }
    let tail = "&Key-Pair-Id=K1&Hash-Algorithm=SHA256";
    for signature in ["", "!", "AA==", "A", "AA", "A/A+", &"A".repeat(4_000_000)] {
        let verdict = query(format!("{expires}&Signature={signature}{tail}")).verdict(&keys);
        assert_eq!(verdict, Err(Refusal::Malformed("Signature")));
    }
    let huge = policy(&"*".repeat(100_000), LATER);
    assert_eq!(query(signer.custom(&huge)).verdict(&keys), Err(Refusal::Malformed("Policy")));
}

#[test]
fn nothing_in_a_url_can_end_the_signed_text() {
    let (signer, keys) = trusted();
    // Signed for real, so that only the check of the bytes can refuse it.
    for path in ["/videos/a\"b", "/videos/a\\u002a", "/videos/a\\", "/videos/\u{fc}", "/videos/a b"] {
        let signed = signer.canned(&format!("{ORIGIN}{path}"), LATER);
        assert_eq!(query(signed).path(path).verdict(&keys), Err(Refusal::Malformed("URL")), "{path}");
    }
}

//! URLs made by AWS's own Python signer, botocore's `CloudFrontSigner`, get the verdict CloudFront gives them.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use devstack::edge::KeyGroup;
use devstack::edge::signature::{Refusal, SignedRequest, verify};
use http::{HeaderMap, header};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use url::Url;

const ID: &str = "KBOTOCORE";
const START: u64 = 1_790_000_000;
const END: u64 = 1_790_000_300;
const VIEWER: &str = "192.0.2.200";
const MP4: &str = "https://media.example.com/videos/t1/v1/source.mp4";
const FOLDER: &str = "https://media.example.com/videos/t1/v1/hls/";

/// What botocore signed: per case the URL with SHA-1, and with SHA-256 as CloudFront is told of it.
struct Signed {
    public: String,
    urls: Vec<[String; 2]>,
}

/// The cases: with `resource` a custom policy, without one a canned one.
fn cases() -> Value {
    let master = format!("{FOLDER}master.m3u8");
    json!([
        {"url": MP4, "end": END},
        {"url": format!("{MP4}?part=1&name=a%20b"), "end": END},
        {"url": "https://media.example.com/videos/t1/v1/%C3%BC%20%28b%29%2B.mp4", "end": END},
        {"url": MP4, "resource": MP4, "end": END},
        {"url": master, "resource": format!("{FOLDER}*"), "end": END},
        {"url": master, "resource": format!("{FOLDER}maste?.m3u8"), "end": END, "start": START},
        {"url": master, "resource": format!("{FOLDER}*"), "end": END, "start": START, "viewers": "192.0.2.0/24"},
        {"url": MP4, "resource": "*", "end": END, "viewers": VIEWER},
    ])
}

static SIGNED: OnceCell<Option<Signed>> = OnceCell::const_new();

/// Botocore's answers, or none with a printed reason where there is no Python that has it.
async fn signed() -> Option<&'static Signed> {
    SIGNED.get_or_init(sign).await.as_ref()
}

async fn sign() -> Option<Signed> {
    let python = match devstack::ministack::python().await {
        Ok(python) => python,
        Err(error) => {
            assert!(std::env::var("CI_REQUIRE").as_deref() != Ok("all"), "CI_REQUIRE=all, but: {error}");
            eprintln!("skipped: URLs of botocore, since there is no Python that has it ({error})");
            return None;
        }
    };
    let mut child = Command::new(python)
        .args(["-I", "-c", include_str!("../data/cloudfront/botocore_signer.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = json!({"id": ID, "cases": cases()}).to_string();
    child.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "botocore's signer failed, as it says above");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let url = |signed: &Value, hash: &str| signed[hash].as_str().unwrap().to_owned();
    let urls = answer["signed"].as_array().unwrap().iter();
    Some(Signed {
        public: answer["public"].as_str().unwrap().to_owned(),
        urls: urls.map(|it| [url(it, "sha1"), url(it, "sha256") + "&Hash-Algorithm=SHA256"]).collect(),
    })
}

impl Signed {
    fn all(&self) -> impl Iterator<Item = &String> {
        self.urls.iter().flatten()
    }

    fn keys(&self) -> KeyGroup {
        KeyGroup::from_pems([(ID, self.public.as_str())]).unwrap()
    }

    fn verdict(&self, url: &str, now: u64, viewer: &str) -> Result<(), Refusal> {
        judge(&self.keys(), url, &HeaderMap::new(), now, viewer)
    }
}

fn judge(keys: &KeyGroup, url: &str, headers: &HeaderMap, now: u64, viewer: &str) -> Result<(), Refusal> {
    let url = Url::parse(url).unwrap();
    let request =
        SignedRequest { origin: &url.origin().ascii_serialization(), path: url.path(), query: url.query(), headers };
    let now = UNIX_EPOCH + Duration::from_secs(now);
    verify(&request, keys, now, viewer.parse().unwrap())
}

/// The URL's signing parameters as cookies, and the URL without them.
fn as_cookies(url: &str) -> (String, HeaderMap) {
    let (bare, query) = url.split_once('?').unwrap();
    let pairs: Vec<String> = query.split('&').map(|pair| format!("CloudFront-{pair}")).collect();
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, pairs.join("; ").parse().unwrap());
    (bare.to_owned(), headers)
}

#[tokio::test]
async fn botocores_urls_open_their_object_until_they_expire() {
    let Some(signed) = signed().await else { return };
    assert_eq!(signed.all().count(), 16);
    for url in signed.all() {
        assert_eq!(signed.verdict(url, END - 1, VIEWER), Ok(()), "{url}");
        for later in [END, END + 1, END + 86_400] {
            assert_eq!(signed.verdict(url, later, VIEWER), Err(Refusal::Expired), "{url}");
        }
    }
}

#[tokio::test]
async fn botocores_policies_open_as_cookies_too() {
    let Some(signed) = signed().await else { return };
    for url in signed.urls[3..].iter().flatten() {
        let (bare, headers) = as_cookies(url);
        let verdict = |now| judge(&signed.keys(), &bare, &headers, now, VIEWER);
        assert_eq!(verdict(END - 1), Ok(()), "{url}");
        assert_eq!(verdict(END), Err(Refusal::Expired), "{url}");
    }
}

#[tokio::test]
async fn start_and_viewers_of_botocores_policies_are_obeyed() {
    let Some(signed) = signed().await else { return };
    for (case, urls) in cases().as_array().unwrap().iter().zip(&signed.urls) {
        for url in urls {
            let early = signed.verdict(url, START - 1, VIEWER);
            let elsewhere = signed.verdict(url, END - 1, "198.51.100.7");
            let begins = case.get("start").is_some();
            assert_eq!(early, if begins { Err(Refusal::NotYetValid) } else { Ok(()) }, "{url}");
            let bound = case.get("viewers").is_some();
            assert_eq!(elsewhere, if bound { Err(Refusal::WrongAddress) } else { Ok(()) }, "{url}");
        }
    }
}

#[tokio::test]
async fn botocores_urls_open_no_other_path() {
    let Some(signed) = signed().await else { return };
    for (case, urls) in cases().as_array().unwrap().iter().zip(&signed.urls) {
        for url in urls {
            for (from, to) in [("/t1/", "/t2/"), ("/v1/", "/v1/x/"), ("media.", "other."), ("https:", "http:")] {
                let elsewhere = url.replacen(from, to, 1);
                let expected = match case["resource"].as_str() {
                    None => Err(Refusal::BadSignature),
                    Some("*") => Ok(()),
                    Some(_) => Err(Refusal::WrongResource),
                };
                assert_eq!(signed.verdict(&elsewhere, END - 1, VIEWER), expected, "{elsewhere}");
            }
        }
    }
    // Within the folder that a wildcard signs, every object opens.
    for url in &signed.urls[4] {
        let segment = url.replacen("master.m3u8", "720p/segment-7.m4s", 1);
        assert_eq!(signed.verdict(&segment, END - 1, VIEWER), Ok(()), "{segment}");
    }
}

#[tokio::test]
async fn botocores_urls_fail_once_tampered_with() {
    let Some(signed) = signed().await else { return };
    for url in signed.all() {
        let (bare, query) = url.split_once('?').unwrap();
        let fields: Vec<&str> = query.split('&').collect();
        for at in 0..fields.len() {
            let (name, value) = fields[at].split_once('=').unwrap();
            for end in [0, value.len() / 2, value.len().saturating_sub(4)] {
                let mut bytes = value.as_bytes().to_vec();
                bytes[end] = if bytes[end] == b'2' { b'3' } else { b'2' };
                let mut tampered: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
                tampered[at] = format!("{name}={}", String::from_utf8(bytes).unwrap());
                let tampered = format!("{bare}?{}", tampered.join("&"));
                assert!(signed.verdict(&tampered, END - 1, VIEWER).is_err(), "{tampered}");
            }
            let mut missing = fields.clone();
            missing.remove(at);
            let missing = format!("{bare}?{}", missing.join("&"));
            assert!(signed.verdict(&missing, END - 1, VIEWER).is_err(), "{missing}");
        }
        let later = url.replace(&format!("Expires={END}"), &format!("Expires={}", END + 1));
        if later != *url {
            assert_eq!(signed.verdict(&later, END - 1, VIEWER), Err(Refusal::BadSignature), "{later}");
        }
    }
    // The hash that is named is the one that counts.
    for [sha1, sha256] in &signed.urls {
        let as_sha256 = format!("{sha1}&Hash-Algorithm=SHA256");
        let as_sha1 = sha256.trim_end_matches("&Hash-Algorithm=SHA256");
        for url in [as_sha256.as_str(), as_sha1] {
            assert_eq!(signed.verdict(url, END - 1, VIEWER), Err(Refusal::BadSignature), "{url}");
        }
    }
}

#[tokio::test]
async fn botocores_urls_by_a_key_that_is_not_trusted_open_nothing() {
    let Some(signed) = signed().await else { return };
    let stranger = crate::signing::Signer::rsa(ID);
    let (_, public) = stranger.public();
    let another_id = KeyGroup::from_pems([("KOTHER", signed.public.as_str())]).unwrap();
    let another_key = KeyGroup::from_pems([(ID, public)]).unwrap();
    let none = HeaderMap::new();
    for url in signed.all() {
        assert_eq!(judge(&another_id, url, &none, END - 1, VIEWER), Err(Refusal::UnknownKey), "{url}");
        assert_eq!(judge(&another_key, url, &none, END - 1, VIEWER), Err(Refusal::BadSignature), "{url}");
        let renamed = url.replace(ID, "KOTHER");
        assert_eq!(signed.verdict(&renamed, END - 1, VIEWER), Err(Refusal::UnknownKey), "{url}");
    }
}

//! The signer against other people's code: botocore signs the same, OpenSSL verifies, AWS's JavaScript signer agrees.
#![allow(clippy::unwrap_used)]

mod tools;

use std::collections::{BTreeMap, BTreeSet};

use platform::videos::signing::{
    HASH_ALGORITHM, Ipv4Cidr, KeyError, Policy, Resource, SignError, Signer, SigningKey, Slot, Viewing, object_url,
    sign_canned, sign_cookies, sign_custom,
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tools::{botocore, data, decoded, keys, openssl, query, verifies};
use url::Url;
use uuid::Uuid;

const URL: &str = "https://media.example.com/videos/tenants/0190/7/source.mp4";
const FOLDER: &str = "https://media.example.com/videos/tenants/0190/7/hls/";
const END: u64 = 1_790_000_300;

#[test]
fn policies_parameters_and_rsa_signatures_equal_botocores() {
    let pem = openssl(&["genrsa", "-traditional", "2048"], "");
    let key = SigningKey::from_pem("K2JCJMDEHXQW5F", &pem).unwrap();
    let with_query = format!("{URL}?part=1&name=a%20b");
    let encoded = object_url(&Url::parse("https://media.example.com").unwrap(), "a/ü b*'\"+.mp4").unwrap();
    let master = format!("{FOLDER}master.m3u8");
    let ours: Vec<(Value, String, Policy)> = [URL, &with_query, &encoded]
        .into_iter()
        .map(|url| {
            let case = json!({"canned": true, "url": url, "resource": url, "ends_at": END});
            let policy = Policy::canned(Resource::object(url).unwrap(), END).unwrap();
            (case, sign_canned(&key, url, END).unwrap(), policy)
        })
        .chain(
            [(None, None), (Some(END - 300), None), (None, Some("192.0.2.0/24")), (Some(END - 1), Some("203.0.113.9"))]
                .map(|(start, clients)| {
                    let case = json!({"canned": false, "url": &master, "resource": format!("{FOLDER}*"),
                    "ends_at": END, "starts_at": start, "clients": clients});
                    let mut policy = Policy::custom(Resource::prefix(FOLDER).unwrap(), END).unwrap();
                    if let Some(start) = start {
                        policy = policy.starting_at(start).unwrap();
                    }
                    if let Some(clients) = clients {
                        policy = policy.for_clients(clients.parse().unwrap()).unwrap();
                    }
                    (case, sign_custom(&key, &master, &policy).unwrap(), policy)
                }),
        )
        .collect();
    let asked = json!({"id": "K2JCJMDEHXQW5F", "key": pem, "cases": ours.iter().map(|o| &o.0).collect::<Vec<_>>()});
    let Some(answers) = botocore(&asked) else { return };

    assert_eq!(answers.len(), 7);
    for ((case, url, policy), theirs) in ours.iter().zip(&answers) {
        assert_eq!(policy.text(), theirs["policy"].as_str().unwrap(), "{case}");
        // Equal to the last byte, so also in the order of the parameters.
        let hash = format!("&Hash-Algorithm={HASH_ALGORITHM}");
        assert_eq!(url.strip_suffix(&hash).unwrap(), theirs["url"].as_str().unwrap(), "{case}");
    }
}

#[test]
fn openssl_verifies_urls_and_cookies_of_every_kind_of_key() {
    for (kind, pem) in keys() {
        let key = SigningKey::from_pem("KEDGE", &pem).unwrap();
        let public = openssl(&["pkey", "-pubout"], &pem);
        assert_eq!(key.public_key_pem().unwrap(), public, "{kind}");

        let url = sign_canned(&key, URL, END).unwrap();
        let canned = format!(
            r#"{{"Statement":[{{"Resource":"{URL}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{END}}}}}}}]}}"#
        );
        let query = query(&url);
        assert_eq!(query["Expires"], END.to_string());
        assert_eq!(query["Key-Pair-Id"], "KEDGE");
        assert!(verifies(&public, canned.as_bytes(), &decoded(&query["Signature"])), "{kind}");
        assert!(!verifies(&public, b"another policy", &decoded(&query["Signature"])), "{kind}");

        let policy = Policy::custom(Resource::prefix(FOLDER).unwrap(), END).unwrap();
        let cookies: BTreeMap<_, _> = sign_cookies(&key, &policy).unwrap().pairs().iter().cloned().collect();
        let sent = decoded(&cookies["CloudFront-Policy"]);
        assert_eq!(String::from_utf8(sent.clone()).unwrap(), policy.text());
        assert!(verifies(&public, &sent, &decoded(&cookies["CloudFront-Signature"])), "{kind}");
        assert_eq!(cookies["CloudFront-Hash-Algorithm"], "SHA256");
    }
}

#[test]
fn policies_equal_those_of_awss_javascript_signer() {
    let text = std::fs::read_to_string(data("cloudfront-vectors-aws-sdk-js.json")).unwrap();
    let recorded: Value = serde_json::from_str(&text).unwrap();
    let public = std::fs::read_to_string(data("cloudfront-vectors-public.pem")).unwrap();
    let mut with_sha256 = 0;
    for vector in recorded["vectors"].as_array().unwrap() {
        let (name, input) = (vector["name"].as_str().unwrap(), &vector["input"]);
        let end = 1_767_225_600; // 2026-01-01T00:00:00Z, in every vector
        let policy = if let Some(text) = input["policy"].as_str() {
            let wanted: Value = serde_json::from_str(text).unwrap();
            let folder = wanted["Statement"][0]["Resource"].as_str().unwrap().trim_end_matches('*');
            Policy::custom(Resource::prefix(folder).unwrap(), end).unwrap()
        } else {
            let resource = Resource::object(input["url"].as_str().unwrap()).unwrap();
            match (input.get("dateGreaterThan"), input["ipAddress"].as_str()) {
                (None, None) => Policy::canned(resource, end).unwrap(),
                (Some(_), _) => Policy::custom(resource, end).unwrap().starting_at(1_767_139_200).unwrap(),
                (_, Some(ip)) => Policy::custom(resource, end).unwrap().for_clients(ip.parse().unwrap()).unwrap(),
            }
        };
        let theirs = query(vector["signed_url"].as_str().unwrap());
        if let Some(sent) = theirs.get("Policy") {
            assert_eq!(policy.text(), String::from_utf8(decoded(sent)).unwrap(), "{name}");
        } else {
            assert_eq!(theirs["Expires"], policy.ends_at().to_string(), "{name}");
        }
        // Their signature fits our text: also where the text itself does not travel.
        if theirs.get("Hash-Algorithm").is_some_and(|hash| hash == HASH_ALGORITHM) {
            with_sha256 += 1;
            assert!(verifies(&public, policy.text().as_bytes(), &decoded(&theirs["Signature"])), "{name}");
        }
    }
    assert_eq!(with_sha256, 2, "the vectors hold a canned and a custom policy with SHA-256");
}

#[test]
fn a_url_that_could_change_the_policy_or_never_verify_is_refused() {
    let refused = |url: &str| Resource::object(url).unwrap_err().to_string();
    let injection = r#"https://e.example/a","Condition":{}},{"Resource":"*"#;
    assert!(refused(injection).contains("a quote"));
    for (url, reason) in [
        (r"https://e.example/a\b", "a backslash"),
        ("https://e.example/a b", "whitespace"),
        ("https://e.example/a\u{a0}b", "whitespace"),
        ("https://e.example/a\tb", "whitespace"),
        ("https://e.example/a\0b", "a control character"),
        ("https://e.example/a\u{7f}b", "a control character"),
        ("https://e.example/ü", "must be percent-encoded"),
        ("https://e.example/<a>", "must be percent-encoded"),
        ("https://e.example/100%", "two hexadecimal digits"),
        ("https://e.example/%zz", "two hexadecimal digits"),
        ("https://e.example/*", "wildcard"),
        ("https://e.example/a?b?c", "wildcard"),
        ("https://e.example/a?Expires=1", "Expires"),
        ("https://e.example/a?x=1&policy=1", "Policy"),
        ("https://e.example/a?Signature=", "Signature"),
        ("https://e.example/a?Key-Pair-Id", "Key-Pair-Id"),
        ("https://e.example/a?Hash-%41lgorithm=SHA1", "Hash-Algorithm"),
        ("https://e.example/a/../b", "instead"),
        ("https://e.example/a/%2e%2E/b", "instead"),
        ("https://E.example/a", "instead"),
        ("https://e.example:443/a", "instead"),
        ("https://e.example", "instead"),
        ("https://me@e.example/a", "user name"),
        ("https://e.example/a#b", "fragment"),
        ("ftp://e.example/a", "http"),
        ("/videos/a.mp4", "cannot sign"),
        ("", "cannot sign"),
    ] {
        let text = refused(url);
        assert!(text.contains(reason), "{url:?}: {text}");
    }
    for fine in [URL, "http://127.0.0.1:8080/videos/a%20b.mp4?v=1&w=(2)", "https://e.example/a%2A%3F.mp4"] {
        assert_eq!(Resource::object(fine).unwrap().pattern(), fine);
    }
}

#[test]
fn a_prefix_opens_its_folder_and_no_more() {
    let refused = |url: &str| Resource::prefix(url).unwrap_err();
    assert!(refused("https://e.example/videos/7").to_string().contains("neighbours"));
    assert!(refused("https://e.example/").to_string().contains("whole site"));
    assert_eq!(refused("https://e.example/videos/7/?a=/"), SignError::Wildcard('?'));
    assert_eq!(refused("https://e.example/*/7/"), SignError::Wildcard('*'));

    let prefix = Resource::prefix(FOLDER).unwrap();
    assert_eq!(prefix.pattern(), format!("{FOLDER}*"));
    assert_eq!(Policy::canned(prefix.clone(), END).unwrap_err(), SignError::NotCanned("prefix"));
    let key = rsa_key("K1");
    let policy = Policy::custom(prefix, END).unwrap();
    assert!(sign_custom(&key, &format!("{FOLDER}720p/1.m4s"), &policy).is_ok());
    let error = sign_custom(&key, "https://media.example.com/videos/tenants/0190/8/hls/1.m4s", &policy).unwrap_err();
    assert!(error.to_string().contains(FOLDER), "{error}");

    let cookies = sign_cookies(&key, &policy).unwrap();
    assert_eq!(cookies.path(), "/videos/tenants/0190/7/hls/");
    let secure = cookies.set_cookie_values(Some("example.com"), true);
    assert_eq!(secure.len(), 4);
    for value in &secure {
        assert!(value.contains("; Path=/videos/tenants/0190/7/hls/; Domain=example.com; Secure; HttpOnly"), "{value}");
        assert!(!value.contains("Max-Age"), "{value}");
    }
    assert!(!cookies.set_cookie_values(None, false)[0].contains("Secure"));
}

#[test]
fn times_and_addresses_that_make_no_sense_are_refused() {
    let custom = || Policy::custom(Resource::object(URL).unwrap(), END).unwrap();
    assert_eq!(custom().starting_at(END).unwrap_err(), SignError::Window { start: END, end: END });
    assert!(Policy::canned(Resource::object(URL).unwrap(), 0).is_err());
    let canned = Policy::canned(Resource::object(URL).unwrap(), END).unwrap();
    assert_eq!(canned.clone().starting_at(1).unwrap_err(), SignError::NotCanned("start"));
    assert!(canned.for_clients("192.0.2.1".parse().unwrap()).is_err());
    for ip in [
        "",
        "192.0.2",
        "192.0.2.1/33",
        "192.0.2.1/-1",
        "192.0.2.1/+8",
        "192.0.2.1/24",
        "192.0.2.0/24/8",
        "::1",
        "192.0.2.0/24\"}",
        "192.0.2.1 ",
        "300.0.0.1",
        "192.0.2.0/",
    ] {
        assert!(matches!(ip.parse::<Ipv4Cidr>(), Err(SignError::Ip(_))), "{ip:?}");
    }
    for (ip, text) in [("192.0.2.7", "192.0.2.7/32"), ("10.0.0.0/8", "10.0.0.0/8"), ("0.0.0.0/0", "0.0.0.0/0")] {
        assert_eq!(ip.parse::<Ipv4Cidr>().unwrap().to_string(), text);
    }
}

#[test]
fn an_object_key_becomes_a_path_that_means_the_same() {
    let edge = Url::parse("http://127.0.0.1:9001").unwrap();
    assert_eq!(object_url(&edge, "videos/a b/ü?*.mp4").unwrap(), "http://127.0.0.1:9001/videos/a%20b/%C3%BC%3F%2A.mp4");
    for bad in ["", "/a", "a//b", "a/../b", "a/."] {
        assert!(object_url(&edge, bad).is_err(), "{bad:?}");
    }
    assert!(object_url(&Url::parse("https://e.example/base").unwrap(), "a").is_err());
}

#[test]
fn keys_of_other_kinds_and_damaged_keys_are_refused() {
    for (arguments, wanted) in [
        (&["genrsa", "1024"][..], KeyError::Unsupported),
        (&["genrsa", "3072"], KeyError::Unsupported),
        (&["ecparam", "-name", "secp384r1", "-genkey", "-noout"], KeyError::Unsupported),
        (&["genpkey", "-algorithm", "ed25519"], KeyError::Unsupported),
        (&["genrsa", "-aes128", "-passout", "pass:secret", "2048"], KeyError::Encrypted),
        (&["genrsa", "-traditional", "-aes128", "-passout", "pass:secret", "2048"], KeyError::Encrypted),
    ] {
        let error = SigningKey::from_pem("K1", &openssl(arguments, "")).unwrap_err();
        assert_eq!(error, wanted, "{arguments:?}");
    }
    let pem = openssl(&["genrsa", "2048"], "");
    assert_eq!(SigningKey::from_pem("K1", "").unwrap_err(), KeyError::NotPem);
    assert_eq!(SigningKey::from_pem("K1", &pem[..pem.len() / 2]).unwrap_err(), KeyError::NotPem);
    assert_eq!(SigningKey::from_pem("K1", &openssl(&["pkey", "-pubout"], &pem)).unwrap_err(), KeyError::NotPem);
    for id in ["", "K 1", "K1&Expires=9", "K1;", "Kü"] {
        assert_eq!(SigningKey::from_pem(id, &pem).unwrap_err(), KeyError::Id, "{id:?}");
    }
}

#[test]
fn a_generated_key_signs_and_is_known_by_its_public_half() {
    for generate in [SigningKey::generate_rsa, SigningKey::generate_ecdsa] {
        let made = generate().unwrap();
        let key = SigningKey::from_pem(&made.id, made.private_pem.expose_secret()).unwrap();
        assert_eq!(key.public_key_pem().unwrap(), made.public_pem);
        assert_eq!(openssl(&["pkey", "-pubin", "-pubout"], &made.public_pem), made.public_pem);
        assert!(made.id.len() == 14 && made.id.starts_with('K'), "{}", made.id);
        assert_ne!(made.id, generate().unwrap().id);
        let signature = decoded(&query(&sign_canned(&key, URL, END).unwrap())["Signature"]);
        let text = Policy::canned(Resource::object(URL).unwrap(), END).unwrap().text();
        assert!(verifies(&made.public_pem, text.as_bytes(), &signature));
    }
}

#[test]
fn debug_output_holds_neither_keys_nor_grants() {
    for (_, pem) in keys() {
        let signer = Signer::new(SigningKey::from_pem("KEDGE", &pem).unwrap());
        let object = signer.object(viewing(), URL, END).unwrap();
        let prefix = signer.prefix(viewing(), FOLDER, END).unwrap();
        let shown = format!("{:?} {:?} {object:?} {prefix:?}", signer, signer.current());
        assert!(shown.contains("KEDGE"));
        assert!(!shown.contains(&query(&object.url)["Signature"]));
        assert!(!shown.contains(&prefix.cookies.pairs()[1].1));
        for line in pem.lines().filter(|line| !line.starts_with("-----")) {
            assert!(!shown.contains(line));
        }
    }
    let made = SigningKey::generate_rsa().unwrap();
    assert!(!format!("{made:?}").contains("PRIVATE"));
}

#[test]
fn four_to_five_minutes_are_left_at_any_moment_and_two_after_the_renewal() {
    let viewing = viewing();
    for now in END..END + 180 {
        let slot = Slot::at(viewing, now);
        let left = slot.expires_at - now;
        assert!((241..=300).contains(&left), "{now}: {left}");
        assert!(slot.renew_at > now + 60 && slot.renew_at < slot.expires_at - 60, "{now}");
        // A player that renews on time gets a signature that reaches further.
        assert!(Slot::at(viewing, slot.renew_at).expires_at > slot.expires_at);
    }
    assert_eq!(Slot::at(viewing, u64::MAX).expires_at, u64::MAX);
    assert_eq!(Slot::at(viewing, 0).start, 0);
}

#[test]
fn viewings_are_signed_anew_and_renewed_at_different_seconds_of_the_minute() {
    let of = |video| Viewing { tenant: Uuid::from_u128(7 << 64), video: Uuid::from_u128(video) };
    let renewals: BTreeSet<u64> = (0..60).map(|video| Slot::at(of(video), END).renew_at).collect();
    assert_eq!(renewals.len(), 60, "of 60 viewings none may renew in the same second as another");
    assert!(renewals.iter().all(|at| (END + 120..=END + 180).contains(at)));
}

#[test]
fn a_minute_shares_a_signature_but_never_across_tenants_videos_objects_or_keys() {
    // ECDSA signs differently each time, so equal text proves that it came out of the cache.
    let pem = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], "");
    let signer = Signer::new(SigningKey::from_pem("K1", &pem).unwrap());
    let viewing = viewing();
    let start = Slot::at(viewing, END).start;
    // Others whose minute begins with this one's: nothing but the viewing tells them apart.
    let alike = |other: &dyn Fn() -> Viewing| {
        std::iter::repeat_with(other).find(|other| Slot::at(*other, start) == Slot::at(viewing, start)).unwrap()
    };
    let other_tenant = alike(&|| Viewing { tenant: Uuid::new_v4(), ..viewing });
    let other_video = alike(&|| Viewing { video: Uuid::new_v4(), ..viewing });
    let first = signer.object(viewing, URL, start).unwrap();
    assert_eq!(signer.object(viewing, URL, start + 59).unwrap(), first);
    assert_eq!(query(&first.url)["Expires"], first.slot.expires_at.to_string());

    let differs = |viewing, url: &str, now| assert_ne!(signer.object(viewing, url, now).unwrap().url, first.url);
    differs(other_tenant, URL, start);
    differs(other_video, URL, start);
    differs(viewing, &format!("{URL}?v=2"), start);
    differs(viewing, URL, start + 60);

    let cookies = signer.prefix(viewing, FOLDER, start).unwrap();
    assert_eq!(signer.prefix(viewing, FOLDER, start + 1).unwrap(), cookies);
    assert_ne!(signer.prefix(other_tenant, FOLDER, start).unwrap().cookies, cookies.cookies);

    signer.rotate(SigningKey::from_pem("K2", &pem).unwrap());
    let rotated = signer.object(viewing, URL, start).unwrap();
    assert_eq!(query(&rotated.url)["Key-Pair-Id"], "K2");
    assert_eq!(signer.current().id(), "K2");
    assert_eq!(signer.object(viewing, "https://e.example/a b", start), Err(SignError::Unencoded("whitespace".into())));
}

fn viewing() -> Viewing {
    Viewing { tenant: Uuid::now_v7(), video: Uuid::now_v7() }
}

fn rsa_key(id: &str) -> SigningKey {
    SigningKey::from_pem(id, &openssl(&["genrsa", "2048"], "")).unwrap()
}

//! The laptop's buckets let pages do what the cloud's let them.

use platform::dev::buckets;

#[test]
fn pages_may_upload_to_the_laptops_bucket_what_they_may_to_the_clouds() {
    let path = format!("{}/../infra/platform/storage.tf", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let (_, rule) = text.split_once("cors_rule {").expect("the bucket has a rule");
    let rule = rule.split_once('}').unwrap().0;
    let said: Vec<(&str, &str)> =
        rule.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.trim(), value.trim())).collect();
    let quoted =
        |values: &[String]| format!("[{}]", values.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>().join(", "));
    let ours = buckets::uploads("local.public_url").unwrap();
    assert_eq!(
        said,
        [
            ("allowed_methods", quoted(ours.allowed_methods()).as_str()),
            // There a reference, and no text.
            ("allowed_origins", "[local.public_url]"),
            ("allowed_headers", quoted(ours.allowed_headers()).as_str()),
            ("expose_headers", quoted(ours.expose_headers()).as_str()),
            ("max_age_seconds", ours.max_age_seconds().unwrap().to_string().as_str()),
        ]
    );
    assert_eq!(ours.allowed_origins(), ["local.public_url"]);
}

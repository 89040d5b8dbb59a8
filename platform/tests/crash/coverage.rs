//! No point of the product is forgotten by these tests.

use std::{collections::BTreeSet, fs, path::Path};

/// Points on no flow's path here, each with the reason.
const ELSEWHERE: [(&str, &str); 5] = [
    ("cognito.answer_challenge", "makes tokens and nothing that is kept"),
    ("cognito.refresh", "makes tokens and nothing that is kept"),
    ("cognito.resend", "sends a mail, and sends another when repeated"),
    ("cognito.revoke", "is all that logging out does"),
    ("cognito.set_parent_business", "no flow calls it yet"),
];

#[test]
fn every_fault_point_is_on_the_path_of_a_flow() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let points = quoted_after(&sources(&root.join("src")), "faults::after(\"");
    assert!(points.len() > 30, "the points are found: {points:?}");
    let tests = sources(&root.join("tests/crash"));
    let mut on_a_path = quoted_after(&tests, "\"api ");
    on_a_path.extend(quoted_after(&tests, "\"worker "));
    let named = |point: &str| on_a_path.contains(point) || ELSEWHERE.iter().any(|(known, _)| *known == point);
    let forgotten: Vec<&String> = points.iter().filter(|point| !named(point)).collect();
    assert!(forgotten.is_empty(), "on no flow's path: {forgotten:?}");
    for (point, _) in ELSEWHERE {
        assert!(points.contains(point) && !on_a_path.contains(point), "{point} need not be listed");
    }
}

/// What stands between `before` and the next quote, everywhere.
fn quoted_after(text: &str, before: &str) -> BTreeSet<String> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

fn sources(dir: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    text
}

//! Other people's tools that the signer is held against: OpenSSL and botocore.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use base64::Engine as _;
use serde_json::Value;
use url::Url;

/// One key of each accepted kind and encoding, made by OpenSSL.
pub(crate) fn keys() -> Vec<(&'static str, String)> {
    let sec1 = openssl(&["ecparam", "-name", "prime256v1", "-genkey"], "");
    let pkcs8 = openssl(&["pkcs8", "-topk8", "-nocrypt"], &sec1);
    let pkcs1 = openssl(&["genrsa", "-traditional", "2048"], "");
    assert!(pkcs1.contains("BEGIN RSA PRIVATE KEY") && sec1.contains("BEGIN EC PRIVATE KEY"));
    let rsa8 = openssl(&["pkcs8", "-topk8", "-nocrypt"], &pkcs1);
    assert!(pkcs8.contains("BEGIN PRIVATE KEY") && rsa8.contains("BEGIN PRIVATE KEY"));
    vec![("RSA PKCS#1", pkcs1), ("RSA PKCS#8", rsa8), ("P-256 SEC 1", sec1), ("P-256 PKCS#8", pkcs8)]
}

pub(crate) fn query(url: &str) -> BTreeMap<String, String> {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

pub(crate) fn decoded(text: &str) -> Vec<u8> {
    let standard = text.replace('-', "+").replace('_', "=").replace('~', "/");
    base64::engine::general_purpose::STANDARD.decode(standard).unwrap()
}

pub(crate) fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn run(command: &mut Command, input: &str) -> (bool, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

pub(crate) fn openssl(arguments: &[&str], input: &str) -> String {
    let (ok, text) = run(Command::new("openssl").args(arguments), input);
    assert!(ok, "openssl {arguments:?}: {text}");
    text
}

pub(crate) fn verifies(public_pem: &str, message: &[u8], signature: &[u8]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-verify"]).arg(file("public.pem", public_pem.as_bytes()));
    command.arg("-signature").arg(file("signature", signature)).arg(file("message", message));
    run(&mut command, "").0
}

/// Botocore's answers, or `None` with a printed reason where there is no Python that has it.
pub(crate) fn botocore(asked: &Value) -> Option<Vec<Value>> {
    let python = python()?;
    let (ok, text) = run(Command::new(python).arg(data("cloudfront_oracle.py")), &asked.to_string());
    assert!(ok, "the botocore oracle failed: {text}");
    Some(serde_json::from_str(&text).unwrap())
}

/// `FFP_TEST_PYTHON`, else the local stack's own Python, which has botocore for this.
fn python() -> Option<std::path::PathBuf> {
    if let Some(python) = std::env::var_os("FFP_TEST_PYTHON") {
        return Some(python.into());
    }
    match tokio::runtime::Runtime::new().unwrap().block_on(devstack::ministack::python()) {
        Ok(python) => Some(python),
        Err(error) => {
            assert!(std::env::var("CI_REQUIRE").as_deref() != Ok("all"), "CI_REQUIRE=all, but: {error}");
            eprintln!("skipped: no Python with botocore ({error})");
            None
        }
    }
}

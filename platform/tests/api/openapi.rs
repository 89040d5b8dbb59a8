//! The OpenAPI document says all that a client needs: what each operation is called and does, who may call it, what it
//! takes and every status it answers. (That the committed file is this document is tested beside the code that makes
//! it.)

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::TestApp;

/// Needs no token: nobody has one yet, or it is what they came to renew or give back.
const PUBLIC: [&str; 10] = [
    "POST /api/v1/auth/accept-invitation",
    "POST /api/v1/auth/challenge",
    "POST /api/v1/auth/confirm",
    "POST /api/v1/auth/forgot-password",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/logout",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/register",
    "POST /api/v1/auth/resend",
    "POST /api/v1/auth/reset-password",
];

/// Pages and probes, which are no operations of the API.
const PAGES: [&str; 6] = ["/", "/livez", "/readyz", "/health", "/docs/", "/openapi.json"];

fn document() -> Value {
    serde_json::from_str(&platform::server::document().unwrap()).unwrap()
}

/// Every operation, by its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let mut all = Vec::new();
    for (path, item) in paths {
        for (method, name) in
            [("get", "GET"), ("put", "PUT"), ("post", "POST"), ("delete", "DELETE"), ("patch", "PATCH")]
        {
            if let Some(operation) = item.get(method) {
                all.push((format!("{name} {path}"), operation));
            }
        }
    }
    assert!(all.len() >= 38, "the document lists {} operations", all.len());
    all
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn every_operation_is_described_and_has_a_name_of_its_own() {
    let document = document();
    assert!(text(&document["openapi"]).starts_with("3.1"), "{}", document["openapi"]);
    let tags: Vec<&str> = document["tags"].as_array().unwrap().iter().map(|tag| text(&tag["name"])).collect();
    let mut names = BTreeSet::new();
    for (operation, it) in operations(&document) {
        assert!(text(&it["summary"]).len() > 5, "{operation} has no summary");
        let name = text(&it["operationId"]);
        assert!(
            !name.is_empty() && names.insert(name.to_owned()),
            "{operation}: {name} is nobody's or somebody else's name"
        );
        let tag = text(&it["tags"][0]);
        assert!(tags.contains(&tag) && name.starts_with(tag), "{operation}: {name} in chapter {tag}");
        for parameter in it["parameters"].as_array().into_iter().flatten() {
            let name = text(&parameter["name"]);
            assert!(parameter["schema"].is_object(), "{operation}: {name} has no schema");
            let in_path = parameter["in"] == "path";
            assert_eq!(parameter["required"] == true, in_path, "{operation}: {name}");
            assert!(
                !parameter["schema"].to_string().contains("null"),
                "{operation}: {name} can't be null, only left out"
            );
        }
    }
}

#[test]
fn every_operation_documents_what_it_answers() {
    let document = document();
    for (operation, it) in operations(&document) {
        let responses = it["responses"].as_object().unwrap();
        let mut expected = BTreeSet::from(["429", "503"]);
        if !PUBLIC.contains(&operation.as_str()) {
            expected.extend(["401", "403"]);
        }
        if operation.contains("{id}") {
            expected.insert("404");
        }
        if it["requestBody"].is_object() {
            expected.extend(["400", "413", "415", "422"]);
        }
        for status in expected {
            assert!(responses.contains_key(status), "{operation} does not document {status}");
        }
        let succeeds = responses.keys().filter(|status| status.starts_with('2')).count();
        assert_eq!(succeeds, 1, "{operation} succeeds in {succeeds} ways");
        for (status, response) in responses {
            assert!(!text(&response["description"]).is_empty(), "{operation}, {status}, is not described");
            let content = &response["content"];
            match status.as_str() {
                "200" | "201" => assert!(content["application/json"]["schema"].is_object(), "{operation}, {status}"),
                "202" | "204" => assert_eq!(content, &Value::Null, "{operation}, {status}"),
                _ => {
                    let problem =
                        json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
                    assert_eq!(content, &problem, "{operation}, {status}");
                }
            }
            assert_ne!(status.as_str(), "500", "{operation} plans to fail");
        }
    }
}

#[test]
fn every_body_is_a_closed_object() {
    let document = document();
    for (operation, it) in operations(&document) {
        let Some(content) = it["requestBody"]["content"].as_object() else {
            continue;
        };
        assert_eq!(content.keys().collect::<Vec<_>>(), ["application/json"], "{operation}");
        let reference = text(&content["application/json"]["schema"]["$ref"]).trim_start_matches('#');
        let schema = document.pointer(reference).unwrap_or_else(|| panic!("{operation} takes no named schema"));
        assert_eq!(schema["type"], "object", "{operation}");
        assert_eq!(schema["additionalProperties"], false, "{operation} takes unknown fields");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(document: &Value, value: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
                }
                members.values().for_each(|member| check(document, member));
            }
            Value::Array(items) => items.iter().for_each(|item| check(document, item)),
            _ => {}
        }
    }
    let document = document();
    check(&document, &document);
}

#[test]
fn only_the_listed_operations_need_no_token() {
    let document = document();
    let schemes = &document["components"]["securitySchemes"];
    for scheme in ["member", "operator"] {
        assert_eq!((&schemes[scheme]["type"], &schemes[scheme]["scheme"]), (&json!("http"), &json!("bearer")));
    }
    let mut public = Vec::new();
    for (operation, it) in operations(&document) {
        let expected =
            if operation.contains("/api/v1/admin/") { json!([{"operator": []}]) } else { json!([{"member": []}]) };
        if it["security"] == json!([{}]) {
            public.push(operation);
        } else {
            assert_eq!(it["security"], expected, "{operation}");
        }
    }
    public.sort();
    assert_eq!(public, PUBLIC);
}

#[tokio::test]
async fn without_a_token_the_pages_answer_and_every_other_operation_asks_for_one() {
    let app = TestApp::start().await;
    let anyone = app.anonymous();
    for page in PAGES {
        anyone.get(page).await.assert(200);
    }
    assert_eq!(anyone.get("/openapi.json").await.body, document());
    for (operation, _) in operations(&document()) {
        let (method, path) = operation.split_once(' ').unwrap();
        let path = path.replace("{id}", app.acme().member_id("owner"));
        let answer = anyone.send(method.parse().unwrap(), &path, Some(&json!({})), &[]).await;
        let asks = answer.status == 401 && answer.body["type"] == "urn:ffp:problem:unauthenticated";
        assert_eq!(asks, !PUBLIC.contains(&operation.as_str()), "{operation}: {} {}", answer.status, answer.text);
    }
}

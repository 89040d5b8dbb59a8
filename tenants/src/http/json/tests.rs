#![allow(clippy::unwrap_used)]
use axum::{body::Body, http::Request};
use serde::Deserialize;

use super::*;
use crate::http::objects;

#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Order {
    #[validate(length(max = 5))]
    name: String,
    #[serde(default, deserialize_with = "objects")]
    #[validate(nested)]
    lines: Vec<Line>,
    currency: Option<Currency>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Currency {
    Euro,
}

#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Line {
    #[validate(range(min = 1.0))]
    amount: f64,
}

fn refusal(body: &str) -> Problem {
    parse::<Order>(body.as_bytes()).map(|order| panic!("{body} was taken for {order:?}")).unwrap_err()
}

#[test]
fn an_object_with_the_right_fields_is_taken() {
    let order: Order = parse(br#" {"lines": [{"amount": 2}], "name": "Ann", "currency": "euro"} "#).unwrap();
    assert_eq!((order.name.as_str(), order.lines[0].amount, order.currency.is_some()), ("Ann", 2.0, true));
}

#[test]
fn a_field_that_is_not_valid_is_pointed_at() {
    for (body, pointer) in [
        (r#"{"name": 7}"#, "/name"),
        (r#"{}"#, "/name"),
        (r#"{"name": "a", "name": "b"}"#, "/name"),
        (r#"{"name": "a", "na/me": 1}"#, "/na~1me"),
        (r#"{"name": "a", "lines": {}}"#, "/lines"),
        (r#"{"name": "a", "lines": [{"amount": "1"}]}"#, "/lines/0/amount"),
        (r#"{"name": "a", "lines": [{"amount": 1}, {}]}"#, "/lines/1/amount"),
        (r#"{"name": "a", "lines": [{"amount": 1, "unit": "kg"}]}"#, "/lines/0/unit"),
        (r#"{"name": "a", "lines": [{"amount": 0}]}"#, "/lines/0/amount"),
        (r#"{"name": "abcdef"}"#, "/name"),
        (r#"{"name": "a\u0000"}"#, "/name"),
        (r#"{"name": "\ud800"}"#, "/name"),
        (r#"{"name": "a", "lines": [{"amount": 1e999}]}"#, "/lines/0/amount"),
        (r#"{"name": "a", "currency": 7}"#, "/currency"),
        (r#"{"name": "a", "currency": "yen"}"#, "/currency"),
    ] {
        let problem = refusal(body);
        assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(problem.errors[0].pointer, pointer, "{body}: {problem:?}");
    }
}

#[test]
fn fields_in_a_row_are_no_object() {
    for (body, pointer) in [
        (r#"["Ann", []]"#, ""),
        ("[]", ""),
        ("null", ""),
        (r#""name""#, ""),
        (r#"{"name": "a", "lines": [[2]]}"#, "/lines/0"),
    ] {
        let problem = refusal(body);
        assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(problem.errors[0].pointer, pointer, "{body}: {problem:?}");
    }
}

#[test]
fn broken_json_is_malformed_and_pointed_at_where_that_is_known() {
    for (body, pointer) in [
        ("", None),
        ("{", None),
        (r#"{"name": "a"} x"#, None),
        (r#"{"name": "a", "lines": [{"amount": NaN}]}"#, Some("/lines/0/amount")),
    ] {
        let problem = refusal(body);
        assert_eq!(problem.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(problem.errors.first().map(|error| error.pointer.as_str()), pointer, "{body}: {problem:?}");
    }
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    for body in ["[".repeat(200_000), format!(r#"{{"name": {}"#, "[".repeat(200_000)), "{\"a\":".repeat(200_000)] {
        refusal(&body);
    }
}

#[derive(Debug, Deserialize)]
struct Search {
    q: Option<String>,
    exact: Option<bool>,
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    for (query, pointer) in [("exact=maybe", "?exact"), ("q=a&q=b", "?q"), ("exact=true&q=%00", "?q"), ("q=%ff", "?q")]
    {
        let (mut parts, _) = Request::get(format!("/?{query}")).body(Body::empty()).unwrap().into_parts();
        let read = Params::<Search>::from_request_parts(&mut parts, &()).await;
        assert_eq!(read.unwrap_err().errors[0].pointer, pointer, "{query}");
    }
    let (mut parts, _) = Request::get("/?q=%25%32+00&else=1").body(Body::empty()).unwrap().into_parts();
    let Params(search) = Params::<Search>::from_request_parts(&mut parts, &()).await.unwrap();
    assert_eq!((search.q.as_deref(), search.exact), (Some("%2 00"), None));
}

//! Everybody must give the same answers: who leaves work out is no contender.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use chrono::DateTime;
use serde_json::Value;

use super::stack::Server;
use crate::{
    load::{Connection, Request},
    seeded::{Caller, Read, Seeded},
};

/// As many callers are compared.
const CALLERS: usize = 20;

/// Compares the answers of two servers to the reads that both have, and to reads that must be refused.
///
/// # Errors
/// The first difference.
pub(super) fn compare(ours: &Server, theirs: &Server, seeded: &Seeded) -> anyhow::Result<()> {
    let other = seeded.callers.last().context("no caller was seeded")?;
    for caller in seeded.callers.iter().take(CALLERS) {
        for read in [Read::Point, Read::Page] {
            for video in caller.videos.iter().take(3) {
                let request = Request::get(&read.path(caller, video), &caller.token);
                let (a, b) = (ask(ours.addr, &request)?, ask(theirs.addr, &request)?);
                ensure!(a.0 == 200 && b.0 == 200, "{} answers {}, {} {}", ours.name, a.0, theirs.name, b.0);
                let difference = difference(&a.1, &b.1, "");
                ensure!(
                    difference.is_none(),
                    "{} and {} differ in {}: {difference:?}",
                    ours.name,
                    theirs.name,
                    read.name()
                );
            }
        }
        refused(ours, theirs, caller, other)?;
    }
    Ok(())
}

/// Another tenant's video, and a token whose signature was changed.
fn refused(ours: &Server, theirs: &Server, caller: &Caller, other: &Caller) -> anyhow::Result<()> {
    let forged = format!("{}AAAA", caller.token.get(..caller.token.len().saturating_sub(4)).unwrap_or_default());
    for (video, token, status) in [
        (other.videos.first().filter(|_| other.tenant != caller.tenant), &caller.token, 404),
        (caller.videos.first(), &forged, 401),
    ] {
        let Some(video) = video else { continue };
        let request = Request::get(&Read::Point.path(caller, video), token);
        for server in [ours, theirs] {
            let (answer, _) = ask(server.addr, &request)?;
            ensure!(answer == status, "{} answers {answer} where {status} is right", server.name);
        }
    }
    Ok(())
}

fn ask(addr: SocketAddr, request: &Request) -> anyhow::Result<(u16, Value)> {
    let mut connection = Connection::open(addr)?;
    let (status, body) = connection.fetch(request)?;
    Ok((status, serde_json::from_slice(body).unwrap_or_default()))
}

/// Where two documents differ. Times are equal that are the same millisecond, numbers that are the same number.
fn difference(a: &Value, b: &Value, at: &str) -> Option<String> {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let keys = x.keys().chain(y.keys().filter(|key| !x.contains_key(*key)));
            keys.map(|key| (format!("{at}/{key}"), x.get(key), y.get(key))).find_map(|(at, x, y)| match (x, y) {
                (Some(x), Some(y)) => difference(x, y, &at),
                _ => Some(format!("{at} is in one of them only")),
            })
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).enumerate().find_map(|(n, (x, y))| difference(x, y, &format!("{at}/{n}")))
        }
        (Value::Number(x), Value::Number(y)) if x.as_f64() == y.as_f64() => None,
        (Value::String(x), Value::String(y)) if x == y || moments_are_equal(x, y) => None,
        _ if a == b => None,
        _ => Some(format!("{at} is {a} and {b}")),
    }
}

/// JavaScript's dates, hence Fastify's, have no microseconds.
fn moments_are_equal(x: &str, y: &str) -> bool {
    let millis = |text| DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis());
    millis(x).is_some_and(|x| millis(y) == Some(x))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_way_of_writing_may_differ() {
        let a = json!({"at": "2026-01-01T00:00:00.000456Z", "n": 1, "items": [{"x": null}]});
        let b = json!({"at": "2026-01-01T00:00:00.000+00:00", "n": 1.0, "items": [{"x": null}]});
        assert_eq!(difference(&a, &b, ""), None);
        for other in [
            json!({"at": "2026-01-01T00:00:00.001Z", "n": 1, "items": [{"x": null}]}),
            json!({"at": null, "n": 1, "items": [{"x": null}]}),
            json!({"at": "later", "n": 1, "items": [{"x": null}]}),
            json!({"at": "2026-01-01T00:00:00Z", "n": 2, "items": [{"x": null}]}),
            json!({"at": "2026-01-01T00:00:00Z", "n": 1, "items": []}),
            json!({"at": "2026-01-01T00:00:00Z", "n": 1, "items": [{}]}),
            json!({"at": "2026-01-01T00:00:00Z", "n": 1, "items": [{"x": null, "y": 1}]}),
        ] {
            assert!(difference(&a, &other, "").is_some(), "{other}");
        }
    }
}

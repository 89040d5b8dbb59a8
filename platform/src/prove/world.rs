//! Everything a part of the proof works with.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt, stream};
use serde_json::Value;
use tenants::{
    Role,
    proof::{Attempt, Databases, Disguise, Ledger, Ordered, Verdict},
};

use super::{
    document::{Document, Operation},
    people::{Business, Person, Registrar},
    tokens,
    wire::{Answer, Request, Wire},
};
use crate::cognito::Directory;

/// Requests in flight where their order does not matter.
const ABREAST: usize = 8;
/// An operator's token is not used in its last seconds.
const MARGIN: chrono::TimeDelta = chrono::TimeDelta::seconds(20);

/// Both sides, the way to the server, and what is written down.
pub(super) struct World {
    pub(super) wire: Arc<Wire>,
    pub(super) document: Document,
    pub(super) registrar: Registrar,
    /// The code that the emulator mails for a new password.
    pub(super) reset_code: String,
    /// The attacker.
    pub(super) us: Business,
    /// The victim.
    pub(super) them: Business,
    /// An operator's token, as it was given; [`operator`](Self::operator) says whether it is still good.
    pub(super) given: Option<String>,
    pub(super) databases: Databases,
    /// The members' user pool, where its settings are known.
    pub(super) directory: Option<Directory>,
    pub(super) disguise: Disguise,
    pub(super) ledger: Ledger,
    pub(super) left_out: LeftOut,
    /// Jobs that fail again and again, to be taken away.
    pub(super) failing: tokio::sync::Mutex<Vec<Ordered>>,
}

/// What was not tried, and why.
#[derive(Debug, Default)]
pub(super) struct LeftOut(Mutex<BTreeSet<(String, String)>>);

impl LeftOut {
    pub(super) fn note(&self, what: impl Into<String>, why: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((what.into(), why.into()));
    }

    pub(super) fn all(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// One who attacks.
#[derive(Clone, Debug)]
pub(super) struct Attacker {
    /// None without a token.
    pub(super) role: Option<Role>,
    pub(super) token: String,
}

impl Attacker {
    /// What is attacked, and by whom.
    pub(super) fn subject(&self, operation: &Operation) -> String {
        format!("{} by {}", operation.name, self.role.map_or("nobody", Role::as_str))
    }
}

/// A request that aims at the victim, and the same with ids that nobody has.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) attack: Request,
    pub(super) control: Request,
}

impl World {
    /// An operator's token that is good now. One that has expired is as good as none, which is written down: nothing can be
    /// said about what it would be refused.
    pub(super) async fn operator(&self) -> Option<String> {
        let token = self.wire.in_force(self.given.as_ref()?).await;
        if !tokens::expires_within(&token, MARGIN) {
            return Some(token);
        }
        let why = "FFP_OPERATOR_TOKEN has expired; FFP_OPERATOR_TOKEN_COMMAND would have printed another";
        self.left_out.note("from then on, what takes an operator", why);
        None
    }

    /// Everybody who attacks: the attacker's people, each role once, and somebody without a token.
    pub(super) fn attackers(&self) -> Vec<Attacker> {
        let people = Role::ALL.into_iter().rev().filter_map(|role| self.us.person(role));
        let mut all: Vec<_> =
            people.map(|person| Attacker { role: Some(person.role), token: person.token.clone() }).collect();
        all.push(Attacker { role: None, token: String::new() });
        all
    }

    pub(super) fn record(&self, group: &'static str, subject: &str, action: String, verdict: Verdict, detail: String) {
        self.ledger.record(Attempt::new(group, subject, action, verdict, detail));
    }

    /// Writes down what must hold.
    pub(super) fn check(&self, group: &'static str, subject: &str, action: String, outcome: Result<String, String>) {
        let (verdict, detail) = match outcome {
            Ok(detail) => (Verdict::Held, detail),
            Err(why) => (Verdict::Leak, why),
        };
        self.record(group, subject, action, verdict, detail);
    }

    /// Sends both of a pair and compares what comes back.
    ///
    /// # Errors
    /// A server that does not answer.
    pub(super) async fn compare(&self, group: &'static str, subject: &str, pair: &Pair) -> anyhow::Result<()> {
        let control = self.wire.send(&pair.control).await?;
        let attack = self.wire.send(&pair.attack).await?;
        let judged = self.judge(&pair.attack, &attack, &control);
        if judged.is_ok() && attack.status >= 500 {
            let why = format!("the server failed at both, {}: nothing was refused", attack.status);
            self.record(group, subject, pair.attack.text(), Verdict::Unproved, why);
        } else {
            self.check(group, subject, pair.attack.text(), judged);
        }
        Ok(())
    }

    /// The same for many, side by side; only where nothing is changed.
    ///
    /// # Errors
    /// A server that does not answer.
    pub(super) async fn compare_all(&self, group: &'static str, subject: &str, pairs: &[Pair]) -> anyhow::Result<()> {
        let mut done = stream::iter(pairs).map(|pair| self.compare(group, subject, pair)).buffer_unordered(ABREAST);
        while let Some(outcome) = done.next().await {
            outcome?;
            if self.ledger.is_over() {
                break;
            }
        }
        Ok(())
    }

    /// How it held, or why it did not.
    pub(super) fn judge(&self, asked: &Request, attack: &Answer, control: &Answer) -> Result<String, String> {
        let (text, asked) = (shown(attack), asked.text());
        if let Some(secret) = self.disguise.betrayed(&text, &asked) {
            return Err(format!("the answer holds the other tenant's {secret}: {}", brief(&text)));
        }
        let (seen, expected) = (self.disguise.level(&level(attack)), self.disguise.level(&level(control)));
        if seen == expected {
            return Ok(attack.status.to_string());
        }
        Err(format!("nobody's ids are answered otherwise: {} instead of {}", brief(&seen), brief(&expected)))
    }

    /// Ids and an address of the victim's that are tried as words in bodies, where the attacker's own things keep them: they
    /// betray nothing any more when they are seen again. The rest of the victim's are never put anywhere.
    pub(super) fn sacrificed(&self) -> Vec<String> {
        let person = self.them.people.last().unwrap_or(self.them.owner());
        let objects =
            self.them.objects.one_of_each().filter_map(|(collection, _)| self.them.objects.of(collection).last());
        [person.email.clone(), person.member_id.clone()].into_iter().chain(objects.cloned()).collect()
    }

    /// The same request with nobody's ids in the place of the victim's.
    pub(super) fn disguised(&self, request: &Request) -> Request {
        let apply = |text: &String| self.disguise.apply(text);
        Request {
            path: apply(&request.path),
            headers: request.headers.iter().map(|(name, value)| (name.clone(), apply(value))).collect(),
            body: request.body.as_ref().map(apply),
            ..request.clone()
        }
    }

    /// An attack with its twin.
    pub(super) fn pair(&self, attack: Request) -> Pair {
        Pair { control: self.disguised(&attack), attack }
    }

    /// The attacker's owner.
    pub(super) fn attacker(&self) -> &Person {
        self.us.owner()
    }
}

/// Headers that may differ from answer to answer, or say nothing of what was asked.
const IGNORED: [&str; 9] = [
    "date",
    "content-length",
    "x-request-id",
    "ratelimit",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "retry-after",
    "age",
];

/// Ends of the names of members that move by themselves: the request's id, times of signatures that are made anew, requests
/// by day and month, when the worker sent a mail.
const FLEETING: [&str; 10] = [
    "request_id",
    "expires_at",
    "expire_at",
    "renew_at",
    "frees_at",
    "sent_at",
    "reset_seconds",
    "version",
    "month",
    "days",
];

/// The same of what an attacker uses of its own, which grows from one request to the next. The victim's stays as it is.
const USED: [&str; 2] = ["used", "used_bytes"];

/// What is searched for secrets: headers and body.
fn shown(answer: &Answer) -> String {
    let headers = answer.headers.iter().filter(|(name, _)| *name != "x-request-id");
    let mut text: String =
        headers.map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))).collect();
    text.push_str(&answer.text());
    text
}

/// Status, the names of the headers, and the body without what differs each time.
fn level(answer: &Answer) -> String {
    let mut names: Vec<&str> =
        answer.headers.keys().map(|name| name.as_str()).filter(|name| !IGNORED.contains(name)).collect();
    names.sort_unstable();
    let body = match answer.json() {
        Value::Null => answer.text(),
        mut body => {
            without(&mut body, &[&FLEETING[..], &USED].concat());
            body.to_string()
        }
    };
    format!("{} [{}] {body}", answer.status, names.join(" "))
}

/// Takes out what moves by itself, and the queries of URLs, which are signed anew.
pub(super) fn without_the_fleeting(value: &mut Value) {
    without(value, &FLEETING);
}

fn without(value: &mut Value, ends: &[&str]) {
    match value {
        Value::String(text) if text.starts_with("http") => {
            if let Some(at) = text.find('?') {
                text.truncate(at);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| without(item, ends)),
        Value::Object(members) => {
            members.retain(|name, _| !ends.iter().any(|end| name.ends_with(end)));
            members.values_mut().for_each(|member| without(member, ends));
        }
        _ => {}
    }
}

pub(super) fn brief(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

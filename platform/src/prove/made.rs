//! What the proof made, to be taken away again by its very id: read off every answer that says 201.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use super::objects::{MEMBERS, id_of};

const REGISTER: &str = "/api/v1/auth/register";

/// An account, by its address. Whoever registers an address that is taken is answered a tenant that there is not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Account {
    pub(super) email: String,
    pub(super) tenant_id: String,
}

#[derive(Debug, Default)]
struct State {
    /// Ids by collection.
    things: BTreeMap<String, BTreeSet<String>>,
    registered: BTreeSet<Account>,
    joined: BTreeSet<Account>,
}

/// Ids of what was made. Every request goes by here.
#[derive(Debug, Default)]
pub(super) struct Made(Mutex<State>);

impl Made {
    /// Writes down what a 201 to a POST says.
    pub(super) fn note(&self, path: &str, asked: Option<&str>, answer: &Value) {
        let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
        let mut state = self.state();
        if let Ok(id) = id_of(answer) {
            state.things.entry(path.to_owned()).or_default().insert(id);
        }
        if let Some(member) = answer["member_id"].as_str().filter(|_| path != REGISTER) {
            state.things.entry(MEMBERS.to_owned()).or_default().insert(member.to_owned());
        }
        let asked: Value = asked.and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
        if let (REGISTER, Some(email), Some(tenant)) = (path, asked["email"].as_str(), answer["tenant_id"].as_str()) {
            state.registered.insert(Account { email: email.to_lowercase(), tenant_id: tenant.to_owned() });
        }
    }

    /// Somebody was invited, and may have an account in that tenant.
    pub(super) fn invited(&self, email: &str, tenant_id: &str) {
        self.state().joined.insert(Account { email: email.to_lowercase(), tenant_id: tenant_id.to_owned() });
    }

    /// Whether this was made here.
    pub(super) fn has(&self, id: &str) -> bool {
        self.state().things.values().any(|ids| ids.contains(id))
    }

    /// Collections that something was added to, with its ids.
    pub(super) fn things(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.state().things.clone()
    }

    /// Who was registered, confirmed or not.
    pub(super) fn registered(&self) -> BTreeSet<Account> {
        self.state().registered.clone()
    }

    /// Who was invited and may have joined.
    pub(super) fn joined(&self) -> BTreeSet<Account> {
        self.state().joined.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete in itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn things_members_and_registrations_are_known_by_their_ids() {
        let made = Made::default();
        made.note("/api/v1/videos?tenant_id=x", Some("{}"), &json!({"id": "v"}));
        made.note("/api/v1/auth/accept-invitation", Some("{}"), &json!({"tenant_id": "t", "member_id": "m"}));
        made.note(REGISTER, Some(r#"{"email": "A@b.c"}"#), &json!({"tenant_id": "u", "member_id": "n"}));
        assert!(made.has("v") && made.has("m") && !made.has("n") && !made.has("t"));
        assert_eq!(made.things()["/api/v1/videos"], BTreeSet::from(["v".to_owned()]));
        let registered = made.registered();
        assert_eq!(registered.first(), Some(&Account { email: "a@b.c".into(), tenant_id: "u".into() }));
        assert_eq!(registered.len(), 1);
    }
}

//! Jobs of the attacker's whose payloads name the victim: a worker that believes a payload acts in the wrong tenant.

use std::time::Duration;

use serde_json::{Value, json};
use tenants::{
    Job,
    proof::{self, Verdict},
};

use super::{
    edge, fingerprint,
    objects::{INVITATIONS, VIDEOS},
    people::Person,
    tokens::claims,
    world::World,
};
use crate::{
    cognito::UserStatus,
    identity::jobs::{DeleteAccount, ExpireRegistration, RepeatRole},
    invitations::jobs::SendInvitation,
    videos::jobs::{CollectUpload, DeleteObject},
};

const GROUP: &str = "jobs.run";
/// How long a worker may take to try them all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Orders them straight at the queue, as the application's role in the attacker's tenant, and looks what a worker makes of
/// it. They are ordered, never committed by a feature, so they need a database URL.
///
/// # Errors
/// A server or database that does not answer.
pub(super) async fn attack(world: &World) -> anyhow::Result<()> {
    let waiting = waiting(world).await?;
    let jobs = jobs(&Aim::at(world, waiting.as_ref()));
    let before = fingerprint::take(world).await?;
    let ordered = proof::order_jobs(&world.databases, &world.us.party()?, &jobs).await?;
    let Some(ordered) = ordered else {
        world.left_out.note(
            "jobs whose payload names the other tenant",
            "FFP_DATABASE_URL and FFP_WORKER_DATABASE_URL are not both set",
        );
        return Ok(());
    };
    if !ordered.finish(PATIENCE).await? {
        world
            .left_out
            .note("jobs whose payload names the other tenant", "no worker took them within a minute: is one running?");
        return Ok(());
    }
    let after = fingerprint::take(world).await?;
    let difference = before.difference(&after);
    for (kind, payload) in &jobs {
        let outcome = difference.clone().map_or(Ok("what the other tenant sees is unchanged".to_owned()), Err);
        world.check(GROUP, kind, payload.to_string(), outcome);
    }
    // What is stored is no row: the bytes themselves are looked at.
    let (verdict, detail) = match edge::still_plays(world).await? {
        Ok(()) => (Verdict::Held, String::new()),
        Err(why) => (Verdict::Leak, why),
    };
    world.record(GROUP, "the other tenant's stored video", "GET it by its signed URL".to_owned(), verdict, detail);
    // Nor are accounts.
    for person in &world.them.people {
        let subject = format!("the account of the other tenant's {}", person.role.as_str());
        world.check(GROUP, &subject, "log in".to_owned(), unchanged(world, person).await);
    }
    if let (Some(directory), Some(waiting)) = (&world.directory, &waiting) {
        let outcome = match directory.find(&waiting.email).await? {
            Some(user) if user.subject == waiting.subject && user.status == UserStatus::Unconfirmed => {
                Ok(String::new())
            }
            other => Err(format!("it became {other:?}")),
        };
        world.check(GROUP, "a registration that waits for its code", "look it up".to_owned(), outcome);
    }
    Ok(())
}

/// Whether somebody logs in as before, with the same claims.
async fn unchanged(world: &World, person: &Person) -> Result<String, String> {
    const CLAIMS: [&str; 3] = ["sub", "custom:tenantId", "custom:role"];
    let now = world.registrar.log_in(&person.email, &person.password).await.map_err(|error| format!("{error:#}"))?;
    let (before, after) = (claims(&person.token), claims(&now.token));
    match CLAIMS.into_iter().find(|name| before[name] != after[name]) {
        Some(name) => Err(format!("{name} was {} and is {}", before[name], after[name])),
        None => Ok("it logs in as before".to_owned()),
    }
}

/// A registration that waits for its code: another tenant of one person.
struct Waiting {
    email: String,
    subject: String,
}

/// Registers somebody who does not confirm it. None where nobody can register, or the user pool can't be asked.
async fn waiting(world: &World) -> anyhow::Result<Option<Waiting>> {
    let (Some(directory), Some(_)) = (&world.directory, &world.registrar.confirmation_code) else {
        world.left_out.note(
            "jobs that name a registration that waits for its code",
            "FFP_MEMBERS_POOL_ID and its siblings, and rights at the user pool, are not in the environment, or nobody can \
             register here",
        );
        return Ok(None);
    };
    let email = world.registrar.pending("waiting", None).await?;
    Ok(directory.find(&email).await?.map(|user| Waiting { email, subject: user.subject }))
}

/// What the payloads name.
#[derive(Debug, Default)]
struct Aim {
    us: String,
    them: String,
    video: String,
    invitation: String,
    /// Accounts, as the user pool knows them: by subject and by address.
    accounts: Vec<String>,
}

impl Aim {
    fn at(world: &World, waiting: Option<&Waiting>) -> Self {
        let them = &world.them;
        let first = |collection: &str| them.objects.of(collection).first().cloned().unwrap_or_default();
        let subject = |person: &Person| claims(&person.token)["sub"].as_str().unwrap_or_default().to_owned();
        let mut accounts: Vec<String> =
            them.people.iter().flat_map(|person| [subject(person), person.email.clone()]).collect();
        accounts.extend(waiting.into_iter().flat_map(|waiting| [waiting.subject.clone(), waiting.email.clone()]));
        Self {
            us: world.us.tenant_id.clone(),
            them: them.tenant_id.clone(),
            video: first(VIDEOS),
            invitation: first(INVITATIONS),
            accounts,
        }
    }
}

/// Every kind that a worker knows, aimed at the victim. Whatever a handler might take for the tenant is in it.
fn jobs(aim: &Aim) -> Vec<(&'static str, Value)> {
    let Aim { us, them, video, invitation, accounts } = aim;
    let key = format!("videos/tenants/{them}/{video}/source.mp4");
    let mut jobs = vec![
        (DeleteObject::KIND, json!({ "key": key })),
        (DeleteObject::KIND, json!({ "key": format!("videos/tenants/{us}/../{them}/{video}/source.mp4") })),
        (CollectUpload::KIND, json!({ "video_id": video, "object_key": key })),
        (CollectUpload::KIND, json!({ "video_id": us, "object_key": key })),
        (SendInvitation::KIND, json!({ "invitation_id": invitation })),
    ];
    for subject in accounts {
        jobs.extend([
            (RepeatRole::KIND, json!({ "subject": subject, "role": "athlete" })),
            (RepeatRole::KIND, json!({ "subject": subject, "role": "owner" })),
            (ExpireRegistration::KIND, json!({ "subject": subject })),
            (DeleteAccount::KIND, json!({ "subject": subject })),
        ]);
    }
    for (_, payload) in &mut jobs {
        payload["tenant_id"] = json!(them);
    }
    jobs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_that_a_worker_runs_is_aimed_at_the_victim() {
        let aim = Aim { accounts: vec!["subject".to_owned()], ..Aim::default() };
        let aimed: BTreeSet<&str> = jobs(&aim).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(aimed, crate::jobs::KINDS.iter().copied().collect());
    }
}

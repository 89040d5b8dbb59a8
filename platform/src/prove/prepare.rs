//! The two tenants, made or found, and filled; and what of the environment helps.

use std::sync::Arc;

use anyhow::Context;
use tenants::{
    Role,
    proof::{self, Databases, Disguise, Ledger},
};
use uuid::Uuid;

use super::{
    ProveArguments,
    before::{self, MOST},
    cleanup,
    document::Document,
    mail::Mailbox,
    objects,
    people::Registrar,
    sessions::{Renewal, printed},
    target,
    wire::{Request, Wire},
    world::{LeftOut, World},
};
use crate::{
    cognito::{self, Directory, PoolSettings},
    config::{AwsConfig, Reader},
};

/// Where the AWS emulator of a local stack listens.
const EMULATOR: &str = "http://127.0.0.1:4566";

/// Both tenants, with everybody and everything in them.
///
/// # Errors
/// A server that does not answer, tenants that can't be made or logged into, a database of another deployment.
pub(super) async fn prepare(
    arguments: &ProveArguments,
    lookup: &(dyn Fn(&str) -> Option<String> + Sync),
    ledger: Ledger,
) -> anyhow::Result<World> {
    let wire = Arc::new(Wire::to(&arguments.url)?);
    let document = wire.send(&Request::get("/openapi.json")).await?.expect("GET /openapi.json")?;
    let document = Document::read(&document)?;
    let left_out = LeftOut::default();
    let registrar = Registrar {
        mailbox: mailbox(arguments, lookup).await,
        confirmation_code: lookup("FFP_PROVE_EMAIL").is_none().then(|| arguments.confirmation_code.clone()),
        wire: Arc::clone(&wire),
    };
    let given = operator(lookup, &wire).await?;
    let run = Uuid::now_v7().simple().to_string();
    let (us, them) = match &registrar.confirmation_code {
        Some(_) => {
            let us =
                registrar.business(&format!("Prove isolation attacker {run}")).await.context("making the attacker")?;
            let them = registrar.business(&format!("Prove isolation victim {run}")).await;
            let remains = || format!("making the victim; what remains: {} ({})", us.name, us.tenant_id);
            let them = them.with_context(remains)?;
            (us, them)
        }
        None => {
            let credential = |name: &str| lookup(name).with_context(|| format!("{name} is not set"));
            (
                registrar.existing(&credential("FFP_PROVE_EMAIL")?, &credential("FFP_PROVE_PASSWORD")?).await?,
                registrar
                    .existing(&credential("FFP_PROVE_OTHER_EMAIL")?, &credential("FFP_PROVE_OTHER_PASSWORD")?)
                    .await?,
            )
        }
    };
    anyhow::ensure!(us.tenant_id != them.tenant_id, "both owners are of the same tenant");
    let url = |name: &str| lookup(name).map(Into::into);
    let databases = Databases {
        app: url("FFP_DATABASE_URL"),
        worker: url("FFP_WORKER_DATABASE_URL"),
        operator: url("FFP_OPERATOR_DATABASE_URL"),
    };
    let mut world = World {
        wire,
        document,
        registrar,
        reset_code: arguments.reset_code.clone(),
        us,
        them,
        given,
        databases,
        directory: directory(lookup).await,
        disguise: Disguise::default(),
        ledger,
        left_out,
        failing: tokio::sync::Mutex::default(),
    };
    if let Err(error) = furnish(&mut world).await {
        let remains = cleanup::run(&world).await;
        return Err(error.context(format!("filling the two tenants; what remains: {}", remains.join("; "))));
    }
    Ok(world)
}

/// People and things, and what of the victim's may appear nowhere.
async fn furnish(world: &mut World) -> anyhow::Result<()> {
    world.us.before = before::remember(world, &world.us).await?;
    world.them.before = before::remember(world, &world.them).await?;
    // An operator lets the two send as much as they like, so that the proof is not one of patience.
    for business in [&world.us, &world.them] {
        before::limit(world, business, MOST).await?;
    }
    for role in [Role::Admin, Role::Coach, Role::Athlete] {
        for is_ours in [true, false] {
            let business = if is_ours { &world.us } else { &world.them };
            match world.registrar.join(business, role).await {
                Ok(person) => (if is_ours { &mut world.us } else { &mut world.them }).people.push(person),
                Err(error) => {
                    world.left_out.note(format!("attacks by and on the role {}", role.as_str()), format!("{error:#}"))
                }
            }
        }
    }
    let (wire, document) = (Arc::clone(&world.wire), world.document.clone());
    objects::fill(&wire, &document, &mut world.us).await?;
    objects::fill(&wire, &document, &mut world.them).await?;
    let them = &world.them;
    let mut secrets: Vec<String> = vec![them.tenant_id.clone(), them.name.clone()];
    secrets.extend(them.objects.all().map(str::to_owned));
    secrets.extend(them.people.iter().map(|person| person.email.clone()));
    if !world.databases.are_unknown() {
        let (attacker, victim) = (world.us.party()?, world.them.party()?);
        anyhow::ensure!(
            proof::knows(&world.databases, &victim).await?,
            "the database in the environment is not the one behind {}: the tenant just made is not in it",
            world.wire.origin()
        );
        secrets.extend(proof::secrets_of(&world.databases, &attacker, &victim).await?);
    }
    // What both have is nobody's secret, nor is what the attacker will say itself.
    let shared: Vec<String> = world.us.objects.all().map(str::to_owned).chain([world.us.tenant_id.clone()]).collect();
    let said = world.them.objects.keyed.iter().map(|keyed| keyed.body.to_string()).collect::<String>();
    world.disguise.learn(secrets.into_iter().filter(|secret| !shared.contains(secret) && !said.contains(secret)));
    Ok(())
}

async fn mailbox(arguments: &ProveArguments, lookup: &(dyn Fn(&str) -> Option<String> + Sync)) -> Option<Mailbox> {
    let url = match &arguments.mail_url {
        Some(url) => url.clone(),
        None => match lookup("AWS_ENDPOINT_URL") {
            Some(url) => url.parse().ok()?,
            None if target::is_local(&arguments.url) => EMULATOR.parse().ok()?,
            None => return None,
        },
    };
    Mailbox::at(&url).await
}

/// The members' user pool, if the environment has its settings.
async fn directory(lookup: &(dyn Fn(&str) -> Option<String> + Sync)) -> Option<Directory> {
    let pool = PoolSettings {
        pool_id: lookup("FFP_MEMBERS_POOL_ID")?,
        client_id: lookup("FFP_MEMBERS_CLIENT_ID")?,
        client_secret: lookup("FFP_MEMBERS_CLIENT_SECRET")?.into(),
    };
    let plain = |name: &str| lookup(name);
    let aws = AwsConfig::read(&mut Reader::new(&plain))?;
    Some(Directory::new(cognito::client(&aws.sdk().await), pool))
}

/// An operator's token, and how the next is had.
async fn operator(lookup: &(dyn Fn(&str) -> Option<String> + Sync), wire: &Wire) -> anyhow::Result<Option<String>> {
    const COMMAND: &str = "FFP_OPERATOR_TOKEN_COMMAND";
    let (token, command) = (lookup("FFP_OPERATOR_TOKEN"), lookup(COMMAND));
    let Some(command) = command else { return Ok(token) };
    let token = match token {
        Some(token) => token,
        None => printed(&command).await.with_context(|| format!("{COMMAND} prints no token"))?,
    };
    wire.sessions.keep(&token, Renewal::Command(command));
    Ok(Some(token))
}

//! What Terraform does in the cloud: makes buckets, user pools, keys, secrets and the database. Repeating it changes
//! nothing that is as it should be.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use aws_sdk_secretsmanager::{Client as Secrets, error::DisplayErrorContext};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use devstack::{ministack::MiniStack, postgres::Postgres};
use secrecy::ExposeSecret;
use url::Url;

use super::{
    buckets,
    pools::{self, Pools},
    settings::{Environment, Settings},
};
use crate::{
    cognito, commands,
    config::{AwsConfig, MigrateConfig, Reader},
    mail,
    secrets::Variables,
    videos::signing::SigningKey,
};

/// The bucket behind `/videos/*`.
pub(super) const VIDEOS: &str = "ffp-local-videos";
/// The bucket behind `/progress-photos/*`.
pub(super) const PHOTOS: &str = "ffp-local-photos";
/// Where mail comes from.
const MAIL_DOMAIN: &str = "ffp.example";
/// The database's name.
const DATABASE: &str = "ffp";

/// Secrets that the services read at start.
const SERVICES: [&str; 4] = ["ffp/local/database", "ffp/local/identity", "ffp/local/videos", "ffp/local/edge"];
/// The secret that migrations read in addition.
const MIGRATIONS: &str = "ffp/local/migrations";

/// The variables of one secret.
type Members = BTreeMap<String, String>;

/// A stack that has all it needs.
pub(super) struct Provisioned {
    /// The environment of the services.
    pub environment: Environment,
    /// AWS as they see it.
    pub aws: AwsConfig,
    /// The user pools.
    pub pools: Pools,
    /// What the edge is to trust.
    pub edge: EdgeKeys,
}

/// The edge's side of two secrets.
pub(super) struct EdgeKeys {
    /// The id of the signing key.
    pub key_id: String,
    /// Its public half.
    pub public_pem: String,
    /// What proves to the API that a request came through the edge.
    pub origin_secret: String,
}

impl Provisioned {
    /// Makes what is missing.
    pub(super) async fn ensure(
        settings: &Settings,
        postgres: &Postgres,
        ministack: &MiniStack,
    ) -> anyhow::Result<Self> {
        let mut environment = Environment::emulated(ministack.endpoint());
        let lookup = |name: &str| environment.get(name);
        let mut reader = Reader::new(&lookup);
        let aws = AwsConfig::read(&mut reader);
        let aws = reader.finish(aws)?;
        let sdk = aws.sdk().await;
        let s3 = aws.s3(&sdk);
        for bucket in [VIDEOS, PHOTOS] {
            buckets::ensure(&s3, bucket, settings.origin()).await?;
        }
        ensure_sender(&mail::client(&sdk)).await?;
        let pools = pools::ensure(&cognito::client(&sdk), pools::LOCAL_MEMBERS, pools::LOCAL_OPERATORS).await?;
        let edge = ensure_secrets(&Secrets::new(&sdk), postgres, &pools).await?;
        migrate(&environment, postgres).await?;
        describe(&mut environment, settings, ministack, &pools)?;
        Ok(Self { environment, aws, pools, edge })
    }
}

/// SES sends from addresses of verified domains only; the emulator believes that the domain is ours.
async fn ensure_sender(ses: &aws_sdk_sesv2::Client) -> anyhow::Result<()> {
    match ses.create_email_identity().email_identity(MAIL_DOMAIN).send().await {
        Err(error) if !error.as_service_error().is_some_and(|error| error.is_already_exists_exception()) => {
            bail!("cannot verify the mail domain {MAIL_DOMAIN}: {}", DisplayErrorContext(&error))
        }
        _ => Ok(()),
    }
}

/// Passwords, keys and client secrets; those that exist are kept.
async fn ensure_secrets(secrets: &Secrets, postgres: &Postgres, pools: &Pools) -> anyhow::Result<EdgeKeys> {
    let [database, identity, videos, edge] = SERVICES;
    let roles = [
        ("FFP_DATABASE_URL", "ffp_app"),
        ("FFP_WORKER_DATABASE_URL", "ffp_worker"),
        ("FFP_OPERATOR_DATABASE_URL", "ffp_operator"),
    ];
    let url = |old: &Members, name: &str, role: &str| {
        // The port may have changed since; the password stays.
        let password = old.get(name).and_then(|url| Url::parse(url).ok()?.password().map(str::to_owned));
        let password = password.map_or_else(random, Ok)?;
        anyhow::Ok((name.to_owned(), postgres.url(role, &password, DATABASE)))
    };
    ensure_secret(secrets, database, |old| roles.iter().map(|(name, role)| url(old, name, role)).collect()).await?;
    ensure_secret(secrets, MIGRATIONS, |old| Ok([url(old, "FFP_OWNER_DATABASE_URL", "ffp_owner")?].into())).await?;
    let client_secret = pools.members.client_secret.expose_secret().to_owned();
    ensure_secret(secrets, identity, |_| Ok([("FFP_MEMBERS_CLIENT_SECRET".to_owned(), client_secret)].into())).await?;
    let signing = ensure_secret(secrets, videos, signing_key).await?;
    let edge = ensure_secret(secrets, edge, |old| {
        let secret = old.get("FFP_ORIGIN_SECRETS").cloned().map_or_else(random, Ok)?;
        Ok([("FFP_ORIGIN_SECRETS".to_owned(), secret)].into())
    })
    .await?;

    let key_id = signing["FFP_SIGNING_KEY_ID"].clone();
    let public_pem = SigningKey::from_pem(&key_id, &signing["FFP_SIGNING_KEY_PEM"])?.public_key_pem()?;
    Ok(EdgeKeys { key_id, public_pem, origin_secret: edge["FFP_ORIGIN_SECRETS"].clone() })
}

/// The key that is there if it is a good one, else a new one.
fn signing_key(old: &Members) -> anyhow::Result<Members> {
    let (id, pem) = ("FFP_SIGNING_KEY_ID", "FFP_SIGNING_KEY_PEM");
    if let (Some(key_id), Some(key)) = (old.get(id), old.get(pem))
        && SigningKey::from_pem(key_id, key).is_ok()
    {
        return Ok(old.clone());
    }
    let key = SigningKey::generate_ecdsa()?;
    Ok([(id.to_owned(), key.id), (pem.to_owned(), key.private_pem.expose_secret().to_owned())].into())
}

/// Gives a secret the members that `wanted` makes of the ones it has.
async fn ensure_secret(
    secrets: &Secrets,
    id: &str,
    wanted: impl FnOnce(&Members) -> anyhow::Result<Members>,
) -> anyhow::Result<Members> {
    let found = match secrets.get_secret_value().secret_id(id).send().await {
        Ok(answer) => Some(serde_json::from_str(answer.secret_string().unwrap_or("{}")).unwrap_or_default()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => None,
        Err(error) => bail!("cannot read the secret {id}: {}", DisplayErrorContext(&error)),
    };
    let members = wanted(&found.clone().unwrap_or_default())?;
    let text = serde_json::to_string(&members)?;
    match found {
        Some(same) if same == members => {}
        Some(_) => {
            let changed = secrets.put_secret_value().secret_id(id).secret_string(text).send().await;
            changed.with_context(|| format!("cannot change the secret {id}"))?;
        }
        None => {
            let made = secrets.create_secret().name(id).secret_string(text).send().await;
            made.with_context(|| format!("cannot make the secret {id}"))?;
        }
    }
    Ok(members)
}

/// 256 random bits, in characters that need no escaping anywhere.
fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// `platform migrate`, as a deployment runs it: with the secrets of services and migrations, and the administrator.
async fn migrate(environment: &Environment, postgres: &Postgres) -> anyhow::Result<()> {
    postgres.ensure_database(DATABASE).await?;
    let mut environment = environment.clone();
    environment.set("FFP_ADMIN_DATABASE_URL", postgres.admin_url(DATABASE));
    environment.set("FFP_SECRET_IDS", format!("{},{MIGRATIONS}", SERVICES.join(",")));
    let variables = Variables::load(|name: &str| environment.get(name)).await?;
    commands::migrate::run(&MigrateConfig::read(&|name| variables.get(name))?).await
}

/// The plain settings of the services, which a deployment would write into their environment.
fn describe(
    environment: &mut Environment,
    settings: &Settings,
    ministack: &MiniStack,
    pools: &Pools,
) -> anyhow::Result<()> {
    let keys =
        |pool: &cognito::PoolSettings| format!("{}/{}/.well-known/jwks.json", ministack.endpoint(), pool.pool_id);
    environment.set("FFP_SECRET_IDS", SERVICES.join(","));
    environment.set("FFP_PUBLIC_URL", settings.origin());
    environment.set("FFP_METRICS_ADDR", settings.metrics_addr.to_string());
    // Nobody balances load on a laptop, and Ctrl-C should be quick.
    environment.set("FFP_DRAIN_DELAY_SECONDS", "0");
    environment.set("FFP_MEMBERS_POOL_ID", &pools.members.pool_id);
    environment.set("FFP_MEMBERS_CLIENT_ID", &pools.members.client_id);
    environment.set("FFP_MEMBERS_JWKS_URL", keys(&pools.members));
    environment.set("FFP_OPERATORS_POOL_ID", &pools.operators.pool_id);
    environment.set("FFP_OPERATORS_CLIENT_ID", &pools.operators.client_id);
    environment.set("FFP_OPERATORS_JWKS_URL", keys(&pools.operators));
    environment.set("FFP_VIDEOS_BUCKET", VIDEOS);
    environment.set("FFP_MAIL_FROM", format!("FFP <no-reply@{MAIL_DOMAIN}>"));
    Ok(())
}

//! `platform seed`: tenants, members, videos and progress by the million, for measuring.
//!
//! Rows are made by the schema's owner inside the server, since that is the only way to have ten million of them in
//! minutes; the product is then measured through HTTP alone. Nobody registers: the members' tokens are signed here by
//! a key whose private half is forgotten at once, and the product is told to trust its public half, the JWKS.
//!
//! | File | Does |
//! |---|---|
//! | `ids.rs` | which id which row has, the same in SQL and here |
//! | `rows.rs` | the SQL |
//! | `tokens.rs` | tokens and the JWKS |

mod ids;
mod rows;
mod tokens;

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use anyhow::{Context, ensure};
use clap::Args;
use secrecy::ExposeSecret;
use serde::Serialize;
use uuid::Uuid;

use self::{rows::Rows, tokens::Issuer};
use crate::{config::Reader, videos::signing::SigningKey};

/// Members beyond the first few are athletes.
const STAFF: u64 = 3;
/// The library's videos.
const LIBRARY: u64 = 10;
/// What no throttle of a measured tenant gets in the way of; the largest there is.
const UNLIMITED: u32 = 1_000_000;
/// What a new tenant has.
const DEFAULT_LIMIT: u32 = 1000;

/// How much is made.
#[derive(Clone, Debug, Args)]
pub struct SeedArguments {
    /// Tenants
    #[arg(long, value_name = "TENANTS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    scale: u64,
    /// Rows of progress, over all tenants
    #[arg(long, value_name = "ROWS", default_value_t = 10_000)]
    progress: u64,
    /// Members of each tenant
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u64).range(4..=10_000))]
    members: u64,
    /// Published videos of each tenant
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    videos: u64,
    /// Videos of the tenant whose searches are slow
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    slow_videos: u64,
    /// Tokens, spread over as many tenants as there are
    #[arg(long, default_value_t = 200)]
    callers: u64,
    /// Where to write what a load generator needs; secret, since the tokens are good for a day
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What a load generator needs.
#[derive(Debug, Serialize)]
struct Seeded {
    tenants: u64,
    progress: u64,
    /// Environment variables of the product; database URLs and the address of the JWKS are the caller's business.
    settings: BTreeMap<&'static str, String>,
    /// To be served at `FFP_MEMBERS_JWKS_URL`.
    jwks: serde_json::Value,
    /// Members of tenants whose throttle is wide open.
    callers: Vec<Caller>,
    /// An owner of one of them, who may read everything.
    owner: Caller,
    /// A member of a tenant with the default limits, who will ask for too much.
    noisy: Caller,
    /// A member of a tenant with the default limits and so many videos that a search takes long.
    slow: Caller,
    /// A member of a tenant with the default limits, who shall notice nothing of the two.
    quiet: Caller,
}

/// A member with a token, and what they can watch.
#[derive(Debug, Serialize)]
struct Caller {
    tenant: Uuid,
    member: Uuid,
    role: &'static str,
    token: String,
    /// Some of the tenant's videos.
    videos: Vec<Uuid>,
}

/// Makes the rows in the database at `FFP_OWNER_DATABASE_URL`, which must hold no tenant yet, and writes the file.
///
/// # Errors
/// A database that can't be reached, that is not migrated, or that is in use.
pub async fn run(arguments: &SeedArguments) -> anyhow::Result<()> {
    let lookup = |name: &str| std::env::var(name).ok();
    let mut reader = Reader::new(&lookup);
    let url = reader.database_url("FFP_OWNER_DATABASE_URL", Some("ffp_owner"));
    let url = reader.finish(url)?;
    let SeedArguments { scale, progress, members, videos, .. } = *arguments;
    let places = u128::from(scale) * u128::from(members) * u128::from(videos);
    ensure!(
        u128::from(progress) <= places,
        "{progress} rows of progress are more than the {places} pairs of a member and a video: \
         raise --scale, --members or --videos"
    );

    let seeded = describe(arguments)?;
    let rows = Rows { tenants: scale, progress, members, videos, slow_videos: arguments.slow_videos };
    for batch in rows.statements() {
        let done = devstack::postgres::execute(url.expose_secret(), &batch).await;
        done.context("with FFP_OWNER_DATABASE_URL")?;
    }
    write(&arguments.out, &seeded)?;
    let Seeded { callers, .. } = &seeded;
    writeln!(
        io::stdout(),
        "{scale} tenants of {members} members and {videos} videos, {progress} rows of progress, {} tokens: {}",
        callers.len() + 4,
        arguments.out.display()
    )?;
    Ok(())
}

fn describe(arguments: &SeedArguments) -> anyhow::Result<Seeded> {
    let SeedArguments { scale, members, videos, .. } = *arguments;
    let issuer = Issuer::generate()?;
    let caller = |tenant: u64, member: u64, videos: u64| -> anyhow::Result<Caller> {
        let (tenant_id, member_id) = (ids::tenant(tenant), ids::member(tenant, member));
        let role = rows::role(member);
        Ok(Caller {
            tenant: tenant_id,
            member: member_id,
            role,
            token: issuer.token(tenant_id, member_id, role)?,
            videos: (0..videos.min(100)).map(|video| ids::video(tenant, video)).collect(),
        })
    };
    // One caller of each tenant, then a second of each, as long as there are members; every fifth is a coach.
    let count = arguments.callers.min(scale * (members - STAFF));
    let callers = (0..count).map(|n| {
        let (tenant, round) = (1 + n % scale, n / scale);
        let member = if round == 0 && n % 5 == 0 { 1 } else { STAFF + round };
        caller(tenant, member, videos)
    });
    let key = SigningKey::generate_ecdsa()?;
    Ok(Seeded {
        tenants: scale,
        progress: arguments.progress,
        settings: [
            ("AWS_REGION", "us-east-1".to_owned()),
            // Nothing measured calls AWS.
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9".to_owned()),
            ("AWS_ACCESS_KEY_ID", "none".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "none".to_owned()),
            ("FFP_MEMBERS_POOL_ID", tokens::POOL.to_owned()),
            ("FFP_MEMBERS_CLIENT_ID", tokens::AUDIENCE.to_owned()),
            ("FFP_MEMBERS_CLIENT_SECRET", "none".to_owned()),
            ("FFP_MEMBERS_ISSUER", tokens::issuer()),
            ("FFP_OPERATORS_POOL_ID", "us-east-1_nobody".to_owned()),
            ("FFP_OPERATORS_CLIENT_ID", "nobody".to_owned()),
            ("FFP_VIDEOS_BUCKET", "none".to_owned()),
            ("FFP_MAIL_FROM", "FFP <no-reply@example.com>".to_owned()),
            ("FFP_SIGNING_KEY_ID", key.id),
            ("FFP_SIGNING_KEY_PEM", key.private_pem.expose_secret().to_owned()),
        ]
        .into(),
        jwks: issuer.jwks(),
        callers: callers.collect::<anyhow::Result<_>>()?,
        owner: caller(1, 0, videos)?,
        noisy: caller(scale + rows::NOISY, STAFF, videos)?,
        slow: caller(scale + rows::SLOW, STAFF, arguments.slow_videos)?,
        quiet: caller(scale + rows::QUIET, STAFF, videos)?,
    })
}

/// Writes the file for this user's eyes.
fn write(path: &PathBuf, seeded: &Seeded) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let file = file.with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer(io::BufWriter::new(file), seeded)?;
    Ok(())
}

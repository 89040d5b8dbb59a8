//! The sections of the configuration: one struct for each, with its variables, defaults and rules.

use std::{net::SocketAddr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use tenants::{
    DatabaseConfig, LimitsConfig,
    tokens::{Issuer, IssuerKind},
};
use url::Url;

use super::Reader;
use crate::{cognito::PoolSettings, videos::signing::SigningKey};

/// Shortest origin secret that is taken, in characters.
const MIN_ORIGIN_SECRET: usize = 16;
/// The internal port, unless another is set.
pub(super) const METRICS_PORT: u16 = 9464;
/// Seconds from "not ready" to accepting nothing more, unless another number is set.
pub(super) const DRAIN_DELAY: u64 = 3;
/// One gibibyte, in bytes.
const GIB: i64 = 1 << 30;

/// The public port and what is believed there.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// `FFP_HTTP_ADDR`: where the API listens.
    pub addr: SocketAddr,
    /// `FFP_PUBLIC_URL`: the origin that links, signatures and cookies are made for.
    pub public_url: Url,
    /// `FFP_METRICS_ADDR`: the internal port, with metrics and liveness.
    pub metrics_addr: SocketAddr,
    /// `FFP_ORIGIN_SECRETS`: what the edge sends in `X-Origin-Verify`; two during a rotation, none without an edge.
    pub origin_secrets: Vec<SecretString>,
    /// `FFP_CORS_ORIGINS`: other origins whose pages may call the API.
    pub cors_origins: Vec<String>,
    /// `FFP_DRAIN_DELAY_SECONDS`: how long connections are still accepted once readiness says no, so that load
    /// balancers notice first.
    pub drain_delay: Duration,
    /// `FFP_BURST_PER_MINUTE`: requests without a token that one address may send, at once and per minute.
    pub burst_per_minute: u32,
}

impl HttpConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let addr = reader.address_or("FFP_HTTP_ADDR", SocketAddr::from(([127, 0, 0, 1], 8080)));
        let public_url = public_url(reader, addr);
        let metrics_addr = reader.address_or("FFP_METRICS_ADDR", SocketAddr::from(([127, 0, 0, 1], METRICS_PORT)));
        let origin_secrets = reader.secrets("FFP_ORIGIN_SECRETS");
        if origin_secrets.iter().any(|secret| secret.expose_secret().len() < MIN_ORIGIN_SECRET) {
            let right = format!("use random values of at least {MIN_ORIGIN_SECRET} characters, separated by commas");
            reader.refuse("FFP_ORIGIN_SECRETS", "has a value that can be guessed", right);
        }
        let cors_origins = reader.list("FFP_CORS_ORIGINS");
        for origin in &cors_origins {
            let is_origin = Url::parse(origin).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == *origin
            });
            if !is_origin {
                let right = "list origins like https://app.example.com, separated by commas";
                reader.refuse("FFP_CORS_ORIGINS", format!("has `{origin}`"), right);
            }
        }
        let drain_delay = reader.number_or("FFP_DRAIN_DELAY_SECONDS", DRAIN_DELAY, 0..=60);
        let burst_per_minute = reader.number_or("FFP_BURST_PER_MINUTE", 300, 1..=1_000_000);
        Some(Self {
            addr: addr?,
            public_url: public_url?,
            metrics_addr: metrics_addr?,
            origin_secrets,
            cors_origins,
            drain_delay: Duration::from_secs(drain_delay?),
            burst_per_minute: burst_per_minute?,
        })
    }
}

/// An origin without a path; plain http is allowed, since TLS may end before us.
fn public_url(reader: &mut Reader<'_>, addr: Option<SocketAddr>) -> Option<Url> {
    const RIGHT: &str = "an origin without a path, like https://app.example.com";
    let default = addr.and_then(|addr| Url::parse(&format!("http://{addr}")).ok());
    if default.is_none() && reader.optional("FFP_PUBLIC_URL").is_none() {
        // The bad address has been reported; its absent consequence is not worth a line.
        return None;
    }
    let url = reader.url_or("FFP_PUBLIC_URL", default, false, RIGHT)?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !is_bare {
        reader.refuse("FFP_PUBLIC_URL", format!("is `{url}`"), format!("set it to {RIGHT}"));
    }
    is_bare.then_some(url)
}

/// `FFP_DATABASE_URL` and its siblings: one for each role, with the size of its pool.
pub(super) fn database(reader: &mut Reader<'_>) -> Option<DatabaseConfig> {
    let app_url = reader.database_url("FFP_DATABASE_URL", Some("ffp_app"));
    let worker_url = reader.database_url("FFP_WORKER_DATABASE_URL", Some("ffp_worker"));
    let operator_url = reader.database_url("FFP_OPERATOR_DATABASE_URL", Some("ffp_operator"));
    let app_connections = reader.number_or("FFP_DATABASE_CONNECTIONS", 16, 2..=500);
    let worker_connections = reader.number_or("FFP_WORKER_DATABASE_CONNECTIONS", 8, 2..=500);
    let operator_connections = reader.number_or("FFP_OPERATOR_DATABASE_CONNECTIONS", 4, 1..=100);
    let hot_connections = reader.number_or("FFP_HOT_DATABASE_CONNECTIONS", 8, 2..=500);
    Some(DatabaseConfig {
        app_url: app_url?,
        worker_url: worker_url?,
        operator_url: operator_url?,
        app_connections: app_connections?,
        worker_connections: worker_connections?,
        operator_connections: operator_connections?,
        hot_connections: hot_connections?,
    })
}

/// `VALKEY_URL` and its siblings: how fairness is kept between processes.
pub(super) fn limits(reader: &mut Reader<'_>) -> Option<LimitsConfig> {
    const VALKEY: &str = "VALKEY_URL";
    let valkey_url = match reader.optional(VALKEY) {
        None => Some(None),
        Some(url) if url.starts_with("redis://") || url.starts_with("rediss://") => Some(Some(SecretString::from(url))),
        Some(_) => {
            reader.refuse(
                VALKEY,
                "is no address of a Valkey or Redis",
                "set it to redis://host:6379 or rediss://host:6379",
            );
            None
        }
    };
    let instances = reader.number_or("FFP_INSTANCES", 1, 1..=1000);
    let gate_slots = reader.number_or("FFP_GATE_SLOTS", 3, 1..=1000);
    let valkey_timeout = reader.number_or("FFP_VALKEY_TIMEOUT_MS", 100, 1..=10_000);
    Some(LimitsConfig {
        valkey_url: valkey_url?,
        valkey_timeout: Duration::from_millis(valkey_timeout?),
        instances: instances?,
        gate_slots: gate_slots?,
        ..LimitsConfig::default()
    })
}

/// The two user pools.
#[derive(Clone, Debug)]
pub struct IdentityConfig {
    /// `FFP_MEMBERS_*`: the members' pool, with its confidential app client.
    pub members: PoolSettings,
    /// The members' and the operators' pools as issuers of tokens.
    pub issuers: Vec<Issuer>,
    /// `FFP_AUTH_FLOOR_MS`: no answer of a public identity route comes earlier.
    pub auth_floor: Duration,
    /// `FFP_LOGIN_ATTEMPTS`: wrong passwords or codes for one account from one address in a quarter of an hour.
    pub login_attempts: u32,
}

impl IdentityConfig {
    /// Reads the section; the issuers' defaults are Amazon Cognito's own addresses in `region`.
    pub fn read(reader: &mut Reader<'_>, region: Option<&str>) -> Option<Self> {
        let pool_id = reader.text("FFP_MEMBERS_POOL_ID", "the id of the members' user pool");
        let client_id = reader.text("FFP_MEMBERS_CLIENT_ID", "the id of the app client in the members' pool");
        let client_secret =
            reader.secret("FFP_MEMBERS_CLIENT_SECRET", "the secret of the app client in the members' pool");
        let members = issuer(reader, "MEMBERS", region, pool_id.as_deref(), client_id.clone(), IssuerKind::Member);
        let operators_pool = reader.text("FFP_OPERATORS_POOL_ID", "the id of the operators' user pool");
        let operators_client =
            reader.text("FFP_OPERATORS_CLIENT_ID", "the id of the app client in the operators' pool");
        let operators =
            issuer(reader, "OPERATORS", region, operators_pool.as_deref(), operators_client, IssuerKind::Operator);
        if let (Some(members), Some(operators)) = (&members, &operators)
            && members.issuer == operators.issuer
        {
            let right = "members and operators need a pool each";
            reader.refuse("FFP_OPERATORS_POOL_ID", "is the members' pool", right);
        }
        let auth_floor = reader.number_or("FFP_AUTH_FLOOR_MS", 600, 0..=10_000);
        let login_attempts = reader.number_or("FFP_LOGIN_ATTEMPTS", 10, 1..=1_000_000);
        Some(Self {
            members: PoolSettings { pool_id: pool_id?, client_id: client_id?, client_secret: client_secret? },
            issuers: vec![members?, operators?],
            auth_floor: Duration::from_millis(auth_floor?),
            login_attempts: login_attempts?,
        })
    }
}

/// A pool as an issuer. Whoever answers at the JWKS address can sign tokens, so it is https or on this machine.
fn issuer(
    reader: &mut Reader<'_>,
    pool: &str,
    region: Option<&str>,
    pool_id: Option<&str>,
    audience: Option<String>,
    kind: IssuerKind,
) -> Option<Issuer> {
    let set = reader.optional(&format!("FFP_{pool}_ISSUER"));
    let cognitos = || Some(format!("https://cognito-idp.{}.amazonaws.com/{}", region?, pool_id?));
    // Without a pool or a region, what is missing has been reported already.
    let issuer = set.or_else(cognitos);
    let default = issuer.as_deref().and_then(|issuer| Url::parse(&format!("{issuer}/.well-known/jwks.json")).ok());
    let name = format!("FFP_{pool}_JWKS_URL");
    let jwks_url = if default.is_some() || reader.optional(&name).is_some() {
        reader.url_or(&name, default, true, "the https address of the pool's JWKS")
    } else {
        None
    };
    Some(Issuer { issuer: issuer?, jwks_url: jwks_url?, audience: audience?, kind })
}

/// Videos: where they are, and the key that opens them at the edge.
#[derive(Clone, Debug)]
pub struct VideosConfig {
    /// `FFP_VIDEOS_BUCKET`.
    pub bucket: String,
    /// `FFP_SIGNING_KEY_ID`: what the edge calls the key.
    pub key_id: String,
    /// `FFP_SIGNING_KEY_PEM`: the private key.
    pub key_pem: SecretString,
    /// `FFP_STORAGE_LIMIT_BUSINESS`: bytes of video a new business may store.
    pub limit_business: i64,
    /// `FFP_STORAGE_LIMIT_INDIVIDUAL`: bytes of video a new individual may store.
    pub limit_individual: i64,
}

impl VideosConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let bucket = reader.text("FFP_VIDEOS_BUCKET", "the name of the bucket that holds videos");
        let key_id = reader.text("FFP_SIGNING_KEY_ID", "the id of the edge's public key");
        let key_pem = reader.secret("FFP_SIGNING_KEY_PEM", "the private key whose public half the edge has, in PEM");
        if let (Some(id), Some(pem)) = (&key_id, &key_pem)
            && let Err(error) = SigningKey::from_pem(id, pem.expose_secret())
        {
            reader.refuse("FFP_SIGNING_KEY_PEM", "is no usable key", error.to_string());
        }
        let limit_business = reader.number_or("FFP_STORAGE_LIMIT_BUSINESS", 100 * GIB, 0..=i64::MAX);
        let limit_individual = reader.number_or("FFP_STORAGE_LIMIT_INDIVIDUAL", 10 * GIB, 0..=i64::MAX);
        Some(Self {
            bucket: bucket?,
            key_id: key_id?,
            key_pem: key_pem?,
            limit_business: limit_business?,
            limit_individual: limit_individual?,
        })
    }
}

/// What is told about the running program, and to whom.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// `FFP_LOG`: which lines are written, as tracing's filters say it.
    pub filter: String,
    /// `FFP_ENVIRONMENT`: the name traces carry.
    pub environment: String,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: where traces go; they are not made without.
    pub otlp_endpoint: Option<Url>,
}

impl TelemetryConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let filter = reader.optional("FFP_LOG").unwrap_or_else(|| "info".to_owned());
        if tracing_subscriber::EnvFilter::try_new(&filter).is_err() {
            let right = "set it to a level or to levels by module, like info or info,platform=debug";
            reader.refuse("FFP_LOG", format!("is `{filter}`"), right);
        }
        let environment = reader.optional("FFP_ENVIRONMENT").unwrap_or_else(|| "local".to_owned());
        const OTLP: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let otlp_endpoint = match reader.optional(OTLP) {
            None => Some(None),
            Some(_) => {
                reader.url_or(OTLP, None, false, "the collector's address, like http://127.0.0.1:4318").map(Some)
            }
        };
        Some(Self { filter, environment, otlp_endpoint: otlp_endpoint? })
    }
}

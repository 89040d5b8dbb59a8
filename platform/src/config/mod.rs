//! The configuration: environment variables, one struct for each section, every missing or bad one reported at once.
//!
//! Where a variable comes from, the process or a secret, is `secrets.rs`'s business. What the parts of the product
//! are made of their settings is decided here, in [`Config::platform`].

mod aws;
mod reader;
mod sections;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use tenants::{
    DatabaseConfig, LimitsConfig, Tenants,
    tokens::{Verifier, VerifierOptions},
};
use url::Url;

pub use aws::{AwsConfig, AwsKeys};
pub use reader::{BadSetting, ConfigError, Reader};
pub use sections::{HttpConfig, IdentityConfig, TelemetryConfig, VideosConfig};

use crate::{
    Platform,
    app::{Parts, Settings},
    cognito::{self, Directory},
    mail::{self, Mailer},
    storage::Storage,
    videos::signing::{Signer, SigningKey},
};

/// The schema's owner, for migrations.
const OWNER_URL: &str = "FFP_OWNER_DATABASE_URL";

/// Everything that API and worker are told.
#[derive(Clone, Debug)]
pub struct Config {
    /// How AWS is reached.
    pub aws: AwsConfig,
    /// The public and the internal port.
    pub http: HttpConfig,
    /// The database, one URL for each role.
    pub database: DatabaseConfig,
    /// Throttles and gates across instances.
    pub limits: LimitsConfig,
    /// User pools.
    pub identity: IdentityConfig,
    /// Videos and their signing key.
    pub videos: VideosConfig,
    /// `FFP_MAIL_FROM`: the sender of the product's own mail.
    pub mail_from: String,
    /// `FFP_WORKER_CONCURRENCY`: jobs that one worker runs at a time.
    pub worker_concurrency: usize,
}

impl Config {
    /// Reads all sections.
    ///
    /// # Errors
    /// Every setting that is missing or bad.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(lookup);
        let aws = AwsConfig::read(&mut reader);
        let http = HttpConfig::read(&mut reader);
        let database = sections::database(&mut reader);
        let limits = sections::limits(&mut reader);
        let region = aws.as_ref().map(|aws| aws.region.as_str());
        let identity = IdentityConfig::read(&mut reader, region);
        let videos = VideosConfig::read(&mut reader);
        let mail_from = reader.text("FFP_MAIL_FROM", "the sender of mail, an address that SES has verified");
        let worker_concurrency = reader.number_or("FFP_WORKER_CONCURRENCY", 4, 1..=64);
        let config = (|| {
            Some(Self {
                aws: aws?,
                http: http?,
                database: database?,
                limits: limits?,
                identity: identity?,
                videos: videos?,
                mail_from: mail_from?,
                worker_concurrency: worker_concurrency?,
            })
        })();
        reader.finish(config)
    }

    /// Makes the parts of the product. Nothing is called yet: what is away now may be there when it is needed.
    ///
    /// # Errors
    /// A part that can't be made of these settings.
    pub async fn platform(&self) -> anyhow::Result<Platform> {
        let sdk = self.aws.sdk().await;
        let verifier = Verifier::new(self.identity.issuers.clone(), VerifierOptions::default())?;
        let key = SigningKey::from_pem(&self.videos.key_id, self.videos.key_pem.expose_secret())?;
        Ok(Platform::new(Parts {
            tenants: Tenants::new(&self.database, &self.limits, verifier)?,
            directory: Directory::new(cognito::client(&sdk), self.identity.members.clone()),
            mailer: Mailer::new(mail::client(&sdk), &self.mail_from),
            storage: Storage::new(self.aws.s3(&sdk), self.videos.bucket.clone()),
            signer: Signer::new(key),
            settings: Settings {
                public_url: self.http.public_url.clone(),
                storage_limit_business: self.videos.limit_business,
                storage_limit_individual: self.videos.limit_individual,
                auth_floor: self.identity.auth_floor,
                login_attempts: self.identity.login_attempts,
            },
        }))
    }
}

/// What `platform migrate` is told.
#[derive(Clone, Debug)]
pub struct MigrateConfig {
    /// `FFP_OWNER_DATABASE_URL`: `ffp_owner`, who owns the schema.
    pub owner_url: SecretString,
    /// Set by `FFP_ADMIN_DATABASE_URL`: makes the roles first.
    pub prepare: Option<PrepareConfig>,
}

/// What making the roles takes.
#[derive(Clone, Debug)]
pub struct PrepareConfig {
    /// Who may make roles: a superuser, or a master user with CREATEROLE.
    pub admin_url: SecretString,
    /// `ffp_owner`'s password, taken from its URL, as the others are.
    pub owner: SecretString,
    /// `ffp_app`'s password.
    pub app: SecretString,
    /// `ffp_worker`'s password.
    pub worker: SecretString,
    /// `ffp_operator`'s password.
    pub operator: SecretString,
}

impl MigrateConfig {
    /// Reads what the command needs and nothing more.
    ///
    /// # Errors
    /// Every setting that is missing or bad.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(lookup);
        let owner_url = reader.database_url(OWNER_URL, Some("ffp_owner"));
        let prepare = match reader.optional("FFP_ADMIN_DATABASE_URL") {
            None => Some(None),
            Some(_) => PrepareConfig::read(&mut reader, owner_url.as_ref()).map(Some),
        };
        let config = (|| Some(Self { owner_url: owner_url?, prepare: prepare? }))();
        reader.finish(config)
    }
}

impl PrepareConfig {
    fn read(reader: &mut Reader<'_>, owner_url: Option<&SecretString>) -> Option<Self> {
        let admin_url = reader.database_url("FFP_ADMIN_DATABASE_URL", None);
        let owner = owner_url.and_then(|url| password(reader, OWNER_URL, url));
        let mut of = |name, role| {
            let url = reader.database_url(name, Some(role))?;
            password(reader, name, &url)
        };
        let app = of("FFP_DATABASE_URL", "ffp_app");
        let worker = of("FFP_WORKER_DATABASE_URL", "ffp_worker");
        let operator = of("FFP_OPERATOR_DATABASE_URL", "ffp_operator");
        Some(Self { admin_url: admin_url?, owner: owner?, app: app?, worker: worker?, operator: operator? })
    }
}

/// The password in a role's URL, which the role is to get.
fn password(reader: &mut Reader<'_>, name: &str, url: &SecretString) -> Option<SecretString> {
    let url = Url::parse(url.expose_secret()).ok()?;
    let password = url.password().map(|password| percent_decode_str(password).decode_utf8_lossy().into_owned());
    if password.is_none() {
        reader.refuse(name, "has no password", format!("put the one that {} is to have into the URL", url.username()));
    }
    password.map(SecretString::from)
}

/// What `platform doctor` is told: the database.
///
/// # Errors
/// Every setting that is missing or bad.
pub fn database(lookup: &dyn Fn(&str) -> Option<String>) -> Result<DatabaseConfig, ConfigError> {
    let mut reader = Reader::new(lookup);
    let config = sections::database(&mut reader);
    reader.finish(config)
}

/// What is told about the running program.
///
/// # Errors
/// Every setting that is missing or bad.
pub fn telemetry(lookup: &dyn Fn(&str) -> Option<String>) -> Result<TelemetryConfig, ConfigError> {
    let mut reader = Reader::new(lookup);
    let config = TelemetryConfig::read(&mut reader);
    reader.finish(config)
}

#[cfg(test)]
mod tests;

//! The configuration: environment variables, one struct for each section, every missing or bad one reported at once.
//!
//! Where a variable comes from, the process or a secret, is `secrets.rs`'s business. What the parts of the product
//! are made of their settings is decided here, in [`Config::platform`].

mod aws;
mod migrate;
mod reader;
mod sections;
pub mod settings;

use secrecy::ExposeSecret;
use tenants::{
    DatabaseConfig, LimitsConfig, Tenants,
    tokens::{Verifier, VerifierOptions},
};

pub use aws::{AwsConfig, AwsKeys};
pub use migrate::{MigrateConfig, PrepareConfig};
pub use reader::{BadSetting, ConfigError, Reader};
pub use sections::{HttpConfig, IdentityConfig, TelemetryConfig, VideosConfig};

use crate::{
    Platform,
    app::{Parts, Settings},
    cognito::{self, Directory},
    identity::Email,
    mail::{self, Mailer},
    storage::Storage,
    videos::signing::{Signer, SigningKey},
};

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
        let config = Self::section(&mut reader);
        reader.finish(config)
    }

    /// Reads them from one reader.
    fn section(reader: &mut Reader<'_>) -> Option<Self> {
        let aws = AwsConfig::read(reader);
        let http = HttpConfig::read(reader);
        let database = sections::database(reader);
        let limits = sections::limits(reader);
        let region = aws.as_ref().map(|aws| aws.region.as_str());
        let identity = IdentityConfig::read(reader, region);
        let videos = VideosConfig::read(reader);
        let mail_from = sender(reader);
        let worker_concurrency = reader.number_or("FFP_WORKER_CONCURRENCY", 4, 1..=64);
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

/// The sender of mail: an address like everybody's, with or without a name before it.
fn sender(reader: &mut Reader<'_>) -> Option<String> {
    const NAME: &str = "FFP_MAIL_FROM";
    let right = "the sender of mail, an address that SES has verified";
    let from = reader.text(NAME, right)?;
    let address =
        from.strip_suffix('>').and_then(|from| from.rsplit_once('<')).map_or(from.as_str(), |(_, inner)| inner);
    if Email::parse(address).is_ok() {
        return Some(from);
    }
    reader.refuse(NAME, format!("is `{from}`"), format!("set it to {right}, such as FFP <no-reply@example.com>"));
    None
}

#[cfg(test)]
mod tests;

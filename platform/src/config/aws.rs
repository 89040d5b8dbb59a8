//! How AWS is reached. A laptop differs from the cloud by the endpoint only.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_s3::config::{
    Credentials, RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::Reader;

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(2);
/// One attempt of an ordinary call.
const ATTEMPT: Duration = Duration::from_secs(5);
/// An ordinary call with all its attempts.
const OPERATION: Duration = Duration::from_secs(15);

/// Region, endpoint and, where the environment has them, keys.
#[derive(Clone, Debug)]
pub struct AwsConfig {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ENDPOINT_URL`: an emulator in AWS's place.
    pub endpoint: Option<Url>,
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`; without them the SDK asks its usual sources, which in the
    /// cloud is the task's role.
    pub keys: Option<AwsKeys>,
}

/// An access key.
#[derive(Clone, Debug)]
pub struct AwsKeys {
    id: String,
    secret: SecretString,
    session_token: Option<SecretString>,
}

impl AwsConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let region = reader.text("AWS_REGION", "the region of the user pools and buckets, like eu-central-1");
        let endpoint = match reader.optional("AWS_ENDPOINT_URL") {
            None => Some(None),
            Some(_) => reader.url_or("AWS_ENDPOINT_URL", None, false, "the emulator's address, or unset it").map(Some),
        };
        let keys = match (reader.optional("AWS_ACCESS_KEY_ID"), reader.optional_secret("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                let session_token = reader.optional_secret("AWS_SESSION_TOKEN");
                Some(AwsKeys { id, secret, session_token })
            }
            _ => None,
        };
        Some(Self { region: region?, endpoint: endpoint?, keys })
    }

    /// What all clients share: region, endpoint, keys, time limits, and two retries.
    pub async fn sdk(&self) -> SdkConfig {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .timeout_config(timeouts())
            .retry_config(RetryConfig::standard().with_max_attempts(3));
        if let Some(endpoint) = &self.endpoint {
            // Without the slash, which the SDK would double.
            loader = loader.endpoint_url(endpoint.as_str().trim_end_matches('/'));
        }
        if let Some(AwsKeys { id, secret, session_token }) = &self.keys {
            let token = session_token.as_ref().map(|token| token.expose_secret().to_owned());
            let keys = Credentials::new(id, secret.expose_secret(), token, None, "environment");
            loader = loader.credentials_provider(SharedCredentialsProvider::new(keys));
        }
        loader.load().await
    }

    /// A client for S3.
    pub fn s3(&self, shared: &SdkConfig) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(shared)
            // An emulator has no host name for each bucket.
            .force_path_style(self.endpoint.is_some())
            // Else the SDK asks browsers that PUT a part for a checksum they did not compute.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        aws_sdk_s3::Client::from_conf(config.build())
    }
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build()
}

//! The local edge as a program of its own, in front of a platform that something else started: `make infra-apply-local`
//! gives it what an applied distribution says. The variable `EDGE` holds its settings as JSON.

use std::{collections::BTreeMap, env, error::Error, future, net::SocketAddr};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use devstack::edge::{Edge, EdgeConfig, KeyGroup};
use serde::Deserialize;
use tokio::net::TcpListener;
use url::Url;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    listen: SocketAddr,
    public_url: Url,
    upstream: SocketAddr,
    /// Buckets by the prefix of their objects, `videos/`.
    objects: BTreeMap<String, String>,
    /// Public keys in PEM, by their key-pair ids.
    keys: BTreeMap<String, String>,
    origin_secret: String,
    /// Where the emulator answers, which takes any credentials.
    endpoint: String,
    region: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings: Settings = serde_json::from_str(&env::var("EDGE")?)?;
    let s3 = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(settings.region))
        .credentials_provider(Credentials::new("emulated", "emulated", None, None, "example"))
        .endpoint_url(settings.endpoint)
        .force_path_style(true)
        .build();
    let config = EdgeConfig {
        listen: TcpListener::bind(settings.listen).await?,
        public_url: settings.public_url,
        upstream: settings.upstream,
        s3: aws_sdk_s3::Client::from_conf(s3),
        prefixes: settings.objects.into_iter().collect(),
        keys: KeyGroup::from_pems(settings.keys)?,
        origin_secret: Some(settings.origin_secret),
    };
    Edge::serve(config, future::pending()).await?;
    Ok(())
}

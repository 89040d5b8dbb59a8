//! Buckets, as Terraform makes them in the cloud.

use anyhow::{Context, bail};
use aws_sdk_s3::types::{BucketVersioningStatus, CorsConfiguration, CorsRule, VersioningConfiguration};
use aws_sdk_secretsmanager::error::DisplayErrorContext;

/// Makes a bucket that keeps versions, and lets pages of `origin`, and of no other, send it parts of uploads.
///
/// # Errors
/// An emulator that is away or refuses.
pub async fn ensure(s3: &aws_sdk_s3::Client, bucket: &str, origin: &str) -> anyhow::Result<()> {
    let found = s3.head_bucket().bucket(bucket).send().await;
    if let Err(error) = found {
        if !error.as_service_error().is_some_and(|error| error.is_not_found()) {
            bail!("cannot look for bucket {bucket}: {}", DisplayErrorContext(&error));
        }
        s3.create_bucket().bucket(bucket).send().await.with_context(|| format!("cannot make bucket {bucket}"))?;
    }
    let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let versioning = s3.put_bucket_versioning().bucket(bucket).versioning_configuration(versioned);
    versioning.send().await.with_context(|| format!("cannot keep versions in bucket {bucket}"))?;
    let rules = CorsConfiguration::builder().cors_rules(uploads(origin)?).build()?;
    let cors = s3.put_bucket_cors().bucket(bucket).cors_configuration(rules);
    cors.send().await.with_context(|| format!("cannot open bucket {bucket} to pages of {origin}"))?;
    Ok(())
}

/// What a page may do: PUT a part with whatever headers it likes, and read the `ETag` that completes the upload.
/// `infra/platform/storage.tf` says the same of the cloud's bucket.
///
/// # Errors
/// None in practice: the builder wants what is given here.
pub fn uploads(origin: &str) -> anyhow::Result<CorsRule> {
    let rule = CorsRule::builder().allowed_methods("PUT").allowed_origins(origin).allowed_headers("*");
    Ok(rule.expose_headers("ETag").max_age_seconds(3600).build()?)
}

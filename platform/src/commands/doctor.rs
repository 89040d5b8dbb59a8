//! `platform doctor`: what is unsafe about the database, by name.

use tenants::{
    DatabaseConfig, Defect, LimitsConfig, Tenants,
    tokens::{Issuer, IssuerKind, Verifier, VerifierOptions},
};
use url::Url;

/// The defects; none is a healthy database.
///
/// # Errors
/// A database that can't be reached or examined, or whose schema is behind this binary.
pub async fn run(config: &DatabaseConfig) -> anyhow::Result<Vec<Defect>> {
    let tenants = Tenants::new(config, &LimitsConfig::default(), no_verifier()?)?;
    // An unsafe database is worth more words than one that is behind.
    let defects = tenants::diagnose(&tenants).await?;
    let ready = tenants.ready().await;
    tenants.close().await;
    if defects.is_empty() {
        ready.map_err(anyhow::Error::msg)?;
    }
    Ok(defects)
}

/// The doctor reads no tokens and so asks for no user pools: this verifier trusts an issuer that no one is.
pub(super) fn no_verifier() -> anyhow::Result<Verifier> {
    let nobody = Issuer {
        issuer: "https://nobody.invalid".to_owned(),
        jwks_url: Url::parse("https://nobody.invalid/")?,
        audience: "nobody".to_owned(),
        kind: IssuerKind::Operator,
    };
    Ok(Verifier::new(vec![nobody], VerifierOptions::default())?)
}

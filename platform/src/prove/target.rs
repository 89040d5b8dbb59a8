//! Which deployments may be attacked without a further word.

use anyhow::bail;
use url::{Host, Url};

/// Names of environments whose tenants are nobody's.
const HARMLESS: [&str; 2] = ["dev", "staging"];

/// Whether the server is this machine.
pub(super) fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether the name says that the server is no production: by what stands left of its last two labels. Those are the
/// domain that somebody bought, under `.dev` maybe, and say nothing of what runs there.
fn is_harmless(url: &Url) -> bool {
    let Some(Host::Domain(name)) = url.host() else { return false };
    let labels = name.trim_end_matches('.').rsplit('.').skip(2);
    labels.flat_map(|label| label.split('-')).any(|part| HARMLESS.contains(&part))
}

/// Refuses what may be production: another machine whose name has no part `dev` or `staging` before its domain, or an
/// environment that says `prod` of itself.
///
/// # Errors
/// A sentence with the way on.
pub(super) fn check(url: &Url, environment: Option<&str>, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if let Some(name) = environment.filter(|name| name.to_ascii_lowercase().starts_with("prod")) {
        bail!(
            "FFP_ENVIRONMENT is {name}: this makes two tenants and sends thousands of requests. Say --yes if you mean it."
        );
    }
    if is_local(url) || is_harmless(url) {
        return Ok(());
    }
    let host = url.host_str().unwrap_or_default();
    bail!(
        "{host} is neither this machine nor named dev or staging before its domain, so it may be production: this makes two \
         tenants there and sends thousands of requests. Say --yes if you mean it."
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn allowed(url: &str, environment: Option<&str>) -> bool {
        check(&Url::parse(url).unwrap(), environment, false).is_ok()
    }

    #[test]
    fn only_this_machine_and_what_is_named_harmless_is_attacked_without_a_further_word() {
        for url in [
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://[::1]:1",
            "https://dev.ffp.example",
            "https://ffp-staging.ffp.example",
            "https://api.dev.ffp.example.",
            "https://staging.ffp.dev",
        ] {
            assert!(allowed(url, None) && allowed(url, Some("dev")), "{url}");
            assert!(!allowed(url, Some("prod")) && !allowed(url, Some("Production")), "{url}");
        }
        for url in [
            "https://ffp.example",
            "https://development.ffp.example",
            "https://127.0.0.1.example",
            "https://10.0.0.1",
            "https://[2001:db8::de]",
            // The domain itself, and what is registered under `.dev`.
            "https://dev.example",
            "https://dev.example.",
            "https://ffp-dev.example",
            "https://ffp.dev",
            "https://app.ffp.dev",
            "https://app.ffp.dev.",
            "https://dev",
        ] {
            assert!(!allowed(url, None), "{url}");
            assert!(check(&Url::parse(url).unwrap(), Some("prod"), true).is_ok());
        }
    }
}

//! Who came through the edge, and from where.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use axum::{
    extract::{ConnectInfo, FromRequestParts, Request},
    http::{HeaderMap, StatusCode, request::Parts},
};
use secrecy::{ExposeSecret, SecretString};
use tenants::http::Problem;

/// What the edge sends to prove itself.
pub(crate) const PROOF: &str = "x-origin-verify";
/// What the edge says about the viewer, `address:port`, an IPv6 address without brackets.
const VIEWER: &str = "cloudfront-viewer-address";
/// Asked by load balancers and container services, which do not come through the edge.
const OPEN: [&str; 3] = ["/livez", "/readyz", "/health"];

/// The client's address, in the request's extensions: the viewer's, as the edge says it and only if it proved itself;
/// the peer's where no edge is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The most that one site gets, within which a client may choose as it likes: an IPv4 address, or the IPv6 addresses
    /// that share 48 bits.
    ///
    /// RFC 6177 (section 2) recommends prefixes between /48 and /56 for a site, and a /48 is what anybody has for the
    /// asking. With longer ones one such site would be hundreds of networks; with 48 bits up to 256 households of a
    /// provider that gives each a /56 are one, as they are behind the IPv4 address of a carrier's translator.
    pub fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 80 << 80).into(),
        }
    }
}

/// The client's address for a handler; none where nobody who can be believed said it.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub Option<ClientAddress>);

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().copied()))
    }
}

/// The accepted values of the origin header, as digests: comparing those takes the same time whatever was sent.
#[derive(Clone)]
pub(super) struct OriginSecrets(Arc<[digest::Digest]>);

impl OriginSecrets {
    pub(super) fn new(secrets: &[SecretString]) -> Self {
        Self(secrets.iter().map(|secret| hash(secret.expose_secret().as_bytes())).collect())
    }

    fn are_required(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether the request carries one of the values, once.
    fn are_proven_by(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(PROOF).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return false;
        };
        let given = hash(line.as_bytes());
        // No early end: which of two values fits is nobody's business either.
        self.0
            .iter()
            .fold(false, |found, secret| found | verify_slices_are_equal(secret.as_ref(), given.as_ref()).is_ok())
    }
}

fn hash(value: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, value)
}

/// Refuses what did not come through the edge, where there is one, and notes the client's address.
pub(super) fn admit(secrets: &OriginSecrets, request: &mut Request) -> Result<(), Problem> {
    let proven = secrets.are_required() && secrets.are_proven_by(request.headers());
    if secrets.are_required() && !proven && !OPEN.contains(&request.uri().path()) {
        let problem = Problem::new(StatusCode::FORBIDDEN, "not-through-the-edge", "This address is not public.");
        return Err(problem.detail("Use the service's public address."));
    }
    // Behind an edge the peer is the edge: its address says nothing about the client.
    if let Some(address) = if proven { viewer(request.headers()) } else { peer(request) } {
        let address = address.to_canonical();
        tracing::Span::current().record("client", tracing::field::display(address));
        request.extensions_mut().insert(ClientAddress(address));
    }
    // It is of no use to a handler, and must not reach a log.
    request.headers_mut().remove(PROOF);
    Ok(())
}

fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())
}

fn viewer(headers: &HeaderMap) -> Option<IpAddr> {
    let (address, _port) = headers.get(VIEWER)?.to_str().ok()?.rsplit_once(':')?;
    address.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// [`admit`] as a layer's function, for tests of routes that stand alone.
#[cfg(test)]
pub(super) fn admitting(
    secrets: OriginSecrets,
) -> impl Fn(Request) -> std::future::Ready<Result<Request, Problem>> + Clone {
    move |mut request| std::future::ready(admit(&secrets, &mut request).map(|()| request))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::{Router, body::Body, middleware::map_request, routing::get};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    const NEW: &str = "the-new-secret-of-the-edge";
    const OLD: &str = "the-old-secret-of-the-edge";

    fn app(secrets: &[&str]) -> Router {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| SecretString::from(*secret)).collect();
        let address = |request: Request| async move {
            assert!(!request.headers().contains_key(PROOF));
            request.extensions().get::<ClientAddress>().map_or_else(String::new, |address| address.0.to_string())
        };
        Router::new()
            .route("/", get(address))
            .route("/readyz", get(|| async { "ready" }))
            .layer(map_request(admitting(OriginSecrets::new(&secrets))))
    }

    async fn ask(app: Router, path: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
        let peer: SocketAddr = "10.0.0.9:1234".parse().unwrap();
        let mut request = axum::http::Request::get(path).extension(ConnectInfo(peer));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn both_secrets_of_a_rotation_open_and_nothing_else_does() {
        for secret in [NEW, OLD] {
            assert_eq!(ask(app(&[NEW, OLD]), "/", &[(PROOF, secret)]).await.0, StatusCode::OK);
        }
        let guesses: [&[(&str, &str)]; 5] = [
            &[],
            &[(PROOF, "")],
            &[(PROOF, "the-new-secret-of-the-edg")],
            &[(PROOF, "the-new-secret-of-the-edge,the-old-secret-of-the-edge")],
            &[(PROOF, "wrong"), (PROOF, NEW)],
        ];
        for guess in guesses {
            assert_eq!(ask(app(&[NEW, OLD]), "/", guess).await.0, StatusCode::FORBIDDEN, "{guess:?}");
        }
    }

    #[test]
    fn a_network_is_all_that_one_site_may_choose_from() {
        let network = |text: &str| ClientAddress(text.parse().unwrap()).network();
        assert_eq!(network("2001:db8:1::1"), network("2001:db8:1:ffff:ffff:ffff:ffff:ffff"));
        assert_ne!(network("2001:db8:1::1"), network("2001:db8:2::1"));
        assert_ne!(network("203.0.113.7"), network("203.0.113.8"));
    }

    #[tokio::test]
    async fn health_is_open_without_a_secret() {
        assert_eq!(ask(app(&[NEW]), "/readyz", &[]).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn the_viewers_address_is_believed_only_from_the_edge() {
        let claim = (VIEWER, "203.0.113.7:40000");
        assert_eq!(ask(app(&[NEW]), "/", &[(PROOF, NEW), claim]).await.1, "203.0.113.7");
        assert_eq!(ask(app(&[]), "/", &[(PROOF, NEW), claim]).await.1, "10.0.0.9");
        assert_eq!(ask(app(&[NEW]), "/", &[(PROOF, NEW), (VIEWER, "2001:db8::1:443")]).await.1, "2001:db8::1");
        for broken in ["nonsense", "203.0.113.7", ":443", ""] {
            assert_eq!(ask(app(&[NEW]), "/", &[(PROOF, NEW), (VIEWER, broken)]).await.1, "", "{broken}");
        }
    }
}

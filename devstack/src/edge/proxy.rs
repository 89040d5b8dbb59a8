//! Everything that is not a private object goes to the platform: a streaming reverse proxy that vouches for the
//! viewer's address, as CloudFront does with its secret origin header.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::answer::problem;

/// The header that proves to the platform that a request came through the edge.
pub const ORIGIN_SECRET_HEADER: &str = "x-origin-verify";
/// The header that carries the viewer's address and port, believed only together with the secret.
pub const VIEWER_ADDRESS_HEADER: &str = "cloudfront-viewer-address";

const FORWARDED_FOR: &str = "x-forwarded-for";
/// A platform on the same machine accepts at once or is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// From sending a request to the first byte of the answer; above CloudFront's and API Gateway's 30 s, so that the
/// platform's own timeouts are seen first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The methods CloudFront forwards when a behaviour allows all.
const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::PATCH, Method::POST, Method::DELETE];

/// The same, as a 405 lists them.
const ALLOW: &str = "GET,HEAD,OPTIONS,PUT,PATCH,POST,DELETE";

/// Headers that belong to one connection (RFC 9110 section 7.6.1), besides those that `Connection` lists; and
/// `Expect`, which the edge has answered itself.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The way to the platform.
#[derive(Debug)]
pub(super) struct Proxy {
    client: Client<HttpConnector, Body>,
    upstream: Authority,
    host: HeaderValue,
    secret: Option<HeaderValue>,
}

impl Proxy {
    /// `host` is the public host the platform sees; `secret` goes into [`ORIGIN_SECRET_HEADER`]. `None` when one
    /// of them cannot be a header.
    pub(super) fn new(upstream: SocketAddr, host: &str, secret: Option<&str>) -> Option<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let secret = match secret {
            None => None,
            Some(secret) => {
                let mut secret = HeaderValue::from_str(secret).ok()?;
                secret.set_sensitive(true);
                Some(secret)
            }
        };
        Some(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            upstream: upstream.to_string().parse().ok()?,
            host: HeaderValue::from_str(host).ok()?,
            secret,
        })
    }

    /// Passes the request on and the answer back, both as streams. A platform that is not up is 503 with
    /// `Retry-After`, one that breaks off 502, one that stays silent 504.
    pub(super) async fn forward(&self, mut request: Request, viewer: SocketAddr) -> Response {
        if !METHODS.contains(request.method()) {
            let mut refusal = problem(StatusCode::METHOD_NOT_ALLOWED, "The edge does not forward this method.");
            refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static(ALLOW));
            return refusal;
        }
        let target = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.upstream.clone())
            .path_and_query(request.uri().path_and_query().map_or("/", |it| it.as_str()))
            .build();
        match target {
            Ok(target) => *request.uri_mut() = target,
            Err(_) => return problem(StatusCode::BAD_REQUEST, "The request target is not valid."),
        }
        self.vouch(request.headers_mut(), viewer);

        match tokio::time::timeout(ANSWER_TIMEOUT, self.client.request(request)).await {
            Ok(Ok(answer)) => {
                let mut answer = answer.map(Body::new);
                remove_hop_by_hop(answer.headers_mut());
                answer
            }
            Ok(Err(error)) if error.is_connect() => {
                problem(StatusCode::SERVICE_UNAVAILABLE, "The platform is not up. Try again shortly.")
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the platform broke off");
                problem(StatusCode::BAD_GATEWAY, "The platform broke off.")
            }
            Err(_) => problem(StatusCode::GATEWAY_TIMEOUT, "The platform did not answer in time."),
        }
    }

    /// Makes the headers what the platform may believe: whatever the viewer sent under the edge's own names is
    /// gone, and only then the edge's values are set.
    fn vouch(&self, headers: &mut HeaderMap, viewer: SocketAddr) {
        remove_hop_by_hop(headers);
        let claimed: Vec<HeaderName> = headers.keys().filter(|name| is_edge_header(name.as_str())).cloned().collect();
        for name in claimed {
            headers.remove(name);
        }

        headers.insert(header::HOST, self.host.clone());
        if let Some(secret) = &self.secret {
            headers.insert(ORIGIN_SECRET_HEADER, secret.clone());
        }
        let address = viewer.ip().to_canonical();
        // CloudFront writes an IPv6 address without brackets: the port is what follows the last colon.
        set(headers, VIEWER_ADDRESS_HEADER, &format!("{address}:{}", viewer.port()));
        let mut forwarded_for: Vec<String> =
            headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok()).map(str::to_owned).collect();
        forwarded_for.push(address.to_string());
        set(headers, FORWARDED_FOR, &forwarded_for.join(", "));
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.remove(name);
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Header names that only CloudFront may speak, or that it removes (`X-Real-IP`, `X-Forwarded-Proto`).
fn is_edge_header(name: &str) -> bool {
    name == ORIGIN_SECRET_HEADER
        || name == "x-real-ip"
        || name == "x-forwarded-proto"
        || name.starts_with("cloudfront-")
        || name.starts_with("x-amz-cf-")
        || name.starts_with("x-edge-")
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn vouched(lines: &[(&'static str, &'static str)], viewer: &str) -> HeaderMap {
        vouched_with(Some("s3cret"), lines, viewer)
    }

    fn vouched_with(secret: Option<&str>, lines: &[(&'static str, &'static str)], viewer: &str) -> HeaderMap {
        let upstream = "127.0.0.1:1".parse().unwrap();
        let proxy = Proxy::new(upstream, "ffp.test:8080", secret).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        proxy.vouch(&mut headers, viewer.parse().unwrap());
        headers
    }

    fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_viewer_cannot_speak_for_the_edge() {
        let headers = vouched(
            &[
                ("host", "evil.test"),
                ("x-origin-verify", "guess"),
                ("x-origin-verify", "another"),
                ("cloudfront-viewer-address", "1.2.3.4:5"),
                ("cloudfront-viewer-country", "XX"),
                ("x-real-ip", "1.2.3.4"),
                ("x-forwarded-proto", "https"),
                ("connection", "close, X-Origin-Verify, CloudFront-Viewer-Address, x-custom"),
                ("x-custom", "1"),
                ("x-kept", "1"),
            ],
            "192.0.2.7:4711",
        );
        assert_eq!(values(&headers, "host"), ["ffp.test:8080"]);
        assert_eq!(values(&headers, "x-origin-verify"), ["s3cret"]);
        assert_eq!(values(&headers, "cloudfront-viewer-address"), ["192.0.2.7:4711"]);
        assert_eq!(values(&headers, "x-kept"), ["1"]);
        for gone in ["cloudfront-viewer-country", "x-real-ip", "x-forwarded-proto", "connection", "x-custom"] {
            assert_eq!(values(&headers, gone), [""; 0], "{gone}");
        }
    }

    #[tokio::test]
    async fn an_edge_without_a_secret_lets_no_secret_through() {
        let headers = vouched_with(None, &[("x-origin-verify", "guess")], "192.0.2.7:4711");
        assert_eq!(values(&headers, "x-origin-verify"), [""; 0]);
    }

    #[tokio::test]
    async fn the_viewer_is_appended_to_what_earlier_proxies_said() {
        let headers =
            vouched(&[("x-forwarded-for", "10.0.0.1, 10.0.0.2"), ("x-forwarded-for", "10.0.0.3")], "[2001:db8::1]:443");
        assert_eq!(values(&headers, "x-forwarded-for"), ["10.0.0.1, 10.0.0.2, 10.0.0.3, 2001:db8::1"]);
        assert_eq!(values(&headers, "cloudfront-viewer-address"), ["2001:db8::1:443"]);
    }

    #[tokio::test]
    async fn headers_of_one_connection_end_there() {
        let headers = vouched(
            &[
                ("te", "trailers"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "websocket"),
                ("keep-alive", "timeout=5"),
                ("proxy-authorization", "Basic eA=="),
                ("expect", "100-continue"),
                ("authorization", "Bearer x"),
            ],
            "[::ffff:192.0.2.7]:9",
        );
        for gone in HOP_BY_HOP {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!(values(&headers, "authorization"), ["Bearer x"]);
        assert_eq!(values(&headers, "cloudfront-viewer-address"), ["192.0.2.7:9"]);
    }
}

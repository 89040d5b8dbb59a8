//! The local edge: a stand-in for CloudFront on one origin.
//!
//! Paths under the configured prefixes are private objects: they need a valid CloudFront signature
//! ([`signature`]) and come from a bucket. Every other path goes to the platform, with the viewer's address and
//! the origin secret vouched for. Requests for another host are sent to the public address, because links,
//! cookies and signatures are made for that one.
//!
//! Not here: signing (the platform's), TLS, caching, and anything that knows what the objects are.

mod answer;
mod keys;
mod memory;
mod objects;
mod path;
mod policy;
mod proxy;
mod ranges;
pub mod signature;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use http::uri::Authority;
use http::{Method, StatusCode, header};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use keys::{HashAlgorithm, KeyError, KeyGroup};
pub use proxy::{ORIGIN_SECRET_HEADER, VIEWER_ADDRESS_HEADER};

use memory::Memory;
use objects::Objects;
use proxy::Proxy;

/// CloudFront's limit for path and query together, in bytes.
const MAX_TARGET_BYTES: usize = 8_192;
/// How long answers under way may still take once the edge is asked to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// What an edge needs.
#[derive(Debug)]
pub struct EdgeConfig {
    /// Where the edge listens.
    pub listen: TcpListener,
    /// The address viewers use and signatures are made for: `http` or `https`, a host, no path.
    pub public_url: Url,
    /// The platform, spoken to in plain HTTP/1.1.
    pub upstream: SocketAddr,
    /// Reads the buckets, as CloudFront's origin access control does in the cloud.
    pub s3: aws_sdk_s3::Client,
    /// Which paths are private objects, and where they are: `("videos/", "some-bucket")`. A prefix has no
    /// leading slash and ends in one; the object's key is the whole path, prefix included.
    pub prefixes: Vec<(String, String)>,
    /// The keys whose signatures open the objects; replaceable while the edge runs.
    pub keys: KeyGroup,
    /// Sent to the platform as [`ORIGIN_SECRET_HEADER`]; whatever viewers send there is always removed.
    pub origin_secret: Option<String>,
}

/// Why an edge could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// The public URL is not `http(s)://host[:port]`.
    #[error("`{0}` cannot be the edge's public URL: give http(s)://host[:port] without a path")]
    PublicUrl(Url),
    /// A prefix begins with a slash or does not end with one.
    #[error("`{0}` cannot be a prefix of object paths: give something like `videos/`")]
    Prefix(String),
    /// The origin secret holds characters that a header cannot.
    #[error("the origin secret cannot be sent as a header")]
    OriginSecret,
    /// A key is not one CloudFront would take.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The listener failed.
    #[error("the edge stopped listening: {0}")]
    Listen(#[from] std::io::Error),
}

/// A running edge's parts, shared by all requests.
#[derive(Debug)]
pub struct Edge {
    /// The public origin, `scheme://host[:port]`.
    origin: String,
    public: PublicHost,
    objects: Objects,
    proxy: Proxy,
}

#[derive(Debug)]
struct PublicHost {
    host: String,
    port: u16,
    default_port: u16,
}

impl PublicHost {
    /// Host and port of the public URL, a default port spelt out or not; no user name.
    fn is(&self, authority: &str) -> bool {
        let Ok(given) = authority.parse::<Authority>() else {
            return false;
        };
        let port = match authority.strip_prefix(given.host()) {
            Some("") => Some(self.default_port),
            Some(rest) => rest.strip_prefix(':').and_then(|port| port.parse().ok()),
            None => None,
        };
        given.host().eq_ignore_ascii_case(&self.host) && port == Some(self.port)
    }
}

impl Edge {
    /// Serves until `shutdown` resolves, then lets answers under way finish for up to 5 seconds.
    ///
    /// # Errors
    /// [`EdgeError`] when the configuration contradicts itself or the listener fails.
    pub async fn serve(
        config: EdgeConfig,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), EdgeError> {
        let (listener, edge) = Self::assemble(config)?;
        edge.listen(listener, shutdown).await
    }

    /// The same as an edge that does not ask again which path a signature was for.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    #[cfg(feature = "sabotage")]
    pub async fn serve_believing(
        config: EdgeConfig,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), EdgeError> {
        let (listener, mut edge) = Self::assemble(config)?;
        edge.objects.memory = Memory::without_paths();
        edge.listen(listener, shutdown).await
    }

    async fn listen(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), EdgeError> {
        let listener = listener.tap_io(|connection| {
            if let Err(error) = connection.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
        });
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::new(self))
            .into_make_service_with_connect_info::<SocketAddr>();
        let stopping = CancellationToken::new();
        let server =
            axum::serve(listener, app).with_graceful_shutdown(stopping.clone().cancelled_owned()).into_future();
        tokio::select! {
            stopped = server => stopped.map_err(EdgeError::Listen),
            () = async {
                shutdown.await;
                stopping.cancel();
                tokio::time::sleep(DRAIN).await;
            } => Ok(()),
        }
    }

    fn assemble(config: EdgeConfig) -> Result<(TcpListener, Self), EdgeError> {
        let url = config.public_url;
        let bare = matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let (Some(host), Some(port), true) = (url.host_str(), url.port_or_known_default(), bare) else {
            return Err(EdgeError::PublicUrl(url));
        };
        let public =
            PublicHost { host: host.to_owned(), port, default_port: if url.scheme() == "https" { 443 } else { 80 } };
        for (prefix, _) in &config.prefixes {
            if prefix.starts_with('/') || !prefix.ends_with('/') {
                return Err(EdgeError::Prefix(prefix.clone()));
            }
        }
        let origin = url.origin().ascii_serialization();
        let authority = origin.split_once("://").map_or(host, |(_, rest)| rest);
        let proxy =
            Proxy::new(config.upstream, authority, config.origin_secret.as_deref()).ok_or(EdgeError::OriginSecret)?;
        let edge = Self {
            public,
            proxy,
            objects: Objects {
                s3: config.s3,
                prefixes: config.prefixes,
                keys: config.keys,
                origin: origin.clone(),
                memory: Memory::new(),
            },
            origin,
        };
        Ok((config.listen, edge))
    }

    /// Whether the request is for the public address. An absolute request target outranks the Host header
    /// (RFC 9112 section 3.2.2); two Host headers are for nobody.
    fn is_addressed(&self, request: &Request) -> bool {
        if let Some(authority) = request.uri().authority() {
            return self.public.is(authority.as_str());
        }
        let mut hosts = request.headers().get_all(header::HOST).iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().is_ok_and(|host| self.public.is(host)),
            _ => false,
        }
    }
}

/// The one handler: right host, then object or platform.
async fn answer(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(viewer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let target = request.uri().path_and_query().map_or("/", |it| it.as_str());
    if target.len() > MAX_TARGET_BYTES {
        return answer::problem(StatusCode::URI_TOO_LONG, "Path and query are limited to 8192 bytes.");
    }
    if !edge.is_addressed(&request) {
        return if matches!(*request.method(), Method::GET | Method::HEAD) && target.starts_with('/') {
            answer::redirect(&format!("{}{target}", edge.origin))
        } else {
            answer::problem(StatusCode::MISDIRECTED_REQUEST, "This address is not served here; use the public one.")
        };
    }
    match edge.objects.bucket_for(request.uri().path()) {
        Some(bucket) => {
            let (parts, _) = request.into_parts();
            edge.objects.answer(&parts, bucket, viewer.ip()).await
        }
        None => edge.proxy.forward(request, viewer).await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    async fn config(public_url: &str) -> EdgeConfig {
        let s3 = aws_sdk_s3::Config::builder().behavior_version(aws_sdk_s3::config::BehaviorVersion::latest()).build();
        EdgeConfig {
            listen: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            public_url: public_url.parse().unwrap(),
            upstream: "127.0.0.1:1".parse().unwrap(),
            s3: aws_sdk_s3::Client::from_conf(s3),
            prefixes: vec![("videos/".to_owned(), "bucket".to_owned())],
            keys: KeyGroup::default(),
            origin_secret: None,
        }
    }

    #[tokio::test]
    async fn only_the_public_host_and_port_are_the_public_address() {
        for (url, good, bad) in [
            (
                "http://ffp.test",
                &["ffp.test", "FFP.test:80"][..],
                &["ffp.test:8080", "ffp.test:", "ffp.test:99999", "ffp.test.", "a@ffp.test", ""][..],
            ),
            ("https://ffp.test", &["ffp.test", "ffp.test:443"], &["ffp.test:80", "x.ffp.test"]),
            ("http://[::1]:8080", &["[::1]:8080"], &["[::1]", "::1:8080", "127.0.0.1:8080"]),
        ] {
            let (_, edge) = Edge::assemble(config(url).await).unwrap();
            for host in good {
                assert!(edge.public.is(host), "{host} is {url}");
            }
            for host in bad {
                assert!(!edge.public.is(host), "{host} is not {url}");
            }
        }
    }

    #[tokio::test]
    async fn a_contradictory_configuration_is_refused() {
        for url in ["ftp://ffp.test", "http://ffp.test/app", "http://u@ffp.test", "http://ffp.test/?x"] {
            let refused = Edge::assemble(config(url).await).unwrap_err();
            assert!(matches!(refused, EdgeError::PublicUrl(_)), "{url}");
        }
        for prefix in ["/videos/", "videos", ""] {
            let mut config = config("http://ffp.test").await;
            config.prefixes[0].0 = prefix.to_owned();
            let refused = Edge::assemble(config).unwrap_err();
            assert!(matches!(refused, EdgeError::Prefix(_)), "{prefix}");
        }
        let mut config = config("http://ffp.test").await;
        config.origin_secret = Some("two\nlines".to_owned());
        assert!(matches!(Edge::assemble(config).unwrap_err(), EdgeError::OriginSecret));
    }
}

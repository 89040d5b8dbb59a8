//! A running edge on a free port, and clients for it.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use devstack::edge::{Edge, EdgeConfig, EdgeError, KeyGroup};
use devstack::ministack::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::signing::Signer;

pub(crate) const BUCKET: &str = "videos-of-the-edge-test";
pub(crate) const SECRET: &str = "origin-secret-of-the-test";

pub(crate) struct RunningEdge {
    pub(crate) address: SocketAddr,
    pub(crate) origin: String,
    pub(crate) signer: Signer,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), EdgeError>>,
}

impl RunningEdge {
    /// An edge between this platform and this object store.
    pub(crate) async fn start(upstream: SocketAddr, s3: aws_sdk_s3::Client) -> Self {
        let listen = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listen.local_addr().unwrap();
        let origin = format!("http://{address}");
        let signer = Signer::ecdsa("KTEST");
        let config = EdgeConfig {
            listen,
            public_url: origin.parse().unwrap(),
            upstream,
            s3,
            prefixes: vec![
                ("videos/".to_owned(), BUCKET.to_owned()),
                ("progress-photos/".to_owned(), "a-bucket-that-is-not-there".to_owned()),
            ],
            keys: KeyGroup::from_pems([signer.public()]).unwrap(),
            origin_secret: Some(SECRET.to_owned()),
        };
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(Edge::serve(config, async {
            let _ = stopped.await;
        }));
        Self { address, origin, signer, stop, served }
    }

    /// A canned URL for a path, good for ten minutes.
    pub(crate) fn signed(&self, path: &str) -> String {
        let url = format!("{}{path}", self.origin);
        let query = self.signer.canned(&url, soon());
        let separator = if path.contains('?') { '&' } else { '?' };
        format!("{url}{separator}{query}")
    }

    /// Sends bytes as they are and reads until the edge closes, so that nothing on the way tidies up the request.
    pub(crate) async fn raw(&self, request: &str) -> String {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Asks the edge to stop and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }
}

/// Ten minutes from now, in seconds since the epoch.
pub(crate) fn soon() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 600
}

/// A client that shows redirects instead of following them.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

/// An S3 client for an emulator.
pub(crate) fn s3(endpoint: &str) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "test"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

/// An address where nobody listens.
pub(crate) async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

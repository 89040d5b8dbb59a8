//! Accepting connections, what one connection may cost, and letting go of them.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a request's head may take to arrive, and how long a connection may stay idle. Above the 60 s for which the
/// usual proxies keep idle connections: the end of a connection is theirs to choose, or requests get lost.
const HEAD_LIMIT: Duration = Duration::from_secs(75);
/// Header lines of one request; CloudFront and a browser together send about 40.
const MAX_HEADERS: usize = 100;
/// Bytes of a request's head, above CloudFront's own limit of 20,480; more is 431.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Connections open at once. Beyond it new ones wait, instead of using up the process's file descriptors.
const MAX_CONNECTIONS: usize = 4096;
/// Pause after the system refused a connection, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is cancelled; then accepts nothing more, tells clients that connections close, and lets
/// requests in flight finish within `drain`.
pub(super) async fn serve(listener: TcpListener, app: Router, stop: CancellationToken, drain: Duration) {
    let graceful = GracefulShutdown::new();
    let open = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &open) => accepted,
            () = stop.cancelled() => break,
        };
        let Some((stream, peer, permit)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let app = app.clone();
        let service = service_fn(move |request: http::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let app = app.clone();
            async move { Ok::<_, Infallible>(app.oneshot(request).await.unwrap_or_else(|never| match never {})) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_LIMIT)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            drop(permit);
        });
    }
    drop(listener);
    if timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight after {} s and are cut off", drain.as_secs());
    }
}

async fn accept(
    listener: &TcpListener,
    open: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(open).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are small and whole; waiting to fill a packet would only delay them.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, permit))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection was not accepted");
            None
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::mpsc,
        task::JoinHandle,
    };

    use super::*;

    struct Server {
        address: SocketAddr,
        stop: CancellationToken,
        task: JoinHandle<()>,
        /// Hears of each request to `/held`, and lets them go by being dropped.
        arrived: mpsc::Receiver<()>,
        release: Arc<Semaphore>,
    }

    async fn server(drain: Duration) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrive, arrived) = mpsc::channel(8);
        let release = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&release);
        let app = Router::new().route("/", get(|| async { "here" })).route(
            "/held",
            get(move || async move {
                arrive.send(()).await.unwrap();
                let _permit = held.acquire().await;
                "finished"
            }),
        );
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, app, stop.clone(), drain));
        Server { address, stop, task, arrived, release }
    }

    async fn send(address: SocketAddr, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Everything until the server closes the connection.
    async fn read(mut stream: TcpStream) -> String {
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text).await;
        String::from_utf8_lossy(&text).into_owned()
    }

    #[tokio::test]
    async fn a_request_in_flight_finishes_while_nothing_new_is_accepted() {
        let mut server = server(Duration::from_secs(60)).await;
        let in_flight = send(server.address, "GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
        server.arrived.recv().await.unwrap();

        server.stop.cancel();
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        let early = timeout(Duration::from_millis(50), &mut server.task).await;
        assert!(early.is_err(), "it waits for the request");
        server.release.add_permits(1);

        assert!(read(in_flight).await.ends_with("finished"));
        server.task.await.unwrap();
    }

    #[tokio::test]
    async fn idle_connections_are_closed_when_draining() {
        let server = server(Duration::from_secs(60)).await;
        let mut idle = send(server.address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut first = [0; 4];
        idle.read_exact(&mut first).await.unwrap();
        server.stop.cancel();
        server.task.await.unwrap();
        assert!(read(idle).await.ends_with("here"));
    }

    #[tokio::test]
    async fn a_request_that_does_not_end_is_cut_off_after_the_limit() {
        let mut server = server(Duration::ZERO).await;
        let _in_flight = send(server.address, "GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
        server.arrived.recv().await.unwrap();
        server.stop.cancel();
        server.task.await.unwrap();
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let server = server(Duration::ZERO).await;
        let much = "x".repeat(2 * MAX_HEAD_BYTES);
        let large = send(server.address, &format!("GET / HTTP/1.1\r\nhost: x\r\na: {much}\r\n\r\n")).await;
        assert!(read(large).await.starts_with("HTTP/1.1 431"));
        let lines = "a: b\r\n".repeat(MAX_HEADERS + 1);
        let many = send(server.address, &format!("GET / HTTP/1.1\r\nhost: x\r\n{lines}\r\n")).await;
        assert!(read(many).await.starts_with("HTTP/1.1 431"));
    }
}

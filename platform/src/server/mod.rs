//! The public port: from a TCP connection to the features' routes and back.
//!
//! | File | Holds |
//! |---|---|
//! | `startup.rs` | the database is there and safe, or nothing is served |
//! | `connections.rs` | accepting, limits of a connection, draining |
//! | `assemble.rs` | all routes and the layers around them, in order |
//! | `origin.rs` | who came through the edge, and from where |
//! | `burst.rs` | how much one network may ask without a valid token |
//! | `observe.rs` | the span, the log line and the metrics of a request |
//! | `layers.rs` | limits, panics, headers, and that every refusal is a problem document |
//! | `public.rs` | the index, the documentation, health |
//!
//! While the database is away at start, the port answers: alive, not ready, and 503 to everything else. An unsafe
//! database ends the start with its defects by name.

mod assemble;
mod burst;
mod connections;
mod health;
mod layers;
mod observe;
mod origin;
mod public;
pub mod startup;

use std::{io, net::SocketAddr, pin::pin, time::Duration};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use assemble::{MAX_BODY_BYTES, REQUEST_LIMIT, router, router_with};
pub use health::Health;
pub(crate) use origin::PROOF as ORIGIN_HEADER;
pub use origin::{Client, ClientAddress};
pub use public::document;

use crate::{Platform, config::HttpConfig, usage::Keeper};

/// How long requests in flight may take once nothing new is accepted. With the delay before it this fits into the 30
/// s that container services leave between SIGTERM and SIGKILL.
pub(crate) const DRAIN_LIMIT: Duration = Duration::from_secs(25);

/// Why the server did not start or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can't be had.
    #[error("cannot listen on {addr}: {source}; stop what uses it or set FFP_HTTP_ADDR to another address")]
    Listen {
        /// The wanted address.
        addr: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The database must not be served from.
    #[error(transparent)]
    Unsafe(#[from] startup::UnsafeDatabase),
}

/// Serves the product at `config.addr` until `shutdown` resolves, then drains: readiness says no, after
/// `config.drain_delay` nothing new is accepted, and requests in flight get 25 s.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    platform: Platform,
    config: &HttpConfig,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let listener = TcpListener::bind(config.addr).await;
    let listener = listener.map_err(|source| ServeError::Listen { addr: config.addr, source })?;
    serve_on(listener, platform, config, shutdown).await
}

/// [`serve`], on a listener that exists already.
///
/// # Errors
/// [`ServeError`].
pub async fn serve_on(
    listener: TcpListener,
    platform: Platform,
    config: &HttpConfig,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let health = Health::starting(platform.tenants.clone());
    let app = router(platform.clone(), config, health.clone());
    let accept = CancellationToken::new();
    // Ends the accepting task also when this future is dropped.
    let _stop = accept.clone().drop_guard();
    let connections = tokio::spawn(connections::serve(listener, app, accept.clone(), DRAIN_LIMIT));
    tracing::info!(addr = %config.addr, public_url = %config.public_url, "listening");

    let mut shutdown = pin!(shutdown);
    let checked = tokio::select! {
        checked = startup::check(&platform.tenants, |reason| health.waiting(reason)) => checked,
        () = &mut shutdown => Ok(()),
    };
    checked?;
    health.serve();
    tracing::info!("ready");
    let keeper = Keeper::start(&platform.tenants);
    shutdown.await;

    tracing::info!("draining");
    health.drain();
    tokio::time::sleep(config.drain_delay).await;
    accept.cancel();
    if let Err(error) = connections.await {
        tracing::error!(%error, "connections were not drained");
    }
    keeper.stop().await;
    platform.tenants.close().await;
    Ok(())
}

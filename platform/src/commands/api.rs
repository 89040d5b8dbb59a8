//! `platform api`: the public port, and the internal one.

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::{config::Config, server, telemetry::metrics::InternalPort};

/// Serves until `stop` resolves, and drains.
///
/// # Errors
/// An address that can't be had, settings that make no platform, or an unsafe database.
pub async fn run(config: &Config, stop: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
    let addr = config.http.metrics_addr;
    let internal = InternalPort::bind(addr).await;
    let internal = internal.with_context(|| format!("cannot listen on FFP_METRICS_ADDR, which is {addr}"))?;
    let done = CancellationToken::new();
    // The internal port stays until the last request is answered.
    let _done = done.clone().drop_guard();
    tokio::spawn(internal.serve(done));
    let platform = config.platform().await?;
    server::serve(platform, &config.http, stop).await?;
    Ok(())
}

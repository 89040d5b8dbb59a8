//! `platform worker`: runs background jobs; of ports it has the internal one only.

use std::pin::pin;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::{Platform, config::Config, jobs, server::startup, telemetry::metrics::InternalPort, usage::Keeper};

/// Works until `stop` resolves; jobs in flight get their grace period.
///
/// # Errors
/// An address that can't be had, settings that make no platform, an unsafe database, or a queue that can't be read.
pub async fn run(config: &Config, stop: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
    let addr = config.http.metrics_addr;
    let internal = InternalPort::bind(addr).await;
    let internal = internal.with_context(|| format!("cannot listen on FFP_METRICS_ADDR, which is {addr}"))?;
    let done = CancellationToken::new();
    let _done = done.clone().drop_guard();
    tokio::spawn(internal.serve(done));
    work(&config.platform().await?, config.worker_concurrency, stop).await
}

/// [`run`], without the internal port.
///
/// # Errors
/// An unsafe database, or a queue that can't be read.
pub async fn work(
    platform: &Platform,
    concurrency: usize,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let mut stop = pin!(stop);
    let start = async {
        startup::check(&platform.tenants, |_| ()).await?;
        anyhow::Ok(jobs::worker(platform, concurrency).await?)
    };
    let worker = tokio::select! {
        worker = start => worker?,
        () = &mut stop => return Ok(()),
    };
    tracing::info!(concurrency, "working");
    let keeper = Keeper::start(&platform.tenants);
    let worked = worker.run(stop).await;
    keeper.stop().await;
    worked?;
    platform.tenants.close().await;
    Ok(())
}

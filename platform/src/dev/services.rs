//! The product's processes, here as tasks of one: API, worker, and the internal port; and the edge before them.

use std::{io, net::SocketAddr};

use anyhow::Context;
use devstack::{
    edge::{Edge, EdgeConfig, KeyGroup},
    ministack::MiniStack,
};
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    Stop,
    provision::{PHOTOS, Provisioned, VIDEOS},
    settings::Settings,
};
use crate::{commands::worker, config::Config, secrets::Variables, server, telemetry::metrics::InternalPort};

/// The ports that others come to, taken before anything is started: a taken one ends the start at once.
pub(super) struct Listeners {
    edge: TcpListener,
    internal: InternalPort,
}

impl Listeners {
    /// Takes them.
    pub(super) async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let edge = TcpListener::bind(settings.edge_addr).await;
        let edge = edge.map_err(|error| taken(&error, settings.edge_addr, "the edge", "FFP_HTTP_ADDR"))?;
        let internal = InternalPort::bind(settings.metrics_addr).await;
        let internal = internal.map_err(|error| taken(&error, settings.metrics_addr, "metrics", "FFP_METRICS_ADDR"))?;
        Ok(Self { edge, internal })
    }
}

fn taken(error: &io::Error, addr: SocketAddr, wanted_by: &str, variable: &str) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "{addr}, wanted by {wanted_by}, is taken: stop the program that uses it or set {variable} to a free address"
        ),
        _ => anyhow::anyhow!("{wanted_by} cannot listen on {addr} ({error}): set {variable} to another address"),
    }
}

/// The running tasks.
#[derive(Default)]
pub(super) struct Services {
    tasks: JoinSet<anyhow::Result<()>>,
    stop: Stop,
}

impl Services {
    /// Starts them. The API listens on a port of its own choice, known to the edge alone.
    pub(super) async fn start(
        &mut self,
        settings: &Settings,
        provisioned: &Provisioned,
        ministack: &MiniStack,
        listeners: Listeners,
    ) -> anyhow::Result<()> {
        let api = TcpListener::bind(("127.0.0.1", 0)).await?;
        let upstream = api.local_addr()?;
        let mut environment = provisioned.environment.clone();
        environment.set("FFP_HTTP_ADDR", upstream.to_string());
        let variables = Variables::load(|name: &str| environment.get(name)).await?;
        let config = Config::read(&|name| variables.get(name))?;

        // As in production each has its own pools: the API closing its own must not end the worker's jobs.
        let (platform, workers) = (config.platform().await?, config.platform().await?);
        let stop = self.stop.clone();
        let http = config.http.clone();
        self.tasks.spawn(async move { Ok(server::serve_on(api, platform, &http, stop.cancelled()).await?) });
        let stop = self.stop.clone();
        self.tasks.spawn(async move { worker::work(&workers, config.worker_concurrency, stop.cancelled()).await });
        let internal = listeners.internal.serve(self.stop.clone());
        self.tasks.spawn(async move {
            internal.await;
            Ok(())
        });
        let edge = EdgeConfig {
            listen: listeners.edge,
            public_url: settings.public_url.clone(),
            upstream,
            s3: provisioned.aws.s3(&provisioned.aws.sdk().await),
            prefixes: vec![
                ("videos/".to_owned(), VIDEOS.to_owned()),
                ("progress-photos/".to_owned(), PHOTOS.to_owned()),
            ],
            keys: KeyGroup::from_pems([(&*provisioned.edge.key_id, &provisioned.edge.public_pem)])?,
            origin_secret: Some(provisioned.edge.origin_secret.clone()),
        };
        let stop = self.stop.clone();
        self.tasks.spawn(async move { Ok(Edge::serve(edge, stop.cancelled_owned()).await?) });
        tracing::info!(%upstream, aws = ministack.endpoint(), "services started");
        Ok(())
    }

    /// Resolves when one of them ends, which none should.
    pub(super) async fn ended(&mut self) -> anyhow::Result<()> {
        match self.tasks.join_next().await {
            Some(Ok(outcome)) => outcome.and_then(|()| anyhow::bail!("a service ended by itself")),
            Some(Err(panic)) => Err(panic).context("a service panicked"),
            None => anyhow::bail!("no service was started"),
        }
    }

    /// Drains and ends them.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended.map_err(anyhow::Error::from).flatten() {
                tracing::warn!(error = format!("{error:#}"), "a service ended badly");
            }
        }
    }
}

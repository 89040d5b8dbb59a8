//! What the running program tells: log lines, traces, metrics.
//!
//! Log lines are JSON, one object each, with the fields of all surrounding spans (request id, tenant, member, route)
//! beside their own. Traces leave by OTLP only when an endpoint is configured. Metrics are read at the internal port.

mod failures;
mod json;
mod lines;
pub mod metrics;
mod redact;

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal},
    path::PathBuf,
    time::Duration,
};

use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};
use url::Url;

pub use json::JsonLines;
pub use lines::Lines;

use crate::config::TelemetryConfig;

/// The queue repeats what the worker says about a failed job, with the job's payload.
const QUIET: &str = "graphile_worker::runner::release=off";

/// How long traces may take to leave when the program ends.
const FLUSH: Duration = Duration::from_secs(5);

/// Where log lines go.
#[derive(Clone, Debug)]
pub enum LogOutput {
    /// To standard output, as containers do it.
    Stdout,
    /// To a file that is appended to; warnings and errors also to standard error, in a form for people.
    File(PathBuf),
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log file can't be opened.
    #[error("cannot write the log file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The thread that writes the log can't be had.
    #[error("cannot write the log: {0}")]
    Thread(io::Error),
    /// The exporter of traces can't be made.
    #[error("traces can't be sent to OTEL_EXPORTER_OTLP_ENDPOINT: {0}")]
    Exporter(String),
    /// Something else in this process writes the log already.
    #[error("the log is written by somebody else already")]
    Twice,
}

/// Running telemetry; give it to [`Telemetry::stop`] before the program ends, or the last traces are lost. The last log
/// lines are written also when it is dropped.
#[must_use]
#[derive(Debug)]
pub struct Telemetry {
    lines: Lines,
    traces: Option<SdkTracerProvider>,
}

/// Starts logging, traces and metrics for the whole process; panics are logged too.
///
/// # Errors
/// [`TelemetryError`].
pub fn start(config: &TelemetryConfig, output: &LogOutput) -> Result<Telemetry, TelemetryError> {
    metrics::install();
    let traces = config.otlp_endpoint.as_ref().map(|endpoint| exporter(endpoint, &config.environment)).transpose()?;
    // The exporter's own HTTP client must not trace itself.
    let spans = traces.as_ref().map(|provider| {
        let filter = EnvFilter::new("info,hyper=off,hyper_util=off,reqwest=off,opentelemetry=off");
        tracing_opentelemetry::layer().with_tracer(provider.tracer("platform")).with_filter(filter)
    });
    let filter = EnvFilter::new(format!("{QUIET},{}", config.filter));
    let (lines, people) = match output {
        LogOutput::Stdout => (Lines::to(io::stdout()), None),
        LogOutput::File(path) => {
            let people = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
            let people = people.with_target(false).compact();
            (Lines::to(open(path)?), Some(people.with_filter(EnvFilter::new(format!("warn,{QUIET}")))))
        }
    };
    let lines = lines.map_err(TelemetryError::Thread)?;
    let json = JsonLines::new(lines.clone()).with_filter(filter);
    let subscriber = tracing_subscriber::registry().with(json).with(people).with(spans);
    subscriber.try_init().map_err(|_| TelemetryError::Twice)?;
    log_panics();
    Ok(Telemetry { lines, traces })
}

impl Telemetry {
    /// Sends what traces are left, for 5 s at most.
    pub async fn stop(mut self) {
        if let Some(traces) = self.traces.take() {
            let stopped = tokio::task::spawn_blocking(move || traces.shutdown_with_timeout(FLUSH)).await;
            if let Ok(Err(error)) = stopped {
                tracing::warn!(%error, "the last traces were lost");
            }
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.lines.flush();
    }
}

fn open(path: &PathBuf) -> Result<File, TelemetryError> {
    let options = || {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        OpenOptions::new().create(true).append(true).open(path)
    };
    options().map_err(|source| TelemetryError::File { path: path.clone(), source })
}

/// OTLP over HTTP in protobuf, in batches, from a thread of its own.
fn exporter(endpoint: &Url, environment: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/')))
        .with_timeout(FLUSH)
        .build()
        .map_err(|error| TelemetryError::Exporter(error.to_string()))?;
    let resource = Resource::builder()
        .with_service_name("ffp-platform")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("deployment.environment.name", environment.to_owned()))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// Panics become log lines with the place they came from. The hook runs inside the request's span, so the line has
/// the request's fields.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let cause = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        tracing::error!(location, cause, "panic");
    }));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
    use tokio::{net::TcpListener, sync::mpsc};

    use super::*;

    type Collected = mpsc::Sender<(HeaderMap, Bytes)>;

    async fn collect(State(collected): State<Collected>, headers: HeaderMap, body: Bytes) {
        collected.send((headers, body)).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_traced_has_reached_the_collector_when_telemetry_has_stopped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let (sender, mut collected) = mpsc::channel(8);
        let app = Router::new().route("/v1/traces", post(collect)).with_state(sender);
        tokio::spawn(async { axum::serve(listener, app).await });

        let traces = exporter(&endpoint, "some-environment").unwrap();
        let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info_span!("http.request", otel.name = "GET /some/{route}").in_scope(|| ());
        });
        Telemetry { lines: Lines::to(io::sink()).unwrap(), traces: Some(traces) }.stop().await;

        let (headers, body) = collected.try_recv().unwrap();
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(body.contains("GET /some/{route}") && body.contains("some-environment"));
    }
}

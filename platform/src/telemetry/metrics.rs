//! Metrics: what is measured, and the internal port where Prometheus and liveness probes come by.
//!
//! Labels are route templates, methods, statuses and fingerprints, all bounded. Nothing is labelled by tenant.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{LazyLock, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use axum::{Router, http::header, routing::get};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Requests answered, by method, route template and status.
pub const REQUESTS: &str = "http_requests_total";
/// Seconds until the answer's head, by the same labels.
pub const DURATION: &str = "http_request_duration_seconds";
/// Requests being answered now.
pub const IN_FLIGHT: &str = "http_requests_in_flight";
/// Panics, 5xx answers and other errors, by fingerprint.
pub const FAILURES: &str = "failures_total";

/// Upper bounds of the duration's buckets, in seconds: from a cached read to the request's limit.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// How often the recorder folds samples into its histograms.
const UPKEEP: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the process's recorder; repeating it is fine.
pub fn install() {
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Full(DURATION.to_owned()), &BUCKETS);
        let recorder = builder.and_then(PrometheusBuilder::install_recorder).ok()?;
        metrics::describe_counter!(REQUESTS, "Requests answered");
        metrics::describe_histogram!(DURATION, metrics::Unit::Seconds, "Time until the answer's head");
        metrics::describe_gauge!(IN_FLIGHT, "Requests being answered");
        metrics::describe_counter!(FAILURES, "Panics, 5xx answers and other errors, by fingerprint");
        metrics::gauge!("build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Some(recorder)
    });
}

/// The metrics of answers of one kind.
#[derive(Clone)]
struct Answers {
    requests: Counter,
    duration: Histogram,
}

/// By route, then by method and status.
type Kinds = HashMap<String, HashMap<(&'static str, u16), Answers>>;

/// The kinds of answers there were: making a metric takes longer than counting.
static KINDS: LazyLock<RwLock<Kinds>> = LazyLock::new(RwLock::default);

/// Counts an answer and the seconds that it took.
pub fn answered(method: &'static str, route: &str, status: u16, seconds: f64) {
    let known = KINDS.read().unwrap_or_else(PoisonError::into_inner);
    let kind = known.get(route).and_then(|kinds| kinds.get(&(method, status)).cloned());
    drop(known);
    let kind = kind.unwrap_or_else(|| {
        let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
        let kind = Answers { requests: counter!(REQUESTS, &labels), duration: histogram!(DURATION, &labels) };
        // What was made before the recorder was installed counts nothing.
        if RECORDER.get().is_some() {
            let mut kinds = KINDS.write().unwrap_or_else(PoisonError::into_inner);
            kinds.entry(route.to_owned()).or_default().insert((method, status), kind.clone());
        }
        kind
    });
    kind.requests.increment(1);
    kind.duration.record(seconds);
}

/// Counts a request as long as it lives, also when its client gives up.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl InFlight {
    /// One more.
    pub fn begin() -> Self {
        let gauge = gauge!(IN_FLIGHT);
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// All metrics in Prometheus' text format; empty before [`install`].
pub fn render() -> String {
    RECORDER.get().and_then(Option::as_ref).map(PrometheusHandle::render).unwrap_or_default()
}

/// The internal port. Its listener is bound when this exists.
#[derive(Debug)]
pub struct InternalPort(TcpListener);

impl InternalPort {
    /// Listens on `FFP_METRICS_ADDR`.
    ///
    /// # Errors
    /// The address can't be had.
    pub async fn bind(addr: SocketAddr) -> std::io::Result<Self> {
        TcpListener::bind(addr).await.map(Self)
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Answers `/metrics` and `/livez` until `stop` is cancelled.
    pub async fn serve(self, stop: CancellationToken) {
        let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
        let router = Router::new()
            .route("/metrics", get(move || async move { (text, render()) }))
            .route("/livez", get(|| async { "ok\n" }));
        let server = axum::serve(self.0, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        let upkeep = async {
            loop {
                tokio::time::sleep(UPKEEP).await;
                if let Some(recorder) = RECORDER.get().and_then(Option::as_ref) {
                    recorder.run_upkeep();
                }
            }
        };
        tokio::select! {
            outcome = server.into_future() => {
                if let Err(error) = outcome {
                    tracing::error!(%error, "the internal port failed");
                }
            }
            () = upkeep => {}
            // A scraper that keeps its connection does not hold the program up.
            () = stop.cancelled() => {}
        }
    }
}

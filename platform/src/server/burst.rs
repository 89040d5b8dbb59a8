//! How much one network may ask without a valid token: `tower_governor` in front of the public routes and of addresses that
//! are none, and on the same account whoever turns out to be a stranger on the routes of members and operators.
//!
//! The network is that of the address which `origin.rs` found, which no header of the client's can change. Each instance
//! counts by itself: this keeps a flood off, and is no account of anything.
//!
//! What a token is worth shows only after a signature was verified, which is what a flood of made-up ones costs us. So a
//! network that a stranger finds without anything left is noted until it has something again, and till then its requests
//! are refused before that, but for those whose token this instance has found valid before: nobody at work is stopped by
//! what others send from the same address. A valid token that is new here can't be told from a made-up one. It waits like
//! the others, a fraction of a second as a rule, and is in nobody's way from its first answer on.

use std::{
    net::IpAddr,
    ops::Deref,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{Extensions, Request, StatusCode},
    response::{IntoResponse, Response},
};
use governor::{clock::Clock, middleware::NoOpMiddleware};
use moka::sync::Cache;
use tenants::{
    Tenants,
    http::{Problem, Stranger, is_known},
};
use tower_governor::{
    GovernorError, GovernorLayer,
    governor::{GovernorConfig, GovernorConfigBuilder, SharedRateLimiter},
    key_extractor::KeyExtractor,
};

use super::ClientAddress;

/// How often addresses are forgotten that have been quiet for long enough.
const SWEEP: Duration = MINUTE;
const MINUTE: Duration = Duration::from_secs(60);
/// Networks without anything left that are noted at most; of one more nothing is known, and its tokens are verified.
const NOTED: u64 = 100_000;

type Limiter = <SharedRateLimiter<Option<IpAddr>, NoOpMiddleware> as Deref>::Target;

/// The client's network. All whose address is unknown share one allowance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Network;

impl KeyExtractor for Network {
    type Key = Option<IpAddr>;

    fn extract<T>(&self, request: &Request<T>) -> Result<Self::Key, GovernorError> {
        Ok(network(request.extensions()))
    }
}

/// What all networks have left. Clones share it.
#[derive(Clone)]
pub(super) struct Bursts {
    limit: u32,
    config: Arc<GovernorConfig<Network, NoOpMiddleware>>,
    /// Networks that a stranger found with nothing left, and until when.
    spent: Cache<Option<IpAddr>, Instant>,
}

impl Bursts {
    /// Each network may send `per_minute` requests at once, and as many per minute, spread evenly; beyond it is 429.
    pub(super) fn per_minute(limit: u32) -> Self {
        let limit = limit.max(1);
        let mut builder = GovernorConfigBuilder::default().key_extractor(Network);
        builder.period(MINUTE / limit).burst_size(limit);
        // None only for a period or a burst of nothing.
        let config = builder.finish().unwrap_or_else(|| unreachable!("{limit} per minute is something"));
        tokio::spawn(sweep(Arc::downgrade(config.limiter()), SWEEP));
        // Nothing is spent for longer than a token takes to come back.
        let spent = Cache::builder().max_capacity(NOTED).time_to_live(MINUTE).build();
        Self { limit, config: Arc::new(config), spent }
    }

    /// Counts every request to what is behind it.
    pub(super) fn layer(&self) -> GovernorLayer<Network, NoOpMiddleware, Body> {
        let limit = self.limit;
        GovernorLayer::new(Arc::clone(&self.config)).error_handler(move |error| match error {
            GovernorError::TooManyRequests { wait_time, .. } => refused(limit, wait_time),
            GovernorError::UnableToExtractKey | GovernorError::Other { .. } => Problem::internal().into_response(),
        })
    }

    /// Counts a request to `next` if its answer is a [`Stranger`]'s, and refuses it if there is nothing left: before
    /// `next`, where that is known and the request's token is not.
    pub(super) async fn count_strangers<F>(&self, tenants: &Tenants, request: Request<Body>, next: F) -> Response
    where
        F: AsyncFnOnce(Request<Body>) -> Response,
    {
        let network = network(request.extensions());
        if let Some(until) = self.spent.get(&network)
            && let Some(wait) = until.checked_duration_since(Instant::now())
            && !is_known(tenants, request.headers())
        {
            return refused(self.limit, wait.as_secs());
        }
        let response = next(request).await;
        if response.extensions().get::<Stranger>().is_none() {
            return response;
        }
        let limiter = self.config.limiter();
        match limiter.check_key(&network) {
            Ok(()) => response,
            Err(until) => {
                let wait = until.wait_time_from(limiter.clock().now());
                self.spent.insert(network, Instant::now() + wait);
                refused(self.limit, wait.as_secs())
            }
        }
    }
}

fn network(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ClientAddress>().map(|address| address.network())
}

/// 429; `wait` is in seconds, rounded down.
fn refused(limit: u32, wait: u64) -> Response {
    let seconds = wait + 1;
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests.")
        .detail("Your address sends more requests than are answered without a valid token. Wait a moment.")
        .with("limit", limit)
        .with("used", limit)
        .with("reset_seconds", seconds)
        .retry_after(seconds)
        .into_response()
}

/// Forgets addresses again and again, as long as anybody counts.
async fn sweep(limiter: Weak<Limiter>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(limiter) = limiter.upgrade() else { return };
        limiter.retain_recent();
        limiter.shrink_to_fit();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::SocketAddr;

    use axum::{Router, extract::ConnectInfo, middleware::map_request, routing::get};
    use secrecy::SecretString;
    use tower::ServiceExt;

    use super::*;
    use crate::server::origin::{OriginSecrets, admitting};

    const SECRET: &str = "the-secret-of-the-edge";

    /// Public routes that take one request a minute, behind an edge.
    fn app() -> Router {
        let secrets = OriginSecrets::new(&[SecretString::from(SECRET)]);
        Router::new()
            .route("/", get(|| async {}))
            .layer(Bursts::per_minute(1).layer())
            .layer(map_request(admitting(secrets)))
    }

    async fn ask(app: &Router, headers: &[(&str, &str)]) -> u16 {
        let peer: SocketAddr = "10.0.0.9:1234".parse().unwrap();
        let mut request = Request::get("/").extension(ConnectInfo(peer)).header("x-origin-verify", SECRET);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    }

    async fn from(app: &Router, viewer: &str) -> u16 {
        ask(app, &[("cloudfront-viewer-address", viewer)]).await
    }

    #[tokio::test]
    async fn each_address_has_an_allowance_of_its_own() {
        let app = app();
        assert_eq!(from(&app, "203.0.113.7:40000").await, 200);
        assert_eq!(from(&app, "203.0.113.7:40001").await, 429);
        assert_eq!(from(&app, "203.0.113.8:40000").await, 200);
    }

    #[tokio::test]
    async fn addresses_that_one_customer_may_choose_among_share_one() {
        let app = app();
        assert_eq!(from(&app, "2001:db8:1:2:aaaa::1:443").await, 200);
        assert_eq!(from(&app, "2001:db8:1:2:bbbb:cccc:dddd:eeee:443").await, 429);
        assert_eq!(from(&app, "2001:db8:1:ff03:aaaa::1:443").await, 429);
        assert_eq!(from(&app, "2001:db8:2:2:aaaa::1:443").await, 200);
        // An IPv4 address written the other way is the same client.
        assert_eq!(from(&app, "::ffff:203.0.113.7:443").await, 200);
        assert_eq!(from(&app, "203.0.113.7:443").await, 429);
    }

    #[tokio::test]
    async fn headers_that_a_client_can_write_make_nobody_somebody_else() {
        let app = app();
        let viewer = ("cloudfront-viewer-address", "203.0.113.7:40000");
        assert_eq!(ask(&app, &[viewer]).await, 200);
        for name in ["x-forwarded-for", "x-real-ip", "forwarded", "true-client-ip", "x-client-ip"] {
            assert_eq!(ask(&app, &[viewer, (name, "203.0.113.9")]).await, 429, "{name}");
        }
    }

    #[tokio::test]
    async fn all_whose_address_is_unknown_share_one() {
        let app = app();
        assert_eq!(ask(&app, &[]).await, 200);
        assert_eq!(ask(&app, &[("x-forwarded-for", "203.0.113.9")]).await, 429);
        assert_eq!(from(&app, "nonsense").await, 429);
    }

    #[tokio::test]
    async fn addresses_that_were_quiet_are_forgotten() {
        // Each has its whole allowance again after a nanosecond.
        let config = GovernorConfigBuilder::default()
            .key_extractor(Network)
            .period(Duration::from_nanos(1))
            .burst_size(1)
            .finish()
            .unwrap();
        let limiter = Arc::clone(config.limiter());
        for last in 0..100 {
            let _ = limiter.check_key(&Some(IpAddr::from([10, 0, 0, last])));
        }
        assert_eq!(limiter.len(), 100);
        let sweeping = tokio::spawn(sweep(Arc::downgrade(&limiter), Duration::from_millis(1)));
        while !limiter.is_empty() {
            tokio::task::yield_now().await;
        }
        // Nobody counts any more, so nobody sweeps.
        drop((config, limiter));
        sweeping.await.unwrap();
    }
}

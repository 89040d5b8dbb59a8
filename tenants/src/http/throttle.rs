//! The tenant's throttle, in front of every route that members call.
//!
//! The headers are those of draft-ietf-httpapi-ratelimit-headers-11: `RateLimit-Policy` names the quota `q` and its window
//! `w`, `RateLimit` what remains, `r`, and the seconds `t` until there is more.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use metrics::counter;

use super::{
    Caller, Problem, Stranger,
    caller::{Unproven, admit, tenant_of, verified},
};
use crate::{
    PLATFORM_TENANT, Result, TenantId, Tenants,
    sabotage::{self, Leak},
    throttle::{Key, Rate, Verdict},
    tokens::Verified,
    usage,
};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Requests that a tenant's throttle refused.
const THROTTLED: &str = "throttled_requests_total";

/// Takes one request from the tenant's bucket, or answers 429. Every answer to a request that was counted carries the
/// headers. Without a valid token nothing is counted here, the handler says what is missing, and the answer is marked as a
/// [`Stranger`]'s.
///
/// The token is verified here, once; the bucket is asked before the database is, wherever the tenant's limit is known. Where
/// the database then says that the member is gone, the request is given back: at any moment it is no more of them than are
/// waiting for that answer, and they share one look-up.
pub async fn throttle(State(tenants): State<Tenants>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let token = match verified(&mut parts, &tenants).await {
        Err(Unproven::KeysAway) => return next.run(Request::from_parts(parts, body)).await,
        token => token.ok(),
    };
    let Some((tenant, token)) = token.and_then(|token| Some((tenant_of(&token)?, token))) else {
        return Stranger::mark(next.run(Request::from_parts(parts, body)).await);
    };
    tracing::Span::current().record("tenant", tracing::field::display(tenant));
    let (limit, admitted) = look(&tenants, tenant, &token).await;
    let refusal = match admitted {
        Some(Ok(caller)) => {
            parts.extensions.insert(caller);
            None
        }
        Some(Err(error)) => Some(error.into_problem()),
        None => None,
    };
    // A member who was removed or signed out can't use up what is their colleagues'.
    if let Some(refusal) = &refusal
        && refusal.status == StatusCode::UNAUTHORIZED
    {
        return Stranger::mark(refusal.clone().into_response());
    }
    let whose = if sabotage::on(Leak::ThrottleKey) { PLATFORM_TENANT } else { tenant };
    let taken = tenants.buckets().take(Key::Tenant(whose), Rate::per_minute(limit)).await;
    let verdict = taken.verdict;
    tenants.usage().add(tenant, usage::REQUESTS, 1);
    let mut response = match refusal {
        _ if !verdict.served => {
            counter!(THROTTLED).increment(1);
            tenants.usage().add(tenant, usage::THROTTLED, 1);
            Problem::throttled(verdict).into_response()
        }
        Some(refusal) => refusal.into_response(),
        None => next.run(Request::from_parts(parts, body)).await,
    };
    if response.status() == StatusCode::UNAUTHORIZED {
        // The handler asked the database, and the member is gone.
        tenants.buckets().give_back(taken).await;
        return Stranger::mark(response);
    }
    tell(response.headers_mut(), verdict);
    response
}

/// The tenant's limit; and whether the caller may come in, unless that takes a question to the database which the bucket
/// can be asked before.
async fn look(tenants: &Tenants, tenant: TenantId, token: &Verified) -> (u32, Option<Result<Caller>>) {
    let limits = &tenants.buckets().limits;
    let standing = match tenants.remembered_standing(tenant, &token.subject).await {
        Some(standing) => Ok(standing),
        None => match limits.fresh(tenant, tenants.buckets().now()) {
            Some(limit) => return (limit, None),
            None => tenants.standing(tenant, &token.subject).await,
        },
    };
    match standing {
        Ok(standing) => {
            let limit = standing.as_ref().map(|standing| standing.requests_per_minute);
            let limit = limit.unwrap_or_else(|| limits.last_known(tenant));
            (limit, Some(admit(standing.as_ref(), tenant, token)))
        }
        Err(error) => (limits.last_known(tenant), Some(Err(error))),
    }
}

fn tell(headers: &mut HeaderMap, verdict: Verdict) {
    let policy = format!("\"tenant\";q={};w=60", verdict.limit);
    let state = format!("\"tenant\";r={};t={}", verdict.left, verdict.reset_seconds);
    for (name, value) in [(POLICY, policy), (STATE, state)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

impl Problem {
    /// 429 for a tenant that is over its rate.
    pub fn throttled(verdict: Verdict) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "throttled", "Too many requests.")
            .detail("Your business sends more requests than its limit per minute. Wait as long as Retry-After says.")
            .over(verdict)
    }

    /// With what a 429 tells of the limit: `limit`, `used`, `reset_seconds`, and `Retry-After`.
    #[must_use]
    pub fn over(self, verdict: Verdict) -> Self {
        // Never 0: who is told so tries at once and is refused again.
        let seconds = verdict.reset_seconds.max(1);
        self.with("limit", verdict.limit)
            .with("used", verdict.used())
            .with("reset_seconds", seconds)
            .retry_after(seconds)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
    use std::sync::Arc;
    use tower::ServiceExt;
    use uuid::Uuid;

    use super::*;
    use crate::{
        DatabaseConfig, LimitsConfig,
        tokens::{Issuer, IssuerKind, TokenUse, Verifier, VerifierOptions},
    };

    /// A product whose database is away: whoever asks it, fails.
    fn tenants() -> Tenants {
        let url = || "postgres://nobody:nothing@127.0.0.1:1/none".to_owned().into();
        let config = DatabaseConfig {
            app_url: url(),
            worker_url: url(),
            operator_url: url(),
            app_connections: 2,
            worker_connections: 2,
            operator_connections: 2,
            hot_connections: 2,
        };
        let issuer = Issuer {
            issuer: "https://members.invalid".into(),
            jwks_url: "https://members.invalid/jwks.json".parse().unwrap(),
            audience: "client".into(),
            kind: IssuerKind::Member,
        };
        let verifier = Verifier::new(vec![issuer], VerifierOptions::default()).unwrap();
        Tenants::new(&config, &LimitsConfig::default(), verifier).unwrap()
    }

    fn token(tenant: TenantId) -> Verified {
        Verified {
            kind: IssuerKind::Member,
            issuer: "https://members.invalid".into(),
            subject: Uuid::new_v4().to_string(),
            tenant_id: Some(tenant.0),
            email: None,
            groups: Vec::new(),
            issued_at: 0,
            expires_at: i64::MAX,
            auth_time: None,
            token_use: TokenUse::Id,
        }
    }

    #[tokio::test]
    async fn where_the_limit_is_known_the_bucket_is_asked_before_the_database() {
        let (tenants, tenant) = (tenants(), TenantId::new());
        let (limit, admitted) = look(&tenants, tenant, &token(tenant)).await;
        assert_eq!((limit, admitted.unwrap().unwrap_err().into_problem().slug), (1000, "unavailable"));
        tenants.buckets().limits.note(tenant, 7, tenants.buckets().now());
        let (limit, admitted) = look(&tenants, tenant, &token(tenant)).await;
        assert_eq!((limit, admitted.is_none()), (7, true), "the database was asked");
    }

    #[tokio::test]
    async fn whatever_a_handler_answers_is_told_what_remains_and_a_refusal_reaches_none() {
        let (tenants, tenant) = (tenants(), TenantId::new());
        tenants.buckets().limits.note(tenant, 3, tenants.buckets().now());
        let app = Router::new()
            .route(
                "/{status}",
                get(|status: axum::extract::Path<u16>| async move { StatusCode::from_u16(*status).unwrap() }),
            )
            .layer(from_fn_with_state(tenants, throttle));
        let mut seen = Vec::new();
        for status in [200, 500, 404, 200] {
            let request = Request::get(format!("/{status}")).extension(Arc::new(token(tenant))).body(Body::empty());
            let answer = app.clone().oneshot(request.unwrap()).await.unwrap();
            let state = answer.headers()[STATE].to_str().unwrap().to_owned();
            assert_eq!(answer.headers()[POLICY], "\"tenant\";q=3;w=60");
            seen.push((answer.status().as_u16(), state.split(";t=").next().unwrap().to_owned()));
        }
        let expected = [(200, 2), (500, 1), (404, 0), (429, 0)];
        assert_eq!(seen, expected.map(|(status, left)| (status, format!("\"tenant\";r={left}"))));
    }
}

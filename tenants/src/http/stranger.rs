//! Requests of nobody who is known: no tenant's throttle counts them, so whoever stands in front must.
//!
//! The answers to them are marked, for a layer further out that limits them by what it knows of the client, its address
//! for example. It may refuse them before their token is verified, which is the dear part; [`is_known`] tells it whose
//! requests it must let through then.

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};

use super::caller::{Unproven, bearer, verified};
use crate::{Tenants, tokens::IssuerKind};

/// In the extensions of an answer: the request carried no valid token, one of somebody who is gone, or one that is for
/// other routes than this.
///
/// While a user pool's keys are away nobody can say who is a stranger, and nobody is called one.
#[derive(Clone, Copy, Debug)]
pub struct Stranger;

impl Stranger {
    /// Marks an answer.
    pub(super) fn mark(mut response: Response) -> Response {
        response.extensions_mut().insert(Self);
        response
    }
}

/// Whether the request's token was found valid before, by this process, and still is. Verifies nothing and asks nobody; a
/// valid token is not known before its first request.
pub fn is_known(tenants: &Tenants, headers: &HeaderMap) -> bool {
    bearer(headers).is_ok_and(|token| tenants.verifier().remembers(token))
}

/// In front of every route that operators call: has the token verified, once, and marks the answer if it is no operator's.
pub async fn operators(State(tenants): State<Tenants>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let known = match verified(&mut parts, &tenants).await {
        Ok(token) => token.kind == IssuerKind::Operator,
        Err(Unproven::KeysAway) => true,
        Err(_) => false,
    };
    let response = next.run(Request::from_parts(parts, body)).await;
    if known { response } else { Stranger::mark(response) }
}

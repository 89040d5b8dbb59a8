//! Who is calling. The extractor is the proof: a handler that has a [`Caller`] has a verified token, a member whose
//! row says they may come in, and a tenant that is in use.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use uuid::Uuid;

use super::Problem;
use crate::{
    Actor, Error, MemberId, MemberStatus, OperatorScope, Permission, Result, Role, Standing, Tenant, TenantId,
    TenantStatus, Tenants,
    scope::Door,
    tokens::{IssuerKind, TokenError, Verified},
};

/// A member, with the role the member row gives. The token's own role claim is never asked.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant of the verified token.
    pub tenant_id: TenantId,
    /// The member.
    pub member_id: MemberId,
    /// From the member row.
    pub role: Role,
    /// The Cognito subject.
    pub subject: String,
}

impl Caller {
    /// Whether the caller holds the permission.
    ///
    /// # Errors
    /// 403 that names the role it takes.
    pub fn may(&self, permission: Permission) -> Result<()> {
        let needed = permission.held_from();
        if self.role >= needed {
            Ok(())
        } else {
            Err(Problem::forbidden(format!("This takes the role {} or above.", needed.as_str())).into())
        }
    }
}

/// Staff of the company that runs FFP, by a token of the operators' pool.
#[derive(Clone)]
pub struct Operator {
    /// What the operator may open.
    pub scope: OperatorScope,
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Tenants: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        if let Some(caller) = parts.extensions.get::<Caller>() {
            return Ok(caller.clone());
        }
        let tenants = Tenants::from_ref(state);
        let token = verified(parts, &tenants).await?;
        let Some(tenant_id) = tenant_of(&token) else {
            return Err(Problem::forbidden("An operator's token opens no tenant.").into());
        };
        let standing = tenants.standing(tenant_id, &token.subject).await?;
        let caller = admit(standing.as_ref(), tenant_id, &token)?;
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

/// The tenant that a member's token names; none for an operator's.
pub(super) fn tenant_of(token: &Verified) -> Option<TenantId> {
    token.tenant_id.filter(|_| token.kind == IssuerKind::Member).map(TenantId)
}

/// The member row decides.
pub(super) fn admit(standing: Option<&Standing>, tenant_id: TenantId, token: &Verified) -> Result<Caller> {
    let refused = || Error::from(Problem::unauthenticated("The token is no longer valid. Log in again."));
    let standing = standing.ok_or_else(refused)?;
    tracing::Span::current()
        .record("tenant", tracing::field::display(tenant_id))
        .record("member", tracing::field::display(standing.member_id));
    if standing.member_status != MemberStatus::Active || !standing.accepts(token.issued_at) {
        return Err(refused());
    }
    match standing.tenant_status {
        TenantStatus::Active => {}
        TenantStatus::Suspended => return Err(Problem::suspended().into()),
        TenantStatus::Pending => return Err(refused()),
    }
    Ok(Caller { tenant_id, member_id: standing.member_id, role: standing.role, subject: token.subject.clone() })
}

impl<S> FromRequestParts<S> for Tenant
where
    S: Send + Sync,
    Tenants: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let actor = Actor::member(caller.member_id, caller.role);
        Ok(Tenants::from_ref(state).open(caller.tenant_id, actor, Door::App))
    }
}

impl<S> FromRequestParts<S> for Operator
where
    S: Send + Sync,
    Tenants: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let tenants = Tenants::from_ref(state);
        let token = verified(parts, &tenants).await?;
        if token.kind != IssuerKind::Operator {
            return Err(Problem::forbidden("This is for operators.").into());
        }
        let subject = Uuid::try_parse(&token.subject)
            .map_err(|_| Error::from(Problem::unauthenticated("The token names no operator.")))?;
        tracing::Span::current().record("operator", tracing::field::display(subject));
        Ok(Self { scope: OperatorScope::new(tenants, subject) })
    }
}

/// Why a request has no verified token.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unproven {
    /// The header is not as it must be; what to send.
    Header(&'static str),
    /// The token was refused.
    Token,
    /// Nothing can be said about the token now.
    KeysAway,
}

impl From<Unproven> for Error {
    fn from(unproven: Unproven) -> Self {
        match unproven {
            Unproven::Header(right) => Problem::unauthenticated(right).into(),
            Unproven::Token => Problem::unauthenticated("The token is not valid. Log in again.").into(),
            Unproven::KeysAway => Self::Unavailable("the identity provider's keys"),
        }
    }
}

/// The request's bearer token, verified once however many ask; a refusal is remembered as well.
pub(super) async fn verified(parts: &mut Parts, tenants: &Tenants) -> Result<Arc<Verified>, Unproven> {
    if let Some(token) = parts.extensions.get::<Arc<Verified>>() {
        return Ok(token.clone());
    }
    if let Some(unproven) = parts.extensions.get::<Unproven>() {
        return Err(*unproven);
    }
    let verified = verify(parts, tenants).await;
    match &verified {
        Ok(token) => parts.extensions.insert(token.clone()).map(drop),
        Err(unproven) => parts.extensions.insert(*unproven).map(drop),
    };
    verified
}

/// The bearer token as it was sent, whatever it is.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Unproven> {
    let mut headers = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return Err(Unproven::Header("Send `Authorization: Bearer` with an ID token, once."));
    };
    header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token)
        .ok_or(Unproven::Header("Send `Authorization: Bearer` with an ID token."))
}

async fn verify(parts: &Parts, tenants: &Tenants) -> Result<Arc<Verified>, Unproven> {
    let raw = bearer(&parts.headers)?;
    tenants.verifier().verify(raw).await.map_err(|error| match error {
        TokenError::KeysUnavailable => Unproven::KeysAway,
        error => {
            tracing::info!(%error, "token refused");
            Unproven::Token
        }
    })
}

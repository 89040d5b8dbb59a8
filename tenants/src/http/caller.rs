//! Who is calling. The extractor is the proof: a handler that has a [`Caller`] has a verified token, a member whose
//! row says they may come in, and a tenant that is in use.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{header, request::Parts},
};
use uuid::Uuid;

use super::Problem;
use crate::{
    Actor, Error, MemberId, MemberStatus, OperatorScope, Permission, Result, Role, Tenant, TenantId, TenantStatus,
    Tenants,
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
        let (IssuerKind::Member, Some(tenant_id)) = (token.kind, token.tenant_id) else {
            return Err(Problem::forbidden("An operator's token opens no tenant.").into());
        };
        let caller = admit(&tenants, TenantId(tenant_id), &token).await?;
        tracing::Span::current()
            .record("tenant", tracing::field::display(caller.tenant_id))
            .record("member", tracing::field::display(caller.member_id));
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

/// The member row decides.
async fn admit(tenants: &Tenants, tenant_id: TenantId, token: &Verified) -> Result<Caller> {
    let refused = || Error::from(Problem::unauthenticated("The token is no longer valid. Log in again."));
    let standing = tenants.standing(tenant_id, &token.subject).await?.ok_or_else(refused)?;
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

/// The request's bearer token, verified once however many extractors ask.
async fn verified(parts: &mut Parts, tenants: &Tenants) -> Result<Arc<Verified>> {
    if let Some(token) = parts.extensions.get::<Arc<Verified>>() {
        return Ok(token.clone());
    }
    let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return Err(Problem::unauthenticated("Send `Authorization: Bearer` with an ID token, once.").into());
    };
    let raw = header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token)
        .ok_or_else(|| Problem::unauthenticated("Send `Authorization: Bearer` with an ID token."))?;
    let token = Arc::new(tenants.verifier().verify(raw).await.map_err(|error| match error {
        TokenError::KeysUnavailable => Error::Unavailable("the identity provider's keys"),
        error => {
            tracing::info!(%error, "token refused");
            Problem::unauthenticated("The token is not valid. Log in again.").into()
        }
    })?);
    parts.extensions.insert(token.clone());
    Ok(token)
}

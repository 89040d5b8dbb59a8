//! `Idempotency-Key`: a repeated creation answers with the thing that the first one made.
//!
//! What is kept for 24 h is the id of that thing and a hash of the request, not the answer: the answer is presented
//! anew, with fresh presigned URLs, and no secret is stored. The row is written in the transaction that creates the
//! thing, so both exist or neither.

use axum::{
    extract::{FromRequest, MatchedPath, Request},
    http::StatusCode,
};
use sea_orm::DbErr;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use validator::Validate;

use super::{Problem, json};
use crate::{
    Error, Result, TenantTx,
    sabotage::{self, Leak},
};

/// A JSON body that creates something, with the request's key if it has one.
#[derive(Debug)]
pub struct Idempotent<T> {
    /// Makes sure the thing is made once.
    pub once: Once,
    /// The body.
    pub body: T,
}

/// The key of one creation.
#[derive(Clone, Debug)]
pub struct Once(Option<Key>);

#[derive(Clone, Debug)]
struct Key {
    route: String,
    key: String,
    request_hash: Vec<u8>,
}

impl<T, S> FromRequest<S> for Idempotent<T>
where
    T: DeserializeOwned + Validate,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let mut values = request.headers().get_all("idempotency-key").iter();
        let key = match (values.next(), values.next()) {
            (None, _) => None,
            (Some(value), None) => Some(
                value
                    .to_str()
                    .ok()
                    .filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()))
                    .ok_or_else(|| {
                        Problem::invalid("Idempotency-Key", "must be 1 to 255 visible ASCII characters without spaces")
                    })?
                    .to_owned(),
            ),
            (Some(_), Some(_)) => return Err(Problem::invalid("Idempotency-Key", "must be given once")),
        };
        let path = request.uri().path().to_owned();
        let template = request.extensions().get::<MatchedPath>().map_or(path.as_str(), MatchedPath::as_str);
        let route = format!("{} {template}", request.method());
        let (body, bytes) = json::read(request, state).await?;
        // The path is part of the request: the same body to another object is another request. No path has a newline.
        let request_hash = Sha256::new().chain_update(&path).chain_update("\n").chain_update(&bytes).finalize();
        let once = key.map(|key| Key { route, key, request_hash: request_hash.to_vec() });
        Ok(Self { once: Once(once), body })
    }
}

impl Once {
    /// Runs `create`, which answers the new thing's id, unless the same request already did: then that one's id is
    /// answered.
    ///
    /// # Errors
    /// What `create` says; 422 `idempotency-key-reused` when the key came with another request.
    pub async fn create<E, F>(&self, tx: &TenantTx, create: F) -> Result<Uuid, E>
    where
        F: AsyncFnOnce() -> Result<Uuid, E>,
        E: From<Error>,
    {
        let Some(key) = &self.0 else { return create().await };
        if sabotage::on(Leak::IdempotencyKey)
            && let Some(made) = sabotage::recall(&format!("{} {}", key.route, key.key))
        {
            return Ok(made);
        }
        // Reserving first makes a concurrent twin wait here for our commit.
        if let Some(made) = key.reserve(tx).await? {
            return Ok(made);
        }
        let made = create().await?;
        key.fill(tx, made).await.map_err(Error::from)?;
        if sabotage::on(Leak::IdempotencyKey) {
            sabotage::note(format!("{} {}", key.route, key.key), made);
        }
        Ok(made)
    }
}

impl Key {
    async fn reserve(&self, tx: &TenantTx) -> Result<Option<Uuid>> {
        let member = tx.actor().member;
        tx.run("delete from idempotency where created_at < now() - interval '24 hours'", []).await?;
        // Until the thing is made, the row names nothing of anybody's.
        let fresh = self.insert(tx, Uuid::now_v7()).await?;
        if fresh == 1 {
            return Ok(None);
        }
        let rows = tx
            .sql(
                "select resource_id, request_hash from idempotency where member_id = $1 and route = $2 and key = $3",
                [member.into(), self.route.clone().into(), self.key.clone().into()],
            )
            .await?;
        let row = rows.first().ok_or_else(|| Error::Internal("an idempotency key vanished".into()))?;
        if row.try_get::<Vec<u8>>("", "request_hash")? != self.request_hash {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "This Idempotency-Key came with another request.",
            )
            .field("Idempotency-Key", "must be new for a new request")
            .into());
        }
        Ok(Some(row.try_get("", "resource_id")?))
    }

    /// The reservation becomes the record of what was made. There is no UPDATE grant: the row is written anew.
    async fn fill(&self, tx: &TenantTx, made: Uuid) -> Result<(), DbErr> {
        let member = tx.actor().member;
        let place = [member.into(), self.route.clone().into(), self.key.clone().into()];
        tx.run("delete from idempotency where member_id = $1 and route = $2 and key = $3", place).await?;
        match self.insert(tx, made).await? {
            1 => Ok(()),
            _ => Err(DbErr::Custom("an idempotency key was taken while it was reserved".into())),
        }
    }

    /// Writes the row, unless there is one; answers how many were written.
    async fn insert(&self, tx: &TenantTx, resource: Uuid) -> Result<u64, DbErr> {
        tx.run(
            "insert into idempotency (tenant_id, id, member_id, route, key, request_hash, resource_id) \
             values ($1, $2, $3, $4, $5, $6, $7) on conflict on constraint idempotency_key do nothing",
            [
                tx.tenant_id().0.into(),
                Uuid::now_v7().into(),
                tx.actor().member.into(),
                self.route.clone().into(),
                self.key.clone().into(),
                self.request_hash.clone().into(),
                resource.into(),
            ],
        )
        .await
    }
}

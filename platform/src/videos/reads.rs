//! What players and pages ask for all the time, each in one statement and one packet: a video, a page of them, where
//! to play one, how far it was watched.
//!
//! The columns of an answer stand in the order in which [`FromRow`] takes them.

use tenants::{
    Error, PLATFORM_TENANT, Tenant,
    fetch::{FromRow, Hot, Row},
    http::{ETag, Page, Problem, containing},
    sabotage::{self, Leak},
};
use uuid::Uuid;

use super::{Filter, Rejection, Scope, Status, Video, progress::Position};
use crate::Result;

/// A video as the API shows it, and its version.
pub(super) struct Shown {
    pub(super) etag: ETag,
    pub(super) video: Video,
}

/// What it takes to play a video.
pub(super) struct Playable {
    pub(super) id: Uuid,
    pub(super) status: Status,
    pub(super) object_key: String,
}

macro_rules! shown {
    () => {
        "select v.version, v.id, v.tenant_id, v.title, v.description, v.status, v.rejection_code, v.rejection_detail, \
                v.content_type, v.size_bytes, v.container, v.video_codec, v.audio_codec, v.width, v.height, \
                v.duration_seconds, v.published_at, v.created_by, v.created_at, v.updated_at, p.position_seconds, \
                p.completed, p.recorded_at "
    };
}

/// How far the member `$2` of the tenant `$1` has watched the video `v`: one look into an index for each video. As a plain
/// join it would read all that the member has ever watched.
macro_rules! watched {
    () => {
        " left join lateral (\
            select position_seconds, completed, recorded_at from video_progress \
            where tenant_id = $1 and member_id = $2 and video_tenant_id = v.tenant_id and video_id = v.id limit 1\
          ) p on true "
    };
}

/// The tenant's own video `$3`, or the library's: both tenants by name, so that the primary key's index is used.
macro_rules! this_one {
    () => {
        " where v.tenant_id in ($1, platform_tenant()) and v.id = $3"
    };
}

static SHOW: Hot = Hot::new(concat!(shown!(), "from video v", watched!(), this_one!()));

static PROGRESS: Hot =
    Hot::new(concat!("select p.position_seconds, p.completed, p.recorded_at from video v", watched!(), this_one!()));

static PLAY: Hot = Hot::new(
    "select v.id, v.status, v.object_key from video v where v.tenant_id in ($1, platform_tenant()) and v.id = $2",
);

/// Two keyset scans over the primary key, side by side, cut before anything is joined: an OR of the two tenants would
/// read and sort all of both.
static LIST: Hot = Hot::new(concat!(
    shown!(),
    "from (select * from (\
        (select * from video where $3 and tenant_id = $1 and id < $5 and ($6::text is null or title_search like (select search_form($6))) \
          order by id desc limit $7) \
        union all \
        (select * from video where $4 and tenant_id = platform_tenant() and published_at is not null and id < $5 \
            and ($6::text is null or title_search like (select search_form($6))) \
          order by id desc limit $7)\
      ) both_lists order by id desc limit $7) v",
    watched!(),
    "order by v.id desc"
));

/// A video that the actor may see, with how far they have watched it.
///
/// # Errors
/// 404.
pub(super) async fn show(tenant: &Tenant, id: Uuid) -> Result<Shown> {
    let found = tenant.fetch(&SHOW, &[&tenant.id().0, &tenant.actor().member, &id]).await?.pop();
    if sabotage::on(Leak::VideoForbidden) {
        match found {
            Some(_) => sabotage::note(id.to_string(), id),
            None if sabotage::recall(&id.to_string()).is_some() => {
                return Err(Problem::forbidden("It is not yours.").into());
            }
            None => {}
        }
    }
    Ok(found.ok_or_else(Problem::not_found)?)
}

/// Where the object of a video is that the actor may see.
///
/// # Errors
/// 404.
pub(super) async fn play(tenant: &Tenant, id: Uuid) -> Result<Playable> {
    let found = tenant.fetch(&PLAY, &[&tenant.id().0, &id]).await?.pop();
    Ok(found.ok_or_else(Problem::not_found)?)
}

/// How far the actor has watched a video; none if never.
///
/// # Errors
/// 404 for a video that they may not see.
pub(super) async fn progress(tenant: &Tenant, id: Uuid) -> Result<Option<Position>> {
    let found = tenant.fetch::<Watched>(&PROGRESS, &[&tenant.id().0, &tenant.actor().member, &id]).await?.pop();
    Ok(found.ok_or_else(Problem::not_found)?.0)
}

/// One page of the videos that the actor may see, each with how far they have watched it.
///
/// # Errors
/// As the database says.
pub(super) async fn list(tenant: &Tenant, filter: &Filter) -> Result<Page<Video>> {
    let (own, library) = (filter.scope != Some(Scope::Library), filter.scope != Some(Scope::Tenant));
    let pattern = filter.title.as_deref().map(containing);
    // One more than wanted tells whether there is a next page.
    let limit = filter.limit as i64 + 1;
    let (id, member) = (tenant.id().0, tenant.actor().member);
    let shown: Vec<Shown> =
        tenant.fetch(&LIST, &[&id, &member, &own, &library, &filter.after.0, &pattern, &limit]).await?;
    Ok(Page::cut(shown, filter.limit, |shown| shown.video.id).map(|shown| shown.video))
}

impl FromRow for Shown {
    fn from_row(row: &mut Row<'_>) -> tenants::Result<Self> {
        let etag = ETag(row.take("version")?);
        let video = Video {
            id: row.take("id")?,
            scope: if row.take::<Uuid>("tenant_id")? == PLATFORM_TENANT.0 { Scope::Library } else { Scope::Tenant },
            title: row.take("title")?,
            description: row.take("description")?,
            status: status(row)?,
            rejection: rejection(row.take("rejection_code")?, row.take("rejection_detail")?),
            content_type: row.take("content_type")?,
            size_bytes: row.take("size_bytes")?,
            container: row.take("container")?,
            video_codec: row.take("video_codec")?,
            audio_codec: row.take("audio_codec")?,
            width: row.take("width")?,
            height: row.take("height")?,
            duration_seconds: row.take("duration_seconds")?,
            published_at: row.take("published_at")?,
            created_by: row.take("created_by")?,
            created_at: row.take("created_at")?,
            updated_at: row.take("updated_at")?,
            progress: Watched::from_row(row)?.0,
        };
        Ok(Self { etag, video })
    }
}

impl FromRow for Playable {
    fn from_row(row: &mut Row<'_>) -> tenants::Result<Self> {
        Ok(Self { id: row.take("id")?, status: status(row)?, object_key: row.take("object_key")? })
    }
}

/// The columns of an outer join: all there, or none.
struct Watched(Option<Position>);

impl FromRow for Watched {
    fn from_row(row: &mut Row<'_>) -> tenants::Result<Self> {
        let (seconds, completed) = (row.take("position_seconds")?, row.take("completed")?);
        let recorded_at = row.take("recorded_at")?;
        Ok(Self(match (seconds, completed) {
            (Some(position_seconds), Some(completed)) => Some(Position { position_seconds, completed, recorded_at }),
            _ => None,
        }))
    }
}

fn status(row: &mut Row<'_>) -> tenants::Result<Status> {
    match row.take("status")? {
        "uploading" => Ok(Status::Uploading),
        "ready" => Ok(Status::Ready),
        "rejected" => Ok(Status::Rejected),
        _ => Err(Error::Internal("a video with an unknown status".into())),
    }
}

fn rejection(code: Option<String>, detail: Option<String>) -> Option<Rejection> {
    code.map(|code| Rejection { code, detail: detail.unwrap_or_default() })
}

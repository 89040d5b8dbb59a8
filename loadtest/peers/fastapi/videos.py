"""The two reads: one video, and a page of the newest."""

import base64
from uuid import UUID

from sqlalchemy import select, true, union_all
from sqlalchemy.orm import aliased

from database import Actor, Video, VideoProgress

# The platform's own library belongs to this tenant.
LIBRARY = UUID("00000000-0000-7000-8000-000000000001")
LAST = UUID(int=2**128 - 1)


def watched(video, actor: Actor):
    """The actor's progress of the joined video: one look into an index for each."""
    of_this = (
        select(VideoProgress)
        .where(
            VideoProgress.tenant_id == actor.tenant,
            VideoProgress.member_id == actor.member,
            VideoProgress.video_tenant_id == video.tenant_id,
            VideoProgress.video_id == video.id,
        )
        .limit(1)
        .lateral()
    )
    return aliased(VideoProgress, of_this)


async def point(session, actor: Actor, video_id: UUID) -> dict | None:
    progress = watched(Video, actor)
    wanted = (
        select(Video, progress)
        .outerjoin(progress, true())
        .where(Video.tenant_id.in_([actor.tenant, LIBRARY]), Video.id == video_id)
    )
    row = (await session.execute(wanted)).one_or_none()
    return None if row is None else present(*row)


async def page(session, actor: Actor, limit: int, cursor: str | None) -> dict:
    after = UUID(bytes=base64.urlsafe_b64decode(cursor + "==")) if cursor else LAST
    # One more than wanted tells whether there is a next page.
    own = select(Video).where(Video.tenant_id == actor.tenant, Video.id < after)
    library = select(Video).where(Video.tenant_id == LIBRARY, Video.published_at.is_not(None), Video.id < after)
    lists = [scan.order_by(Video.id.desc()).limit(limit + 1).subquery().select() for scan in (own, library)]
    both = union_all(*lists).subquery()
    newest = select(both).order_by(both.c.id.desc()).limit(limit + 1).subquery()
    video = aliased(Video, newest)
    progress = watched(video, actor)
    wanted = select(video, progress).outerjoin(progress, true()).order_by(video.id.desc())
    rows = (await session.execute(wanted)).all()
    items = [present(*row) for row in rows[:limit]]
    more = len(rows) > limit
    next_cursor = base64.urlsafe_b64encode(items[-1]["id"].bytes).rstrip(b"=").decode() if more else None
    return {"items": items, "next_cursor": next_cursor}


def present(video: Video, progress: VideoProgress | None) -> dict:
    rejection = None
    if video.rejection_code is not None:
        rejection = {"code": video.rejection_code, "detail": video.rejection_detail or ""}
    position = None
    if progress is not None:
        position = {
            "position_seconds": progress.position_seconds,
            "completed": progress.completed,
            "recorded_at": progress.recorded_at,
        }
    return {
        "id": video.id,
        "scope": "library" if video.tenant_id == LIBRARY else "tenant",
        "title": video.title,
        "description": video.description,
        "status": video.status,
        "rejection": rejection,
        "content_type": video.content_type,
        "size_bytes": video.size_bytes,
        "container": video.container,
        "video_codec": video.video_codec,
        "audio_codec": video.audio_codec,
        "width": video.width,
        "height": video.height,
        "duration_seconds": video.duration_seconds,
        "published_at": video.published_at,
        "created_by": video.created_by,
        "created_at": video.created_at,
        "updated_at": video.updated_at,
        "progress": position,
    }

"""The tables, and one tenant's transaction: BEGIN, the settings that row security reads, the work, COMMIT."""

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgres://", "postgresql+asyncpg://", 1),
    pool_size=int(os.environ["CONNECTIONS"]),
    max_overflow=0,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)

# As in the platform's reads. With bitmap scans PostgreSQL fetches and sorts all videos of a tenant for a page; left to choose
# it may plan each read anew.
SETTINGS = text(
    "select set_config('enable_bitmapscan', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true), "
    "set_config('app.tenant_id', :tenant, true), "
    "set_config('app.member_id', :member, true), set_config('app.role', :role, true)"
)


@dataclass(slots=True)
class Actor:
    tenant: UUID
    member: UUID | str
    role: str


@asynccontextmanager
async def in_tenant(actor: Actor):
    async with sessions() as session, session.begin():
        values = {"tenant": str(actor.tenant), "member": str(actor.member), "role": actor.role}
        await session.execute(SETTINGS, values)
        yield session


class Base(DeclarativeBase):
    pass


class Tenant(Base):
    __tablename__ = "tenant"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str]


class Member(Base):
    __tablename__ = "member"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject: Mapped[str]
    role: Mapped[str]
    status: Mapped[str]
    not_before: Mapped[datetime]


class Video(Base):
    __tablename__ = "video"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    title: Mapped[str]
    description: Mapped[str]
    status: Mapped[str]
    rejection_code: Mapped[str | None]
    rejection_detail: Mapped[str | None]
    content_type: Mapped[str]
    size_bytes: Mapped[int]
    container: Mapped[str | None]
    video_codec: Mapped[str | None]
    audio_codec: Mapped[str | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    duration_seconds: Mapped[float | None]
    published_at: Mapped[datetime | None]
    created_by: Mapped[UUID | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class VideoProgress(Base):
    __tablename__ = "video_progress"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID]
    video_tenant_id: Mapped[UUID]
    video_id: Mapped[UUID]
    position_seconds: Mapped[float]
    completed: Mapped[bool]
    recorded_at: Mapped[datetime]

-- Exercise videos, a tenant's own and the platform's library, and how far each member has watched.

create table video (
    tenant_id         uuid not null references tenant (id),
    id                uuid not null,
    title             text not null check (char_length(title) between 1 and 200),
    description       text not null default '' check (char_length(description) <= 5000),
    status            text not null default 'uploading' check (status in ('uploading', 'ready', 'rejected')),
    rejection_code    text,
    rejection_detail  text,
    content_type      text not null,
    size_bytes        bigint not null check (size_bytes > 0),
    object_key        text not null,
    -- S3's id of the multipart upload; null until S3 has answered.
    upload_id         text,
    upload_expires_at timestamptz not null,
    container         text,
    video_codec       text,
    audio_codec       text,
    width             int,
    height            int,
    duration_seconds  double precision,
    published_at      timestamptz check (published_at is null or status = 'ready'),
    -- The member who added it; null in the platform's library, where operators do.
    created_by        uuid,
    version           bigint not null default 1,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, created_by) references member (tenant_id, id)
);
create index video_created_by on video (tenant_id, created_by);
-- Athletes see what is published; coaches and up what is being made as well.
select protect_shared('video',
    visible   => $$published_at is not null or (select app_role()) in ('coach', 'admin', 'owner', 'system', 'operator')$$,
    writable  => $$(select app_role()) in ('coach', 'admin', 'owner', 'system', 'operator')$$,
    deletable => $$(select app_role()) in ('coach', 'admin', 'owner', 'system', 'operator')$$);
grant select, insert, delete on video to ffp_app, ffp_operator;
grant update (title, description, status, rejection_code, rejection_detail, upload_id, upload_expires_at, container,
              video_codec, audio_codec, width, height, duration_seconds, published_at, version, updated_at)
    on video to ffp_app, ffp_operator;
grant select, delete on video to ffp_worker;

create table video_progress (
    tenant_id        uuid not null,
    id               uuid not null,
    member_id        uuid not null,
    video_tenant_id  uuid not null check (video_tenant_id in (tenant_id, platform_tenant())),
    video_id         uuid not null,
    position_seconds double precision not null check (position_seconds >= 0),
    completed        boolean not null default false,
    -- When the player was there, by its own clock and never in the future: a late post does not wind back.
    recorded_at      timestamptz not null,
    updated_at       timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint video_progress_once unique (tenant_id, member_id, video_tenant_id, video_id),
    foreign key (tenant_id, member_id) references member (tenant_id, id) on delete cascade,
    foreign key (video_tenant_id, video_id) references video (tenant_id, id) on delete cascade
);
create index video_progress_video on video_progress (video_tenant_id, video_id);
select protect('video_progress',
    visible   => $$member_id = (select app_member()) or (select app_role()) = 'system'$$,
    writable  => $$member_id = (select app_member())$$,
    deletable => $$member_id = (select app_member())$$);
grant select, insert on video_progress to ffp_app;
grant update (position_seconds, completed, recorded_at, updated_at) on video_progress to ffp_app;

-- The platform's own tenant. Its insert is confined to it like any other.
select set_config('app.tenant_id', platform_tenant()::text, true), set_config('app.role', 'system', true);
insert into tenant (id, kind, name, status, storage_limit_bytes)
    values (platform_tenant(), 'platform', 'FFP library', 'active', 1099511627776);

-- Tenants, their members, who was invited, what was done.

create table tenant (
    id                  uuid primary key,
    kind                text not null check (kind in ('business', 'individual', 'platform')),
    name                text not null check (char_length(name) between 1 and 120),
    status              text not null default 'pending' check (status in ('pending', 'active', 'suspended')),
    suspended_reason    text,
    -- A franchise's location names its parent. No foreign key: it would let a tenant probe for another's id.
    -- Only operators write it.
    parent_business_id  uuid,
    time_zone           text not null default 'UTC',
    brand_color         text not null default '#1f6feb' check (brand_color ~ '^#[0-9a-f]{6}$'),
    storage_limit_bytes bigint not null check (storage_limit_bytes >= 0),
    version             bigint not null default 1,
    created_at          timestamptz not null default now(),
    updated_at          timestamptz not null default now()
);
select protect_registry('tenant', 'id',
    visible   => 'true',
    writable  => $$(select app_role()) in ('owner', 'system', 'operator')$$,
    -- Only a registration that was never confirmed can be deleted.
    deletable => $$status = 'pending' and (select app_role()) = 'system'$$);
grant select, insert, delete on tenant to ffp_app;
grant update (name, status, time_zone, brand_color, version, updated_at) on tenant to ffp_app;
grant select, delete on tenant to ffp_worker;
grant select, insert on tenant to ffp_operator;
grant update (name, status, suspended_reason, parent_business_id, storage_limit_bytes, version, updated_at)
    on tenant to ffp_operator;

create table member (
    tenant_id   uuid not null references tenant (id) on delete cascade,
    id          uuid not null,
    -- The `sub` of the Cognito account. An account belongs to one tenant.
    subject     text not null,
    full_name   text not null check (char_length(full_name) between 1 and 120),
    role        text not null check (role in ('owner', 'admin', 'coach', 'athlete')),
    status      text not null check (status in ('pending', 'active', 'disabled', 'removed')),
    time_zone   text not null default 'UTC',
    units       text not null default 'metric' check (units in ('metric', 'imperial')),
    -- Tokens issued at or before this moment are refused.
    not_before  timestamptz not null default '-infinity',
    version     bigint not null default 1,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint member_subject_key unique (tenant_id, subject)
);
create index member_role on member (tenant_id, role, id);
-- An athlete sees itself and the coaches; staff see everybody. Everybody edits itself; admins edit those of a
-- role up to their own; only owners touch owners.
select protect('member',
    visible   => $$(select app_role()) in ('coach', 'admin', 'owner', 'system', 'operator')
                   or id = (select app_member()) or (role = 'coach' and status = 'active')$$,
    writable  => $$(id = (select app_member()) or (select app_role()) in ('admin', 'owner', 'system', 'operator'))
                   and role_rank(role) <= role_rank((select app_role()))$$,
    deletable => 'false');
grant select, insert on member to ffp_app;
grant update (full_name, role, status, time_zone, units, not_before, version, updated_at) on member to ffp_app;
grant select on member to ffp_worker, ffp_operator;

-- Addresses stand apart from names, so that a policy can show one without the other.
create table member_contact (
    tenant_id   uuid not null,
    id          uuid not null,
    email       text not null check (email = lower(btrim(email)) and char_length(email) <= 254),
    primary key (tenant_id, id),
    constraint member_contact_email_key unique (tenant_id, email),
    foreign key (tenant_id, id) references member (tenant_id, id) on delete cascade
);
select protect('member_contact',
    visible   => $$(select app_role()) in ('coach', 'admin', 'owner', 'system', 'operator') or id = (select app_member())$$,
    writable  => $$(select app_role()) = 'system'$$,
    deletable => $$(select app_role()) in ('admin', 'owner', 'system', 'operator')$$);
grant select, insert, delete on member_contact to ffp_app;
grant select on member_contact to ffp_worker, ffp_operator;

-- A self-registration that waits for its code. Cognito answers "not confirmed" before it looks at the password,
-- so the check that only the right password learns this is ours.
create table registration (
    tenant_id      uuid not null,
    id             uuid not null,
    password_check text not null,
    created_at     timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, id) references member (tenant_id, id) on delete cascade
);
select protect('registration',
    visible   => $$(select app_role()) = 'system'$$,
    writable  => $$(select app_role()) = 'system'$$,
    deletable => $$(select app_role()) = 'system'$$);
grant select, insert, delete on registration to ffp_app;
grant select on registration to ffp_worker;

create table invitation (
    tenant_id   uuid not null references tenant (id) on delete cascade,
    id          uuid not null,
    email       text not null check (email = lower(btrim(email)) and char_length(email) <= 254),
    role        text not null check (role in ('owner', 'admin', 'coach', 'athlete')),
    invited_by  uuid not null,
    -- SHA-256 of the secret that was mailed; null until the mail is on its way.
    token_hash  bytea,
    expires_at  timestamptz not null,
    sent_at     timestamptz,
    accepted_at timestamptz,
    revoked_at  timestamptz,
    created_at  timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, invited_by) references member (tenant_id, id)
);
create unique index invitation_open_email_key on invitation (tenant_id, email)
    where accepted_at is null and revoked_at is null;
create unique index invitation_token_key on invitation (tenant_id, token_hash);
select protect('invitation',
    visible   => $$(select app_role()) in ('admin', 'owner', 'system')$$,
    writable  => $$(select app_role()) in ('admin', 'owner', 'system') and role_rank(role) <= role_rank((select app_role()))$$,
    deletable => 'false');
grant select, insert on invitation to ffp_app;
grant update (token_hash, expires_at, sent_at, accepted_at, revoked_at) on invitation to ffp_app;
grant select on invitation to ffp_worker;
grant update (token_hash, sent_at) on invitation to ffp_worker;

-- Append-only: nobody has UPDATE or DELETE.
create table audit (
    tenant_id   uuid not null,
    id          uuid not null,
    at          timestamptz not null default now(),
    actor_role  text not null,
    actor_id    uuid,
    action      text not null,
    object_kind text not null,
    object_id   uuid,
    detail      jsonb not null default '{}',
    primary key (tenant_id, id)
);
select protect_registry('audit', 'tenant_id',
    visible   => $$(select app_role()) in ('admin', 'owner', 'system', 'operator')$$,
    -- Nobody writes a line in another's name.
    writable  => $$actor_role = (select app_role()) and actor_id is not distinct from (select app_member())$$,
    deletable => 'false');
grant select, insert on audit to ffp_app, ffp_worker, ffp_operator;

-- What a repeated request with the same Idempotency-Key answers: the thing that the first one made.
create table idempotency (
    tenant_id    uuid not null references tenant (id) on delete cascade,
    id           uuid not null,
    member_id    uuid not null,
    route        text not null,
    key          text not null check (char_length(key) between 1 and 255),
    request_hash bytea not null,
    resource_id  uuid not null,
    created_at   timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint idempotency_key unique (tenant_id, member_id, route, key)
);
create index idempotency_age on idempotency (tenant_id, created_at);
select protect('idempotency',
    visible   => $$member_id = (select app_member())$$,
    writable  => $$member_id = (select app_member())$$,
    deletable => $$member_id = (select app_member())$$);
grant select, insert, delete on idempotency to ffp_app, ffp_operator;

//! The leaks, one careless change each, and the attempts that must see them.

use tenants::sabotage::Leak;

/// A leak.
pub struct Planted {
    /// What it is called here.
    pub name: &'static str,
    /// What is careless about it.
    pub what: &'static str,
    pub how: How,
    /// The part of the proof that is run, as `--only` spells it.
    pub part: &'static str,
    /// The kinds of attempt that may find it first; one of these must.
    pub groups: &'static [&'static str],
}

/// How it is made.
pub enum How {
    /// A condition in the code, which `FFP_SABOTAGE` names.
    Code(Leak),
    /// An edge that believes a signature wherever it comes back.
    Edge,
    /// By the superuser, once the server has started: an unsafe database it would refuse.
    Sql(&'static str),
}

const fn code(leak: Leak, what: &'static str, part: &'static str, groups: &'static [&'static str]) -> Planted {
    Planted { name: leak.name(), what, how: How::Code(leak), part, groups }
}

const fn sql(name: &'static str, what: &'static str, sql: &'static str, groups: &'static [&'static str]) -> Planted {
    Planted { name, what, how: How::Sql(sql), part: "database", groups }
}

pub const IN_THE_CODE: &[Planted] = &[
    code(Leak::VideoForbidden, "403 for another's video, 404 for nobody's", "operations", &["http.path"]),
    code(Leak::TokenKey, "verified tokens are remembered without their signature", "tokens", &["tokens"]),
    code(Leak::StandingKey, "a member's standing is remembered without the tenant", "tokens", &["standing"]),
    code(Leak::SignedPrefix, "a signed URL opens everything beside its object", "edge", &["edge"]),
    code(Leak::SignedKey, "signed URLs are remembered without tenant, video and object", "edge", &["edge"]),
    Planted {
        name: "edge-path",
        what: "the edge does not ask again which path a signature was for",
        how: How::Edge,
        part: "edge",
        groups: &["edge"],
    },
    code(Leak::ThrottleKey, "one bucket for all tenants", "throttle", &["throttle"]),
    code(
        Leak::IdempotencyKey,
        "creations are repeated by route and key, whoever sent them",
        "idempotency",
        &["http.idempotency"],
    ),
    code(
        Leak::HotUnsettled,
        "a connection is lent out before its last caller was answered",
        "broken,pools",
        &["broken-off", "crowd", "pool"],
    ),
    code(Leak::SettingsOutlive, "set_config(…, false)", "pools", &["pool"]),
    code(Leak::JobTenant, "a job acts for the tenant that its payload names", "jobs", &["jobs.run"]),
    code(Leak::JobAccount, "a job takes any account that its payload names", "jobs", &["jobs.run"]),
];

pub const IN_THE_DATABASE: &[Planted] = &[
    sql("dropped-policy", "a table without its wall", "drop policy tenant_wall on member", &["sql.read", "sql.write"]),
    sql(
        "widened-policy",
        "a wall with `or true`",
        "alter policy tenant_wall on invitation using (tenant_id is not null or true) with check (true)",
        &["sql.read", "sql.write"],
    ),
    sql(
        "no-row-security",
        "row security switched off",
        "alter table quota_take no force row level security, disable row level security",
        &["sql.read", "sql.write"],
    ),
    sql(
        "shared-to-all",
        "every tenant's published videos, not the platform's alone",
        "alter policy tenant_wall_select on video using (published_at is not null
             or tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))",
        &["sql.read", "sql.write"],
    ),
    sql(
        "empty-is-everybody",
        "no tenant set sees all of them",
        "alter policy tenant_wall on member_contact
             using (tenant_id = coalesce(nullif(current_setting('app.tenant_id', true), '')::uuid, tenant_id))",
        &["sql.unset"],
    ),
    sql(
        "operators-see-members",
        "the wall is not for operators",
        "alter policy tenant_wall on member to ffp_app, ffp_worker, ffp_owner",
        &["sql.read", "sql.write"],
    ),
    sql(
        "narrow-foreign-key",
        "a foreign key without the tenant",
        "create unique index member_only_id on member (id);
         alter table video drop constraint video_tenant_id_created_by_fkey;
         alter table video add foreign key (created_by) references member (id)",
        &["sql.keys"],
    ),
    sql(
        "narrow-unique-key",
        "a unique key without the tenant",
        "create unique index invitation_only_email on invitation (email, expires_at)",
        &["sql.keys"],
    ),
    sql(
        "owners-view",
        "a view that sees with its owner's eyes",
        "create view roster as select * from member; grant select on roster to ffp_app",
        &["sql.read", "sql.write"],
    ),
    sql(
        "open-enqueue",
        "a job is ordered for the tenant that its payload names",
        "create or replace function enqueue(kind text, payload jsonb, key text, run_at timestamptz) returns void
             language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
         declare tenant uuid := case when payload ? 'tenant_id' and jsonb_typeof(payload -> 'tenant_id') = 'string'
                     then payload ->> 'tenant_id' else nullif(current_setting('app.tenant_id', true), '') end;
         begin perform graphile_worker.add_job(identifier => kind,
             payload => json_build_object('tenant_id', tenant, 'payload', payload), queue_name => tenant || ':0',
             run_at => run_at, max_attempts => 25, job_key => tenant || ':' || key); end $$",
        &["jobs", "sql.functions"],
    ),
    sql(
        "open-usage",
        "what is counted may be counted for others from inside a tenant",
        "do $plant$ begin execute replace((select pg_get_functiondef('usage_add'::regproc)), 'if concat(', 'if false and concat('); end $plant$",
        &["sql.functions"],
    ),
    sql(
        "open-gate",
        "where another's work stands in the line",
        "create or replace function gate_place(ticket uuid) returns int language sql stable security definer
             set search_path = pg_catalog, pg_temp as $$
         select case when t.lease_until > clock_timestamp() then 0
                     else (select l.place::int from public.gate_line() l where l.ticket = t.id) end
         from public.gate_ticket t where t.id = gate_place.ticket $$",
        &["sql.functions"],
    ),
    sql(
        "open-definer",
        "a function of the owner's that takes any tenant",
        "create function headcount(t uuid) returns bigint language sql security definer
             set search_path = pg_catalog, pg_temp as 'select count(*) from public.member where tenant_id = t';
         grant execute on function headcount(uuid) to ffp_app",
        &["sql.functions"],
    ),
    sql(
        "open-queue",
        "the application reads the job queue itself",
        "grant usage on schema graphile_worker to ffp_app;
         grant select on all tables in schema graphile_worker to ffp_app;
         create policy app_reads on graphile_worker._private_jobs for select to ffp_app using (true)",
        &["sql.read", "sql.write"],
    ),
    sql(
        "builds-in-public",
        "the application may make tables and views",
        "grant create on schema public to ffp_app",
        &["sql.roles"],
    ),
];

//! The doctor finds what would let one tenant reach another, and finds nothing where nothing is wrong.

use futures::{StreamExt, stream};
use tenants::{Defect, diagnose};

use crate::support::{SERVICES, TestDb, tenants_at};

#[tokio::test]
async fn a_freshly_migrated_database_has_no_defect() {
    let db = TestDb::new().await;

    let defects = diagnose(&db.tenants).await.unwrap();

    assert!(defects.is_empty(), "{}", listed(&defects));
}

/// What a careless migration or a hand in the database may do: the SQL, the code of the defect, and what it names.
const PLANTED: &[(&str, &str, &str)] = &[
    ("drop table graphile_worker._private_jobs cascade", "table.missing", "graphile_worker._private_jobs"),
    ("create table note (tenant_id uuid not null, id uuid, primary key (tenant_id, id))", "table.unprotected", "public.note"),
    ("create table note (tenant_id uuid not null, id uuid, primary key (tenant_id, id)) partition by hash (tenant_id);
      create table note_0 partition of note for values with (modulus 1, remainder 0); select protect('note')",
     "table.unprotected", "public.note_0"),
    ("alter table member disable row level security", "table.unprotected", "public.member"),
    ("alter table member no force row level security", "table.not-forced", "public.member"),
    ("alter table video_progress drop constraint video_progress_pkey; alter table video_progress alter tenant_id drop not null",
     "table.tenant-column", "public.video_progress"),
    ("create table note (id uuid primary key, text text); select protect_inside('note', 'true', 'true', 'true')",
     "table.tenant-column", "public.note"),
    ("alter table audit drop constraint audit_pkey; alter table audit add primary key (id)", "table.primary-key", "public.audit"),
    ("alter table audit drop constraint audit_pkey; alter table audit add primary key (id, tenant_id)", "table.primary-key", "public.audit"),
    ("create materialized view roster as select * from member", "table.kind", "public.roster"),
    ("create extension file_fdw; create server files foreign data wrapper file_fdw;
      create foreign table f (line text) server files options (filename '/etc/hostname')", "table.kind", "public.f"),
    ("alter table member owner to postgres", "table.owner", "public.member"),
    ("drop policy tenant_wall on member", "policy.wall", "public.member: SELECT by ffp_app"),
    ("drop policy operator_wall_insert on tenant", "policy.wall", "public.tenant: INSERT by ffp_operator"),
    ("drop policy tenant_wall_update on video", "policy.wall", "public.video: UPDATE by ffp_worker"),
    ("alter policy tenant_wall on member using (true)", "policy.wall", "public.member: DELETE by ffp_operator"),
    ("alter policy tenant_wall on member with check (true)", "policy.wall", "public.member: INSERT by ffp_app"),
    ("alter policy tenant_wall_select on video using (published_at is not null)", "policy.wall", "public.video: SELECT by ffp_app"),
    ("alter policy tenant_wall on member to ffp_app, ffp_worker", "policy.wall", "public.member: SELECT by ffp_operator"),
    ("drop policy tenant_wall on member; create policy tenant_wall on member using (tenant_id is not null)",
     "policy.wall", "public.member: SELECT by ffp_app"),
    // The right words, but permissive: any other policy would widen it.
    ("drop policy tenant_wall on member;
      do $$ begin execute format('create policy tenant_wall on member using (%s)', tenant_wall('tenant_id')); end $$",
     "policy.wall", "public.member: SELECT by ffp_app"),
    ("drop policy tenant_wall on audit", "policy.wall", "public.audit: SELECT by ffp_app"),
    ("create or replace function tenant_wall(tenant_column name) returns text language sql immutable as $$ select 'true' $$;
      create table note (tenant_id uuid not null, id uuid, primary key (tenant_id, id)); select protect('note')",
     "policy.wall", "public.note: SELECT by ffp_app"),
    ("drop policy inside_select on member", "policy.missing", "public.member: SELECT by ffp_app"),
    ("drop policy inside_update on video", "policy.missing", "public.video: UPDATE by ffp_operator"),
    ("create view roster as select * from member", "view.definer", "public.roster"),
    ("alter view graphile_worker.jobs set (security_invoker = false)", "view.definer", "graphile_worker.jobs"),
    ("create rule quiet as on delete to member do instead nothing", "table.rule", "public.member: quiet"),
    ("create function f() returns trigger language plpgsql as $$ begin return new; end $$;
      create trigger spy before insert on member for each row execute function f()", "table.trigger", "public.member: spy"),
    ("create function f() returns event_trigger language plpgsql as $$ begin end $$;
      create event trigger spy on ddl_command_end execute function f()", "database.event-trigger", "spy"),
    ("create schema elsewhere", "database.schema", "elsewhere"),
    ("alter table video drop constraint video_tenant_id_created_by_fkey;
      create unique index member_only_id on member (id);
      alter table video add constraint loose foreign key (created_by) references member (id)",
     "key.not-composite", "public.video: loose"),
    ("alter table video_progress drop constraint video_progress_check", "key.not-composite",
     "public.video_progress: video_progress_video_tenant_id_video_id_fkey"),
    ("alter table video_progress drop constraint video_progress_check; alter table video_progress add constraint tied
          check (video_tenant_id in (tenant_id, platform_tenant())) not valid", "index.tenant-first", "public.video_progress_video"),
    ("alter table tenant add foreign key (parent_business_id) references tenant (id)",
     "key.other-tenant", "public.tenant: tenant_parent_business_id_fkey"),
    ("create index member_name on member (full_name)", "index.tenant-first", "public.member_name"),
    ("create index member_name on member (lower(full_name), tenant_id)", "index.tenant-first", "public.member_name"),
    ("create unique index only_once on video_progress (video_tenant_id, video_id)", "index.unique-across", "public.only_once"),
    ("create unique index only_once on member (subject) include (tenant_id)", "index.unique-across", "public.only_once"),
    ("grant select on member to public", "grant.public", "public.member: SELECT"),
    ("grant select (full_name) on member to public", "grant.public", "public.member.full_name: SELECT"),
    ("grant select on tenant to pg_monitor", "grant.stranger", "public.tenant: SELECT to pg_monitor"),
    ("grant truncate on member to ffp_app", "grant.excess", "public.member: TRUNCATE to ffp_app"),
    ("grant references (id) on member to ffp_worker", "grant.excess", "public.member.id: REFERENCES to ffp_worker"),
    ("grant trigger on video to ffp_operator", "grant.excess", "public.video: TRIGGER to ffp_operator"),
    ("grant select on member to ffp_app with grant option", "grant.option", "public.member: SELECT to ffp_app"),
    ("grant update (detail) on audit to ffp_app", "grant.audit", "public.audit: UPDATE by ffp_app"),
    ("grant delete on audit to ffp_operator", "grant.audit", "public.audit: DELETE by ffp_operator"),
    ("grant insert on _sqlx_migrations to ffp_app", "grant.migrations", "public._sqlx_migrations: INSERT by ffp_app"),
    ("grant usage on schema graphile_worker to ffp_app", "grant.queue", "graphile_worker: USAGE by ffp_app"),
    ("grant select on graphile_worker.jobs to ffp_operator", "grant.queue", "graphile_worker.jobs by ffp_operator"),
    ("grant create on schema public to ffp_app", "grant.create", "schema public to ffp_app"),
    ("grant create on schema public to public", "grant.create", "schema public to PUBLIC"),
    ("do $$ begin execute format('grant temporary on database %I to public', current_database()); end $$",
     "grant.create", "database: TEMPORARY by ffp_app"),
    ("alter default privileges for role ffp_owner grant select on tables to ffp_app",
     "grant.default", "default privileges of ffp_owner to ffp_app"),
    ("create function peek() returns bigint language sql security definer set search_path = pg_catalog, pg_temp
          as 'select count(*) from public.member'", "function.definer", "public.peek()"),
    ("create or replace function enqueue(kind text, payload jsonb, key text, run_at timestamptz) returns void language plpgsql
          security definer set search_path = pg_catalog, pg_temp as $$ begin end $$",
     "function.unreviewed", "public.enqueue(text,jsonb,text,timestamp with time zone)"),
    ("alter function enqueue(text, jsonb, text, timestamptz) reset search_path",
     "function.search-path", "public.enqueue(text,jsonb,text,timestamp with time zone)"),
    ("alter function enqueue(text, jsonb, text, timestamptz) set search_path = public, pg_catalog",
     "function.search-path", "public.enqueue(text,jsonb,text,timestamp with time zone)"),
    ("grant execute on function enqueue(text, jsonb, text, timestamptz) to public",
     "function.public", "public.enqueue(text,jsonb,text,timestamp with time zone)"),
    ("create or replace function app_role() returns text language sql stable as $$ select 'system' $$",
     "function.changed", "public.app_role()"),
    ("create or replace function platform_tenant() returns uuid language sql immutable
          as $$ select nullif(current_setting('app.tenant_id', true), '')::uuid $$", "function.changed", "public.platform_tenant()"),
    ("drop function enqueue(text, jsonb, text, timestamptz)",
     "function.missing", "public.enqueue(text,jsonb,text,timestamp with time zone)"),
    ("alter table video owner to ffp_app", "role.owns", "ffp_app: public.video"),
    ("alter function protect(regclass, text, text, text) owner to ffp_worker",
     "role.owns", "ffp_worker: function public.protect(regclass,text,text,text)"),
    // Settings that a role has in this database only.
    ("do $$ begin execute format('alter role ffp_app in database %I set app.tenant_id = %L', current_database(), gen_random_uuid()); end $$",
     "connection.tenant-preset", "the pool for ffp_app"),
    ("do $$ begin execute format('alter role ffp_worker in database %I set row_security = off', current_database()); end $$",
     "connection.row-security", "the pool for ffp_worker"),
    ("do $$ begin execute format('alter role ffp_worker in database %I set search_path = graphile_worker, public', current_database()); end $$",
     "connection.search-path", "the pool for ffp_worker with the search path {graphile_worker,public}"),
    ("create schema ffp_app; grant usage on schema ffp_app to ffp_app",
     "connection.search-path", "the pool for ffp_app with the search path {ffp_app,public}"),
    ("do $$ begin execute format('alter role ffp_app in database %I set statement_timeout = 0', current_database()); end $$",
     "connection.timeout", "statement_timeout of ffp_app"),
    ("do $$ begin execute format('alter role ffp_operator in database %I set lock_timeout = ''1min''', current_database()); end $$",
     "connection.timeout", "lock_timeout of ffp_operator"),
];

#[tokio::test]
async fn the_doctor_names_every_kind_of_planted_defect() {
    let missed: Vec<String> = stream::iter(PLANTED)
        .map(async |(sql, code, object)| {
            let mut db = TestDb::new().await;
            db.execute(sql).await;
            let defects = diagnose(&db.tenants).await.unwrap();
            let named = defects.iter().any(|defect| defect.code == *code && defect.object == *object);
            (!named).then(|| format!("\n{sql}\n should be {code}: {object}, the doctor says:{}", listed(&defects)))
        })
        .buffer_unordered(4)
        .filter_map(async |missed| missed)
        .collect()
        .await;

    assert!(missed.is_empty(), "{}", missed.concat());
}

/// Roles belong to the whole server: each of these is undone before the next.
#[tokio::test]
async fn the_doctor_names_every_defect_of_the_roles() {
    let planted = [
        ("alter role ffp_app superuser", "alter role ffp_app nosuperuser", "role.attributes", "ffp_app"),
        ("alter role ffp_app superuser", "alter role ffp_app nosuperuser", "connection.above-policies", "the pool for ffp_app"),
        ("alter role ffp_worker bypassrls", "alter role ffp_worker nobypassrls", "role.attributes", "ffp_worker"),
        ("alter role ffp_worker bypassrls", "alter role ffp_worker nobypassrls", "connection.above-policies", "the pool for ffp_worker"),
        ("alter role ffp_operator createrole", "alter role ffp_operator nocreaterole", "role.attributes", "ffp_operator"),
        ("alter role ffp_owner bypassrls", "alter role ffp_owner nobypassrls", "role.attributes", "ffp_owner"),
        ("grant ffp_owner to ffp_app", "revoke ffp_owner from ffp_app", "role.member", "ffp_app in ffp_owner"),
        // Not inherited, and still within reach of SET ROLE.
        ("create role boss superuser; alter role ffp_app noinherit; grant boss to ffp_app",
         "drop role boss; alter role ffp_app inherit", "role.member", "ffp_app in boss"),
        ("grant pg_read_all_data to ffp_operator", "revoke pg_read_all_data from ffp_operator",
         "role.member", "ffp_operator in pg_read_all_data"),
        ("create role team; grant pg_read_all_data to team; grant team to ffp_worker", "drop role team",
         "role.member", "ffp_worker in pg_read_all_data"),
    ];
    let mut db = TestDb::on_own_server().await;
    for (plant, undo, code, object) in planted {
        db.execute(plant).await;
        let defects = diagnose(&db.tenants).await.unwrap();
        db.execute(undo).await;
        let named = defects.iter().any(|defect| defect.code == code && defect.object == object);
        assert!(named, "{plant} should be {code}: {object}, the doctor says:{}", listed(&defects));
    }
    let defects = diagnose(&db.tenants).await.unwrap();
    assert!(defects.is_empty(), "all was undone:{}", listed(&defects));
}

#[tokio::test]
async fn a_pool_that_connects_as_another_role_is_named() {
    let db = TestDb::new().await;
    let [app, worker, operator] = SERVICES.map(|role| db.url(role));
    for (urls, expected) in [
        ([worker.clone(), worker.clone(), operator.clone()], vec![("connection.role", "the pool for ffp_app")]),
        ([app.clone(), db.url("ffp_owner"), operator.clone()], vec![("connection.role", "the pool for ffp_worker")]),
        (
            [app, worker, db.admin_url()],
            vec![("connection.role", "the pool for ffp_operator"), ("connection.above-policies", "the pool for ffp_operator")],
        ),
    ] {
        let [app_url, worker_url, operator_url] = urls;
        let tenants = tenants_at(app_url, worker_url, operator_url, 1);
        let defects = diagnose(&tenants).await.unwrap();
        for (code, object) in expected {
            assert!(defects.iter().any(|defect| defect.code == code && defect.object == object), "{}", listed(&defects));
        }
    }
}

#[tokio::test]
async fn a_defect_says_what_is_wrong_with_what_and_how_to_put_it_right() {
    let mut db = TestDb::new().await;
    db.execute("set role ffp_owner; create view roster as select * from member").await;

    let defects = diagnose(&db.tenants).await.unwrap();

    let [defect] = &defects[..] else { panic!("one defect, not:{}", listed(&defects)) };
    assert_eq!(
        defect.to_string(),
        "view.definer: public.roster reads with its owner's rights: run `alter view … set (security_invoker = true)`"
    );
}

#[tokio::test]
async fn a_shared_wall_and_a_key_into_the_platforms_library_are_no_defects() {
    let mut db = TestDb::new().await;
    db.execute(
        "set role ffp_owner;
         create table playlist (
             tenant_id uuid not null references tenant (id),
             id uuid not null,
             intro_tenant_id uuid not null check (intro_tenant_id in (tenant_id, platform_tenant())),
             intro_id uuid not null,
             primary key (tenant_id, id),
             foreign key (intro_tenant_id, intro_id) references video (tenant_id, id));
         create index playlist_intro on playlist (intro_tenant_id, intro_id);
         select protect('playlist');
         grant select, insert, update, delete on playlist to ffp_app;
         create view public.intros with (security_invoker = on) as select * from playlist;
         grant select on intros to ffp_app;
         reset role",
    )
    .await;

    let defects = diagnose(&db.tenants).await.unwrap();

    assert!(defects.is_empty(), "{}", listed(&defects));
}

fn listed(defects: &[Defect]) -> String {
    defects.iter().map(|defect| format!("\n  {defect}")).collect()
}

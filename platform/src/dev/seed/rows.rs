//! The SQL that makes the rows, inside the server.
//!
//! It runs as the schema's owner. Row security binds the owner too (FORCE), so one transaction takes FORCE away, makes
//! the rows and puts it back: nobody ever sees a table without it, and a failure leaves everything as it was. The keys
//! of `video_progress` are dropped and made anew in the same transaction, which is several times faster than keeping
//! them up row by row.
//!
//! Rows of all tenants are interleaved as time would do it: those of one tenant lie scattered over the whole table.

use super::{
    DEFAULT_LIMIT, LIBRARY, STAFF, UNLIMITED,
    ids::{self, DAY, EPOCH, Kind},
};

/// The tenants behind the measured ones, by how far behind.
pub(super) const NOISY: u64 = 1;
pub(super) const SLOW: u64 = 2;
pub(super) const QUIET: u64 = 3;

/// How much is made.
pub(super) struct Rows {
    pub tenants: u64,
    pub progress: u64,
    pub members: u64,
    pub videos: u64,
    pub slow_videos: u64,
}

/// The role of a tenant's member of this number.
pub(super) fn role(member: u64) -> &'static str {
    match member {
        0 => "owner",
        number if number < STAFF => "coach",
        _ => "athlete",
    }
}

const TABLES: [&str; 5] = ["tenant", "member", "member_contact", "video", "video_progress"];

/// Nothing is added to a database that somebody uses.
const EMPTY: &str = "do $$ begin
    if exists (select from tenant where id <> platform_tenant()) then
        raise exception 'this database has tenants: seed an empty one';
    end if;
end $$";

/// Keeps the definitions of all keys and indexes of video_progress, and drops them. Foreign keys are checked in bulk when
/// they come back.
const DROP_KEYS: &str = "
    create temporary table dropped on commit drop as
        select format('alter table video_progress add constraint %I %s', conname, pg_get_constraintdef(oid)) as anew,
               format('alter table video_progress drop constraint %I', conname) as away, contype = 'f' as last
          from pg_constraint where conrelid = 'video_progress'::regclass and contype in ('p', 'u', 'f')
        union all
        select pg_get_indexdef(indexrelid), format('drop index %s', indexrelid::regclass), false
          from pg_index i where indrelid = 'video_progress'::regclass
           and not exists (select from pg_constraint c where c.conindid = i.indexrelid
                                                         and c.conrelid = 'video_progress'::regclass);
    do $$ declare statement text; begin
        for statement in select away from dropped loop execute statement; end loop;
    end $$";

const REMAKE_KEYS: &str = "
    do $$ declare statement text; begin
        for statement in select anew from dropped order by last loop execute statement; end loop;
    end $$";

impl Rows {
    /// The statements, in batches that are sent one by one.
    pub(super) fn statements(&self) -> Vec<String> {
        let force =
            |word: &str| TABLES.map(|table| format!("alter table {table} {word}force row level security")).join(";\n");
        let transaction = [
            "begin".to_owned(),
            "set local maintenance_work_mem = '1GB'".to_owned(),
            force("no "),
            EMPTY.to_owned(),
            self.tenants(),
            self.members(),
            self.contacts(),
            self.videos(),
            self.library(),
            DROP_KEYS.to_owned(),
            self.progress(),
            REMAKE_KEYS.to_owned(),
            force(""),
            "commit".to_owned(),
        ];
        let mut batches = vec![transaction.join(";\n")];
        // For itself: it runs in no transaction. Without it autovacuum would, in the middle of a measurement.
        batches.extend(TABLES.map(|table| format!("vacuum (analyze) {table}")));
        batches
    }

    /// All tenants, those that are measured and those behind them.
    fn all(&self) -> u64 {
        self.tenants + QUIET
    }

    fn tenants(&self) -> String {
        let (all, measured, id) = (self.all(), self.tenants, ids::sql_tenant("t"));
        format!(
            "insert into tenant (id, kind, name, status, storage_limit_bytes, requests_per_minute)
             select {id}, 'business', 'Business ' || t, 'active', 1::bigint << 50,
                    case when t <= {measured} then {UNLIMITED} else {DEFAULT_LIMIT} end
             from generate_series(1, {all}::bigint) t"
        )
    }

    fn members(&self) -> String {
        let (all, last) = (self.all(), self.members - 1);
        let (tenant, id) = (ids::sql_tenant("t"), ids::sql_member("t", "m"));
        format!(
            "insert into member (tenant_id, id, subject, full_name, role, status)
             select {tenant}, {id}, {id}::text, 'Member ' || m,
                    case when m = 0 then 'owner' when m < {STAFF} then 'coach' else 'athlete' end, 'active'
             from generate_series(0, {last}::bigint) m, generate_series(1, {all}::bigint) t"
        )
    }

    fn contacts(&self) -> String {
        "insert into member_contact (tenant_id, id, email) select tenant_id, id, subject || '@example.com' from member"
            .to_owned()
    }

    fn videos(&self) -> String {
        let Self { tenants, videos, slow_videos, .. } = *self;
        let slow = tenants + SLOW;
        let (tenant, id, creator) = (ids::sql_tenant("t"), ids::sql_video("t", "v"), ids::sql_member("t", "1"));
        let key = format!("'videos/tenants/' || {tenant} || '/' || {id} || '/source.mp4'");
        let from = format!(
            "from (select t, v from generate_series(0, {videos}::bigint - 1) v,
                               generate_series(1, {tenants}::bigint + {QUIET}) t where t <> {slow}
                   union all
                   select {slow}, v from generate_series(0, {slow_videos}::bigint - 1) v) made"
        );
        video(&tenant, &id, &key, &creator, "v", &from)
    }

    fn library(&self) -> String {
        // Between the tenants' own, so that a page shows both.
        let at = format!("{EPOCH} + v * 4 * {DAY} + {DAY} / 2");
        let id = ids::sql(&at, Kind::Video, "0");
        let key = format!("'videos/library/' || {id} || '/source.mp4'");
        let from = format!("from generate_series(0, {LIBRARY}::bigint - 1) v");
        video("platform_tenant()", &id, &key, "null::uuid", "v", &from)
    }

    fn progress(&self) -> String {
        let Self { tenants, progress, members, .. } = *self;
        let id = ids::sql(&format!("{EPOCH} + i"), Kind::Progress, "t");
        let (tenant, member, video) = (ids::sql_tenant("t"), ids::sql_member("t", "m"), ids::sql_video("t", "v"));
        format!(
            "insert into video_progress (tenant_id, id, member_id, video_tenant_id, video_id, position_seconds, completed,
                                         recorded_at, updated_at)
             select tenant, {id}, {member}, tenant, {video}, i % 600 + 0.5, i % 7 = 0, at, at
             from (select i, 1 + i % {tenants} as t, i / {tenants} % {members} as m, i / {tenants} / {members} as v,
                          timestamptz '2026-01-01 00:00:00Z' + i * interval '1 second' / 100 as at
                   from generate_series(0, {progress}::bigint - 1) i) made,
                  lateral (select {tenant} as tenant) of_tenant"
        )
    }
}

/// Ready, published videos of expressions over `number` and what `from` gives.
fn video(tenant: &str, id: &str, key: &str, creator: &str, number: &str, from: &str) -> String {
    format!(
        "insert into video (tenant_id, id, title, description, status, content_type, size_bytes, object_key,
                            upload_expires_at, container, video_codec, audio_codec, width, height, duration_seconds,
                            published_at, created_by, created_at, updated_at)
         select {tenant}, {id},
                (array['Deadlift', 'Squat', 'Bench press', 'Row', 'Pull-up', 'Lunge', 'Plank'])[1 + {number} % 7]
                    || ', part ' || {number},
                'Keep the back straight and the weight close to the body. Breathe in before you lift, hold the breath '
                    || 'while it moves, breathe out at the top. Stop as soon as the back rounds. Set ' || {number},
                'ready', 'video/mp4', 40000000 + {number}, {key}, at + interval '1 day', 'mp4', 'h264', 'aac', 1920, 1080,
                600.25, at, {creator}, at, at
         {from}, lateral (select timestamptz '2025-01-01 00:00:00Z' + {number} * interval '1 minute' as at) moment"
    )
}

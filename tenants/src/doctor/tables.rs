//! Tables, their policies, and what else can show or change rows: views, rules, triggers.

use super::Check;

/// The wall between tenants as PostgreSQL prints what the SQL function `tenant_wall` makes; `%I` is the tenant column.
/// It is written out here so that a changed function is found as well as a changed policy.
pub(super) const WALL: &str =
    r#"(%I = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif"))"#;

/// The SELECT wall of `protect_shared`. It shows the platform's own published rows besides, and no other tenant's.
pub(super) const SHARED_WALL: &str = r#"((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")) OR ((tenant_id = public.platform_tenant()) AND (published_at IS NOT NULL)))"#;

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "table.missing",
        find: "select t from unnest(array['public.tenant', 'public.member', 'public.audit', 'public.idempotency',
                                          'public._sqlx_migrations', 'graphile_worker._private_jobs']) t
               where t not in (select name from relation)",
        remedy: "does not exist: run `platform migrate`",
    },
    Check {
        code: "table.unprotected",
        find: "select name from tenant_table where not relrowsecurity",
        remedy: "has row security off: call `protect(…)` on it in a migration, or put it on the doctor's list with a reason",
    },
    Check {
        code: "table.not-forced",
        find: "select name from tenant_table where relrowsecurity and not relforcerowsecurity",
        remedy: "does not bind its owner: run `alter table … force row level security`",
    },
    Check {
        code: "table.tenant-column",
        find: "select t.name from tenant_table t where not exists (
                   select from pg_attribute a where a.attrelid = t.oid and a.attname = t.tenant_column
                      and not a.attisdropped and a.atttypid = 'uuid'::regtype and a.attnotnull)",
        remedy: "has no column `tenant_id uuid not null`: add it",
    },
    Check {
        code: "table.primary-key",
        find: "select t.name from tenant_table t where not exists (
                   select from pg_constraint k where k.conrelid = t.oid and k.contype = 'p' and (
                       select array_agg(a.attname::text order by c.place)
                       from unnest(k.conkey) with ordinality c(number, place)
                       join pg_attribute a on a.attrelid = t.oid and a.attnum = c.number)
                     = case t.tenant_column when 'id' then array['id'] else array['tenant_id', 'id'] end)",
        remedy: "has another primary key than `(tenant_id, id)`: ids of tenants would collide and betray each other",
    },
    Check {
        code: "table.kind",
        find: "select name from relation where relkind in ('f', 'm')",
        remedy: "is a foreign table or a materialized view, which row security does not reach: use a table with `protect(…)`",
    },
    Check {
        code: "table.owner",
        find: "select name from relation where relkind in ('r', 'p', 'v', 'm', 'f')
                 and relowner is distinct from (select oid from pg_roles where rolname = 'ffp_owner')",
        remedy: "does not belong to ffp_owner: run `alter table … owner to ffp_owner`",
    },
    Check {
        code: "policy.wall",
        find: "select t.name || ': ' || command.name || ' by ' || s.name
               from given, tenant_table t cross join service s cross join
                    (values ('r', 'SELECT'), ('a', 'INSERT'), ('w', 'UPDATE'), ('d', 'DELETE')) as command(letter, name)
               where not (command.letter = 'r' and s.name = 'ffp_operator' and t.name = any (registry))
                 and not exists (
                   select from pg_policy p,
                        lateral (select format(wall, t.tenant_column) as wall,
                                        pg_get_expr(p.polqual, p.polrelid) as visible,
                                        pg_get_expr(coalesce(p.polwithcheck, p.polqual), p.polrelid) as writable) e
                   where p.polrelid = t.oid and not p.polpermissive and p.polcmd in ('*', command.letter)
                     and (0 = any (p.polroles) or s.oid = any (p.polroles))
                     and (command.letter = 'a' or e.visible = e.wall or command.letter = 'r' and e.visible = shared_wall)
                     and (command.letter in ('r', 'd') or e.writable = e.wall))",
        remedy: "is not confined to the transaction's tenant by a RESTRICTIVE policy: make the policies with `protect(…)`, \
                 `protect_registry(…)` or `protect_shared(…)` and leave them as they are",
    },
    Check {
        code: "policy.missing",
        find: "select t.name || ': ' || command.name || ' by ' || s.name
               from tenant_table t cross join service s cross join
                    (values ('r', 'SELECT'), ('a', 'INSERT'), ('w', 'UPDATE'), ('d', 'DELETE')) as command(letter, name)
               where (has_table_privilege(s.oid, t.oid, command.name)
                      or command.letter <> 'd' and has_any_column_privilege(s.oid, t.oid, nullif(command.name, 'DELETE')))
                 and not exists (
                   select from pg_policy p where p.polrelid = t.oid and p.polpermissive and p.polcmd in ('*', command.letter)
                     and (0 = any (p.polroles) or s.oid = any (p.polroles)))",
        remedy: "is granted, but no policy permits it, so it would silently touch nothing: make the policies with `protect(…)`",
    },
    Check {
        code: "view.definer",
        find: "select name from relation where relkind = 'v' and not exists (
                   select from pg_options_to_table(reloptions) where option_name = 'security_invoker' and option_value::boolean)",
        remedy: "reads with its owner's rights: run `alter view … set (security_invoker = true)`",
    },
    Check {
        code: "table.rule",
        find: "select r.name || ': ' || w.rulename from relation r join pg_rewrite w on w.ev_class = r.oid
               where w.rulename <> '_RETURN'",
        remedy: "is a rewrite rule, which runs with the table owner's rights: drop it and say it in a statement",
    },
    Check {
        code: "table.trigger",
        find: "select t.name || ': ' || g.tgname from tenant_table t join pg_trigger g on g.tgrelid = t.oid
               where not g.tgisinternal",
        remedy: "is a trigger nobody reviewed: drop it, or put it on a list here with a reason",
    },
    Check {
        code: "database.event-trigger",
        find: "select evtname::text from pg_event_trigger",
        remedy: "is an event trigger nobody reviewed, which runs with the rights of whoever migrates: drop it",
    },
    Check {
        code: "database.schema",
        find: "select nspname::text from pg_namespace
               where nspname not in ('public', 'graphile_worker', 'information_schema') and nspname !~ '^pg_'",
        remedy: "is a schema nobody reviewed: move what it holds to `public`, or name it here with a reason",
    },
];

//! Who was granted what.

use super::Check;

/// Every privilege on a relation or one of its columns that was granted to somebody else than the owner.
macro_rules! granted {
    ($rest:literal) => {
        concat!(
            ", granted as (
                select r.name as object, g.grantee, g.privilege_type::text as privilege, g.is_grantable
                from relation r, aclexplode(r.relacl) g where g.grantee <> r.relowner
                union all
                select r.name || '.' || a.attname, g.grantee, g.privilege_type::text, g.is_grantable
                from relation r join pg_attribute a on a.attrelid = r.oid, aclexplode(a.attacl) g
                where g.grantee <> r.relowner) ",
            $rest
        )
    };
}

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "grant.public",
        find: granted!("select object || ': ' || privilege from granted where grantee = 0"),
        remedy: "is granted to PUBLIC, that is to roles nobody thought of: run `revoke … from public`",
    },
    Check {
        code: "grant.stranger",
        find: granted!(
            "select g.object || ': ' || g.privilege || ' to ' || r.rolname from granted g join pg_roles r on r.oid = g.grantee
             where r.rolname not in ('ffp_owner', 'ffp_app', 'ffp_worker', 'ffp_operator')"
        ),
        remedy: "is granted to a role whose walls nobody checks: run `revoke … from …`",
    },
    Check {
        code: "grant.excess",
        find: granted!(
            "select g.object || ': ' || g.privilege || ' to ' || s.name from granted g join service s on s.oid = g.grantee
             where g.privilege not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE')"
        ),
        remedy: "is a right that passes row security by (TRUNCATE, REFERENCES, TRIGGER) or serves no service: run `revoke … from …`",
    },
    Check {
        code: "grant.option",
        find: granted!(
            "select g.object || ': ' || g.privilege || ' to ' || s.name from granted g join service s on s.oid = g.grantee
             where g.is_grantable"
        ),
        remedy: "can be passed on by a service role: run `revoke grant option for … from …`",
    },
    Check {
        code: "grant.audit",
        find: "select r.name || ': ' || right_to || ' by ' || s.name
               from relation r, service s, unnest(array['UPDATE', 'DELETE']) right_to
               where r.name = 'public.audit' and (has_table_privilege(s.oid, r.oid, right_to)
                   or right_to = 'UPDATE' and has_any_column_privilege(s.oid, r.oid, 'UPDATE'))",
        remedy: "makes the audit log changeable, and it is append-only: run `revoke … on audit from …`",
    },
    Check {
        code: "grant.migrations",
        find: "select r.name || ': ' || right_to || ' by ' || s.name
               from relation r, service s, unnest(array['INSERT', 'UPDATE', 'DELETE']) right_to
               where r.name = 'public._sqlx_migrations' and has_table_privilege(s.oid, r.oid, right_to)",
        remedy: "lets a service rewrite which migrations were applied: run `revoke … on _sqlx_migrations from …`",
    },
    Check {
        code: "grant.queue",
        find: "select 'graphile_worker: USAGE by ' || s.name from service s
               where s.name <> 'ffp_worker' and has_schema_privilege(s.oid, to_regnamespace('graphile_worker'), 'USAGE')
               union all
               select r.name || ' by ' || s.name from service s, relation r
               where s.name <> 'ffp_worker' and r.schema = 'graphile_worker' and r.relkind in ('r', 'p', 'v')
                 and (has_table_privilege(s.oid, r.oid, 'SELECT, INSERT, UPDATE, DELETE')
                      or has_any_column_privilege(s.oid, r.oid, 'SELECT, INSERT, UPDATE'))",
        remedy: "opens the job queue of all tenants to a role that has only functions as doors to it: revoke it",
    },
    Check {
        code: "grant.create",
        find: "select 'schema ' || n.nspname || ' to ' || coalesce(r.rolname, 'PUBLIC')
               from pg_namespace n cross join lateral aclexplode(n.nspacl) g left join pg_roles r on r.oid = g.grantee
               where n.nspname !~ '^pg_' and g.privilege_type = 'CREATE' and g.grantee <> n.nspowner
               union all
               select 'database: ' || right_to || ' by ' || s.name from service s, unnest(array['CREATE', 'TEMPORARY']) right_to
               where has_database_privilege(s.oid, current_database(), right_to)",
        remedy: "lets somebody make objects of their own, whose names can stand in front of ours: revoke it",
    },
    Check {
        code: "grant.default",
        find: "select 'default privileges of ' || pg_get_userbyid(d.defaclrole) || ' to ' || coalesce(r.rolname, 'PUBLIC')
               from pg_default_acl d cross join lateral aclexplode(d.defaclacl) g left join pg_roles r on r.oid = g.grantee
               where d.defaclobjtype in ('r', 'S', 'n') and g.grantee <> d.defaclrole",
        remedy: "would open every future table unasked: run `alter default privileges … revoke …`",
    },
];

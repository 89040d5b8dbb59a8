//! Keys and indexes. PostgreSQL checks foreign keys and uniqueness *outside* row security, so the tenant is part of
//! each of them: otherwise one tenant could point at another's row, or learn from a conflict that it exists.

use super::Check;

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "key.not-composite",
        find: "select c.name || ': ' || k.conname
               from pg_constraint k join relation c on c.oid = k.conrelid
               where k.contype = 'f' and k.confrelid is distinct from (select oid from relation where name = 'public.tenant')
                 and (k.conrelid in (select oid from tenant_table) or k.confrelid in (select oid from tenant_table))
                 and not exists (
                   select from unnest(k.conkey, k.confkey) as pair(here, there)
                   join tenant_carrier a on a.table_oid = k.conrelid and a.attnum = pair.here
                   join tenant_carrier b on b.table_oid = k.confrelid and b.attnum = pair.there and b.own)",
        remedy: "is a foreign key that lets one tenant point at another's row: make it `(tenant_id, x_id)`, or \
                 `(x_tenant_id, x_id)` with `check (x_tenant_id in (tenant_id, platform_tenant()))`",
    },
    Check {
        code: "key.other-tenant",
        find: "select c.name || ': ' || k.conname
               from pg_constraint k join relation c on c.oid = k.conrelid
               where k.contype = 'f' and k.confrelid = (select oid from relation where name = 'public.tenant') and not (
                   cardinality(k.conkey) = 1 and exists (
                       select from tenant_carrier a
                       where a.table_oid = k.conrelid and a.attnum = k.conkey[1] and a.attname = 'tenant_id'))",
        remedy: "is a foreign key by which a tenant could probe for another's id: only `tenant_id` may refer to `tenant (id)`",
    },
    Check {
        code: "index.tenant-first",
        find: "select i.indexrelid::regclass::text from given, tenant_table t join pg_index i on i.indrelid = t.oid
               where not i.indexrelid::regclass::text = any (across) and not exists (
                   select from tenant_carrier a where a.table_oid = t.oid and a.attnum = i.indkey[0])",
        remedy: "is an index that does not begin with the tenant: make it `(tenant_id, …)`",
    },
    Check {
        code: "index.unique-across",
        find: "select i.indexrelid::regclass::text from tenant_table t join pg_index i on i.indrelid = t.oid
               where (i.indisunique or i.indisexclusion) and not exists (
                   select from tenant_carrier a
                   where a.table_oid = t.oid and a.own and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1]))",
        remedy: "is unique across tenants, so that a conflict betrays another's row: add `tenant_id` to its columns",
    },
];

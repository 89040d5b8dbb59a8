-- What every tenant table is built with: who is asking, and the wall between tenants.
--
-- Three settings say who is asking. They are set transaction-locally by TenantTx and by nothing else:
--   app.tenant_id   the tenant the transaction is confined to
--   app.member_id   the member (or operator) acting, '' for the system
--   app.role        owner, admin, coach, athlete, operator or system
-- A connection that just served a tenant reads '' and not NULL; nullif makes both "nobody".

create function app_member() returns uuid
    language sql stable parallel safe
    as $$ select nullif(current_setting('app.member_id', true), '')::uuid $$;

create function app_role() returns text
    language sql stable parallel safe
    as $$ select coalesce(current_setting('app.role', true), '') $$;

-- Where a role stands: nobody grants a role above their own. Unknown roles stand below everybody.
create function role_rank(role text) returns int
    language sql immutable parallel safe
    as $$ select case role when 'system' then 9 when 'operator' then 8 when 'owner' then 4 when 'admin' then 3
                           when 'coach' then 2 when 'athlete' then 1 else 0 end $$;

-- The platform's own library belongs to this tenant.
create function platform_tenant() returns uuid
    language sql immutable parallel safe
    as $$ select '00000000-0000-7000-8000-000000000001'::uuid $$;

-- The wall: rows of the transaction's tenant and no others. `(select …)` makes it one lookup a statement.
create function tenant_wall(tenant_column name) returns text
    language sql immutable
    as $$ select format('%I = (select nullif(current_setting(''app.tenant_id'', true), '''')::uuid)', tenant_column) $$;

create function protect_inside(target regclass, visible text, writable text, deletable text) returns void
    language plpgsql as $$
begin
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format('create policy inside_select on %s for select using (%s)', target, visible);
    execute format('create policy inside_insert on %s for insert with check (%s)', target, writable);
    execute format('create policy inside_update on %s for update using (%s) with check (%s)', target, writable, writable);
    execute format('create policy inside_delete on %s for delete using (%s)', target, deletable);
end $$;

-- A table whose rows belong to one tenant each. The wall is RESTRICTIVE: no later policy can widen it.
-- `visible`, `writable` and `deletable` are who may do so *inside* the tenant.
create function protect(target regclass, visible text default 'true', writable text default 'true',
                        deletable text default 'true') returns void
    language plpgsql as $$
declare
    wall text := tenant_wall('tenant_id');
begin
    perform protect_inside(target, visible, writable, deletable);
    execute format('create policy tenant_wall on %s as restrictive for all to public using (%s) with check (%s)',
                   target, wall, wall);
end $$;

-- A table operators may read across tenants: the registry of tenants, usage, and the audit log. Nothing else is.
create function protect_registry(target regclass, tenant_column name, visible text, writable text, deletable text)
    returns void language plpgsql as $$
declare
    wall text := tenant_wall(tenant_column);
    roles text := 'ffp_app, ffp_worker, ffp_owner';
begin
    perform protect_inside(target, visible, writable, deletable);
    execute format('create policy tenant_wall on %s as restrictive for all to %s using (%s) with check (%s)',
                   target, roles, wall, wall);
    execute format('create policy operator_reads on %s for select to ffp_operator using (true)', target);
    execute format('create policy operator_wall_insert on %s as restrictive for insert to ffp_operator with check (%s)',
                   target, wall);
    execute format('create policy operator_wall_update on %s as restrictive for update to ffp_operator using (%s) with check (%s)',
                   target, wall, wall);
    execute format('create policy operator_wall_delete on %s as restrictive for delete to ffp_operator using (%s)',
                   target, wall);
end $$;

-- A table of which every tenant may read the platform tenant's *published* rows, and write none of them.
create function protect_shared(target regclass, visible text, writable text, deletable text) returns void
    language plpgsql as $$
declare
    wall text := tenant_wall('tenant_id');
begin
    perform protect_inside(target, visible, writable, deletable);
    execute format('create policy tenant_wall_select on %s as restrictive for select to public
                        using (%s or (tenant_id = platform_tenant() and published_at is not null))', target, wall);
    execute format('create policy tenant_wall_insert on %s as restrictive for insert to public with check (%s)', target, wall);
    execute format('create policy tenant_wall_update on %s as restrictive for update to public using (%s) with check (%s)',
                   target, wall, wall);
    execute format('create policy tenant_wall_delete on %s as restrictive for delete to public using (%s)', target, wall);
end $$;

revoke execute on all functions in schema public from public;
grant execute on function app_member(), app_role(), role_rank(text), platform_tenant()
    to ffp_app, ffp_worker, ffp_operator;

-- Readiness compares what is applied with what the binary knows.
grant select on _sqlx_migrations to ffp_app, ffp_worker, ffp_operator;

-- After graphile_worker has installed its schema as the owner: who may do what there. Runs after every migration,
-- so that tables a newer version of the crate adds are covered as well.

-- Its tables have row security on and no policy: to anyone but their owner the queue would look empty, silently.
do $$
declare
    t record;
begin
    for t in select c.oid::regclass as name from pg_class c
             where c.relnamespace = 'graphile_worker'::regnamespace and c.relkind = 'r' loop
        execute format('grant select, insert, update, delete on %s to ffp_worker', t.name);
        execute format('drop policy if exists worker_only on %s', t.name);
        execute format('create policy worker_only on %s to ffp_worker using (true) with check (true)', t.name);
    end loop;
    for t in select c.oid::regclass as name from pg_class c
             where c.relnamespace = 'graphile_worker'::regnamespace and c.relkind = 'v' loop
        execute format('alter view %s set (security_invoker = true)', t.name);
        execute format('grant select on %s to ffp_worker', t.name);
    end loop;
end $$;
grant usage on schema graphile_worker to ffp_worker;
grant usage on all sequences in schema graphile_worker to ffp_worker;
revoke execute on all functions in schema graphile_worker from public;
grant execute on all functions in schema graphile_worker to ffp_worker;

-- The one way for anybody else to order work. It runs as the owner, so it is short: it stamps the tenant
-- from the transaction's setting, refuses without one, and keeps keys and queues apart per tenant. Two slots
-- a tenant: a tenant with a thousand jobs runs two at a time, and the others go on.
create or replace function enqueue(kind text, payload jsonb, key text, run_at timestamptz) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $$
declare
    tenant uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
begin
    if tenant is null then
        raise exception 'enqueue needs a tenant: app.tenant_id is not set' using errcode = 'insufficient_privilege';
    end if;
    perform graphile_worker.add_job(
        identifier   => kind,
        payload      => pg_catalog.json_build_object('tenant_id', tenant, 'payload', payload),
        queue_name   => tenant || ':' || floor(random() * 2)::int,
        run_at       => run_at,
        max_attempts => 25,
        job_key      => tenant || ':' || key);
end $$;
revoke execute on function enqueue(text, jsonb, text, timestamptz) from public;
grant execute on function enqueue(text, jsonb, text, timestamptz) to ffp_app, ffp_worker, ffp_operator;

-- The gate: so many pieces of expensive work in flight over all tenants and processes, and a line in front of it.
--
-- Jobs that want in have a ticket. A worker asks for a lease before it runs one (`gate_acquire`), renews it while it works
-- (`gate_renew`) and gives it back (`gate_leave`). A lease that nobody renews ends by itself, so a killed worker
-- frees its slot. Whoever does not get one is put back into the queue, and called when a slot is free.
--
-- Whose turn it is: the tenant with the fewest leases goes first, then who came first. A ticket that was called and does
-- not come within 5 s (its tenant's workers are busy, or died) is passed over until it asks.
--
-- All that counts across tenants happens one at a time, behind one lock. Some functions run as the owner, since no role of
-- a service sees two tenants. What they tell is about the caller's own ticket.

-- Which slots are free and who is in line: the leases that ended and the tickets whose job is gone are cleared away.
-- The caller holds the gate's lock until its transaction ends.
create or replace function gate_tidy() returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $$
begin
    perform pg_advisory_xact_lock(1, 1);
    delete from public.gate_ticket t where not exists (
        select from graphile_worker._private_jobs j
        where j.id = t.job_id and (j.locked_at is not null or j.attempts < j.max_attempts));
    update public.gate_ticket set lease_until = null, holder = null, resting = true
        where lease_until <= clock_timestamp();
end $$;
revoke execute on function gate_tidy() from public;

-- The line. A tenant's second ticket stands behind every other tenant's first.
create or replace function gate_line() returns table (ticket uuid, tenant uuid, is_late boolean, place bigint)
    language sql stable
    set search_path = pg_catalog, pg_temp
    as $$
    with running as (
        select tenant_id, count(*) as leases from public.gate_ticket where lease_until is not null group by tenant_id),
    waiting as (
        select t.*, coalesce(r.leases, 0) + row_number() over (partition by t.tenant_id order by t.entered_at, t.id) as turn
        from public.gate_ticket t left join running r on r.tenant_id = t.tenant_id
        where t.lease_until is null and not t.resting)
    select id, tenant_id, coalesce(called_at < clock_timestamp() - interval '5 seconds', false),
           row_number() over (order by turn, entered_at, id)
    from waiting
$$;
revoke execute on function gate_line() from public;

-- How many slots are free. A lease that ran out counts until it is cleared away: its holder may still renew it.
create or replace function gate_free(slots int) returns bigint
    language sql stable
    set search_path = pg_catalog, pg_temp
    as $$ select greatest(slots - count(*), 0) from public.gate_ticket where lease_until is not null $$;
revoke execute on function gate_free(int) from public;

-- Calls those whose turn it is: their jobs are due now. A job that somebody is just touching comes by itself.
create or replace function gate_call(slots int) returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $$
begin
    with called as (
        update public.gate_ticket t set called_at = coalesce(t.called_at, clock_timestamp())
        where t.id in (select l.ticket from public.gate_line() l where not l.is_late
                       order by l.place limit public.gate_free(slots))
        returning t.job_id),
    due as (
        select j.id from graphile_worker._private_jobs j join called c on c.job_id = j.id
        where j.locked_at is null and j.run_at > now()
        for update of j skip locked)
    update graphile_worker._private_jobs j set run_at = now() from due where j.id = due.id;
    if found then
        perform pg_notify('jobs:insert', json_build_object('r', random()::text, 'count', slots)::text);
    end if;
end $$;
revoke execute on function gate_call(int) from public;

-- Orders a job with a ticket. Up to ten wait per slot, and a third of these of one tenant; beyond that there is no job
-- and no ticket, and all is as it was. `waiting` and `share` are the tenant's own; what failed and will be tried again
-- counts for it, since it comes back to the line by itself.
create or replace function gate_enter(kind text, payload jsonb, key text, slots int)
    returns table (ticket uuid, place int, waiting int, share int)
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $$
declare
    own uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    job bigint;
begin
    if own is null then
        raise exception 'gate_enter needs a tenant: app.tenant_id is not set' using errcode = 'insufficient_privilege';
    end if;
    -- The job first: ordering it may wait for the tenant's own transactions, and nobody else may wait with it.
    job := (graphile_worker.add_job(
        identifier   => kind,
        payload      => json_build_object('tenant_id', own, 'payload', payload),
        queue_name   => own || ':' || floor(random() * 2)::int,
        max_attempts => 25,
        job_key      => own || ':' || key)).id;
    perform public.gate_tidy();
    -- From here on everybody's work waits for the end of this transaction, which had better come soon.
    perform set_config('statement_timeout', '1s', true), set_config('idle_in_transaction_session_timeout', '2s', true);

    update public.gate_ticket t set job_id = job, resting = false, called_at = null
        where t.tenant_id = own and t.lease_until is null and t.id = (
            select s.id from public.gate_ticket s
            where s.tenant_id = own and s.order_key = key and s.lease_until is null
            order by s.entered_at desc limit 1)
        returning t.id into ticket;
    share := greatest(slots * 10 / 3, 1);
    waiting := (select count(*) from public.gate_ticket t where t.tenant_id = own and t.lease_until is null);
    if ticket is null then
        if waiting >= share or (select count(*) >= slots * 11 from public.gate_ticket t where not t.resting) then
            raise exception 'no place in line' using errcode = 'FFP01';
        end if;
        ticket := gen_random_uuid();
        waiting := waiting + 1;
        insert into public.gate_ticket (tenant_id, id, order_key, job_id, entered_at)
            values (own, ticket, key, job, clock_timestamp());
    end if;
    update graphile_worker._private_jobs j set payload = json_build_object('tenant_id', own, 'payload', gate_enter.payload, 'ticket', ticket)
        where j.id = job;
    place := (select l.place from public.gate_line() l where l.ticket = gate_enter.ticket);
    return next;
exception when sqlstate 'FFP01' then
    -- Undone with everything else is what ordering does to a job that runs under the same key: it would be its last attempt.
    return next;
end $$;
revoke execute on function gate_enter(text, jsonb, text, int) from public;
grant execute on function gate_enter(text, jsonb, text, int) to ffp_app, ffp_worker;

-- Asks for a lease of a minute. `run`: it is `worker`'s. `wait`: the job is put back as it was before this attempt. `over`:
-- another job does this work now, or did it.
create or replace function gate_acquire(ticket uuid, job bigint, worker uuid, slots int) returns text
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $$
declare
    own uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    mine public.gate_ticket;
    queued record;
    fresh bigint;
begin
    if own is null then
        raise exception 'gate_acquire needs a tenant: app.tenant_id is not set' using errcode = 'insufficient_privilege';
    end if;
    -- The job before the gate, in the order in which gate_enter takes them.
    select * into queued from graphile_worker._private_jobs j
        where j.id = job and j.payload ->> 'tenant_id' = own::text for update;
    if not found then
        return 'over';
    end if;
    perform public.gate_tidy();
    select * into mine from public.gate_ticket t where t.tenant_id = own and t.id = ticket;
    if mine.job_id <> job or mine.id is null and queued.key is null then
        return 'over';
    elsif mine.id is null then
        -- It had failed for good, and an operator has it tried again.
        insert into public.gate_ticket (tenant_id, id, order_key, job_id, entered_at)
            values (own, ticket, substr(queued.key, 38), job, clock_timestamp()) returning * into mine;
    end if;

    if mine.lease_until is null then
        update public.gate_ticket t set resting = false, called_at = null where t.tenant_id = own and t.id = ticket;
        if (select count(*) from public.gate_line() l where not l.is_late and l.place < (
                select m.place from public.gate_line() m where m.ticket = mine.id)) < public.gate_free(slots) then
            update public.gate_ticket t set holder = worker, lease_until = clock_timestamp() + interval '1 minute'
                where t.tenant_id = own and t.id = mine.id;
            return 'run';
        end if;
        perform public.gate_call(slots);
    end if;

    -- The worker deletes the job that it was given, so this is a copy, due later and sooner when it is called.
    update graphile_worker._private_jobs j set key = null, attempts = j.max_attempts where j.id = job;
    insert into graphile_worker._private_jobs
        (job_queue_id, task_id, payload, priority, run_at, attempts, max_attempts, last_error, created_at, key, flags)
        values (queued.job_queue_id, queued.task_id, queued.payload, queued.priority, clock_timestamp() + interval '5 seconds',
                greatest(queued.attempts - 1, 0), queued.max_attempts, queued.last_error, queued.created_at, queued.key,
                queued.flags)
        returning id into fresh;
    update public.gate_ticket t set job_id = fresh where t.tenant_id = own and t.id = mine.id;
    return 'wait';
end $$;
revoke execute on function gate_acquire(uuid, bigint, uuid, int) from public;
grant execute on function gate_acquire(uuid, bigint, uuid, int) to ffp_worker;

-- Another minute for `worker`'s lease. False: it is not theirs any more.
create or replace function gate_renew(ticket uuid, worker uuid) returns boolean
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $$
begin
    -- A lease that ran out is still theirs while nobody was let in since: whoever is, clears it away first.
    update public.gate_ticket t set lease_until = clock_timestamp() + interval '1 minute'
        where t.tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid and t.id = ticket and t.holder = worker;
    return found;
end $$;
revoke execute on function gate_renew(uuid, uuid) from public;
grant execute on function gate_renew(uuid, uuid) to ffp_worker;

-- Gives back `worker`'s lease, and calls who is next. `again`: the job failed and will be tried again.
create or replace function gate_leave(ticket uuid, worker uuid, again boolean, slots int) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $$
declare
    own uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    job bigint;
begin
    perform public.gate_tidy();
    if again then
        update public.gate_ticket t set holder = null, lease_until = null, resting = true
            where t.tenant_id = own and t.id = ticket and t.holder = worker;
    else
        delete from public.gate_ticket t where t.tenant_id = own and t.id = ticket and t.holder = worker
            returning t.job_id into job;
        -- The worker was taken for dead and its job put back for another one.
        delete from graphile_worker._private_jobs j where j.id = job and j.locked_at is null;
    end if;
    perform public.gate_call(slots);
end $$;
revoke execute on function gate_leave(uuid, uuid, boolean, int) from public;
grant execute on function gate_leave(uuid, uuid, boolean, int) to ffp_worker;

-- Where a ticket of the transaction's tenant stands: from 1 in the line, 0 while it runs, null when it is neither.
create or replace function gate_place(ticket uuid) returns int
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
    as $$
    select case when t.lease_until > clock_timestamp() then 0 else (select l.place::int from public.gate_line() l where l.ticket = t.id) end
    from public.gate_ticket t
    where t.id = gate_place.ticket and t.tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid
$$;
revoke execute on function gate_place(uuid) from public;
grant execute on function gate_place(uuid) to ffp_app, ffp_worker;

-- What operators may do with the job queue. They have nothing in graphile_worker itself: these functions are their
-- door, and theirs alone. The three of them run as the owner, so they are short.

-- The jobs of one tenant, by number.
create index if not exists ffp_jobs_of_tenant on graphile_worker._private_jobs ((payload ->> 'tenant_id'), id);

-- How a job stands:
--   running    a worker has it
--   replaced   it was ordered anew while it ran or when it was given up: what it would do is out of date, it never runs
--   failed     its last attempt failed; it is tried again later, unless it was tried as often as it may be
--   waiting    for its time, or for a worker
create or replace function job_state(job graphile_worker._private_jobs) returns text
    language sql stable
    as $$ select case when job.locked_at is not null then 'running'
                      when job.key is null then 'replaced'
                      when job.attempts > 0 and job.last_error is not null then 'failed'
                      else 'waiting' end $$;
revoke execute on function job_state(graphile_worker._private_jobs) from public;

-- Up to `count` jobs numbered below `before`, newest first: of one tenant or of all, in one state or in any. It says
-- which work there is and how it goes. What a job carries, its key and its error are the tenant's own and not here.
create or replace function operator_jobs(of_tenant uuid, in_state text, before bigint, count int)
    returns table (id bigint, tenant_id uuid, kind text, state text, attempts int, max_attempts int,
                   run_at timestamptz, ordered_at timestamptz)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
    as $$
    -- Two scans, of which one finds nothing: an OR of the two conditions could use neither index.
    select j.id, (j.payload ->> 'tenant_id')::uuid, t.identifier, j.state, j.attempts::int, j.max_attempts::int,
           j.run_at, j.created_at
    from ((select j.*, public.job_state(j) as state from graphile_worker._private_jobs j
           where of_tenant is null and j.id < before and (in_state is null or public.job_state(j) = in_state)
           order by j.id desc limit count)
          union all
          (select j.*, public.job_state(j) as state from graphile_worker._private_jobs j
           where j.payload ->> 'tenant_id' = of_tenant::text and j.id < before
             and (in_state is null or public.job_state(j) = in_state)
           order by j.id desc limit count)) j
         join graphile_worker._private_tasks t on t.id = j.task_id
    order by j.id desc limit count
$$;
revoke execute on function operator_jobs(uuid, text, bigint, int) from public;
grant execute on function operator_jobs(uuid, text, bigint, int) to ffp_operator;

-- The error that a job of the transaction's tenant met last; of another tenant's job nothing, as of one that is not.
create or replace function operator_job_error(job bigint) returns text
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
    as $$
    select j.last_error from graphile_worker._private_jobs j
    where j.id = job and j.payload ->> 'tenant_id' = nullif(current_setting('app.tenant_id', true), '')
$$;
revoke execute on function operator_job_error(bigint) from public;
grant execute on function operator_job_error(bigint) to ffp_operator;

-- Has a failed job of the transaction's tenant tried again now, as often as a new one. False for any other job.
create or replace function operator_retry_job(job bigint) returns boolean
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $$
begin
    perform from graphile_worker._private_jobs j
    where j.id = job and j.payload ->> 'tenant_id' = nullif(current_setting('app.tenant_id', true), '')
      and public.job_state(j) = 'failed'
    for update;
    if not found then
        return false;
    end if;
    perform graphile_worker.reschedule_jobs(array[job], run_at => now(), attempts => 0);
    return true;
end $$;
revoke execute on function operator_retry_job(bigint) from public;
grant execute on function operator_retry_job(bigint) to ffp_operator;

-- What each tenant used, by day (UTC).

create table usage (
    -- No foreign key: checking it would wait for whoever changes that tenant's row, and the whole batch with it.
    tenant_id uuid not null,
    id        uuid not null,
    -- The meter's name as the feature declares it: `videos.streamed`.
    meter     text not null check (char_length(meter) between 1 and 100),
    day       date not null,
    amount    bigint not null check (amount >= 0),
    primary key (tenant_id, id),
    constraint usage_of_day unique (tenant_id, day, meter)
);
select protect_registry('usage', 'tenant_id',
    visible   => $$(select app_role()) in ('admin', 'owner', 'system', 'operator')$$,
    writable  => $$(select app_role()) = 'system'$$,
    deletable => 'false');
grant select on usage to ffp_app, ffp_operator;

-- Adds a batch `{tenant: [[meter, day, amount], …]}` that one process counted. A batch is of many tenants, so this is for
-- the process itself: inside anybody's transaction it refuses. It goes through the tenants one at a time, each within its
-- own wall, and always in the same order, so that two processes never wait for each other in a circle. What was
-- counted for a tenant that is no more is dropped.
create function usage_add(batch jsonb) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $$
declare
    own uuid;
    counted jsonb;
begin
    if concat(current_setting('app.tenant_id', true), current_setting('app.member_id', true),
              current_setting('app.role', true)) <> '' then
        raise exception 'usage_add is for no tenant''s transaction' using errcode = 'insufficient_privilege';
    end if;
    perform set_config('app.role', 'system', true);
    for own, counted in select b.key::uuid, b.value from jsonb_each(batch) b order by 1 loop
        perform set_config('app.tenant_id', own::text, true);
        insert into public.usage (tenant_id, id, meter, day, amount)
            select own, gen_random_uuid(), c.line ->> 0, (c.line ->> 1)::date, sum((c.line ->> 2)::bigint)::bigint
            from jsonb_array_elements(counted) c (line)
            where exists (select from public.tenant t where t.id = own)
            group by 3, 4 order by 4, 3
            on conflict on constraint usage_of_day do update set amount = usage.amount + excluded.amount;
    end loop;
    perform set_config('app.tenant_id', '', true), set_config('app.role', '', true);
end $$;
revoke execute on function usage_add(jsonb) from public;
grant execute on function usage_add(jsonb) to ffp_app, ffp_worker;

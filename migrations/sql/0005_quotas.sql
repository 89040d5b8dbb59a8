-- Counted allowances, and the gate in front of expensive work.

-- A row for each time a member used an allowance: what a sliding window is counted from. A take that is older than its
-- window is deleted by the member's next one.
create table quota_take (
    tenant_id uuid not null,
    id        uuid not null,
    member_id uuid not null,
    -- The quota's name as the feature declares it: `plan.generate`.
    quota     text not null check (char_length(quota) between 1 and 100),
    taken_at  timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, member_id) references member (tenant_id, id) on delete cascade
);
create index quota_take_window on quota_take (tenant_id, member_id, quota, taken_at);
-- Members take for themselves. Who answers for the bill sees what the others took. A job gives back what it could not use.
select protect('quota_take',
    visible   => $$member_id = (select app_member()) or (select app_role()) in ('admin', 'owner', 'system', 'operator')$$,
    writable  => $$member_id = (select app_member())$$,
    deletable => $$member_id = (select app_member()) or (select app_role()) = 'system'$$);
grant select, insert, delete on quota_take to ffp_app;
grant select, delete on quota_take to ffp_worker;
grant select on quota_take to ffp_operator;

-- A ticket for each piece of expensive work that waits for one of the slots, or has one. Only the functions of
-- sql-always/gate.sql write it; they count across tenants, so the wall stands for the services and not for the owner.
-- There is no foreign key to the tenant: checking it would wait for whoever changes that tenant's row, and everybody
-- else's work with it.
create table gate_ticket (
    tenant_id   uuid not null,
    id          uuid not null,
    -- The tenant's own name for the work; ordered again while it waits, it keeps its place.
    order_key   text not null,
    -- Its job in the queue. A job that is put back has a new number.
    job_id      bigint not null,
    entered_at  timestamptz not null,
    -- Not in the line now: its job failed or its worker died, and it will ask again.
    resting     boolean not null default false,
    -- Since when a slot is kept for it; it has some seconds to come.
    called_at   timestamptz,
    -- Who has the slot, and until when unless it is renewed.
    holder      uuid,
    lease_until timestamptz,
    primary key (tenant_id, id),
    check ((holder is null) = (lease_until is null))
);
select protect_inside('gate_ticket',
    visible   => $$(select app_role()) in ('admin', 'owner', 'system', 'operator')$$,
    writable  => $$(select app_role()) = 'system'$$,
    deletable => $$(select app_role()) = 'system'$$);
do $$
begin
    execute format('create policy tenant_wall on gate_ticket as restrictive for all to ffp_app, ffp_worker, ffp_operator
                        using (%1$s) with check (%1$s)', tenant_wall('tenant_id'));
end $$;
create policy gate on gate_ticket to ffp_owner using (true) with check (true);
grant select on gate_ticket to ffp_app, ffp_worker, ffp_operator;

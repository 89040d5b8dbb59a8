-- What an operator grants one tenant. Who may write which column is said by grants: a tenant reads its own.

-- Capacity of the tenant's throttle, a token bucket, and its refill per minute.
alter table tenant add column requests_per_minute int not null default 1000
    check (requests_per_minute between 1 and 1000000);
-- Allowances other than the product's own, by the quota's name: {"plan.generate": 20}.
alter table tenant add column quotas jsonb not null default '{}' check (jsonb_typeof(quotas) = 'object');
grant update (requests_per_minute, quotas) on tenant to ffp_operator;
-- Whoever registers names no limits: the columns a new tenant may set are listed.
revoke insert on tenant from ffp_app;
grant insert (id, kind, name, time_zone, storage_limit_bytes) on tenant to ffp_app;

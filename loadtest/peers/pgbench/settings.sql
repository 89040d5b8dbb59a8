select pg_catalog.set_config('transaction_read_only', 'on', true), pg_catalog.set_config('enable_bitmapscan', 'off', true),
       pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true),
       pg_catalog.set_config('app.tenant_id', '{tenant}', true), pg_catalog.set_config('app.member_id', '{member}', true),
       pg_catalog.set_config('app.role', '{role}', true);

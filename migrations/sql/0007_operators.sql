-- What operators reach across tenants.

-- Operators read the audit log of all tenants, newest first; ids are UUIDv7, so theirs is the order of time. These are
-- the only indexes that do not begin with the tenant, and they decide nothing: policies say who reads which row. (The
-- list of tenants goes by the tenant's own primary key, the list of jobs by the queue's.)
create index audit_newest on audit (id);
-- What is rare, a kind of act or an actor, is found without reading the whole log; what is frequent is met soon by the
-- index above.
create index audit_of_action on audit (action, id);
create index audit_of_actor on audit (actor_id, id);

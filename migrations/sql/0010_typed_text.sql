-- What people type: searching, and codes that are sent twice.
--
-- Searching finds a text however it is typed: letters with accents composed or not (NFC), in upper or lower case beyond
-- ASCII. The same collation in every environment: what the database's own makes of case differs between them.

-- Lower first, since ẞ has no upper case of its own, and then upper: ß is SS, and the three sigmas are one. İ loses the dot
-- that takes it apart from I. The signs of LIKE stay what they are, so a pattern has a search form too.
create function search_form(typed text) returns text
    language sql immutable parallel safe
    return replace(upper(lower(normalize(typed, NFC) collate "und-x-icu") collate "und-x-icu"), U&'I\0307', 'I')
        collate "default";
revoke execute on function search_form(text) from public;
grant execute on function search_form(text) to ffp_app, ffp_worker, ffp_operator;

-- PostgreSQL maintains it, the older release's writes included, and fills it in for rows of all tenants, which no statement
-- behind row security could. It rewrites the table once: about 12 s for a million videos, in which these wait.
alter table video add column title_search text generated always as (search_form(title)) stored;

-- A code that is pasted twice, or whose answer was lost, is the right one both times: a digest of the code that confirmed the
-- address, which is used up and opens nothing. Null for addresses that no code confirmed.
alter table member_contact add column confirmed_code bytea, add column confirmed_at timestamptz;
grant update (confirmed_code, confirmed_at) on member_contact to ffp_app;

//! Seeing another tenant's rows.

use futures::TryStreamExt;
use sqlx::Executor;

use super::{
    Attempt, Verdict,
    session::{Assault, Expect, Outcome, Session, refusal},
    sqltext::{identifier, list, literal},
    tables::Ground,
};
use crate::{PLATFORM_TENANT, Result};

const GROUP: &str = "sql.read";

/// Every way to read that SQL has.
pub(super) fn of(ground: &Ground<'_>) -> Vec<Assault> {
    let relation = ground.relation;
    let (table, selectable) = (&relation.sql, relation.names(|column| column.may_select));
    if selectable.is_empty() {
        let all = format!("select * from {table}");
        return vec![ground.assault(GROUP, Expect::Refused, all)];
    }
    let columns = list(selectable.iter().copied());
    let mut all: Vec<(Expect, String)> = vec![
        (Expect::Same, format!("select {columns} from {table}")),
        (Expect::Same, format!("select row({columns})::text from {table}")),
        (Expect::Same, format!("select string_agg(row({columns})::text, ';') from {table}")),
        (
            Expect::Same,
            format!("with everything as materialized (select {columns} from {table}) select * from everything"),
        ),
        (
            Expect::Same,
            format!("declare everything cursor for select {columns} from {table}; fetch all from everything"),
        ),
        (
            Expect::Same,
            format!(
                "deallocate all; prepare everything as select {columns} from {table}; execute everything; deallocate everything"
            ),
        ),
        (
            Expect::Same,
            format!(
                "select query_to_xml({}, true, true, '')::text",
                literal(&format!("select {columns} from {table}"))
            ),
        ),
        (Expect::Same, format!("set local row_security = off; select {columns} from {table}")),
        (Expect::Same, format!("set local enable_seqscan = off; select {columns} from {table}")),
        (
            Expect::Same,
            format!(
                "select most_common_vals::text, histogram_bounds::text from pg_stats where schemaname || '.' || tablename = {}",
                literal(&relation.name)
            ),
        ),
    ];
    if relation.is_table {
        all.extend([
            (Expect::Same, format!("select {columns} from only {table}")),
            (Expect::Same, format!("select {columns} from {table} tablesample bernoulli (100)")),
            (
                Expect::Same,
                format!("select {columns} from {table} where ctid in ('(0,1)', '(0,2)', '(0,3)', '(0,4)', '(0,5)')"),
            ),
        ]);
    }
    if let Some(tenant) = relation.tenant_column() {
        all.extend(aimed(ground, tenant, &columns));
    }
    all.extend(by_value(ground, &selectable));
    all.into_iter().map(|(expect, sql)| ground.assault(GROUP, expect, sql)).collect()
}

/// Those that name the victim.
fn aimed(ground: &Ground<'_>, tenant: &str, columns: &str) -> Vec<(Expect, String)> {
    let (table, tenant, them) = (&ground.relation.sql, identifier(tenant), ground.them());
    let outside = format!("{tenant} not in ({}, '{PLATFORM_TENANT}')", ground.us());
    let same = [
        format!("select {columns} from {table} where {tenant} = {them}"),
        format!("select count(*) from {table} where {tenant} = {them}"),
        format!("select exists (select from {table} where {tenant} = {them})"),
        format!("select count(*) from {table} where {tenant}::text like {them}"),
        format!("select count(*) from {table} where {tenant} in ({them})"),
        format!("select count(*) from {table} where not ({tenant} <> {them})"),
        format!("select max({tenant}::text) from {table} where {tenant} >= {them} and {tenant} <= {them}"),
        format!("select bool_or({tenant} = {them}) from {table}"),
        format!("select count(*) from {table} a join {table} b on b.{tenant} = {them}"),
        format!(
            "select count(*) from {table} a right join (values ({them}::uuid)) b (x) on a.{tenant} = b.x where a.{tenant} is not null"
        ),
        format!(
            "select count(*) from {table} a cross join lateral (select from {table} b where b.{tenant} = {them}) c"
        ),
        format!("select (select count(*) from {table} where {tenant} = {them})"),
        format!("with them as (select {columns} from {table} where {tenant} = {them}) select count(*) from them"),
        format!(
            "with them as not materialized (select * from (select {columns} from {table}) x) select count(*) from them where {tenant} = {them}"
        ),
        format!(
            "select {columns} from {table} where {tenant} = {them} union all select {columns} from {table} where {tenant} = {them}"
        ),
        format!("select {columns} from {table} where {tenant} = {them} intersect select {columns} from {table}"),
        format!("select count(*) over (partition by {tenant}) from {table} where {tenant} = {them}"),
        format!("select grouping({tenant}), count(*) from {table} group by cube ({tenant}) having {tenant} = {them}"),
        format!("declare them cursor for select {columns} from {table} where {tenant} = {them}; fetch all from them"),
        format!(
            "declare them scroll cursor for select {columns} from {table} where {tenant} = {them}; fetch last from them"
        ),
        format!(
            "deallocate all; prepare them (uuid) as select {columns} from {table} where {tenant} = $1; execute them ({them}); deallocate them"
        ),
        format!(
            "deallocate all; prepare them (uuid) as select count(*) from {table} where {tenant} = $1; {} deallocate them",
            format!("execute them ({them}); ").repeat(6)
        ),
        format!("select {columns} from {table} where {tenant} = {them} for update"),
        format!("select {columns} from {table} where {tenant} = {them} for key share"),
        // A function in the WHERE that fails on a row shows that the row was looked at.
        format!("select 1 / (case when {tenant} = {them} then 0 else 1 end) from {table}"),
        format!("select count(*) from {table} where 1 / (case when {tenant} = {them} then 0 else 1 end) = 1"),
        format!("select {tenant}::text::int from {table} where {tenant} = {them}"),
        format!(
            "select query_to_xml('select count(*) from {table} where {tenant} = ''' || {them} || '''', true, true, '')::text"
        ),
        format!("set local role none; select count(*) from {table} where {tenant} = {them}"),
        format!("set local search_path = pg_catalog; select count(*) from {table} where {tenant} = {them}"),
    ];
    let nothing = [
        format!("select count(*) from {table} where {outside}"),
        format!("select count(distinct {tenant}) from {table} where {outside}"),
        format!("select bool_or({outside}) is true from {table}"),
        format!("select count(*) filter (where {outside}) from {table}"),
        format!("select count(*) from {table} a, {table} b where b.{outside}"),
        format!("select coalesce(max({tenant}::text), '') from {table} where {outside}"),
        format!("select exists (select from {table} where {outside} limit 1 offset 0)"),
    ];
    let same = same.into_iter().map(|sql| (Expect::Same, sql));
    same.chain(nothing.into_iter().map(|sql| (Expect::Nothing, sql))).collect()
}

/// By what stands in a row of the victim's, without naming the tenant.
fn by_value(ground: &Ground<'_>, columns: &[&str]) -> Vec<(Expect, String)> {
    let Some(row) = &ground.theirs else { return Vec::new() };
    let table = &ground.relation.sql;
    let known = columns.iter().filter_map(|column| {
        let value = row.get(column)?.as_str()?;
        let (column, value) = (identifier(column), literal(value));
        ground.trial.disguise.betrayed(&value, "").is_some().then(|| {
            [
                format!("select count(*) from {table} where {column}::text = {value}"),
                format!("select exists (select from {table} where {column}::text like {value} || '%')"),
            ]
        })
    });
    known.flatten().map(|sql| (Expect::Same, sql)).collect()
}

/// COPY, which has a protocol of its own.
pub(super) async fn copied_out(session: &mut Session, ground: &Ground<'_>) -> Result<()> {
    let relation = ground.relation;
    let columns = list(relation.names(|column| column.may_select));
    if columns.is_empty() {
        return Ok(());
    }
    let stored = list(relation.names(|column| column.may_select && !column.is_generated));
    for sql in [
        format!("copy (select {columns} from {}) to stdout", relation.sql),
        format!("copy {} ({stored}) to stdout", relation.sql),
    ] {
        session.must("rollback to savepoint attempt").await?;
        let copied = async {
            let mut text = Vec::new();
            let mut chunks = session.raw().copy_out_raw(&sql).await?;
            while let Some(chunk) = chunks.try_next().await? {
                text.extend_from_slice(&chunk);
            }
            Ok::<_, sqlx::Error>(String::from_utf8_lossy(&text).into_owned())
        };
        let (verdict, detail) = match copied.await {
            Err(error) => {
                let outcome = Outcome { error: Some(refusal(&error)), ..Outcome::default() };
                let verdict = if outcome.is_malformed() { Verdict::Unproved } else { Verdict::Held };
                (verdict, outcome.brief())
            }
            Ok(text) => match ground.trial.disguise.betrayed(&text, "") {
                Some(secret) => (Verdict::Leak, format!("the copy holds the other tenant's {secret}")),
                None => (Verdict::Held, format!("{} lines", text.lines().count())),
            },
        };
        ground.trial.ledger.record(Attempt::new(GROUP, &ground.subject, &sql, verdict, detail));
    }
    // The connection is between messages again.
    session.raw().execute("rollback to savepoint attempt").await.map(drop)?;
    Ok(())
}

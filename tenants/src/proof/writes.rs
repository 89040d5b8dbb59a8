//! Changing another tenant's rows, or making rows there.

use serde_json::Value;

use super::{
    catalogue::Relation,
    session::{Assault, Expect, fresh},
    sqltext::{identifier, list, literal},
    tables::Ground,
};

const GROUP: &str = "sql.write";

/// Every way to write that SQL has.
pub(super) fn of(ground: &Ground<'_>) -> Vec<Assault> {
    let relation = ground.relation;
    let Some(tenant) = relation.tenant_column() else { return Vec::new() };
    let mut all = forged(ground, tenant);
    all.extend(changed(ground, tenant));
    if relation.is_table {
        all.extend(deleted(ground, tenant));
        all.push((Expect::Refused, format!("truncate {}", relation.sql)));
        all.push((Expect::Refused, format!("truncate {} cascade", relation.sql)));
    }
    // Where all tenants' rows are seen by design, that they exist is no secret; that they stay as they are is.
    let seen = |expect| if ground.is_read_across && expect == Expect::Same { Expect::Shut } else { expect };
    all.into_iter().map(|(expect, sql)| ground.assault(GROUP, seen(expect), sql)).collect()
}

/// An `insert` of a row like `row`, with some members replaced.
pub(super) fn insert(relation: &Relation, row: &Value, changes: &[(&str, &str)]) -> String {
    let mut row = row.clone();
    for (name, value) in changes {
        row[*name] = Value::String((*value).to_owned());
    }
    let known = relation.names(|column| column.may_insert && row.get(&column.name).is_some());
    // Without a right to insert, the refusal is what is tried.
    let columns = if known.is_empty() {
        relation.names(|column| !column.is_generated && row.get(&column.name).is_some())
    } else {
        known
    };
    let columns = list(columns);
    format!(
        "insert into {table} ({columns}) select {columns} from jsonb_populate_record(null::{table}, {})",
        literal(&row.to_string()),
        table = relation.sql
    )
}

/// Rows that name the victim.
fn forged(ground: &Ground<'_>, tenant: &str) -> Vec<(Expect, String)> {
    let (relation, them) = (ground.relation, ground.trial.victim.tenant.to_string());
    let id = fresh().to_string();
    let mut all = Vec::new();
    for row in [&ground.theirs, &ground.own].into_iter().flatten() {
        let mut changes = vec![(tenant, them.as_str())];
        if tenant != "id" {
            changes.push(("id", &id));
        }
        let plain = insert(relation, row, &changes);
        // Its own key: what is there must not show by a conflict either.
        let taken = insert(relation, row, &[(tenant, &them)]);
        let set = format!("{t} = excluded.{t}", t = identifier(tenant));
        all.extend([
            plain.clone(),
            format!("{plain} returning *"),
            format!("{plain} on conflict do nothing"),
            format!("with made as ({plain} returning 1) select count(*) from made"),
            taken.clone(),
            format!("{taken} on conflict do nothing"),
            format!("{taken} on conflict do nothing returning {}", identifier(tenant)),
        ]);
        if let Some(key) = relation.unique.first() {
            let key = list(key.iter().map(String::as_str));
            all.push(format!("{taken} on conflict ({key}) do update set {set}"));
        }
    }
    all.into_iter().map(|sql| (Expect::Same, sql)).collect()
}

fn changed(ground: &Ground<'_>, tenant: &str) -> Vec<(Expect, String)> {
    let relation = ground.relation;
    let (table, column) = (&relation.sql, identifier(tenant));
    let (us, them) = (ground.us(), ground.them());
    let may = relation.names(|column| column.may_update);
    // Without a right to update, the refusal is what is tried.
    let set = identifier(may.first().copied().unwrap_or(tenant));
    let same = [
        format!("update {table} set {set} = {set} where {column} = {them}"),
        format!("update {table} set {set} = {set} where {column} = {them} returning *"),
        format!("update {table} t set {set} = t.{set} from (values ({them}::uuid)) v (x) where t.{column} = v.x"),
        format!(
            "update {table} t set {set} = (select o.{set} from {table} o where o.{column} = {them} limit 1) where t.{column} = {them}"
        ),
        format!(
            "with moved as (update {table} set {set} = {set} where {column} = {them} returning 1) select count(*) from moved"
        ),
        format!("update {table} set {column} = {them} where {column} = {us}"),
        format!("update {table} set {column} = {us} where {column} = {them}"),
        format!(
            "merge into {table} t using (values ({them}::uuid)) v (x) on t.{column} = v.x when matched then update set {set} = t.{set}"
        ),
        format!(
            "deallocate all; prepare change (uuid) as update {table} set {set} = {set} where {column} = $1; execute change ({them}); deallocate change"
        ),
    ];
    let mut all: Vec<_> = same.into_iter().map(|sql| (Expect::Same, sql)).collect();
    // Everything in reach, without a condition: only own rows may be.
    if !may.is_empty() {
        let outside = format!("{column} not in ({us})");
        all.push((
            Expect::Nothing,
            format!("with all_of_them as (update {table} set {set} = {set} returning {column}) select count(*) from all_of_them where {outside}"),
        ));
    }
    for name in may {
        let name = identifier(name);
        all.push((Expect::Same, format!("update {table} set {name} = {name} where {column} = {them}")));
    }
    all
}

fn deleted(ground: &Ground<'_>, tenant: &str) -> Vec<(Expect, String)> {
    let (table, column) = (&ground.relation.sql, identifier(tenant));
    let (us, them) = (ground.us(), ground.them());
    let same = [
        format!("delete from {table} where {column} = {them}"),
        format!("delete from {table} where {column} = {them} returning *"),
        format!("delete from {table} t using (values ({them}::uuid)) v (x) where t.{column} = v.x"),
        format!("with gone as (delete from {table} where {column} = {them} returning 1) select count(*) from gone"),
        format!(
            "merge into {table} t using (values ({them}::uuid)) v (x) on t.{column} = v.x when matched then delete"
        ),
        format!("delete from {table} where {column} <> {us} and {column} = {them}"),
    ];
    let mut all: Vec<_> = same.into_iter().map(|sql| (Expect::Same, sql)).collect();
    if ground.relation.may_delete {
        all.push((
            Expect::Nothing,
            format!("with gone as (delete from {table} where {column} <> {us} returning 1) select count(*) from gone"),
        ));
    }
    all
}

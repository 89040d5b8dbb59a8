//! Foreign keys and unique constraints. PostgreSQL checks both outside row security: a key without the tenant lets one
//! tenant point at another's row, or learn from a conflict that it exists.

use serde_json::Value;

use super::{
    session::{Assault, Expect, fresh},
    sqltext::{identifier, literal},
    tables::Ground,
    writes::insert,
};

const GROUP: &str = "sql.keys";

/// Own rows with the victim's values in the columns of each key. Whether these exist must make no difference.
pub(super) fn of(ground: &Ground<'_>) -> Vec<Assault> {
    let (Some(own), Some(theirs)) = (&ground.own, &ground.theirs) else { return Vec::new() };
    let (relation, tenant) = (ground.relation, ground.relation.tenant_column());
    let id = fresh().to_string();
    let mut all = Vec::new();
    let keys = relation.unique.iter().chain(relation.foreign.iter().map(|(columns, _)| columns));
    for columns in keys {
        let borrowed: Vec<(&str, String)> = columns
            .iter()
            .filter(|column| Some(column.as_str()) != tenant)
            .filter_map(|column| Some((column.as_str(), as_text(theirs.get(column)?)?)))
            .collect();
        if borrowed.is_empty() {
            continue;
        }
        let unlike = unlike_ones_own(ground, columns);
        let mut changes: Vec<(&str, &str)> = vec![("id", &id)];
        changes.extend(unlike.iter().map(|(column, value)| (*column, value.as_str())));
        changes.extend(borrowed.iter().map(|(column, value)| (*column, value.as_str())));
        let row = insert(relation, own, &changes);
        all.extend([row.clone(), format!("{row} on conflict do nothing"), format!("{row} returning *")]);
        // One column at a time: the others are one's own.
        for (column, value) in &borrowed {
            let mut changes: Vec<(&str, &str)> = vec![("id", &id)];
            changes.extend(unlike.iter().map(|(column, value)| (*column, value.as_str())));
            changes.push((column, value));
            all.push(insert(relation, own, &changes));
            let (us, column) = (ground.us(), identifier(column));
            if let Some(tenant) = tenant {
                let tenant = identifier(tenant);
                all.push(format!("update {} set {column} = {} where {tenant} = {us}", relation.sql, literal(value)));
            }
        }
    }
    // A reference by two columns, the tenant's among them: both the victim's.
    for (columns, _) in &relation.foreign {
        let tenants = columns.iter().filter(|column| column.ends_with("_tenant_id"));
        let them = ground.trial.victim.tenant.to_string();
        for named in tenants {
            let others = columns.iter().filter(|column| *column != named);
            let values: Vec<(&str, String)> =
                others.filter_map(|column| Some((column.as_str(), as_text(theirs.get(column)?)?))).collect();
            let mut changes = vec![("id", id.as_str()), (named.as_str(), them.as_str())];
            changes.extend(values.iter().map(|(column, value)| (*column, value.as_str())));
            all.push(insert(relation, own, &changes));
        }
    }
    all.into_iter().map(|sql| ground.assault(GROUP, Expect::Same, sql)).collect()
}

/// New values for what other unique keys hold: one's own row again is a conflict with itself, which would hide the one that
/// is looked for.
fn unlike_ones_own<'a>(ground: &Ground<'a>, attacked: &[String]) -> Vec<(&'a str, String)> {
    let relation = ground.relation;
    let points = |column: &str| relation.foreign.iter().any(|(columns, _)| columns.iter().any(|it| it == column));
    let others = relation.unique.iter().filter(|columns| *columns != attacked).flatten();
    let others = others.filter(|column| !attacked.contains(column) && !points(column));
    let others = others.filter(|column| Some(column.as_str()) != relation.tenant_column() && *column != "id");
    let kinds = others.filter_map(|column| relation.columns.iter().find(|it| it.name == *column));
    let fresh = kinds.filter_map(|column| match column.kind.as_str() {
        "uuid" | "text" => Some((column.name.as_str(), fresh().to_string())),
        "bytea" => Some((column.name.as_str(), format!("\\x{}", fresh().simple()))),
        _ => None,
    });
    fresh.collect()
}

/// A value as a JSON string would hold it; PostgreSQL reads it back by the column's type.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

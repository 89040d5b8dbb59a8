//! What a run leaves behind, in a form in which two runs can be compared: ids are numbered in the order in which they
//! appear, times and hashes are only there or not.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::trial::{Trial, World};

/// Every table of the product, with its columns' types; but what was used, since a request that is repeated is counted twice.
const COLUMNS: &str = "select table_name::text, column_name::text, data_type::text from information_schema.columns \
                       where table_schema = 'public' and table_name not in ('_sqlx_migrations', 'usage') order by 1, ordinal_position";

/// Jobs that wait, of tenants that exist: what a deleted registration ordered finds nothing and does nothing.
const JOBS: &str = "select coalesce(jsonb_agg(jsonb_build_object('kind', t.identifier, 'key', j.key, 'payload', j.payload) \
                    order by t.identifier, j.id), '[]') \
                    from graphile_worker._private_jobs j join graphile_worker._private_tasks t on t.id = j.task_id \
                    where exists (select 1 from tenant where id = (j.payload->>'tenant_id')::uuid)";

/// Tables, waiting jobs, accounts of the trial's people, and the bucket with all versions and unfinished uploads.
pub async fn picture(trial: &Trial) -> String {
    let mut picture = json!({
        "accounts": accounts(&trial.world, &trial.emails).await,
        "bucket": bucket(&trial.world, &trial.bucket).await,
    });
    let mut database = trial.app.superuser().await;
    picture["jobs"] = sqlx::query_scalar(JOBS).fetch_one(&mut database).await.unwrap();
    picture["tables"] = tables(&mut database).await;
    let mut names = Names { known: trial.emails.iter().cloned().zip((0..).map(|n| format!("address {n}"))).collect() };
    names.replace(&mut picture);
    serde_json::to_string_pretty(&picture).unwrap()
}

async fn tables(database: &mut PgConnection) -> Value {
    let columns: Vec<(String, String, String)> = sqlx::query_as(COLUMNS).fetch_all(&mut *database).await.unwrap();
    let mut types: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (table, column, kind) in columns {
        types.entry(table).or_default().push((column, kind));
    }
    assert!(types.len() >= 8, "the product's tables are found");
    let mut tables = json!({});
    for (table, columns) in types {
        let text = format!("select coalesce(jsonb_agg(to_jsonb(t) order by t.id), '[]') from public.{table} t");
        let mut rows: Value = sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(&mut *database).await.unwrap();
        for row in rows.as_array_mut().unwrap() {
            for (column, kind) in &columns {
                row[column] = plain(column, kind, row[column].take());
            }
        }
        tables[table] = rows;
    }
    tables
}

/// A value without what differs between two runs by its nature.
fn plain(column: &str, kind: &str, value: Value) -> Value {
    match (kind, column) {
        _ if value.is_null() => value,
        ("timestamp with time zone", _) if value != "-infinity" => json!("a time"),
        ("bytea", _) => json!("bytes"),
        (_, "password_check") => json!("a salted hash"),
        (_, "upload_id") => json!("an upload's id"),
        _ => value,
    }
}

async fn accounts(world: &World, emails: &[String]) -> Value {
    let mut accounts = Vec::new();
    for email in emails {
        let all = world.cognito.list_users().user_pool_id(&world.pool_id).filter(format!("email = \"{email}\""));
        for user in all.send().await.unwrap().users() {
            let attributes: BTreeMap<_, _> = user.attributes().iter().map(|a| (a.name(), a.value())).collect();
            let status = user.user_status().map(|status| status.as_str());
            accounts.push(json!({"status": status, "enabled": user.enabled(), "attributes": attributes}));
        }
    }
    accounts.into()
}

async fn bucket(world: &World, bucket: &str) -> Value {
    let listed = world.s3.list_object_versions().bucket(bucket).send().await.unwrap();
    let versions = listed.versions().iter().map(|v| json!({"key": v.key(), "size": v.size(), "etag": v.e_tag()}));
    let markers = listed.delete_markers().iter().map(|marker| json!(marker.key()));
    let begun = world.s3.list_multipart_uploads().bucket(bucket).send().await.unwrap();
    let mut uploads = Vec::new();
    for upload in begun.uploads() {
        let (key, id) = (upload.key().unwrap(), upload.upload_id().unwrap());
        let parts = world.s3.list_parts().bucket(bucket).key(key).upload_id(id).send().await.unwrap();
        let parts: Vec<_> = parts
            .parts()
            .iter()
            .map(|part| (part.part_number(), part.size(), part.e_tag().map(str::to_owned)))
            .collect();
        uploads.push(json!({"key": key, "parts": parts}));
    }
    json!({"versions": versions.collect::<Vec<_>>(), "delete markers": markers.collect::<Vec<_>>(), "uploads": uploads})
}

/// Names for ids and addresses, given out in the order of their first appearance. The same id has the same name
/// everywhere: what points at each other in one run does so in the other.
struct Names {
    known: HashMap<String, String>,
}

impl Names {
    fn replace(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.renamed(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.replace(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.replace(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn renamed(&mut self, text: &str) -> String {
        const LENGTH: usize = 36;
        if let Some(name) = self.known.get(text) {
            return name.clone();
        }
        let (mut out, mut rest) = (String::new(), text);
        while let Some(first) = rest.chars().next() {
            match rest.get(..LENGTH).filter(|piece| Uuid::try_parse(piece).is_ok()) {
                Some(id) => {
                    let next = format!("#{}", self.known.len());
                    out.push_str(self.known.entry(id.to_owned()).or_insert(next));
                    rest = &rest[LENGTH..];
                }
                None => {
                    out.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        out
    }
}

/// The lines in which two pictures differ.
pub fn difference(wanted: &str, found: &str) -> String {
    let only = |sign: &str, ours: &str, theirs: &str| {
        let mut theirs: Vec<&str> = theirs.lines().collect();
        let mut lines = String::new();
        for line in ours.lines() {
            match theirs.iter().position(|other| *other == line) {
                Some(place) => drop(theirs.swap_remove(place)),
                None => lines.push_str(&format!("{sign} {line}\n")),
            }
        }
        lines
    };
    format!("{}{}", only("-", wanted, found), only("+", found, wanted))
}

#[test]
fn ids_are_numbered_in_the_order_of_their_appearance_and_keep_their_number() {
    let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
    let mut value = json!([one.to_string(), {"key": format!("videos/{two}/{one}.mp4")}, "ann@example.com", "2024"]);
    Names { known: [("ann@example.com".to_owned(), "address 0".to_owned())].into() }.replace(&mut value);
    assert_eq!(value, json!(["#1", {"key": "videos/#2/#1.mp4"}, "address 0", "2024"]));
}

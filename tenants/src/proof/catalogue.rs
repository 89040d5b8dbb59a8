//! What there is to attack, as the catalogue and the role's own privileges say.

use serde_json::Value;

use super::{session::Session, sqltext::identifier};
use crate::{Error, Result, doctor};

/// A table or view.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    /// `public.video`.
    pub(super) name: String,
    /// The same, quoted.
    pub(super) sql: String,
    pub(super) is_table: bool,
    pub(super) columns: Vec<Column>,
    /// Whether rows may be deleted.
    pub(super) may_delete: bool,
    /// The columns of each unique constraint or index.
    pub(super) unique: Vec<Vec<String>>,
    /// The columns of each foreign key, and the table that it points to.
    pub(super) foreign: Vec<(Vec<String>, String)>,
    /// Values that a column may have, where a constraint lists them.
    pub(super) listed: Vec<(String, String)>,
}

/// A column, and what the role may do with it.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: String,
    /// Has no default and may not be null.
    pub(super) is_needed: bool,
    pub(super) may_select: bool,
    /// PostgreSQL makes its values of other columns: nobody gives one, and COPY takes it from no table.
    pub(super) is_generated: bool,
    pub(super) may_insert: bool,
    pub(super) may_update: bool,
}

/// A function that the role may call.
#[derive(Clone, Debug)]
pub(super) struct Function {
    /// `public.enqueue`.
    pub(super) name: String,
    /// The types of its parameters.
    pub(super) parameters: Vec<String>,
    /// It says that it changes nothing, and PostgreSQL holds it to that.
    pub(super) is_read_only: bool,
}

const RELATIONS: &str = "
select jsonb_build_object(
    'name', n.nspname || '.' || c.relname, 'schema', n.nspname, 'plain', c.relname, 'table', c.relkind in ('r', 'p'),
    'delete', has_table_privilege(c.oid, 'DELETE'),
    'columns', (select jsonb_agg(jsonb_build_object(
            'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
            'needed', a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attgenerated = '',
            'generated', a.attgenerated <> '',
            'select', has_column_privilege(c.oid, a.attnum, 'SELECT'),
            'insert', has_column_privilege(c.oid, a.attnum, 'INSERT') and a.attgenerated = '',
            'update', has_column_privilege(c.oid, a.attnum, 'UPDATE') and a.attgenerated = '') order by a.attnum)
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
    'unique', coalesce((select jsonb_agg(
            (select jsonb_agg(a.attname) from pg_attribute a where a.attrelid = c.oid and a.attnum = any (i.indkey::int2[])))
        from pg_index i where i.indrelid = c.oid and i.indisunique and i.indexprs is null), '[]'),
    'foreign', coalesce((select jsonb_agg(jsonb_build_array(
            (select jsonb_agg(a.attname) from pg_attribute a where a.attrelid = c.oid and a.attnum = any (k.conkey)),
            (select fn.nspname || '.' || f.relname from pg_class f join pg_namespace fn on fn.oid = f.relnamespace where f.oid = k.confrelid)))
        from pg_constraint k where k.conrelid = c.oid and k.contype = 'f'), '[]'),
    'listed', coalesce((select jsonb_agg(jsonb_build_array(a.attname,
            substring(pg_get_constraintdef(k.oid) from '''([^'']*)''::text')))
        from pg_constraint k join pg_attribute a on a.attrelid = c.oid and k.conkey = array[a.attnum]
        where k.conrelid = c.oid and k.contype = 'c' and pg_get_constraintdef(k.oid) ~ '= ANY \\(+ARRAY'), '[]'))::text
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
order by n.nspname, c.relname";

const FUNCTIONS: &str = "
select jsonb_build_object('name', n.nspname || '.' || p.proname, 'read only', p.provolatile <> 'v',
    'parameters', coalesce((select jsonb_agg(format_type(t.type, null) order by t.place)
        from unnest(p.proargtypes) with ordinality t(type, place)), '[]'))::text
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname <> 'information_schema' and n.nspname !~ '^pg_' and p.prokind in ('f', 'p')
  and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
  and has_function_privilege(p.oid, 'EXECUTE') and has_schema_privilege(n.oid, 'USAGE')
order by 1";

impl Session {
    /// Every table and view outside the system's schemas.
    pub(super) async fn relations(&mut self) -> Result<Vec<Relation>> {
        self.must(RELATIONS).await?.rows.iter().map(|row| relation(&json(row)?)).collect()
    }

    /// Every function outside the system's schemas that this role may call.
    pub(super) async fn functions(&mut self) -> Result<Vec<Function>> {
        let function = |row: &String| {
            let row = json(row)?;
            let is_read_only = row["read only"].as_bool().unwrap_or_default();
            Ok(Function { name: text(&row["name"]), parameters: texts(&row["parameters"]), is_read_only })
        };
        self.must(FUNCTIONS).await?.rows.iter().map(function).collect()
    }
}

impl Relation {
    /// Whether its rows are tenants', so that the role must not reach another's.
    ///
    /// The doctor's list says which tables stand outside the wall, and why; the queue's are the worker's own.
    pub(super) fn is_attacked_by(&self, role: &str) -> bool {
        role != "ffp_worker" && self.name.starts_with("graphile_worker.") || !doctor::is_outside(&self.name)
    }

    /// Whether the role may read all tenants' rows here by design.
    pub(super) fn is_read_across_by(&self, role: &str) -> bool {
        role == "ffp_operator" && doctor::is_registry(&self.name)
    }

    /// The column with the row's tenant.
    pub(super) fn tenant_column(&self) -> Option<&str> {
        let column = if self.name == "public.tenant" { "id" } else { "tenant_id" };
        self.columns.iter().map(|column| column.name.as_str()).find(|name| *name == column)
    }

    /// Its columns that `may` admits.
    pub(super) fn names(&self, may: impl Fn(&Column) -> bool) -> Vec<&str> {
        self.columns.iter().filter(|column| may(column)).map(|column| column.name.as_str()).collect()
    }

    /// The value that a constraint's list begins with.
    pub(super) fn listed(&self, column: &str) -> Option<&str> {
        self.listed.iter().find(|(name, _)| name == column).map(|(_, value)| value.as_str())
    }
}

fn relation(row: &Value) -> Result<Relation> {
    let is = |value: &Value| value.as_bool().unwrap_or_default();
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    Ok(Relation {
        name: text(&row["name"]),
        sql: format!("{}.{}", identifier(&text(&row["schema"])), identifier(&text(&row["plain"]))),
        is_table: is(&row["table"]),
        may_delete: is(&row["delete"]),
        columns: all(&row["columns"])
            .iter()
            .map(|column| Column {
                name: text(&column["name"]),
                kind: text(&column["type"]),
                is_needed: is(&column["needed"]),
                may_select: is(&column["select"]),
                is_generated: is(&column["generated"]),
                may_insert: is(&column["insert"]),
                may_update: is(&column["update"]),
            })
            .collect(),
        unique: all(&row["unique"]).iter().map(texts).collect(),
        foreign: all(&row["foreign"]).iter().map(|key| (texts(&key[0]), text(&key[1]))).collect(),
        listed: all(&row["listed"]).iter().map(|entry| (text(&entry[0]), text(&entry[1]))).collect(),
    })
}

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Error::Internal(format!("the catalogue: {error}")))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

//! One table or view, attacked as one actor: its rows are looked up (and made, where the product has made none), and then
//! everything is tried from that state.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Attempt, Ledger, Party, Trial, Verdict,
    catalogue::{Column, Relation},
    disguise::uuids,
    keys, reads,
    session::{Act, Assault, Expect, Session, Watch, fresh, settings},
    sqltext::{identifier, list, literal},
    writes,
};
use crate::{Result, Role};

/// How often a table is begun anew when the product changes the same rows meanwhile.
const TRIES: u32 = 5;

/// What only a function of the database makes. The product made none for the proof, so it is ordered here, with the
/// tenant for `{tenant}`, and undone with the rest.
const SEEDS: [(&str, Seed, &str); 2] = [
    ("public.gate_ticket", Seed::Inside, "select gate_enter('prove.isolation', '{}', 'prove.isolation', 1000)"),
    (
        "public.usage",
        Seed::Outside,
        "select usage_add(jsonb_build_object('{tenant}', jsonb_build_array(jsonb_build_array('prove.isolation', current_date, 1))))",
    ),
];

#[derive(Clone, Copy, PartialEq)]
enum Seed {
    /// Within the tenant.
    Inside,
    /// With no tenant set.
    Outside,
}

/// Which tables had a row of the victim's to attack.
#[derive(Default)]
pub(super) struct Exercised(BTreeMap<String, bool>);

impl Exercised {
    /// A table that nobody could attack proves nothing.
    pub(super) fn report(&self, ledger: &Ledger) {
        for (table, _) in self.0.iter().filter(|(_, had_rows)| !**had_rows) {
            let why = "the other tenant has no row in it, and none could be made: nothing was proved";
            ledger.record(Attempt::new("sql.read", table, "look for the other's rows", Verdict::Unproved, why));
        }
    }
}

/// What an attack on a relation may use.
pub(super) struct Ground<'a> {
    pub(super) relation: &'a Relation,
    pub(super) trial: &'a Trial<'a>,
    /// A row of the victim's.
    pub(super) theirs: Option<Value>,
    /// A row of the attacker's own.
    pub(super) own: Option<Value>,
    pub(super) subject: String,
    /// Whether the role reads all tenants' rows here by design.
    pub(super) is_read_across: bool,
}

impl Ground<'_> {
    pub(super) fn them(&self) -> String {
        literal(&self.trial.victim.tenant.to_string())
    }

    pub(super) fn us(&self) -> String {
        literal(&self.trial.attacker.tenant.to_string())
    }

    pub(super) fn assault(&self, group: &'static str, expect: Expect, sql: impl Into<String>) -> Assault {
        Assault { group, subject: self.subject.clone(), sql: sql.into(), expect }
    }
}

/// Attacks one relation as one actor.
pub(super) async fn attack(
    session: &mut Session,
    relation: &Relation,
    act: Act,
    trial: &Trial<'_>,
    exercised: &mut Exercised,
) -> Result<()> {
    for _ in 0..TRIES {
        session.begin().await?;
        let calm = in_snapshot(session, relation, act, trial, exercised).await;
        session.end().await?;
        if calm? {
            return Ok(());
        }
    }
    let why = "the product changed the same rows at every try: nothing was proved";
    let subject = format!("{} as {}", relation.name, session.role);
    trial.ledger.record(Attempt::new("sql.write", subject, "begin", Verdict::Unproved, why));
    Ok(())
}

async fn in_snapshot(
    session: &mut Session,
    relation: &Relation,
    act: Act,
    trial: &Trial<'_>,
    exercised: &mut Exercised,
) -> Result<bool> {
    let selectable = relation.names(|column| column.may_select);
    let mut theirs = sample(session, relation, &selectable, trial.victim).await?;
    if theirs.is_none() && relation.tenant_column().is_some() {
        seed(session, relation, trial.victim).await?;
        seed(session, relation, trial.attacker).await?;
        theirs = sample(session, relation, &selectable, trial.victim).await?;
    }
    let own = sample(session, relation, &selectable, trial.attacker).await?;
    if relation.is_table && relation.tenant_column().is_some() && !relation.name.starts_with("graphile_worker.") {
        *exercised.0.entry(relation.name.clone()).or_default() |= theirs.is_some();
    }
    let watch_sql = watch(relation, &selectable, act, trial);
    session.must(&act.enter(trial.attacker)).await?;
    session.settle().await?;
    let watch = match watch_sql {
        Some(sql) => Some(Watch { rows: session.attempt(&sql).await.rows, sql }),
        None => None,
    };

    let subject = format!("{} as {} ({})", relation.name, session.role, act.role);
    let is_read_across = relation.is_read_across_by(session.role);
    let ground = Ground { relation, trial, theirs, own, subject, is_read_across };
    let mut assaults = Vec::new();
    if !is_read_across {
        assaults.extend(reads::of(&ground).into_iter().map(|assault| (assault, false)));
    }
    assaults.extend(writes::of(&ground).into_iter().map(|assault| (assault, true)));
    assaults.extend(keys::of(&ground).into_iter().map(|assault| (assault, true)));
    for (assault, writes) in assaults {
        if trial.ledger.is_over() {
            return Ok(true);
        }
        let watch = watch.as_ref().filter(|_| writes);
        if session.assault(&assault, watch, trial.disguise, trial.ledger).await?.is_none() {
            return Ok(false);
        }
    }
    if !is_read_across {
        reads::copied_out(session, &ground).await?;
    }
    Ok(true)
}

/// A row of the party's, as JSON, through whoever's eyes it is seen.
async fn sample(session: &mut Session, relation: &Relation, columns: &[&str], party: &Party) -> Result<Option<Value>> {
    let (Some(tenant), false) = (relation.tenant_column(), columns.is_empty()) else { return Ok(None) };
    let (columns, tenant) = (list(columns.iter().copied()), identifier(tenant));
    for (role, member) in party.perspectives() {
        session.must("savepoint look").await?;
        let sql = format!(
            "{}; select to_jsonb(x)::text from (select {columns} from {} where {tenant} = '{}' limit 1) x",
            settings(party.tenant, role, &member),
            relation.sql,
            party.tenant
        );
        let found = session.run(&sql).await;
        session.must("rollback to savepoint look; release savepoint look").await?;
        if found.rows.len() > 1 {
            return Ok(found.rows.last().and_then(|row| serde_json::from_str(row).ok()));
        }
    }
    Ok(None)
}

/// Rows of the party's that only functions of the database make, made here and undone with the transaction: their ids.
pub(super) async fn made_by_functions(
    session: &mut Session,
    relations: &[Relation],
    party: &Party,
) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for relation in relations.iter().filter(|relation| SEEDS.iter().any(|(table, ..)| *table == relation.name)) {
        seed(session, relation, party).await?;
        let row = sample(session, relation, &relation.names(|column| column.may_select), party).await?;
        ids.extend(row.and_then(|row| row["id"].as_str().map(str::to_owned)));
    }
    Ok(ids)
}

/// Makes a row of the party's, if the role can.
async fn seed(session: &mut Session, relation: &Relation, party: &Party) -> Result<()> {
    let owner = party.member(Role::Owner).map(|id| id.to_string()).unwrap_or_default();
    let mut tries: Vec<String> = Vec::new();
    for (_, how, sql) in SEEDS.iter().filter(|(table, ..)| *table == relation.name) {
        let sql = sql.replace("{tenant}", &party.tenant.to_string());
        let enter = match how {
            Seed::Inside => settings(party.tenant, "system", ""),
            Seed::Outside => "select set_config('app.tenant_id', '', true), set_config('app.member_id', '', true), \
                 set_config('app.role', '', true)"
                .to_owned(),
        };
        tries.push(format!("{enter}; {sql}"));
    }
    for (role, member) in party.perspectives() {
        let who = if member.is_empty() { &owner } else { &member };
        tries.push(format!("{}; {}", settings(party.tenant, role, &member), made_up(relation, party, who)));
    }
    for sql in tries {
        session.must("savepoint seed").await?;
        let made = session.run(&sql).await;
        if made.error.is_none() {
            session.must("release savepoint seed").await?;
            return Ok(());
        }
        session.must("rollback to savepoint seed; release savepoint seed").await?;
    }
    Ok(())
}

/// An `insert` of a row with a value of the right type in every column that needs one.
fn made_up(relation: &Relation, party: &Party, member: &str) -> String {
    let needed: Vec<&Column> = relation.columns.iter().filter(|column| column.is_needed).collect();
    let values: Vec<String> = needed.iter().map(|column| value_for(relation, column, party, member)).collect();
    let names = list(needed.iter().map(|column| column.name.as_str()));
    format!("insert into {} ({names}) values ({})", relation.sql, values.join(", "))
}

fn value_for(relation: &Relation, column: &Column, party: &Party, member: &str) -> String {
    if let Some(listed) = relation.listed(&column.name) {
        return literal(listed);
    }
    // A row that is about a member may have their id for its own.
    let is_shared = column.name == "id" && relation.foreign.iter().any(|(columns, _)| columns.contains(&column.name));
    let is_person = is_shared || ["member_id", "actor_id", "_by"].iter().any(|end| column.name.ends_with(end));
    let is_tenant = column.name.ends_with("tenant_id") || Some(column.name.as_str()) == relation.tenant_column();
    match column.kind.as_str() {
        "uuid" if is_tenant => literal(&party.tenant.to_string()),
        "uuid" if is_person => literal(member),
        "uuid" => literal(&fresh().to_string()),
        "boolean" => "false".to_owned(),
        "date" => "current_date".to_owned(),
        "jsonb" | "json" => "'{}'".to_owned(),
        "bytea" => "'\\x00'".to_owned(),
        "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" => "1".to_owned(),
        kind if kind.starts_with("timestamp") => "now()".to_owned(),
        _ => literal("prove"),
    }
}

/// Reads a digest of everything that the victim sees in the relation, through everybody's eyes.
fn watch(relation: &Relation, columns: &[&str], act: Act, trial: &Trial<'_>) -> Option<String> {
    let tenant = identifier(relation.tenant_column()?);
    if columns.is_empty() {
        return None;
    }
    let (columns, victim) = (list(columns.iter().copied()), trial.victim);
    let looks = victim.perspectives().into_iter().map(|(role, member)| {
        format!(
            "{}; select md5(coalesce(string_agg(x.line, '|' order by x.line), '')) from \
             (select row({columns})::text as line from {} where {tenant} = '{}') x",
            settings(victim.tenant, role, &member),
            relation.sql,
            victim.tenant
        )
    });
    Some(looks.chain([act.enter(trial.attacker)]).collect::<Vec<_>>().join("; "))
}

/// Ids and addresses in the rows that the party sees.
pub(super) async fn markers(session: &mut Session, relation: &Relation, party: &Party) -> Result<Vec<String>> {
    let columns = relation.names(|column| column.may_select);
    if columns.is_empty() || relation.is_read_across_by(session.role) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for (role, member) in party.perspectives() {
        session.begin().await?;
        session.must(&settings(party.tenant, role, &member)).await?;
        let rows = session.run(&format!("select {} from {}", list(columns.iter().copied()), relation.sql)).await;
        session.end().await?;
        for row in &rows.rows {
            found.extend(uuids(row));
            let words = row.split(|c: char| c.is_whitespace() || "\",{}[]()".contains(c));
            found.extend(words.filter(|word| word.contains('@') && word.len() > 5).map(str::to_owned));
        }
    }
    Ok(found)
}

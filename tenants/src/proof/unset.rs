//! No tenant, an empty one, one that just left, garbage: whatever the connection claims to be, it is nobody.

use super::{
    Trial,
    catalogue::Relation,
    session::{Assault, Expect, Session, fresh, settings},
    sqltext::{identifier, list, literal},
    writes,
};
use crate::{Result, Role};

const GROUP: &str = "sql.unset";

/// Every table under settings that name no tenant.
pub(super) async fn attack(session: &mut Session, relations: &[Relation], trial: &Trial<'_>) -> Result<()> {
    let victim = trial.victim.tenant.to_string();
    let owner = trial.victim.member(Role::Owner).map(|id| id.to_string()).unwrap_or_default();
    let garbage = [
        "garbage".to_owned(),
        "%".to_owned(),
        victim[..35].to_owned(),
        format!("{victim}0"),
        format!("{victim},{victim}"),
        format!("{victim}' or '1' = '1"),
    ];
    for role in ["system", "owner", "operator"] {
        let claims = format!(
            "select set_config('app.member_id', {}, true), set_config('app.role', '{role}', true)",
            literal(&owner)
        );
        let named = |tenant: &str| format!("{claims}; select set_config('app.tenant_id', {}, true)", literal(tenant));
        serve_the_victim(session, trial).await?;
        let mut settings = vec![
            ("no tenant".to_owned(), claims.clone(), Expect::Same),
            ("an empty tenant".to_owned(), named(""), Expect::Same),
            ("a tenant that nobody is".to_owned(), named(&fresh().to_string()), Expect::Same),
        ];
        settings.extend(garbage.iter().map(|text| (format!("the tenant `{text}`"), named(text), Expect::Shut)));
        for (who, enter, expect) in settings {
            if trial.ledger.is_over() {
                return Ok(());
            }
            under(session, relations, trial, &format!("{who}, as {role}"), &enter, expect).await?;
        }
    }
    Ok(())
}

/// What precedes it is another's transaction, committed: its settings must be gone.
async fn serve_the_victim(session: &mut Session, trial: &Trial<'_>) -> Result<()> {
    session.begin().await?;
    session.must(&settings(trial.victim.tenant, "system", "")).await?;
    session.must("commit").await.map(|_| ())
}

async fn under(
    session: &mut Session,
    relations: &[Relation],
    trial: &Trial<'_>,
    who: &str,
    enter: &str,
    expect: Expect,
) -> Result<()> {
    let them = literal(&trial.victim.tenant.to_string());
    for relation in relations.iter().filter(|relation| relation.is_attacked_by(session.role)) {
        let Some(tenant) = relation.tenant_column() else { continue };
        let column = identifier(tenant);
        let table = &relation.sql;
        let mut all = vec![format!("update {table} set {column} = {column} where {column} = {them}")];
        if relation.is_table {
            all.push(format!("delete from {table} where {column} = {them}"));
            let row = serde_json::json!({ tenant: trial.victim.tenant.to_string() });
            all.push(writes::insert(relation, &row, &[]));
        }
        let columns = relation.names(|column| column.may_select);
        if !columns.is_empty() && !relation.is_read_across_by(session.role) {
            all.push(format!("select count(*) from {table} where {column} = {them}"));
            all.push(format!("select {} from {table}", list(columns)));
        }
        session.begin().await?;
        session.must(enter).await?;
        session.settle().await?;
        for sql in all {
            let subject = format!("{} as {} ({who})", relation.name, session.role);
            let assault = Assault { group: GROUP, subject, sql, expect };
            session.assault(&assault, None, trial.disguise, trial.ledger).await?;
        }
        session.end().await?;
    }
    Ok(())
}

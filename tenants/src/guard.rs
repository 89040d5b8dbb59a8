//! Which statements a tenant's transaction may run.

use sea_orm::DbErr;

/// What a statement may begin with. Everything else could leave the tenant or the transaction.
const ALLOWED: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "MERGE"];

/// Refuses text that could change who the transaction acts for.
///
/// This catches mistakes, not an attacker who already runs arbitrary SQL: such a one picks the tenant.
pub(crate) fn guard(text: &str) -> Result<(), DbErr> {
    let first: String = text.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    let refused = if !ALLOWED.iter().any(|word| first.eq_ignore_ascii_case(word)) {
        Some("it must begin with SELECT, INSERT, UPDATE, DELETE, WITH or MERGE")
    } else if contains(text, b"set_config") || contains(text, b"u&\"") {
        Some("it must not touch the settings that name the tenant")
    } else {
        None
    };
    refused.map_or(Ok(()), |why| Err(DbErr::Custom(format!("TenantTx refused a statement: {why}"))))
}

fn contains(text: &str, needle: &[u8]) -> bool {
    text.as_bytes().windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

#[cfg(test)]
mod tests {
    use super::guard;

    #[test]
    fn ordinary_statements_pass() {
        for text in
            ["select 1", "  SELECT x FROM t", "insert into t values (1)", "with a as (select 1) select * from a"]
        {
            assert!(guard(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn statements_that_could_leave_the_tenant_are_refused() {
        for text in [
            "SET app.tenant_id = 'x'",
            "set local role ffp_owner",
            "RESET ALL",
            "COMMIT",
            "rollback",
            "BEGIN",
            "savepoint a",
            "do $$ begin end $$",
            "call p()",
            "-- a comment\nset role x",
            "/* */ commit",
            "select set_config('app.tenant_id', 'x', true)",
            "select SET_CONFIG('app.tenant_id', 'x', true)",
            "with a as (select pg_catalog.set_config('a','b',false)) select * from a",
            "select U&\"set\\005fconfig\"('app.tenant_id', 'x', true)",
            "",
        ] {
            assert!(guard(text).is_err(), "{text}");
        }
    }
}

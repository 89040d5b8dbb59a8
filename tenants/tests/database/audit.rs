//! The audit log, and the operators whose every visit is in it.

use tenants::{Audit, Error, Role};
use uuid::Uuid;

use crate::{
    policies::{assert_refused, everybody, ids, run},
    support::{ACME, GLOBEX, TestDb},
};

fn line() -> Audit {
    Audit { action: "test.done", object_kind: "test", object_id: None, detail: serde_json::json!({ "n": 1 }) }
}

#[tokio::test]
async fn an_audit_line_exists_if_and_only_if_the_write_does() {
    let mut db = TestDb::new().await;
    let owner = db.member(ACME, Role::Owner).await;
    let lines = "select count(*) from audit where action = 'test.done'";
    let failed = owner
        .write(async |tx| {
            tx.audit(line()).await?;
            Err::<(), _>(Error::Internal("no".into()))
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(db.count(lines).await, 0);

    owner.write(async |tx| tx.audit(line()).await.map_err(Error::from)).await.unwrap();
    assert_eq!(db.count(lines).await, 1);
    let named = format!(
        "{lines} and actor_role = 'owner' and actor_id = '{}' and tenant_id = '{}'",
        ACME.member(Role::Owner),
        ACME.id
    );
    assert_eq!(db.count(&named).await, 1);
}

#[tokio::test]
async fn the_audit_log_is_append_only_for_everybody() {
    let db = TestDb::new().await;
    let operator = db.operator().await.open(ACME.id, "a test").await.unwrap();
    for (who, tenant) in [
        ("owner", db.member(ACME, Role::Owner).await),
        ("system", db.tenants.as_system(ACME.id)),
        ("operator", operator),
    ] {
        assert_refused(run(&tenant, "update audit set action = 'nothing.happened'", []).await, who);
        assert_refused(run(&tenant, "delete from audit", []).await, who);
    }
}

#[tokio::test]
async fn nobody_writes_an_audit_line_in_anothers_name() {
    let db = TestDb::new().await;
    let admin = db.member(ACME, Role::Admin).await;
    let text = "insert into audit (tenant_id, id, actor_role, actor_id, action, object_kind) values ($1, $2, $3, $4, 'x', 'x')";
    let own = ACME.member(Role::Admin).0;
    for (role, actor) in
        [("owner", Some(own)), ("system", None), ("admin", None), ("admin", Some(ACME.member(Role::Owner).0))]
    {
        let values = [ACME.id.0.into(), Uuid::now_v7().into(), role.into(), actor.into()];
        assert_refused(run(&admin, text, values).await, &format!("{role} {actor:?}"));
    }
}

#[tokio::test]
async fn opening_a_tenant_as_an_operator_writes_the_audit_line_first() {
    let mut db = TestDb::new().await;
    let operator = db.operator().await;
    let opened = operator.open(ACME.id, "a support case").await.unwrap();
    assert_eq!(ids(&opened, "select id from member").await, everybody());
    let line = format!(
        "select count(*) from audit where action = 'tenant.opened' and tenant_id = '{}' and actor_role = 'operator'
                        and actor_id = '{}' and detail ->> 'reason' = 'a support case'",
        ACME.id,
        operator.subject()
    );
    assert_eq!(db.count(&line).await, 1);
}

#[tokio::test]
async fn an_operator_reads_the_registry_across_tenants_and_nothing_else() {
    let db = TestDb::new().await;
    let opened = db.operator().await.open(ACME.id, "a test").await.unwrap();
    let mut tenants = vec![ACME.id.0, GLOBEX.id.0];
    tenants.sort();
    let found = ids(&opened, "select id from tenant where kind = 'business'").await;
    assert_eq!(found, tenants);
    let audited = ids(&opened, "select distinct tenant_id from audit").await;
    assert_eq!(audited, tenants);
    assert_eq!(ids(&opened, "select distinct tenant_id from member").await, [ACME.id.0]);
    assert_eq!(run(&opened, "update tenant set status = 'suspended'", []).await.unwrap(), 1, "the opened one only");
}

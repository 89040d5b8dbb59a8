//! Inside one business: who sees what and who may do what, said by the policies and not only by the handlers.

use sea_orm::{DbErr, Value};
use tenants::{Error, MemberId, Role, Tenant, TenantTx};
use uuid::Uuid;

use crate::support::{ACME, GLOBEX, TestDb};

pub(crate) async fn ids(tenant: &Tenant, sql: &'static str) -> Vec<Uuid> {
    let mut ids = tenant
        .read(async |tx| {
            tx.sql(sql, [])
                .await?
                .iter()
                .map(|row| Ok(row.try_get_by_index::<Uuid>(0)?))
                .collect::<Result<Vec<_>, Error>>()
        })
        .await
        .unwrap();
    ids.sort();
    ids
}

fn sorted(members: impl IntoIterator<Item = MemberId>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = members.into_iter().map(|id| id.0).collect();
    ids.sort();
    ids
}

pub(crate) async fn run(
    tenant: &Tenant,
    text: &'static str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, Error> {
    tenant.write(async |tx| tx.run(text, values).await.map_err(Error::from)).await
}

/// Refused by a policy or for want of a grant.
pub(crate) fn assert_refused(outcome: Result<u64, Error>, what: &str) {
    let refused = matches!(&outcome, Err(Error::Database(DbErr::Query(sea_orm::RuntimeErr::SqlxError(cause))))
        if cause.as_database_error().and_then(|error| error.code()).as_deref() == Some("42501"));
    assert!(refused, "{what}: {outcome:?}");
}

pub(crate) fn everybody() -> Vec<Uuid> {
    sorted(Role::ALL.map(|role| ACME.member(role)).into_iter().chain([ACME.second_athlete()]))
}

#[tokio::test]
async fn an_athlete_sees_itself_and_the_coaches() {
    let db = TestDb::new().await;
    let athlete = db.member(ACME, Role::Athlete).await;
    assert_eq!(
        ids(&athlete, "select id from member").await,
        sorted([ACME.member(Role::Athlete), ACME.member(Role::Coach)])
    );
    for role in [Role::Coach, Role::Admin, Role::Owner] {
        assert_eq!(ids(&db.member(ACME, role).await, "select id from member").await, everybody(), "{role:?}");
    }
}

#[tokio::test]
async fn an_athlete_sees_no_address_but_its_own() {
    let db = TestDb::new().await;
    let athlete = db.member(ACME, Role::Athlete).await;
    assert_eq!(ids(&athlete, "select id from member_contact").await, sorted([ACME.member(Role::Athlete)]));
    assert_eq!(ids(&db.member(ACME, Role::Coach).await, "select id from member_contact").await, everybody());
}

#[tokio::test]
async fn invitations_and_the_audit_log_are_for_admins_and_owners() {
    let db = TestDb::new().await;
    for (role, sees) in [(Role::Athlete, 0), (Role::Coach, 0), (Role::Admin, 1), (Role::Owner, 1)] {
        let tenant = db.member(ACME, role).await;
        assert_eq!(ids(&tenant, "select id from invitation").await.len(), sees, "invitation, {role:?}");
        assert_eq!(ids(&tenant, "select id from audit").await.len(), sees, "audit, {role:?}");
        assert_eq!(ids(&tenant, "select id from registration").await.len(), 0, "registration, {role:?}");
    }
}

#[tokio::test]
async fn an_athlete_sees_only_published_videos() {
    let db = TestDb::new().await;
    let own = "select id from video where tenant_id <> platform_tenant()";
    assert_eq!(ids(&db.member(ACME, Role::Athlete).await, own).await, [ACME.published_video()]);
    let mut both = vec![ACME.published_video(), ACME.draft_video()];
    both.sort();
    assert_eq!(ids(&db.member(ACME, Role::Coach).await, own).await, both);
    for role in Role::ALL {
        let library =
            ids(&db.member(ACME, role).await, "select id from video where tenant_id = platform_tenant()").await;
        assert_eq!(library, [crate::support::LIBRARY_VIDEO], "{role:?}");
    }
}

#[tokio::test]
async fn nobody_sees_or_writes_how_far_another_has_watched() {
    let db = TestDb::new().await;
    let progress = "select member_id from video_progress";
    let athlete = db.member(ACME, Role::Athlete).await;
    assert_eq!(ids(&athlete, progress).await, sorted([ACME.member(Role::Athlete)]));
    for (who, role) in [
        (ACME.second_athlete(), Role::Athlete),
        (ACME.member(Role::Coach), Role::Coach),
        (ACME.member(Role::Owner), Role::Owner),
    ] {
        let other = db.caller(ACME, who, role).await;
        assert!(ids(&other, progress).await.is_empty(), "{role:?}");
        assert_eq!(run(&other, "update video_progress set position_seconds = 9", []).await.unwrap(), 0, "{role:?}");
        let text = "insert into video_progress (tenant_id, id, member_id, video_tenant_id, video_id, position_seconds, recorded_at)
                    values ($1, $2, $3, $1, $4, 1, now())";
        let values = [ACME.id.0, Uuid::now_v7(), ACME.member(Role::Admin).0, ACME.published_video()].map(Value::from);
        assert_refused(run(&other, text, values).await, "progress in another's name");
    }
}

#[tokio::test]
async fn athletes_change_no_video() {
    let db = TestDb::new().await;
    let athlete = db.member(ACME, Role::Athlete).await;
    assert_eq!(run(&athlete, "update video set title = 'Mine'", []).await.unwrap(), 0);
    assert_eq!(run(&athlete, "delete from video", []).await.unwrap(), 0);
}

const SET_ROLE: &str = "update member set role = $1 where id = $2";

#[tokio::test]
async fn nobody_grants_a_role_above_their_own() {
    let db = TestDb::new().await;
    for (actor, granted) in [
        (Role::Admin, Role::Owner),
        (Role::Coach, Role::Admin),
        (Role::Coach, Role::Owner),
        (Role::Athlete, Role::Coach),
        (Role::Athlete, Role::Owner),
    ] {
        let tenant = db.member(ACME, actor).await;
        let own = [granted.as_str().into(), ACME.member(actor).0.into()];
        assert_refused(run(&tenant, SET_ROLE, own).await, &format!("{actor:?} makes itself {granted:?}"));
    }
    let admin = db.member(ACME, Role::Admin).await;
    let other = [Role::Owner.as_str().into(), ACME.member(Role::Athlete).0.into()];
    assert_refused(run(&admin, SET_ROLE, other).await, "an admin makes an athlete an owner");
    let invite = "insert into invitation (tenant_id, id, email, role, invited_by, expires_at)
                  values ($1, $2, 'friend@example.com', 'owner', $3, now())";
    let values = [ACME.id.0, Uuid::now_v7(), ACME.member(Role::Admin).0].map(Value::from);
    assert_refused(run(&admin, invite, values).await, "an admin invites an owner");
    let insert = "insert into member (tenant_id, id, subject, full_name, role, status) values ($1, $2, 's', 'A friend', 'owner', 'active')";
    let values = [ACME.id.0, Uuid::now_v7()].map(Value::from);
    assert_refused(run(&admin, insert, values).await, "an admin inserts an owner");
}

#[tokio::test]
async fn admins_manage_members_up_to_their_own_role_and_owners_all() {
    let db = TestDb::new().await;
    let admin = db.member(ACME, Role::Admin).await;
    let promote = |role: Role, id: MemberId| [role.as_str().into(), id.0.into()];
    assert_eq!(run(&admin, SET_ROLE, promote(Role::Admin, ACME.second_athlete())).await.unwrap(), 1);
    for text in [
        "update member set role = 'athlete' where role = 'owner'",
        "update member set status = 'disabled' where role = 'owner'",
    ] {
        assert_eq!(run(&admin, text, []).await.unwrap(), 0, "an admin touches an owner: {text}");
    }
    let owner = db.member(ACME, Role::Owner).await;
    assert_eq!(run(&owner, SET_ROLE, promote(Role::Owner, ACME.member(Role::Admin))).await.unwrap(), 1);
}

#[tokio::test]
async fn coaches_and_athletes_edit_themselves_and_nobody_else() {
    let db = TestDb::new().await;
    for role in [Role::Coach, Role::Athlete] {
        let tenant = db.member(ACME, role).await;
        assert_eq!(run(&tenant, "update member set full_name = 'Me'", []).await.unwrap(), 1, "{role:?}");
        assert_eq!(
            run(&tenant, "update member set status = 'disabled' where id <> $1", [ACME.member(role).0.into()])
                .await
                .unwrap(),
            0
        );
        assert_refused(run(&tenant, "delete from member", []).await, "members are removed by status");
    }
}

#[tokio::test]
async fn a_business_cannot_unsuspend_itself_or_raise_its_storage() {
    let db = TestDb::new().await;
    let owner = db.member(ACME, Role::Owner).await;
    for text in [
        "update tenant set suspended_reason = null",
        "update tenant set storage_limit_bytes = 9000000000",
        "update tenant set parent_business_id = id",
        "update tenant set kind = 'platform'",
    ] {
        assert_refused(run(&owner, text, []).await, text);
    }
    assert_eq!(run(&owner, "delete from tenant", []).await.unwrap(), 0, "an active business stays");
    assert_eq!(run(&db.member(ACME, Role::Admin).await, "update tenant set name = 'Ours'", []).await.unwrap(), 0);
}

#[tokio::test]
async fn an_id_of_another_tenant_is_as_good_as_none() {
    let db = TestDb::new().await;
    let owner = db.member(ACME, Role::Owner).await;
    let touched = async |tx: &TenantTx, id: Uuid| -> Result<u64, Error> {
        Ok(tx.run("update video set title = 'Ours' where id = $1", [id.into()]).await?)
    };
    let outcome = owner
        .write(async |tx| {
            let theirs = touched(tx, GLOBEX.published_video()).await?;
            let nobodys = touched(tx, Uuid::now_v7()).await?;
            Ok::<_, Error>((theirs, nobodys, touched(tx, ACME.published_video()).await?))
        })
        .await
        .unwrap();
    assert_eq!(outcome, (0, 0, 1));
}

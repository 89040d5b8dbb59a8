//! The doctor finds what would let one tenant reach another, and finds nothing where nothing is wrong.

use futures::{StreamExt, stream};
use tenants::{Defect, diagnose};

use crate::{
    planted::PLANTED,
    support::{SERVICES, TestDb, tenants_at},
};

#[tokio::test]
async fn a_freshly_migrated_database_has_no_defect() {
    let db = TestDb::new().await;

    let defects = diagnose(&db.tenants).await.unwrap();

    assert!(defects.is_empty(), "{}", listed(&defects));
}

#[tokio::test]
async fn the_doctor_names_every_kind_of_planted_defect() {
    let missed: Vec<String> = stream::iter(PLANTED)
        .map(async |(sql, code, object)| {
            let mut db = TestDb::new().await;
            db.execute(sql).await;
            let defects = diagnose(&db.tenants).await.unwrap();
            let named = defects.iter().any(|defect| defect.code == *code && defect.object == *object);
            (!named).then(|| format!("\n{sql}\n should be {code}: {object}, the doctor says:{}", listed(&defects)))
        })
        .buffer_unordered(4)
        .filter_map(async |missed| missed)
        .collect()
        .await;

    assert!(missed.is_empty(), "{}", missed.concat());
}

/// Roles belong to the whole server: each of these is undone before the next.
#[tokio::test]
async fn the_doctor_names_every_defect_of_the_roles() {
    let planted = [
        ("alter role ffp_app superuser", "alter role ffp_app nosuperuser", "role.attributes", "ffp_app"),
        (
            "alter role ffp_app superuser",
            "alter role ffp_app nosuperuser",
            "connection.above-policies",
            "the pool for ffp_app",
        ),
        ("alter role ffp_worker bypassrls", "alter role ffp_worker nobypassrls", "role.attributes", "ffp_worker"),
        (
            "alter role ffp_worker bypassrls",
            "alter role ffp_worker nobypassrls",
            "connection.above-policies",
            "the pool for ffp_worker",
        ),
        (
            "alter role ffp_operator createrole",
            "alter role ffp_operator nocreaterole",
            "role.attributes",
            "ffp_operator",
        ),
        ("alter role ffp_owner bypassrls", "alter role ffp_owner nobypassrls", "role.attributes", "ffp_owner"),
        ("grant ffp_owner to ffp_app", "revoke ffp_owner from ffp_app", "role.member", "ffp_app in ffp_owner"),
        // Not inherited, and still within reach of SET ROLE.
        (
            "create role boss superuser; alter role ffp_app noinherit; grant boss to ffp_app",
            "drop role boss; alter role ffp_app inherit",
            "role.member",
            "ffp_app in boss",
        ),
        (
            "grant pg_read_all_data to ffp_operator",
            "revoke pg_read_all_data from ffp_operator",
            "role.member",
            "ffp_operator in pg_read_all_data",
        ),
        (
            "create role team; grant pg_read_all_data to team; grant team to ffp_worker",
            "drop role team",
            "role.member",
            "ffp_worker in pg_read_all_data",
        ),
    ];
    let mut db = TestDb::on_own_server().await;
    for (plant, undo, code, object) in planted {
        db.execute(plant).await;
        let defects = diagnose(&db.tenants).await.unwrap();
        db.execute(undo).await;
        let named = defects.iter().any(|defect| defect.code == code && defect.object == object);
        assert!(named, "{plant} should be {code}: {object}, the doctor says:{}", listed(&defects));
    }
    let defects = diagnose(&db.tenants).await.unwrap();
    assert!(defects.is_empty(), "all was undone:{}", listed(&defects));
}

#[tokio::test]
async fn a_pool_that_connects_as_another_role_or_elsewhere_is_named() {
    let db = TestDb::new().await;
    let other = TestDb::new().await;
    let [app, worker, operator] = SERVICES.map(|role| db.url(role));
    for (urls, expected) in [
        ([worker.clone(), worker.clone(), operator.clone()], vec![("connection.role", "the pool for ffp_app")]),
        ([app.clone(), db.url("ffp_owner"), operator.clone()], vec![("connection.role", "the pool for ffp_worker")]),
        (
            [app.clone(), worker.clone(), other.url("ffp_operator")],
            vec![("connection.database", "the pool for ffp_operator")],
        ),
        (
            [app, worker, db.admin_url()],
            vec![
                ("connection.role", "the pool for ffp_operator"),
                ("connection.above-policies", "the pool for ffp_operator"),
            ],
        ),
    ] {
        let [app_url, worker_url, operator_url] = urls;
        let tenants = tenants_at(app_url, worker_url, operator_url, 1);
        let defects = diagnose(&tenants).await.unwrap();
        for (code, object) in expected {
            assert!(
                defects.iter().any(|defect| defect.code == code && defect.object == object),
                "{}",
                listed(&defects)
            );
        }
    }
}

#[tokio::test]
async fn a_defect_says_what_is_wrong_with_what_and_how_to_put_it_right() {
    let mut db = TestDb::new().await;
    db.execute("set role ffp_owner; create view roster as select * from member").await;

    let defects = diagnose(&db.tenants).await.unwrap();

    let [defect] = &defects[..] else { panic!("one defect, not:{}", listed(&defects)) };
    assert_eq!(
        defect.to_string(),
        "view.definer: public.roster reads with its owner's rights: run `alter view … set (security_invoker = true)`"
    );
}

#[tokio::test]
async fn a_shared_wall_and_a_key_into_the_platforms_library_are_no_defects() {
    let mut db = TestDb::new().await;
    db.execute(
        "set role ffp_owner;
         create table playlist (
             tenant_id uuid not null references tenant (id),
             id uuid not null,
             intro_tenant_id uuid not null check (intro_tenant_id in (tenant_id, platform_tenant())),
             intro_id uuid not null,
             primary key (tenant_id, id),
             foreign key (intro_tenant_id, intro_id) references video (tenant_id, id));
         create index playlist_intro on playlist (intro_tenant_id, intro_id);
         select protect('playlist');
         grant select, insert, update, delete on playlist to ffp_app;
         create view public.intros with (security_invoker = on) as select * from playlist;
         grant select on intros to ffp_app;
         reset role",
    )
    .await;

    let defects = diagnose(&db.tenants).await.unwrap();

    assert!(defects.is_empty(), "{}", listed(&defects));
}

fn listed(defects: &[Defect]) -> String {
    defects.iter().map(|defect| format!("\n  {defect}")).collect()
}

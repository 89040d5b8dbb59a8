//! Members' standing, which every request asks for: once for all who ask together, and never an older one than what
//! this process has changed itself.

use tenants::{Error, Role};

use crate::support::{ACME, GLOBEX, TestDb};

fn subject(role: Role) -> String {
    format!("subject of {}", ACME.member(role))
}

/// Makes reading members take its time.
async fn slow(db: &mut TestDb) {
    db.execute("create policy slow on member as restrictive for select to ffp_app using (pg_sleep(0.5) is not null)")
        .await;
}

#[tokio::test]
async fn however_many_ask_at_once_it_is_looked_up_once() {
    let mut db = TestDb::new().await;
    slow(&mut db).await;
    let ask = || {
        let tenants = db.tenants.clone();
        tokio::spawn(async move { tenants.standing(ACME.id, &subject(Role::Athlete)).await })
    };
    let asking: Vec<_> = (0..20).map(|_| ask()).collect();
    for asked in asking {
        assert_eq!(asked.await.unwrap().unwrap().unwrap().role, Role::Athlete);
    }
    // Two look-ups at once would have opened a connection each.
    db.until(1, "true").await;
}

#[tokio::test]
async fn a_change_of_ones_own_shows_at_once_also_when_the_row_was_just_being_read() {
    let mut db = TestDb::new().await;
    slow(&mut db).await;
    for (who, everybody) in [(Role::Athlete, false), (Role::Coach, true)] {
        let tenants = db.tenants.clone();
        let before = tokio::spawn(async move { tenants.standing(ACME.id, &subject(who)).await });
        db.until(1, "wait_event = 'PgSleep'").await;
        // The row that is being read is from before this.
        db.execute(&format!("update member set role = 'admin' where id = '{}'", ACME.member(who))).await;
        let owner = db.owner(ACME).await;
        let tell = owner.write(async |tx| {
            if everybody {
                tx.tenant_changed()
            } else {
                tx.member_changed(&subject(who))
            }
            Ok::<_, Error>(())
        });
        tell.await.unwrap();

        let now = async || db.tenants.standing(ACME.id, &subject(who)).await.unwrap().unwrap().role;
        assert_eq!(now().await, Role::Admin);
        before.await.unwrap().unwrap();
        assert_eq!(now().await, Role::Admin);
    }
}

#[tokio::test]
async fn the_same_subject_in_another_business_is_nobody() {
    let db = TestDb::new().await;
    assert!(db.tenants.standing(ACME.id, &subject(Role::Athlete)).await.unwrap().is_some());
    assert_eq!(db.tenants.standing(GLOBEX.id, &subject(Role::Athlete)).await.unwrap(), None);
}

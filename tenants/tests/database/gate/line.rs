//! Who waits, who is next, and who must not.

use tenants::{Error, Place, Role, Tenant, TenantId};
use uuid::Uuid;

use super::{Asker, JOBS, LEASES, TICKETS, Work, acme, gate_of, is_due, order};
use crate::{
    catalogue::refusal,
    support::{ACME, GLOBEX, SERVICES, TestDb},
};

#[tokio::test]
async fn leases_go_up_to_the_slots_and_the_next_is_called_when_one_is_given_back() {
    let mut db = gate_of(2).await;
    let tenant = acme(&db).await;
    let mut tickets = Vec::new();
    for number in 1..=3 {
        let ticket = order(&tenant, number).await.unwrap();
        assert_eq!(ticket.position, number as u32);
        tickets.push(ticket.id);
    }
    let mut worker = Asker::new(&db, ACME.id).await;
    for (ticket, answer) in [(tickets[0], "run"), (tickets[1], "run"), (tickets[2], "wait")] {
        assert_eq!(worker.acquire(&mut db, ticket).await, answer);
    }
    assert_eq!(db.count(LEASES).await, 2);
    assert!(!is_due(&mut db, tickets[2]).await, "it was put back for some seconds");

    worker.leave(tickets[1]).await;

    assert!(is_due(&mut db, tickets[2]).await, "it is called");
    assert_eq!(worker.acquire(&mut db, tickets[2]).await, "run");
    assert_eq!(db.count(LEASES).await, 2);
}

#[tokio::test]
async fn a_tenant_with_less_in_flight_goes_first() {
    let mut db = gate_of(3).await;
    let (acme, globex) = (acme(&db).await, db.member(GLOBEX, Role::Athlete).await);
    let mut ours = Vec::new();
    for number in 1..=4 {
        ours.push(order(&acme, number).await.unwrap().id);
    }
    let theirs = order(&globex, 1).await.unwrap();
    assert_eq!(theirs.position, 2, "behind the first of the others, before their second");

    let mut worker = Asker::new(&db, ACME.id).await;
    assert_eq!(worker.acquire(&mut db, ours[0]).await, "run");
    assert_eq!(worker.acquire(&mut db, ours[1]).await, "run");
    assert_eq!(worker.acquire(&mut db, ours[2]).await, "wait", "the third slot is Globex's turn");
    assert_eq!(Asker::new(&db, GLOBEX.id).await.acquire(&mut db, theirs.id).await, "run");
}

#[tokio::test]
async fn who_is_called_and_does_not_come_holds_nobody_up() {
    let mut db = gate_of(1).await;
    let (acme, globex) = (acme(&db).await, db.member(GLOBEX, Role::Athlete).await);
    let (first, second) = (order(&acme, 1).await.unwrap().id, order(&globex, 1).await.unwrap().id);
    let mut worker = Asker::new(&db, GLOBEX.id).await;
    assert_eq!(worker.acquire(&mut db, second).await, "wait", "the slot is kept for who came first");
    db.execute("update gate_ticket set called_at = called_at - interval '6 seconds' where called_at is not null").await;
    assert_eq!(worker.acquire(&mut db, second).await, "run");
    assert_eq!(Asker::new(&db, ACME.id).await.acquire(&mut db, first).await, "wait");
    worker.leave(second).await;
    assert_eq!(Asker::new(&db, ACME.id).await.acquire(&mut db, first).await, "run", "and it is its turn again");
}

#[tokio::test]
async fn a_tenant_fills_a_third_of_the_line_and_all_together_fill_it() {
    let mut db = gate_of(1).await;
    let acme = acme(&db).await;
    for number in 1..=3 {
        order(&acme, number).await.unwrap();
    }
    let refused = order(&acme, 4).await.unwrap_err();
    assert_eq!((refused.status.as_u16(), refused.slug), (429, "gate-full"));
    assert_eq!((&refused.extra["limit"], &refused.extra["used"]), (&3.into(), &3.into()));
    assert!(refused.retry_after.is_some() && refused.extra["reset_seconds"] == refused.retry_after.unwrap());

    // Ten may wait for the one slot and one may have it.
    let mut admitted = 3;
    'tenants: for number in 1..=4 {
        let other = TenantId(Uuid::from_u128(0xff + number));
        db.execute(&format!(
            "insert into tenant (id, kind, name, status, storage_limit_bytes) values ('{other}', 'business', 'A gym', 'active', 0)"
        ))
        .await;
        let other = db.tenants.as_system(other);
        for number in 1..=3 {
            if let Err(refused) = order(&other, number).await {
                assert_eq!(refused.slug, "gate-full");
                assert_eq!(refused.extra["used"], number - 1, "it is told of its own only");
                break 'tenants;
            }
            admitted += 1;
        }
    }
    assert_eq!(admitted, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_is_exact_when_many_come_at_once() {
    let mut db = gate_of(2).await;
    let acme = acme(&db).await;
    let orders = futures::future::join_all((0..20).map(|number| order(&acme, number))).await;
    let admitted = orders.iter().filter(|order| order.is_ok()).count();
    let full = orders.iter().filter(|order| order.as_ref().is_err_and(|problem| problem.slug == "gate-full")).count();
    assert_eq!((admitted, full), (6, 14), "{orders:?}");
    let mut positions: Vec<u32> = orders.iter().flatten().map(|ticket| ticket.position).collect();
    positions.sort_unstable();
    assert_eq!(positions, [1, 2, 3, 4, 5, 6]);
    assert_eq!((db.count(TICKETS).await, db.count(JOBS).await), (6, 6));
}

#[tokio::test]
async fn a_refused_order_leaves_no_job_even_if_the_rest_is_written() {
    let mut db = gate_of(1).await;
    let tenant = db.member(ACME, Role::Owner).await;
    for number in 1..=3 {
        order(&tenant, number).await.unwrap();
    }
    let written = async |tx: &tenants::TenantTx| {
        assert!(tx.enqueue_gated(&Work { number: 4 }, "4").await.is_err());
        tx.run("update tenant set name = 'Acme'", []).await?;
        Ok::<_, Error>(())
    };
    tenant.write(written).await.unwrap();
    assert_eq!((db.count(TICKETS).await, db.count(JOBS).await), (3, 3));
    assert_eq!(db.count("select count(*) from tenant where name = 'Acme'").await, 1);
}

#[tokio::test]
async fn a_refused_order_leaves_the_job_that_runs_under_its_key_as_it_was() {
    let mut db = gate_of(1).await;
    let tenant = acme(&db).await;
    let running = order(&tenant, 1).await.unwrap();
    let mut worker = Asker::new(&db, ACME.id).await;
    assert_eq!(worker.acquire(&mut db, running.id).await, "run");
    db.execute("update graphile_worker._private_jobs set locked_at = now(), locked_by = 'w', attempts = 1").await;
    for number in 2..=4 {
        order(&tenant, number).await.unwrap();
    }

    assert_eq!(order(&tenant, 1).await.unwrap_err().slug, "gate-full");

    let untouched =
        format!("{JOBS} where locked_by = 'w' and key like '%:1' and attempts = 1 and attempts < max_attempts");
    assert_eq!((db.count(&untouched).await, db.count(JOBS).await), (1, 4));
}

#[tokio::test]
async fn what_failed_and_comes_back_counts_for_its_tenant() {
    let mut db = gate_of(1).await;
    let (acme, globex) = (acme(&db).await, db.member(GLOBEX, Role::Athlete).await);
    for number in 1..=3 {
        order(&acme, number).await.unwrap();
    }
    db.execute("update gate_ticket set resting = true").await;

    // Together with these it would be more than a third when they are back.
    let refused = order(&acme, 4).await.unwrap_err();
    assert_eq!((refused.slug, &refused.extra["used"]), ("gate-full", &3.into()));
    assert_eq!(order(&globex, 1).await.unwrap().position, 1, "and they are in nobody's way");
}

#[tokio::test]
async fn a_ticket_exists_if_and_only_if_the_write_does() {
    let mut db = gate_of(1).await;
    let tenant = acme(&db).await;
    let failed = tenant
        .write(async |tx| {
            tx.enqueue_gated(&Work { number: 1 }, "1").await?;
            Err::<(), _>(Error::Internal("no".into()))
        })
        .await;
    assert!(failed.is_err());
    assert_eq!((db.count(TICKETS).await, db.count(JOBS).await), (0, 0));
}

#[tokio::test]
async fn the_same_work_ordered_again_keeps_its_place() {
    let mut db = gate_of(1).await;
    let tenant = acme(&db).await;
    let first = order(&tenant, 1).await.unwrap();
    order(&tenant, 2).await.unwrap();
    assert_eq!(order(&tenant, 1).await.unwrap(), first);
    assert_eq!((db.count(TICKETS).await, db.count(JOBS).await), (2, 2));

    // While it runs, what is ordered is other work.
    let mut worker = Asker::new(&db, ACME.id).await;
    assert_eq!(worker.acquire(&mut db, first.id).await, "run");
    db.execute(&format!("update graphile_worker._private_jobs set locked_at = now(), locked_by = 'w' where id = (select job_id from gate_ticket where id = '{}')", first.id)).await;
    let anew = order(&tenant, 1).await.unwrap();
    assert_ne!(anew.id, first.id);
    assert_eq!(anew.position, 2);
    assert_eq!((db.count(TICKETS).await, db.count(JOBS).await), (3, 3));
}

async fn place(tenant: &Tenant, ticket: Uuid) -> Place {
    tenant.read(async |tx| tx.gate_place(ticket).await).await.unwrap()
}

#[tokio::test]
async fn a_place_in_line_is_told_to_its_own_tenant_only() {
    let mut db = gate_of(1).await;
    let (acme, globex) = (acme(&db).await, db.member(GLOBEX, Role::Owner).await);
    let (first, second) = (order(&acme, 1).await.unwrap().id, order(&acme, 2).await.unwrap().id);
    assert_eq!((place(&acme, first).await, place(&acme, second).await), (Place::Waiting(1), Place::Waiting(2)));
    let mut worker = Asker::new(&db, ACME.id).await;
    assert_eq!(worker.acquire(&mut db, first).await, "run");
    assert_eq!((place(&acme, first).await, place(&acme, second).await), (Place::Running, Place::Waiting(1)));
    for ticket in [first, second, Uuid::now_v7()] {
        assert_eq!(place(&globex, ticket).await, Place::Elsewhere);
    }
    worker.leave(first).await;
    assert_eq!(place(&acme, first).await, Place::Elsewhere);

    let counted = async |tenant: &Tenant| tenant.read(async |tx| tx.in_gate().await).await.unwrap();
    let owner = counted(&db.member(ACME, Role::Owner).await).await;
    assert_eq!((owner.waiting, owner.running), (1, 0));
    for other in [&acme, &globex] {
        let seen = counted(other).await;
        assert_eq!((seen.waiting, seen.running), (u64::from(other.id() == GLOBEX.id && seeded(&mut db).await), 0));
    }
}

/// Whether the fixture's ticket, which has no job, is still there.
async fn seeded(db: &mut TestDb) -> bool {
    db.count("select count(*) from gate_ticket where order_key = 'test.seeded:k'").await > 0
}

#[tokio::test]
async fn nobody_acquires_renews_or_leaves_with_another_tenants_ticket() {
    let mut db = gate_of(1).await;
    let ticket = order(&acme(&db).await, 1).await.unwrap().id;
    let job = db.count(&format!("select job_id from gate_ticket where id = '{ticket}'")).await;
    let (mut ours, mut theirs) = (Asker::new(&db, ACME.id).await, Asker::new(&db, GLOBEX.id).await);
    assert_eq!(theirs.acquire_for(ticket, job).await, "over");
    assert_eq!(db.count(LEASES).await, 0);
    assert_eq!(ours.acquire(&mut db, ticket).await, "run");
    assert!(!theirs.renew(ticket).await);
    theirs.leave(ticket).await;
    assert_eq!(db.count(LEASES).await, 1);
    assert!(ours.renew(ticket).await);
}

#[tokio::test]
async fn without_a_tenant_the_gate_does_nothing() {
    let mut db = gate_of(1).await;
    let ticket = order(&acme(&db).await, 1).await.unwrap().id;
    let mut worker = db.connect("ffp_worker").await;
    for text in [
        "select * from gate_enter('test.work', '{}', 'k', 100)".to_owned(),
        format!("select gate_acquire('{ticket}', 1, '{ticket}', 100)"),
    ] {
        assert_eq!(refusal(&mut worker, text).await.0, "42501");
    }
    assert_eq!((db.count(TICKETS).await, db.count(JOBS).await, db.count(LEASES).await), (1, 1, 0));
}

#[tokio::test]
async fn a_role_has_what_it_needs_of_the_gate_and_no_more() {
    let mut db = gate_of(1).await;
    for role in SERVICES {
        let mut connection = db.connect(role).await;
        let mut refused = vec!["gate_tidy()", "gate_call(100)", "gate_free(1)"];
        if role != "ffp_worker" {
            refused.extend([
                "gate_acquire(null, 1, null, 1)",
                "gate_renew(null, null)",
                "gate_leave(null, null, false, 1)",
            ]);
        }
        for function in refused {
            assert_eq!(refusal(&mut connection, format!("select {function}")).await.0, "42501", "{role}: {function}");
        }
        for text in
            ["update gate_ticket set lease_until = null", "delete from gate_ticket", "select * from gate_line()"]
        {
            assert_eq!(refusal(&mut connection, text.to_owned()).await.0, "42501", "{role}: {text}");
        }
    }
    assert!(seeded(&mut db).await);
}

#[tokio::test]
async fn a_ticket_whose_job_is_gone_takes_no_place() {
    let mut db = gate_of(1).await;
    let tenant = acme(&db).await;
    for number in 1..=3 {
        order(&tenant, number).await.unwrap();
    }
    db.execute("delete from graphile_worker._private_jobs").await;
    assert_eq!(order(&tenant, 4).await.unwrap().position, 1);
    assert_eq!(db.count(TICKETS).await, 1);
}

//! The database goes away and comes back: requests are told so, and nobody has to restart anything.

use std::time::Duration;

use devstack::{
    ports::{self, Port},
    postgres::{Postgres, PostgresOptions, Profile},
};
use tenants::{Error, Tenants};

use crate::support::{ACME, build, tenants};

async fn members(tenants: &Tenants) -> Result<i64, Error> {
    tenants
        .as_system(ACME.id)
        .read(async |tx| Ok(tx.sql("select count(*) from member", []).await?[0].try_get_by_index::<i64>(0)?))
        .await
}

#[tokio::test]
async fn the_database_goes_away_and_comes_back_by_itself() {
    let directory =
        tempfile::Builder::new().prefix("ffp-outage-").tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let options = PostgresOptions {
        data_dir: directory.path().to_owned(),
        port: Port::Wanted { number: ports::free().unwrap(), variable: "NONE" },
        profile: Profile::Throwaway,
    };
    let server = Postgres::start(options.clone()).await.unwrap();
    build(&server, "postgres").await.unwrap();
    let tenants = tenants(&server, "postgres", 8);
    tenants.ready().await.unwrap();
    // Several connections in the pool, all of which will be stale.
    let (first, second) = tokio::join!(members(&tenants), members(&tenants));
    assert_eq!((first.unwrap(), second.unwrap()), (5, 5));

    server.stop().await.unwrap();

    assert!(tenants.ready().await.is_err());
    for _ in 0..3 {
        let away = members(&tenants).await.unwrap_err();
        assert!(matches!(away, Error::Unavailable(_)), "{away:?}");
        assert_eq!(away.into_problem().status.as_u16(), 503);
    }

    let server = Postgres::start(options.clone()).await.unwrap();
    while let Err(reason) = tenants.ready().await {
        eprintln!("not yet: {reason}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(members(&tenants).await.unwrap(), 5);

    // A restart between two requests: the pool's connections are stale, and no request pays for that.
    let (first, second) = tokio::join!(members(&tenants), members(&tenants));
    assert_eq!((first.unwrap(), second.unwrap()), (5, 5));
    server.stop().await.unwrap();
    let server = Postgres::start(options).await.unwrap();
    assert_eq!(members(&tenants).await.unwrap(), 5);

    tenants.close().await;
    server.stop().await.unwrap();
}

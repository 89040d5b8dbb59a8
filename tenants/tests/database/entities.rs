//! sea-orm's entities work on a `TenantTx`, and only on its tenant's rows.

use sea_orm::{EntityTrait, PaginatorTrait, QueryFilter, Set, entity::prelude::*};
use tenants::{Error, Role};

use crate::{
    support::{ACME, GLOBEX, TestDb},
    transactions::is_sqlstate,
};

mod registration {
    //! A feature's entity, as features write them.
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "registration")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) password_check: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[tokio::test]
async fn entities_read_and_write_through_the_transaction() {
    let db = TestDb::new().await;
    let acme = db.tenants.as_system(ACME.id);
    let id = ACME.member(Role::Coach).0;
    acme.write(async |tx| {
        let new = registration::ActiveModel {
            tenant_id: Set(tx.tenant_id().0),
            id: Set(id),
            password_check: Set("secret".into()),
        };
        let made = new.insert(tx).await?;
        assert_eq!(made.password_check, "secret");
        Ok::<_, Error>(())
    })
    .await
    .unwrap();

    let found = acme
        .read(async |tx| {
            assert_eq!(registration::Entity::find().count(tx).await?, 2);
            let found = registration::Entity::find().filter(registration::Column::Id.eq(id)).one(tx).await?;
            Ok::<_, Error>(found)
        })
        .await
        .unwrap();
    assert_eq!(found.map(|row| row.tenant_id), Some(ACME.id.0));

    let globex = db.tenants.as_system(GLOBEX.id);
    globex
        .write(async |tx| {
            let all = registration::Entity::find().all(tx).await?;
            assert!(all.iter().all(|row| row.tenant_id == GLOBEX.id.0) && all.len() == 1, "{all:?}");
            let gone = registration::Entity::delete_many()
                .filter(registration::Column::TenantId.eq(ACME.id.0))
                .exec(tx)
                .await?;
            assert_eq!(gone.rows_affected, 0);
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn an_entity_with_another_tenants_id_is_refused() {
    let db = TestDb::new().await;
    let forged = db
        .tenants
        .as_system(ACME.id)
        .write(async |tx| {
            let new = registration::ActiveModel {
                tenant_id: Set(GLOBEX.id.0),
                id: Set(GLOBEX.member(Role::Coach).0),
                password_check: Set("secret".into()),
            };
            new.insert(tx).await.map(|_| ()).map_err(Error::from)
        })
        .await
        .unwrap_err();
    assert!(is_sqlstate(&forged, "42501"), "{forged}");
}

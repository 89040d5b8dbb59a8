//! Making accounts, confirming them, finding them again and removing them.

use super::*;

#[tokio::test]
async fn pools_are_found_again_with_their_clients_and_settings() {
    let stack = Stack::start().await;
    let again = pools::ensure(&stack.client, "members", "operators").await.unwrap();
    for (first, second) in [(&stack.pools.members, &again.members), (&stack.pools.operators, &again.operators)] {
        assert_eq!(first.pool_id, second.pool_id);
        assert_eq!(first.client_id, second.client_id);
        assert_eq!(first.client_secret.expose_secret(), second.client_secret.expose_secret());
    }
    assert_ne!(again.members.pool_id, again.operators.pool_id);

    let described = stack.client.describe_user_pool_client().user_pool_id(&again.members.pool_id);
    let client = described.client_id(&again.members.client_id).send().await.unwrap().user_pool_client.unwrap();
    assert_eq!(client.write_attributes(), ["email"]);
    assert!(client.read_attributes().contains(&"custom:tenantId".to_owned()));

    for (pool, server_only) in [(&again.members, false), (&again.operators, true)] {
        let described = stack.client.describe_user_pool().user_pool_id(&pool.pool_id).send().await.unwrap();
        let creation = described.user_pool.unwrap().admin_create_user_config.unwrap();
        assert_eq!(creation.allow_admin_create_user_only(), server_only);
    }
}

#[tokio::test]
async fn a_member_signs_up_confirms_signs_in_and_leaves() {
    let stack = Stack::start().await;
    let directory = stack.members();
    let tenant = Uuid::now_v7();

    assert_eq!(directory.find(ANN).await, Ok(None));
    assert!(matches!(
        directory.sign_up(ANN, &password("short")).await,
        Err(Error::InvalidPassword(reason)) if reason.contains("length")
    ));
    let subject = directory.sign_up(ANN, &password("First-pass1")).await.unwrap();
    assert_eq!(stack.mails_to(ANN).await, 1);
    assert_eq!(directory.sign_up(ANN, &password("First-pass1")).await, Err(Error::Exists));
    directory.set_tenant(&subject, tenant, "owner").await.unwrap();

    let user = directory.find(ANN).await.unwrap().unwrap();
    assert_eq!((user.status, user.enabled, user.tenant_id), (UserStatus::Unconfirmed, true, Some(tenant)));
    assert_eq!((user.subject.as_str(), user.email.as_str()), (subject.as_str(), ANN));
    assert_eq!(directory.find(&subject).await.unwrap(), Some(user));
    assert_eq!(directory.authenticate(ANN, &password("First-pass1")).await.unwrap_err(), Error::NotConfirmed);

    assert_eq!(directory.confirm_sign_up(ANN, "000000").await, Err(Error::CodeMismatch));
    assert_eq!(directory.confirm_sign_up(BOB, SIGN_UP_CODE).await, Err(Error::CodeMismatch));
    directory.confirm_sign_up(ANN, SIGN_UP_CODE).await.unwrap();
    assert_eq!(directory.confirm_sign_up(ANN, SIGN_UP_CODE).await, Err(Error::AlreadyConfirmed));

    let tokens = signed_in(&directory, ANN, "First-pass1").await;
    assert_eq!(tokens.expires_in, Duration::from_secs(15 * 60));
    assert!(tokens.refresh.is_some());
    let id = claims(&tokens.id);
    assert_eq!(id["token_use"], "id");
    assert_eq!(id["aud"], directory.client_id());
    assert_eq!(id["sub"], subject);
    assert_eq!(id["cognito:username"], subject);
    assert_eq!(id["custom:tenantId"], tenant.to_string());
    assert_eq!(id["custom:role"], "owner");
    assert_eq!(claims(&tokens.access)["custom:tenantId"], Value::Null);

    let parent = Uuid::now_v7();
    directory.set_role(&subject, "coach").await.unwrap();
    directory.set_parent_business(&subject, Some(parent)).await.unwrap();
    let id = claims(&signed_in(&directory, ANN, "First-pass1").await.id);
    assert_eq!(id["custom:role"], "coach");
    assert_eq!(id["custom:parentBusinessId"], parent.to_string());
    assert_eq!(id["custom:tenantId"], tenant.to_string());

    directory.delete(&subject).await.unwrap();
    directory.delete(&subject).await.unwrap();
    assert_eq!(directory.find(ANN).await, Ok(None));
    assert_eq!(directory.set_role(&subject, "owner").await, Err(Error::NotFound));
    let refreshed = directory.refresh(&tokens.refresh.unwrap()).await;
    assert_eq!(refreshed.unwrap_err(), Error::InvalidCredentials);
}

#[tokio::test]
async fn an_address_whose_account_was_deleted_signs_up_with_another_password_and_account() {
    let stack = Stack::start().await;
    let directory = stack.members();

    let squatter = directory.sign_up(ANN, &password("Squatter-1")).await.unwrap();
    directory.delete(&squatter).await.unwrap();
    let owner = directory.sign_up(ANN, &password("Rightful-1")).await.unwrap();
    assert_ne!(squatter, owner);
    assert_eq!(directory.find(&squatter).await, Ok(None));
    assert_eq!(stack.mails_to(ANN).await, 2);
    directory.confirm_sign_up(ANN, SIGN_UP_CODE).await.unwrap();
    assert_eq!(directory.authenticate(ANN, &password("Squatter-1")).await.unwrap_err(), Error::InvalidCredentials);
    signed_in(&directory, ANN, "Rightful-1").await;

    let third = directory.sign_up(ANN, &password("Squatter-2")).await;
    assert_eq!(third, Err(Error::Exists));
    signed_in(&directory, ANN, "Rightful-1").await;
}

#[tokio::test]
async fn an_account_made_by_the_server_can_be_finished_after_a_crash() {
    let stack = Stack::start().await;
    let directory = stack.members();
    let tenant = Uuid::now_v7();

    let subject = directory.create(BOB, tenant, "athlete").await.unwrap();
    assert_eq!(directory.create(BOB, tenant, "athlete").await, Err(Error::Exists));
    let found = directory.find(BOB).await.unwrap().unwrap();
    assert_eq!((found.subject, found.status), (subject.clone(), UserStatus::ForceChangePassword));
    directory.set_password(&subject, &password("all in lower case")).await.unwrap();
    assert_eq!(directory.find(BOB).await.unwrap().unwrap().status, UserStatus::Confirmed);
    assert_eq!(stack.mails_to(BOB).await, 0);

    let id = claims(&signed_in(&directory, BOB, "all in lower case").await.id);
    assert_eq!(id["custom:tenantId"], tenant.to_string());
    assert_eq!(id["email_verified"], true);
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_with_a_mailed_code() {
    let stack = Stack::start().await;
    let directory = stack.members();
    let subject = directory.create(ANN, Uuid::now_v7(), "owner").await.unwrap();
    directory.set_password(&subject, &password("Owner-pass1")).await.unwrap();

    directory.forgot_password(ANN).await.unwrap();
    assert_eq!(stack.mails_to(ANN).await, 1);
    let weak = directory.confirm_forgot_password(ANN, RESET_CODE, &password("weak")).await;
    assert!(matches!(weak, Err(Error::InvalidPassword(_))));
    directory.confirm_forgot_password(ANN, RESET_CODE, &password("Owner-pass2")).await.unwrap();
    signed_in(&directory, ANN, "Owner-pass2").await;
    assert_eq!(directory.authenticate(ANN, &password("Owner-pass1")).await.unwrap_err(), Error::InvalidCredentials);
    let used = directory.confirm_forgot_password(ANN, RESET_CODE, &password("Owner-pass3")).await;
    assert!(matches!(used, Err(Error::CodeExpired | Error::CodeMismatch)), "{used:?}");
}

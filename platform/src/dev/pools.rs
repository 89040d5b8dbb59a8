//! The user pools of the local stack, made once and found again by name.
//!
//! Every environment in the cloud gets its pools from Terraform; the two must agree, and differ only in what a laptop
//! cannot have: multi-factor sign-in for operators, mail through a verified domain, rotation of refresh tokens.

use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::error::{BuildError, ProvideErrorMetadata as _};
use aws_sdk_cognitoidentityprovider::types::{
    AccountRecoverySettingType, AdminCreateUserConfigType, AttributeDataType, ExplicitAuthFlowsType,
    PasswordPolicyType, PreventUserExistenceErrorTypes, RecoveryOptionNameType, RecoveryOptionType,
    SchemaAttributeType, StringAttributeConstraintsType, TimeUnitsType, TokenValidityUnitsType,
    UserAttributeUpdateSettingsType, UserPoolMfaType, UserPoolPolicyType, UsernameAttributeType,
    UsernameConfigurationType, VerifiedAttributeType,
};

use crate::cognito::{
    CHALLENGE_VALIDITY, Error, PARENT_BUSINESS_ATTRIBUTE, PoolSettings, REFRESH_DAYS, ROLE_ATTRIBUTE, Result,
    TENANT_ATTRIBUTE, TOKEN_MINUTES,
};
use crate::identity::MIN_PASSWORD_LENGTH;

/// The local stack's pool of members, by name.
pub const LOCAL_MEMBERS: &str = "ffp-local-members";
/// The local stack's pool of operators, by name.
pub const LOCAL_OPERATORS: &str = "ffp-local-operators";
/// The app client's name, the same in each pool.
const CLIENT_NAME: &str = "platform";

/// The local stack's two pools.
#[derive(Clone, Debug)]
pub struct Pools {
    /// Where members of tenants sign in.
    pub members: PoolSettings,
    /// Where staff of the company running the product signs in.
    pub operators: PoolSettings,
}

/// Finds the two pools by their names, or makes them, each with its app client; brings an existing client's settings
/// up to date. Repeating it changes nothing.
///
/// # Errors
/// [`Error::Unavailable`] when the emulator does not answer, [`Error::Unexpected`] when it refuses.
pub async fn ensure(client: &Client, members: &str, operators: &str) -> Result<Pools> {
    Ok(Pools {
        members: ensure_pool(client, members, Kind::Members).await?,
        operators: ensure_pool(client, operators, Kind::Operators).await?,
    })
}

/// Makes the emulator take mail from `from`, an address: it refuses unverified senders as SES does, and verifies on
/// being asked.
///
/// # Errors
/// [`Error::Unavailable`] when the emulator does not answer, [`Error::Unexpected`] when it refuses.
pub async fn ensure_sender(client: &aws_sdk_sesv2::Client, from: &str) -> Result<()> {
    match client.create_email_identity().email_identity(from).send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(|refused| refused.is_already_exists_exception()) => Ok(()),
        Err(error) if error.as_service_error().is_some() => {
            Err(Error::unexpected("CreateEmailIdentity", error.code().unwrap_or_default()))
        }
        Err(_) => Err(Error::Unavailable),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Members,
    Operators,
}

impl Kind {
    fn custom_attributes(self) -> &'static [&'static str] {
        match self {
            Self::Members => &[TENANT_ATTRIBUTE, ROLE_ATTRIBUTE, PARENT_BUSINESS_ATTRIBUTE],
            Self::Operators => &[],
        }
    }

    /// What goes into ID tokens.
    fn readable(self) -> Vec<String> {
        ["email", "email_verified"].iter().chain(self.custom_attributes()).map(|&name| name.to_owned()).collect()
    }
}

async fn ensure_pool(client: &Client, name: &str, kind: Kind) -> Result<PoolSettings> {
    let pool_id = match find_pool(client, name).await? {
        Some(id) => id,
        None => create_pool(client, name, kind).await?,
    };
    let client_id = match find_client(client, &pool_id).await? {
        Some(id) => {
            update_client(client, &pool_id, &id, kind).await?;
            id
        }
        None => create_client(client, &pool_id, kind).await?,
    };
    let described = client
        .describe_user_pool_client()
        .user_pool_id(&pool_id)
        .client_id(&client_id)
        .send()
        .await
        .map_err(|error| Error::read("DescribeUserPoolClient", &error))?;
    let secret = described
        .user_pool_client
        .and_then(|described| described.client_secret)
        .ok_or_else(|| Error::unexpected("DescribeUserPoolClient", "a client without a secret"))?;
    Ok(PoolSettings { pool_id, client_id, client_secret: secret.into() })
}

/// The oldest pool of this name, so that two starts at once agree.
async fn find_pool(client: &Client, name: &str) -> Result<Option<String>> {
    let mut pages = client.list_user_pools().max_results(60).into_paginator().send();
    let mut found: Vec<_> = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Error::read("ListUserPools", &error))?;
        found.extend(page.user_pools.unwrap_or_default().into_iter().filter(|pool| pool.name() == Some(name)));
    }
    let oldest = found.into_iter().min_by_key(|pool| pool.creation_date().map(|date| date.as_nanos()));
    Ok(oldest.and_then(|pool| pool.id))
}

async fn create_pool(client: &Client, name: &str, kind: Kind) -> Result<String> {
    let recovery = RecoveryOptionType::builder().priority(1).name(RecoveryOptionNameType::VerifiedEmail);
    let password = PasswordPolicyType::builder()
        // Length alone (NIST SP 800-63B); `identity::password` checks the same before Cognito is asked.
        .minimum_length(MIN_PASSWORD_LENGTH as i32)
        .require_lowercase(false)
        .require_uppercase(false)
        .require_numbers(false)
        .require_symbols(false)
        .temporary_password_validity_days(7);
    let schema = kind.custom_attributes().iter().map(|name| custom_attribute(name)).collect::<Result<Vec<_>>>()?;
    let created = client
        .create_user_pool()
        .pool_name(name)
        .username_attributes(UsernameAttributeType::Email)
        .username_configuration(UsernameConfigurationType::builder().case_sensitive(false).build().map_err(incomplete)?)
        .auto_verified_attributes(VerifiedAttributeType::Email)
        .set_schema(Some(schema))
        .policies(UserPoolPolicyType::builder().password_policy(password.build()).build())
        .admin_create_user_config(
            AdminCreateUserConfigType::builder().allow_admin_create_user_only(kind == Kind::Operators).build(),
        )
        // Whoever holds an access token may ask for another address; it counts once a code sent there is answered.
        .user_attribute_update_settings(
            UserAttributeUpdateSettingsType::builder()
                .attributes_require_verification_before_update(VerifiedAttributeType::Email)
                .build(),
        )
        .account_recovery_setting(
            AccountRecoverySettingType::builder().recovery_mechanisms(recovery.build().map_err(incomplete)?).build(),
        )
        .mfa_configuration(UserPoolMfaType::Off)
        .send()
        .await
        .map_err(|error| Error::read("CreateUserPool", &error))?;
    created
        .user_pool
        .and_then(|pool| pool.id)
        .ok_or_else(|| Error::unexpected("CreateUserPool", "no pool in the answer"))
}

/// A text attribute that the server may change. The pool puts `custom:` in front of the name by itself.
fn custom_attribute(name: &str) -> Result<SchemaAttributeType> {
    let bounds = StringAttributeConstraintsType::builder().min_length("0").max_length("64").build();
    let bare = name.strip_prefix("custom:").unwrap_or(name);
    Ok(SchemaAttributeType::builder()
        .name(bare)
        .attribute_data_type(AttributeDataType::String)
        .mutable(true)
        .required(false)
        .string_attribute_constraints(bounds)
        .build())
}

async fn find_client(client: &Client, pool_id: &str) -> Result<Option<String>> {
    let mut pages = client.list_user_pool_clients().user_pool_id(pool_id).max_results(60).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Error::read("ListUserPoolClients", &error))?;
        let named = page.user_pool_clients.unwrap_or_default().into_iter();
        if let Some(found) = named.into_iter().find(|found| found.client_name() == Some(CLIENT_NAME)) {
            return Ok(found.client_id);
        }
    }
    Ok(None)
}

/// The settings that making and updating an app client share; the SDK has one builder type for each.
macro_rules! with_settings {
    ($request:expr, $kind:expr) => {
        $request
            .explicit_auth_flows(ExplicitAuthFlowsType::AllowAdminUserPasswordAuth)
            .explicit_auth_flows(ExplicitAuthFlowsType::AllowRefreshTokenAuth)
            .id_token_validity(TOKEN_MINUTES)
            .access_token_validity(TOKEN_MINUTES)
            .refresh_token_validity(REFRESH_DAYS)
            .token_validity_units(
                TokenValidityUnitsType::builder()
                    .id_token(TimeUnitsType::Minutes)
                    .access_token(TimeUnitsType::Minutes)
                    .refresh_token(TimeUnitsType::Days)
                    .build(),
            )
            .auth_session_validity((CHALLENGE_VALIDITY.as_secs() / 60) as i32)
            .prevent_user_existence_errors(PreventUserExistenceErrorTypes::Enabled)
            .enable_token_revocation(true)
            .set_read_attributes(Some($kind.readable()))
            // The custom attributes stay out: a member could otherwise move to another tenant with an access token.
            .write_attributes("email")
    };
}

async fn create_client(client: &Client, pool_id: &str, kind: Kind) -> Result<String> {
    let created = with_settings!(client.create_user_pool_client(), kind)
        .user_pool_id(pool_id)
        .client_name(CLIENT_NAME)
        .generate_secret(true)
        .send()
        .await
        .map_err(|error| Error::read("CreateUserPoolClient", &error))?;
    created
        .user_pool_client
        .and_then(|made| made.client_id)
        .ok_or_else(|| Error::unexpected("CreateUserPoolClient", "no client in the answer"))
}

async fn update_client(client: &Client, pool_id: &str, client_id: &str, kind: Kind) -> Result<()> {
    with_settings!(client.update_user_pool_client(), kind)
        .user_pool_id(pool_id)
        .client_id(client_id)
        .client_name(CLIENT_NAME)
        .send()
        .await
        .map_err(|error| Error::read("UpdateUserPoolClient", &error))?;
    Ok(())
}

fn incomplete(_: BuildError) -> Error {
    Error::unexpected("CreateUserPool", "an incomplete request")
}

//! Making, finding, changing and removing accounts.

use aws_sdk_cognitoidentityprovider::operation::admin_get_user::AdminGetUserOutput;
use aws_sdk_cognitoidentityprovider::types::{AttributeType, MessageActionType, UserStatusType};
use chrono::DateTime;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::{
    Directory, Error, MAX_PASSWORD_LENGTH, PARENT_BUSINESS_ATTRIBUTE, ROLE_ATTRIBUTE, Result, TENANT_ATTRIBUTE, User,
    UserStatus,
};
use crate::faults;

impl Directory {
    /// The account with this email address or subject; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Throttled`], [`Error::Unavailable`].
    pub async fn find(&self, email_or_subject: &str) -> Result<Option<User>> {
        let answer = self.client.admin_get_user().user_pool_id(&self.pool.pool_id).username(email_or_subject).send();
        let answer = answer.await;
        faults::after("cognito.find");
        match answer {
            Ok(found) => user(&found).map(Some),
            Err(error) => match Error::read("AdminGetUser", &error) {
                Error::NotFound => Ok(None),
                other => Err(other),
            },
        }
    }

    /// Signs an address up with a password and has Cognito mail a code to it; answers the new subject.
    ///
    /// After [`Error::Unavailable`] the account may exist: look with [`Self::find`].
    ///
    /// # Errors
    /// [`Error::Exists`] whether or not the existing account is confirmed, [`Error::InvalidEmail`],
    /// [`Error::InvalidPassword`], [`Error::Throttled`], [`Error::Unavailable`].
    pub async fn sign_up(&self, email: &str, password: &SecretString) -> Result<String> {
        acceptable(password)?;
        let signed_up = self
            .client
            .sign_up()
            .client_id(&self.pool.client_id)
            .secret_hash(self.secret_hash(email))
            .username(email)
            .password(password.expose_secret())
            .user_attributes(attribute("email", email)?)
            .customize()
            .config_override(super::once())
            .send()
            .await
            .map_err(|error| Error::read("SignUp", &error))?;
        faults::after("cognito.sign_up");
        Ok(signed_up.user_sub)
    }

    /// Creates an account whose address counts as confirmed, without mail and without a usable password. Finish with
    /// [`Self::set_password`]; after a crash between the two, [`Self::find`] shows
    /// [`UserStatus::ForceChangePassword`] and `set_password` can be repeated.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::InvalidEmail`], [`Error::Throttled`], [`Error::Unavailable`].
    pub async fn create(&self, email: &str, tenant_id: Uuid, role: &str) -> Result<String> {
        let membership = [attribute(TENANT_ATTRIBUTE, &tenant_id.to_string())?, attribute(ROLE_ATTRIBUTE, role)?];
        self.create_with(email, membership).await
    }

    /// Like [`Self::create`], for the operators' pool, whose accounts belong to no tenant.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn create_operator(&self, email: &str) -> Result<String> {
        self.create_with(email, []).await
    }

    async fn create_with<const N: usize>(&self, email: &str, more: [AttributeType; N]) -> Result<String> {
        let mut attributes = vec![attribute("email", email)?, attribute("email_verified", "true")?];
        attributes.extend(more);
        // No temporary password is given: Cognito makes one up to its own policy, and nobody learns it.
        let created = self
            .client
            .admin_create_user()
            .user_pool_id(&self.pool.pool_id)
            .username(email)
            .message_action(MessageActionType::Suppress)
            .set_user_attributes(Some(attributes))
            .customize()
            .config_override(super::once())
            .send()
            .await
            .map_err(|error| Error::read("AdminCreateUser", &error))?;
        faults::after("cognito.create");
        let created = created.user.ok_or_else(|| Error::unexpected("AdminCreateUser", "no user in the answer"))?;
        value(created.attributes(), "sub")
            .map(str::to_owned)
            .or(created.username)
            .ok_or_else(|| Error::unexpected("AdminCreateUser", "no subject in the answer"))
    }

    /// Gives the account this password for good, and **confirms it whatever its status was**: not for accounts whose
    /// address is unconfirmed. Tokens given out before stay good; end them with [`Self::global_sign_out`].
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InvalidPassword`], [`Error::Throttled`], [`Error::Unavailable`].
    pub async fn set_password(&self, subject: &str, password: &SecretString) -> Result<()> {
        acceptable(password)?;
        self.client
            .admin_set_user_password()
            .user_pool_id(&self.pool.pool_id)
            .username(subject)
            .password(password.expose_secret())
            .permanent(true)
            .send()
            .await
            .map_err(|error| Error::read("AdminSetUserPassword", &error))?;
        faults::after("cognito.set_password");
        Ok(())
    }

    /// Stamps tenant and role on an account. Tokens given out from now on carry them.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Throttled`] (Cognito takes 25 a second of these per account and Region),
    /// [`Error::Unavailable`].
    pub async fn set_tenant(&self, subject: &str, tenant_id: Uuid, role: &str) -> Result<()> {
        let tenant_id = tenant_id.to_string();
        self.update(subject, &[(TENANT_ATTRIBUTE, &tenant_id), (ROLE_ATTRIBUTE, role)]).await?;
        faults::after("cognito.set_tenant");
        Ok(())
    }

    /// Stamps a new role on an account.
    ///
    /// # Errors
    /// As [`Self::set_tenant`].
    pub async fn set_role(&self, subject: &str, role: &str) -> Result<()> {
        self.update(subject, &[(ROLE_ATTRIBUTE, role)]).await?;
        faults::after("cognito.set_role");
        Ok(())
    }

    /// Stamps the tenant's parent business on an account, or clears it.
    ///
    /// # Errors
    /// As [`Self::set_tenant`].
    pub async fn set_parent_business(&self, subject: &str, parent: Option<Uuid>) -> Result<()> {
        let parent = parent.map(|id| id.to_string()).unwrap_or_default();
        self.update(subject, &[(PARENT_BUSINESS_ATTRIBUTE, &parent)]).await?;
        faults::after("cognito.set_parent_business");
        Ok(())
    }

    async fn update(&self, subject: &str, changes: &[(&str, &str)]) -> Result<()> {
        let attributes = changes.iter().map(|(name, value)| attribute(name, value)).collect::<Result<Vec<_>>>()?;
        self.client
            .admin_update_user_attributes()
            .user_pool_id(&self.pool.pool_id)
            .username(subject)
            .set_user_attributes(Some(attributes))
            .send()
            .await
            .map_err(|error| Error::read("AdminUpdateUserAttributes", &error))?;
        Ok(())
    }

    /// Deletes an account, with its refresh tokens; one that is absent is as good as deleted. ID tokens given out
    /// live on until they expire: the member row must refuse them.
    ///
    /// # Errors
    /// [`Error::Throttled`], [`Error::Unavailable`].
    pub async fn delete(&self, subject: &str) -> Result<()> {
        let answer = self.client.admin_delete_user().user_pool_id(&self.pool.pool_id).username(subject).send().await;
        match answer.map_err(|error| Error::read("AdminDeleteUser", &error)) {
            Ok(_) => faults::after("cognito.delete"),
            Err(Error::NotFound) => {}
            Err(other) => return Err(other),
        }
        Ok(())
    }
}

/// Refuses what Cognito's own validation would, so that its message need not be trusted with a password.
pub(super) fn acceptable(password: &SecretString) -> Result<()> {
    match password.expose_secret().chars().count() {
        0 => Err(Error::InvalidPassword("The password is empty.".into())),
        1..=MAX_PASSWORD_LENGTH => Ok(()),
        _ => Err(Error::InvalidPassword(format!("The password has more than {MAX_PASSWORD_LENGTH} characters."))),
    }
}

fn attribute(name: &str, value: &str) -> Result<AttributeType> {
    AttributeType::builder()
        .name(name)
        .value(value)
        .build()
        .map_err(|_| Error::unexpected("attribute", "without a name"))
}

fn value<'a>(attributes: &'a [AttributeType], name: &str) -> Option<&'a str> {
    attributes.iter().find(|attribute| attribute.name() == name).and_then(AttributeType::value)
}

fn user(found: &AdminGetUserOutput) -> Result<User> {
    let attributes = found.user_attributes();
    let created = found
        .user_create_date()
        .and_then(|date| DateTime::from_timestamp(date.secs(), date.subsec_nanos()))
        .ok_or_else(|| Error::unexpected("AdminGetUser", "no creation date in the answer"))?;
    Ok(User {
        subject: value(attributes, "sub").unwrap_or_else(|| found.username()).to_owned(),
        email: value(attributes, "email").unwrap_or_default().to_owned(),
        status: match found.user_status() {
            Some(UserStatusType::Unconfirmed) => UserStatus::Unconfirmed,
            Some(UserStatusType::Confirmed) => UserStatus::Confirmed,
            Some(UserStatusType::ForceChangePassword) => UserStatus::ForceChangePassword,
            Some(UserStatusType::ResetRequired) => UserStatus::ResetRequired,
            _ => UserStatus::Other,
        },
        enabled: found.enabled(),
        tenant_id: value(attributes, TENANT_ATTRIBUTE).and_then(|id| Uuid::try_parse(id).ok()),
        created,
    })
}

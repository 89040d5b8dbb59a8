# The members' pool and the operators'. platform/src/dev/pools.rs makes the same two for a laptop; what differs there
# (no second factor for operators, no rotation) is what the emulator lacks.

locals {
  # Minutes of ID and access tokens, days of refresh tokens.
  token_minutes = 15
  refresh_days  = 7
  # The platform's seal of a challenge lasts as long.
  challenge_minutes = 3

  # Who belongs where. Only the server writes them, with IAM rights: were they writable by the client, a member could
  # move to another tenant with their own access token. Mutable, since an immutable one can be chosen at sign-up.
  custom_attributes = ["tenantId", "role", "parentBusinessId"]

  # With rotation on, Cognito takes no client that allows REFRESH_TOKEN_AUTH: refreshing is GetTokensFromRefreshToken,
  # which asks no flow. An emulator without rotation wants the flow.
  auth_flows = concat(["ALLOW_ADMIN_USER_PASSWORD_AUTH"], var.emulated ? ["ALLOW_REFRESH_TOKEN_AUTH"] : [])

  # Cognito's own sender takes 50 mails a day, which is for environments without a domain.
  sender = one(concat(aws_ses_domain_identity_verification.this[*].arn, var.emulated ? aws_ses_domain_identity.this[*].arn : []))
}

resource "aws_cognito_user_pool" "members" {
  name                     = "${local.name}-members"
  user_pool_tier           = "ESSENTIALS"
  deletion_protection      = var.deletion_protection ? "ACTIVE" : "INACTIVE"
  username_attributes      = ["email"]
  auto_verified_attributes = ["email"]
  mfa_configuration        = "OPTIONAL"

  # Ann@Example.com and ann@example.com are one account.
  username_configuration {
    case_sensitive = false
  }

  dynamic "schema" {
    for_each = local.custom_attributes

    content {
      name                = schema.value
      attribute_data_type = "String"
      mutable             = true
      required            = false

      string_attribute_constraints {
        min_length = "0"
        max_length = "64"
      }
    }
  }

  # Length alone (NIST SP 800-63B); platform/src/identity/password.rs asks the same before Cognito is asked.
  password_policy {
    minimum_length                   = 10
    require_lowercase                = false
    require_uppercase                = false
    require_numbers                  = false
    require_symbols                  = false
    temporary_password_validity_days = 7
  }

  software_token_mfa_configuration {
    enabled = true
  }

  # Members sign up by the platform alone: the client's secret stands between.
  admin_create_user_config {
    allow_admin_create_user_only = false
  }

  # Another address counts once the code that was sent there is answered.
  user_attribute_update_settings {
    attributes_require_verification_before_update = ["email"]
  }

  account_recovery_setting {
    recovery_mechanism {
      name     = "verified_email"
      priority = 1
    }
  }

  verification_message_template {
    default_email_option = "CONFIRM_WITH_CODE"
  }

  dynamic "email_configuration" {
    for_each = local.has_domain ? [local.sender] : []

    content {
      email_sending_account = "DEVELOPER"
      source_arn            = email_configuration.value
      from_email_address    = local.mail_from
      configuration_set     = one(aws_sesv2_configuration_set.this[*].configuration_set_name)
    }
  }

  lifecycle {
    # Cognito can't change or drop an attribute; a difference in how it reports them must not replace the pool.
    ignore_changes = [schema]
  }
}

resource "aws_cognito_user_pool_client" "platform" {
  name         = "platform"
  user_pool_id = aws_cognito_user_pool.members.id

  # AWS makes the secret and Terraform's state holds it: the one credential there. scripts/secrets copies it to where
  # the services read it.
  generate_secret     = true
  explicit_auth_flows = local.auth_flows

  id_token_validity      = local.token_minutes
  access_token_validity  = local.token_minutes
  refresh_token_validity = local.refresh_days

  token_validity_units {
    id_token      = "minutes"
    access_token  = "minutes"
    refresh_token = "days"
  }

  # A refresh token is good for one use; the grace is for an answer that got lost on its way.
  dynamic "refresh_token_rotation" {
    for_each = var.emulated ? [] : [true]

    content {
      feature                    = "ENABLED"
      retry_grace_period_seconds = 10
    }
  }

  auth_session_validity         = local.challenge_minutes
  prevent_user_existence_errors = "ENABLED"
  enable_token_revocation       = true
  read_attributes               = concat(["email", "email_verified"], [for name in local.custom_attributes : "custom:${name}"])
  # Nothing but the address, and that only with a code: see custom_attributes above.
  write_attributes = ["email"]

  # Google brings Cognito's own pages, which ask for no client secret. With COGNITO in the list passwords could be guessed
  # and addresses registered there, past the platform's limits. Whoever has the secret signs in with a password all the same.
  supported_identity_providers         = local.has_google ? ["Google"] : ["COGNITO"]
  allowed_oauth_flows_user_pool_client = local.has_google
  allowed_oauth_flows                  = local.has_google ? ["code"] : null
  allowed_oauth_scopes                 = local.has_google ? ["openid", "email", "profile"] : null
  callback_urls                        = local.has_google ? ["${local.public_url}/auth/google"] : null
  logout_urls                          = local.has_google ? ["${local.public_url}/"] : null

  depends_on = [aws_cloudformation_stack.google]
}

resource "aws_cognito_user_pool" "operators" {
  name                     = "${local.name}-operators"
  user_pool_tier           = "ESSENTIALS"
  deletion_protection      = var.deletion_protection ? "ACTIVE" : "INACTIVE"
  username_attributes      = ["email"]
  auto_verified_attributes = ["email"]
  # Whoever sees all tenants proves it twice.
  mfa_configuration = "ON"

  username_configuration {
    case_sensitive = false
  }

  password_policy {
    minimum_length                   = 14
    require_lowercase                = false
    require_uppercase                = false
    require_numbers                  = false
    require_symbols                  = false
    temporary_password_validity_days = 1
  }

  software_token_mfa_configuration {
    enabled = true
  }

  # Staff is made by staff.
  admin_create_user_config {
    allow_admin_create_user_only = true
  }

  # Nor does a mailbox alone give an account back.
  account_recovery_setting {
    recovery_mechanism {
      name     = "admin_only"
      priority = 1
    }
  }
}

resource "aws_cognito_user_pool_client" "operators" {
  name         = "platform"
  user_pool_id = aws_cognito_user_pool.operators.id

  # Signing in takes IAM rights already, and the platform has no use for a secret here.
  generate_secret     = false
  explicit_auth_flows = local.auth_flows

  id_token_validity      = local.token_minutes
  access_token_validity  = local.token_minutes
  refresh_token_validity = 1

  token_validity_units {
    id_token      = "minutes"
    access_token  = "minutes"
    refresh_token = "days"
  }

  dynamic "refresh_token_rotation" {
    for_each = var.emulated ? [] : [true]

    content {
      feature                    = "ENABLED"
      retry_grace_period_seconds = 10
    }
  }

  auth_session_validity         = local.challenge_minutes
  prevent_user_existence_errors = "ENABLED"
  enable_token_revocation       = true
  read_attributes               = ["email", "email_verified"]
  write_attributes              = ["email"]
}

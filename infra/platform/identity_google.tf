# Signing in with Google, where google_client_id is set: AWS's half. The platform has no /auth/google yet.
#
# Through CloudFormation, because its reference to the secret is resolved on AWS's side: an aws_cognito_identity_provider
# would read Google's client secret back into the state at every refresh. The stack's template holds the reference only.

locals {
  has_google = var.google_client_id != null

  # What Google may say about a member. Never the custom attributes: whoever controls a Google account would choose
  # their tenant.
  google_attributes = { email = "email", email_verified = "email_verified", username = "sub" }
}

resource "aws_cognito_user_pool_domain" "this" {
  count = local.has_google ? 1 : 0

  domain       = "${local.name}-${local.account}"
  user_pool_id = aws_cognito_user_pool.members.id
}

resource "aws_cloudformation_stack" "google" {
  count = local.has_google ? 1 : 0

  name              = "${local.name}-google"
  notification_arns = [aws_sns_topic.alarms.arn]
  template_body = jsonencode({
    Resources = {
      Google = {
        Type = "AWS::Cognito::UserPoolIdentityProvider"
        Properties = {
          UserPoolId   = aws_cognito_user_pool.members.id
          ProviderName = "Google"
          ProviderType = "Google"
          ProviderDetails = {
            client_id        = var.google_client_id
            client_secret    = "{{resolve:secretsmanager:${aws_secretsmanager_secret.this["google"].name}:SecretString:client_secret}}"
            authorize_scopes = "openid email profile"
          }
          AttributeMapping = local.google_attributes
        }
      }
    }
  })
}

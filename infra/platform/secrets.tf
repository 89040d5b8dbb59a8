# Secrets, made empty: scripts/secrets fills and rotates them, so that neither the code nor the state holds one. Each is
# a JSON object whose members are environment variables of the platform (or, of google, what CloudFormation asks for).

locals {
  # What each secret gives, and which services get which variable of it.
  secrets = merge({
    database   = ["FFP_DATABASE_URL", "FFP_WORKER_DATABASE_URL", "FFP_OPERATOR_DATABASE_URL"]
    migrations = ["FFP_OWNER_DATABASE_URL"]
    identity   = ["FFP_MEMBERS_CLIENT_SECRET"]
    # The key's id beside the key: both change at once.
    videos = ["FFP_SIGNING_KEY_ID", "FFP_SIGNING_KEY_PEM"]
    # One value, or during a rotation two, separated by a comma.
    edge = ["FFP_ORIGIN_SECRETS"]
    }, local.has_google ? { google = ["client_secret"] } : {}
  )
}

resource "aws_secretsmanager_secret" "this" {
  for_each = local.secrets

  name        = "ffp/${local.suffix}/${each.key}"
  description = join(", ", each.value)
  kms_key_id  = aws_kms_key.data.arn
  # A dev environment is made again under the same names.
  recovery_window_in_days = local.is_disposable ? 0 : 30
}

# Nobody in another account, whatever their own policies say.
resource "aws_secretsmanager_secret_policy" "this" {
  for_each = local.secrets

  secret_arn          = aws_secretsmanager_secret.this[each.key].arn
  block_public_policy = true
  policy              = data.aws_iam_policy_document.secret.json
}

data "aws_iam_policy_document" "secret" {
  statement {
    sid       = "OwnAccountOnly"
    effect    = "Deny"
    actions   = ["secretsmanager:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "StringNotEquals"
      variable = "aws:PrincipalAccount"
      values   = [local.account]
    }
  }
}

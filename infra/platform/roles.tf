# What each service may do at AWS: by action, and by prefix of the objects. Nothing here is of another environment.
# The start roles are ECS's own, to fetch image and secrets before a task runs; the task never holds them.

locals {
  # Who takes which role.
  principals = {
    ecs-tasks     = "ecs-tasks.amazonaws.com"
    vpc-flow-logs = "vpc-flow-logs.amazonaws.com"
    scheduler     = "scheduler.amazonaws.com"
  }
}

data "aws_iam_policy_document" "assume" {
  for_each = local.principals

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = [each.value]
    }

    # Not on behalf of somebody else's account.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_iam_role" "start" {
  for_each = toset(["api", "worker", "migrate"])

  name                 = "${local.name}-start-${each.key}"
  permissions_boundary = aws_iam_policy.boundary.arn
  assume_role_policy   = data.aws_iam_policy_document.assume["ecs-tasks"].json
}

resource "aws_iam_role_policy" "start" {
  for_each = aws_iam_role.start

  name   = "start"
  role   = each.value.id
  policy = data.aws_iam_policy_document.start[each.key].json
}

data "aws_iam_policy_document" "start" {
  for_each = aws_iam_role.start

  # Takes no resource.
  statement {
    sid       = "Registry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "Image"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["arn:${local.aws}:ecr:${var.region}:${local.account}:repository/ffp"]
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.command[each.key].arn}:*"]
  }

  # The secrets that this one is given, and no other's.
  statement {
    sid       = "Secrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = sort(distinct([for from in values(local.commands[each.key].secrets) : join(":", slice(split(":", from), 0, 7))]))
  }

  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.data.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["secretsmanager.${var.region}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "api" {
  name                 = "${local.name}-api"
  permissions_boundary = aws_iam_policy.boundary.arn
  assume_role_policy   = data.aws_iam_policy_document.assume["ecs-tasks"].json
}

resource "aws_iam_role" "worker" {
  name                 = "${local.name}-worker"
  permissions_boundary = aws_iam_policy.boundary.arn
  assume_role_policy   = data.aws_iam_policy_document.assume["ecs-tasks"].json
}

# Talks to the database alone: no policy at all.
resource "aws_iam_role" "migrate" {
  name                 = "${local.name}-migrate"
  permissions_boundary = aws_iam_policy.boundary.arn
  assume_role_policy   = data.aws_iam_policy_document.assume["ecs-tasks"].json
}

resource "aws_iam_role_policy" "service" {
  for_each = { api = aws_iam_role.api.id, worker = aws_iam_role.worker.id }

  name   = "service"
  role   = each.value
  policy = data.aws_iam_policy_document.service[each.key].json
}

locals {
  # What each service calls. platform/src/cognito and platform/src/storage.rs are where.
  calls = {
    api = {
      accounts = [
        "cognito-idp:AdminCreateUser", "cognito-idp:AdminDeleteUser", "cognito-idp:AdminGetUser",
        "cognito-idp:AdminInitiateAuth", "cognito-idp:AdminRespondToAuthChallenge", "cognito-idp:AdminSetUserPassword",
        "cognito-idp:AdminUpdateUserAttributes", "cognito-idp:AdminUserGlobalSignOut",
      ]
      # Begins uploads, signs their parts, completes them and looks into what came. Deleting is the worker's.
      objects = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
      buckets = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    }
    worker = {
      accounts = [
        "cognito-idp:AdminDeleteUser", "cognito-idp:AdminGetUser", "cognito-idp:AdminUpdateUserAttributes",
        "cognito-idp:AdminUserGlobalSignOut",
      ]
      # Encodes what was uploaded, and deletes in all versions.
      objects = [
        "s3:AbortMultipartUpload", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObject",
        "s3:ListMultipartUploadParts", "s3:PutObject",
      ]
      buckets = ["s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:ListBucketVersions"]
    }
  }
  # Buckets that services use; assets come with a release.
  used = { for kind, bucket in local.buckets : kind => bucket.prefix if kind != "assets" }
}

data "aws_iam_policy_document" "service" {
  for_each = local.calls

  statement {
    sid       = "Accounts"
    actions   = each.value.accounts
    resources = [aws_cognito_user_pool.members.arn]
  }

  statement {
    sid       = "Objects"
    actions   = each.value.objects
    resources = [for kind, prefix in local.used : "${aws_s3_bucket.this[kind].arn}/${prefix}*"]
  }

  # With the right to list, an object that is not there is a 404 and not a 403. Asking for one object, and for uploads under
  # way, brings no prefix that a condition could see: the bucket holds nothing else than its prefix.
  dynamic "statement" {
    for_each = local.used

    content {
      sid       = "List${title(statement.key)}"
      actions   = each.value.buckets
      resources = [aws_s3_bucket.this[statement.key].arn]

      condition {
        test     = "StringLikeIfExists"
        variable = "s3:prefix"
        values   = ["${statement.value}*"]
      }
    }
  }

  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.media.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }

  dynamic "statement" {
    for_each = length(local.mail_identities) > 0 ? [true] : []

    content {
      sid       = "Mail"
      actions   = ["ses:SendEmail"]
      resources = local.mail_identities

      condition {
        test     = "StringEquals"
        variable = "ses:FromAddress"
        values   = [local.mail_address]
      }
    }
  }
}

# The workflow's role, which GitHub's token opens: from this repository, and from its environment of the same name, whose
# rules ask for approval. No key is kept anywhere. bootstrap makes the provider.

locals {
  has_ci       = var.repository != null
  github       = "token.actions.githubusercontent.com"
  state_bucket = coalesce(var.state_bucket, "ffp-state-${local.account}")
  # dev's state has a key for each engineer.
  state_keys = var.environment == "dev" ? "dev/${var.name}.tfstate" : "${var.environment}/terraform.tfstate"

  # What this module makes something of. Names decide where a service takes them, which few do; IAM is apart, below.
  services = [
    "acm", "apigateway", "application-autoscaling", "cloudformation", "cloudfront", "cloudfront-keyvaluestore", "cloudwatch",
    "cognito-idp", "ec2", "ecs", "elasticache", "kms", "logs", "rds", "route53", "scheduler", "secretsmanager",
    "servicediscovery", "ses", "sns", "ssm", "wafv2",
  ]
}

resource "aws_iam_role" "ci" {
  count = local.has_ci ? 1 : 0

  name                 = "${local.name}-ci"
  max_session_duration = 3600
  assume_role_policy   = data.aws_iam_policy_document.ci_assume[0].json
}

data "aws_iam_policy_document" "ci_assume" {
  count = local.has_ci ? 1 : 0

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = ["arn:${local.aws}:iam::${local.account}:oidc-provider/${local.github}"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.github}:aud"
      values   = ["sts.amazonaws.com"]
    }

    # One repository and one of its environments, and no wildcard: a branch or a pull request is not enough.
    condition {
      test     = "StringEquals"
      variable = "${local.github}:sub"
      values   = ["repo:${var.repository}:environment:${var.environment}"]
    }
  }
}

resource "aws_iam_role_policy" "ci" {
  count = local.has_ci ? 1 : 0

  name   = "apply"
  role   = aws_iam_role.ci[0].id
  policy = data.aws_iam_policy_document.ci[0].json
}

data "aws_iam_policy_document" "ci" {
  count = local.has_ci ? 1 : 0

  statement {
    sid       = "Services"
    actions   = [for service in local.services : "${service}:*"]
    resources = ["*"]

    # Nor anything elsewhere; CloudFront, Route 53 and their like are in us-east-1.
    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = distinct([var.region, "us-east-1"])
    }
  }

  statement {
    sid       = "Buckets"
    actions   = ["s3:*"]
    resources = [for kind in concat(keys(local.buckets), ["logs"]) : "arn:${local.aws}:s3:::ffp-${kind}-${local.suffix}-${local.account}"]
  }

  statement {
    sid       = "Assets"
    actions   = ["s3:PutObject", "s3:GetObject"]
    resources = ["${aws_s3_bucket.this["assets"].arn}/assets/*"]
  }

  statement {
    sid       = "State"
    actions   = ["s3:ListBucket"]
    resources = ["arn:${local.aws}:s3:::${local.state_bucket}"]
  }

  statement {
    sid       = "OwnState"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = [for file in [local.state_keys, "${local.state_keys}.tflock"] : "arn:${local.aws}:s3:::${local.state_bucket}/${file}"]
  }

  statement {
    sid = "Images"
    actions = [
      "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
      "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
    ]
    resources = ["arn:${local.aws}:ecr:${var.region}:${local.account}:repository/ffp"]
  }

  statement {
    sid       = "Registry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "SeeRoles"
    actions   = ["iam:GetRole", "iam:GetRolePolicy", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:List*"]
    resources = ["*"]
  }

  # Roles of this environment, within the boundary: nobody makes one that may do more than a service.
  statement {
    sid       = "MakeRoles"
    actions   = ["iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"]
    resources = ["arn:${local.aws}:iam::${local.account}:role/${local.name}-*"]

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [aws_iam_policy.boundary.arn]
    }
  }

  statement {
    sid       = "KeepRoles"
    actions   = ["iam:DeleteRole", "iam:DeleteRolePolicy", "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy"]
    resources = ["arn:${local.aws}:iam::${local.account}:role/${local.name}-*"]
  }

  statement {
    sid       = "PassRoles"
    actions   = ["iam:PassRole"]
    resources = ["arn:${local.aws}:iam::${local.account}:role/${local.name}-*"]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = values(local.principals)
    }
  }

  statement {
    sid       = "ServiceRoles"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["arn:${local.aws}:iam::${local.account}:role/aws-service-role/*"]
  }

  # Its own rights and the boundary are a person's to change.
  statement {
    sid    = "OwnRights"
    effect = "Deny"
    actions = [
      "iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeleteRole", "iam:DeleteRolePermissionsBoundary",
      "iam:DeleteRolePolicy", "iam:PutRolePolicy", "iam:SetDefaultPolicyVersion", "iam:UpdateAssumeRolePolicy",
    ]
    resources = ["arn:${local.aws}:iam::${local.account}:role/${local.name}-ci", aws_iam_policy.boundary.arn]
  }

  # What no release needs: secrets' values, members' accounts, and the end of what is kept.
  statement {
    sid    = "Customers"
    effect = "Deny"
    actions = concat(
      ["cognito-idp:Admin*", "cognito-idp:ListUsers*", "secretsmanager:GetSecretValue"],
      local.is_disposable ? [] : [
        "kms:DisableKey", "kms:ScheduleKeyDeletion", "rds:DeleteDBInstance", "rds:DeleteDBInstanceAutomatedBackup", "cognito-idp:DeleteUserPool",
        "secretsmanager:DeleteSecret",
      ],
    )
    resources = ["*"]
  }

  # What is another environment's, or another engineer's: everything carries whose it is, by the provider's default tags. What
  # can't carry it, and services that don't ask for it, only an account of its own keeps apart (infra/README.md).
  dynamic "statement" {
    for_each = { Environment = [var.environment, "account"], Owner = [var.name == "" ? "ffp" : var.name] }

    content {
      sid       = "Other${statement.key}"
      effect    = "Deny"
      actions   = ["*"]
      resources = ["*"]

      condition {
        test     = "StringNotEquals"
        variable = "aws:ResourceTag/${statement.key}"
        values   = statement.value
      }

      condition {
        test     = "Null"
        variable = "aws:ResourceTag/${statement.key}"
        values   = ["false"]
      }
    }
  }

  # What all environments share is bootstrap's to change.
  statement {
    sid    = "Account"
    effect = "Deny"
    actions = [
      "kms:CreateGrant", "kms:DeleteAlias", "kms:DisableKey", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:TagResource",
      "kms:UntagResource", "kms:UpdateAlias", "logs:Delete*", "logs:PutRetentionPolicy", "route53:DeleteHostedZone", "sns:DeleteTopic",
      "sns:SetTopicAttributes",
    ]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Environment"
      values   = ["account"]
    }
  }
}

# The most that any role of this environment may ever do, whatever policy it is given.
resource "aws_iam_policy" "boundary" {
  name        = "${local.name}-boundary"
  description = "The most that a role of ${local.name} may do"
  policy      = data.aws_iam_policy_document.boundary.json
}

data "aws_iam_policy_document" "boundary" {
  statement {
    sid = "Services"
    actions = [
      "cognito-idp:Admin*", "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetAuthorizationToken",
      "ecr:GetDownloadUrlForLayer", "ecs:UpdateService", "kms:Decrypt", "kms:GenerateDataKey", "logs:CreateLogStream",
      "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents", "rds:StopDBInstance", "ses:SendEmail",
    ]
    resources = ["*"]
  }

  # What holds data is this environment's own.
  statement {
    sid = "Objects"
    actions = [
      "s3:AbortMultipartUpload", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObject", "s3:ListBucket",
      "s3:ListBucketMultipartUploads", "s3:ListBucketVersions", "s3:ListMultipartUploadParts", "s3:PutObject",
    ]
    resources = flatten([for kind in keys(local.buckets) : [for part in ["", "/*"] : "arn:${local.aws}:s3:::ffp-${kind}-${local.suffix}-${local.account}${part}"]])
  }

  # And what RDS names itself, of which the policies say which.
  statement {
    sid       = "Secrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [for name in ["ffp/${local.suffix}/*", "rds!*"] : "arn:${local.aws}:secretsmanager:${var.region}:${local.account}:secret:${name}"]
  }
}

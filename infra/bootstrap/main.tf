# Once for each account, by a person with the account's rights: what environments share. Its own state begins on the
# engineer's disk and moves into the bucket that it makes (README, "first apply").

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = var.region

  access_key                  = var.emulated ? "emulated" : null
  secret_key                  = var.emulated ? "emulated" : null
  skip_credentials_validation = var.emulated
  s3_use_path_style           = var.emulated
  max_retries                 = var.emulated ? 1 : null

  default_tags {
    tags = { Project = "ffp", Environment = "account", ManagedBy = "terraform" }
  }
}

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}

locals {
  account = data.aws_caller_identity.this.account_id
  aws     = data.aws_partition.this.partition
}

# What environments forget to say, the account says: nothing in it is public.
resource "aws_s3_account_public_access_block" "this" {
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# GitHub proves by it which repository and environment a workflow runs in; each environment makes its own role.
resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
  # AWS checks GitHub's certificate itself and no longer looks at this.
  thumbprint_list = ["6938fd4d98bab03faadb97b34396831e3780aea1"]
}

# One image for all environments: what staging ran is what prod runs, by digest.
resource "aws_ecr_repository" "ffp" {
  name                 = "ffp"
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.this.arn
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_ecr_lifecycle_policy" "ffp" {
  repository = aws_ecr_repository.ffp.name
  policy = jsonencode({
    # ECR does not know what runs. `deploy` gives what it brings to prod a second tag, so that pushes don't drive it out.
    rules = [
      {
        rulePriority = 1
        description  = "Of what was brought to prod, a hundred to go back to"
        selection    = { tagStatus = "tagged", tagPrefixList = ["ffp-prod-"], countType = "imageCountMoreThan", countNumber = 100 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "Of the rest, the last fifty"
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 50 }
        action       = { type = "expire" }
      },
    ]
  })
}

# The zone under which environments have theirs.
resource "aws_route53_zone" "parent" {
  count = var.parent_domain == null ? 0 : 1

  name    = var.parent_domain
  comment = "FFP: the zones of environments are delegated here"

  lifecycle {
    prevent_destroy = true
  }
}

# Emulators have no budgets that tell anybody.
resource "aws_budgets_budget" "month" {
  count = var.emulated ? 0 : 1

  name         = "ffp-month"
  budget_type  = "COST"
  limit_amount = tostring(var.budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  dynamic "notification" {
    for_each = length(var.budget_emails) == 0 ? {} : { ACTUAL = 80, FORECASTED = 100 }

    content {
      notification_type          = notification.key
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = var.budget_emails
    }
  }
}

# What environments share, once for each account.

mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks/bootstrap"
}

run "bootstrap" {
  command = plan

  module {
    source = "./bootstrap"
  }

  variables {
    parent_domain = "example.com"
    budget_usd    = 200
    budget_emails = ["owner@example.com"]
  }

  assert {
    condition     = aws_s3_bucket.state.bucket == "ffp-state-123456789012" && aws_s3_bucket_versioning.state.versioning_configuration[0].status == "Enabled" && one(aws_s3_bucket_server_side_encryption_configuration.state.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"
    error_message = "The state is versioned and encrypted."
  }

  assert {
    condition     = alltrue([for b in [aws_s3_bucket_public_access_block.state, aws_s3_bucket_public_access_block.trail, aws_s3_account_public_access_block.this] : b.block_public_acls && b.block_public_policy && b.ignore_public_acls && b.restrict_public_buckets])
    error_message = "Nothing in the account is public."
  }

  assert {
    condition     = aws_iam_openid_connect_provider.github.url == "https://token.actions.githubusercontent.com" && toset(aws_iam_openid_connect_provider.github.client_id_list) == toset(["sts.amazonaws.com"])
    error_message = "GitHub's tokens for AWS are taken."
  }

  assert {
    condition     = jsondecode(aws_ecr_lifecycle_policy.ffp.policy).rules[0].selection.tagPrefixList == ["ffp-prod-"] && jsondecode(aws_ecr_lifecycle_policy.ffp.policy).rules[1].rulePriority > jsondecode(aws_ecr_lifecycle_policy.ffp.policy).rules[0].rulePriority
    error_message = "What was brought to prod is not driven out by what was only built."
  }

  assert {
    condition     = aws_ecr_repository.ffp.image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.ffp.image_scanning_configuration[0].scan_on_push
    error_message = "A tag is never moved, and every image is scanned."
  }

  assert {
    condition     = aws_cloudtrail.this.is_multi_region_trail && aws_cloudtrail.this.enable_log_file_validation && aws_cloudtrail.this.enable_logging && aws_cloudtrail.this.kms_key_id == aws_kms_key.this.arn
    error_message = "The trail is of all regions, encrypted, and shows when it was changed."
  }

  # Each field that a selector asks for leaves something out, so these are all of them.
  assert {
    condition     = [for s in aws_cloudtrail.this.advanced_event_selector : toset([for f in s.field_selector : jsonencode({ for how, values in { equals = f.equals, starts_with = f.starts_with, ends_with = f.ends_with, not_equals = f.not_equals, not_starts_with = f.not_starts_with, not_ends_with = f.not_ends_with } : "${f.field} ${how}" => values if length(coalesce(values, [])) > 0 })]) if s.name == "Management, reads included"] == [toset([jsonencode({ "eventCategory equals" = ["Management"] })])]
    error_message = "Management events are in the trail, reads included."
  }

  assert {
    condition = [for s in aws_cloudtrail.this.advanced_event_selector : toset([for f in s.field_selector : jsonencode({ for how, values in { equals = f.equals, starts_with = f.starts_with, ends_with = f.ends_with, not_equals = f.not_equals, not_starts_with = f.not_starts_with, not_ends_with = f.not_ends_with } : "${f.field} ${how}" => values if length(coalesce(values, [])) > 0 })]) if s.name == "Progress photos"] == [toset([
      jsonencode({ "eventCategory equals" = ["Data"] }), jsonencode({ "resources.type equals" = ["AWS::S3::Object"] }),
      jsonencode({ "resources.ARN starts_with" = ["arn:aws:s3:::ffp-photos-"] }),
    ])]
    error_message = "Every touch of a progress photo is in the trail, reads included."
  }

  assert {
    condition     = aws_route53_zone.parent[0].name == "example.com"
    error_message = "The parent zone is made where there is a domain."
  }

  assert {
    condition     = aws_budgets_budget.month[0].limit_amount == "200" && length(aws_budgets_budget.month[0].notification) == 2
    error_message = "Somebody hears before the budget is spent."
  }

  assert {
    condition = alltrue([for name, policy in { state = data.aws_iam_policy_document.state, trail = data.aws_iam_policy_document.trail } : [for s in policy.statement : [
      s.effect, [for a in s.actions : a], [for p in s.principals : "${p.type} ${join(" ", p.identifiers)}"], [for r in s.resources : r], [for c in s.condition : "${c.test} ${c.variable} ${join(" ", c.values)}"],
    ] if s.sid == "TlsOnly"] == [["Deny", ["s3:*"], ["* *"], ["arn:aws:s3:::ffp-${name}", "arn:aws:s3:::ffp-${name}/*"], ["Bool aws:SecureTransport false"]]]])
    error_message = "Neither bucket is reached in clear."
  }

  assert {
    condition = [for s in data.aws_iam_policy_document.state.statement : s.sid] == ["TlsOnly"] && [for s in data.aws_iam_policy_document.trail.statement : [
      s.sid, [for a in s.actions : a], [for p in s.principals : "${p.type} ${join(" ", p.identifiers)}"], [for c in s.condition : "${c.test} ${c.variable} ${join(" ", c.values)}"],
      ] if s.sid != "TlsOnly"] == [
      ["Look", ["s3:GetBucketAcl"], ["Service cloudtrail.amazonaws.com"], ["StringEquals aws:SourceArn arn:aws:cloudtrail:us-east-1:123456789012:trail/ffp"]],
      ["Write", ["s3:PutObject"], ["Service cloudtrail.amazonaws.com"], ["StringEquals aws:SourceArn arn:aws:cloudtrail:us-east-1:123456789012:trail/ffp"]],
    ]
    error_message = "The state's bucket lets nobody in by its policy, the trail's this trail alone."
  }

  assert {
    condition     = alltrue([for l in [aws_s3_bucket_lifecycle_configuration.state, aws_s3_bucket_lifecycle_configuration.trail] : [for r in l.rule : r.status] == ["Enabled"]])
    error_message = "What is old in either bucket ends."
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30
    error_message = "The account's key rotates, and can be had back for 30 days."
  }

  assert {
    condition     = toset([for n in aws_budgets_budget.month[0].notification : "${n.notification_type} ${n.threshold}"]) == toset(["ACTUAL 80", "FORECASTED 100"])
    error_message = "Somebody hears when 80 % are spent, and when all of it is to be expected."
  }

  # A plan does not show this: it is looked for in the code.
  assert {
    condition = alltrue([for what, file in { "\"aws_s3_bucket\" \"state\"" = "state", "\"aws_kms_key\" \"this\"" = "state", "\"aws_s3_bucket\" \"trail\"" = "trail", "\"aws_ecr_repository\" \"ffp\"" = "main", "\"aws_route53_zone\" \"parent\"" = "main" } :
    strcontains(split("\n}\n", split("resource ${what} {\n", file("${path.module}/${file}.tf"))[1])[0], "prevent_destroy = true")])
    error_message = "State, key, trail, images and parent zone can't be destroyed."
  }
}

run "off_switches" {
  command = plan

  module {
    source = "./bootstrap"
  }

  variables {
    emulated = true
  }

  assert {
    condition     = length(aws_route53_zone.parent) == 0 && length(aws_budgets_budget.month) == 0 && !aws_cloudtrail.this.enable_logging
    error_message = "Without a domain there is no zone; an emulator has no budget and no trail."
  }
}

run "bad_input" {
  command = plan

  module {
    source = "./bootstrap"
  }

  variables {
    region        = "Frankfurt"
    parent_domain = "example.com."
    budget_usd    = 0
    budget_emails = ["owner"]
  }

  expect_failures = [var.region, var.parent_domain, var.budget_usd, var.budget_emails]
}

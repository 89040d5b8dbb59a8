# The firewall, on the distribution: an HTTP API takes none, and nothing else can be reached.

locals {
  # AWS's own rules, by priority. The size of bodies is the platform's to judge: it takes a mebibyte of JSON.
  managed_rules = {
    common     = { priority = 10, name = "AWSManagedRulesCommonRuleSet", counted = ["SizeRestrictions_BODY"] }
    bad_inputs = { priority = 20, name = "AWSManagedRulesKnownBadInputsRuleSet", counted = [] }
    sqli       = { priority = 30, name = "AWSManagedRulesSQLiRuleSet", counted = [] }
  }
}

resource "aws_wafv2_web_acl" "this" {
  count    = var.waf ? 1 : 0
  provider = aws.us_east_1

  name        = local.name
  description = "SQL injection, cross-site scripting, known bad inputs, and a rate for each address"
  scope       = "CLOUDFRONT"

  default_action {
    allow {}
  }

  rule {
    name     = "rate"
    priority = 1

    action {
      block {
        custom_response {
          response_code = 429
        }
      }
    }

    statement {
      rate_based_statement {
        limit                 = var.waf_requests_per_5_minutes
        aggregate_key_type    = "IP"
        evaluation_window_sec = 300
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "${local.name}-rate"
      sampled_requests_enabled   = true
    }
  }

  dynamic "rule" {
    for_each = local.managed_rules

    content {
      name     = rule.key
      priority = rule.value.priority

      override_action {
        none {}
      }

      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.value.name

          dynamic "rule_action_override" {
            for_each = rule.value.counted

            content {
              name = rule_action_override.value

              action_to_use {
                count {}
              }
            }
          }
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "${local.name}-${rule.key}"
        sampled_requests_enabled   = true
      }
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = local.name
    sampled_requests_enabled   = true
  }
}

# The figures of dev: with environments/dev/terraform.tfvars, and a name.

mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks/platform"
}

mock_provider "aws" {
  alias           = "us_east_1"
  override_during = plan
  source          = "./tests/mocks/platform"
}

run "dev" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    name = "ann"
  }

  assert {
    condition     = local.name == "ffp-dev-ann" && aws_s3_bucket.this["videos"].bucket == "ffp-videos-dev-ann-123456789012"
    error_message = "Every name has the engineer's in it, so that two never meet."
  }

  assert {
    condition     = length(terraform_data.customers_data) == 0 && !aws_db_instance.this.deletion_protection && aws_db_instance.this.skip_final_snapshot
    error_message = "dev goes by one terraform destroy."
  }

  assert {
    condition = (alltrue([for bucket in aws_s3_bucket.this : bucket.force_destroy])
      && alltrue([for secret in aws_secretsmanager_secret.this : secret.recovery_window_in_days == 0])
    && aws_cognito_user_pool.members.deletion_protection == "INACTIVE")
    error_message = "Buckets go with what is in them, secrets at once, and pools too."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_instance.nat) == 0 && length(aws_route.nat) == 0
    error_message = "dev pays for no NAT."
  }

  assert {
    condition = (aws_ecs_service.api.network_configuration[0].assign_public_ip && aws_ecs_service.worker.network_configuration[0].assign_public_ip
    && toset(aws_ecs_service.api.network_configuration[0].subnets) == toset(local.public_subnets))
    error_message = "Without NAT, tasks have a public address in the public subnets."
  }

  assert {
    condition     = aws_db_instance.this.instance_class == "db.t4g.micro" && aws_db_instance.this.allocated_storage == 50 && !aws_db_instance.this.multi_az
    error_message = "dev's database is the smallest."
  }

  assert {
    condition     = { for e in jsondecode(aws_ecs_task_definition.this["worker"].container_definitions)[0].environment : e.name => e.value }["FFP_GATE_SLOTS"] == "3"
    error_message = "dev has 3 pieces of expensive work in flight."
  }

  assert {
    condition     = length(aws_wafv2_web_acl.this) == 0 && length(aws_elasticache_replication_group.this) == 0 && length(aws_appautoscaling_target.api) == 0
    error_message = "dev has neither firewall nor cache nor autoscaling."
  }

  assert {
    condition = (toset(keys(aws_scheduler_schedule.sleep)) == toset(["api", "worker", "rds"])
    && alltrue([for s in aws_scheduler_schedule.sleep : s.schedule_expression == "cron(0 19 * * ? *)"]))
    error_message = "dev falls asleep every evening: services and database."
  }

  assert {
    condition     = aws_iam_role.sleep[0].permissions_boundary == aws_iam_policy.boundary.arn
    error_message = "What puts dev to sleep is within the boundary."
  }

  assert {
    condition     = aws_ecs_service.api.desired_count == 1 && aws_ecs_service.worker.desired_count == 1
    error_message = "Awake, dev has one task of each."
  }

  assert {
    condition     = aws_cloudwatch_log_group.command["api"].retention_in_days == 7
    error_message = "dev keeps a week of logs."
  }

  assert {
    condition     = length(aws_route53_zone.this) == 0 && aws_cloudfront_distribution.site.viewer_certificate[0].cloudfront_default_certificate && !aws_apigatewayv2_api.this.disable_execute_api_endpoint
    error_message = "Without a domain the distribution's own name is the site's, and the API's its way in."
  }

  # What no key can open stays shut.
  assert {
    condition = alltrue([for b in aws_cloudfront_distribution.site.ordered_cache_behavior : b.trusted_signers == tolist(["self"])
    if contains(["/videos/*", "/progress-photos/*"], b.path_pattern)]) && length(aws_cloudfront_key_group.media) == 0
    error_message = "Before the first key is made nobody opens a video."
  }
}

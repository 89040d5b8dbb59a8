# What variables switch on: a NAT in each zone, a standby, another region.

mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks/platform"
}

mock_provider "aws" {
  alias           = "us_east_1"
  override_during = plan
  source          = "./tests/mocks/platform"
}

run "grown" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    region           = "eu-central-1"
    nat_in_each_zone = true
    multi_az         = true
    alarm_emails     = ["oncall@example.com"]
    domain           = "app.example.com"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 2 && length(aws_eip.nat) == 2
    error_message = "With nat_in_each_zone each zone has a NAT."
  }

  assert {
    condition     = strcontains(file("${path.module}/network.tf"), "depends_on = [aws_route.internet, aws_route_table_association.this, aws_vpc_security_group_egress_rule.nat]")
    error_message = "The NAT instance starts when it can fetch its packages."
  }

  assert {
    condition     = aws_db_instance.this.multi_az
    error_message = "Multi-AZ is one variable."
  }

  assert {
    condition     = length(aws_sns_topic.edge) == 1 && alltrue([for a in aws_cloudwatch_metric_alarm.edge : a.alarm_actions == toset([aws_sns_topic.edge[0].arn])])
    error_message = "Elsewhere than us-east-1, alarms of the edge have a topic beside them."
  }

  assert {
    condition     = aws_vpc_endpoint.s3.service_name == "com.amazonaws.eu-central-1.s3" && aws_apigatewayv2_authorizer.this["members"].jwt_configuration[0].issuer == "https://cognito-idp.eu-central-1.amazonaws.com/us-east-1_members"
    error_message = "The region is one variable."
  }
}

run "emulated" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    emulated = true
    domain   = "app.example.com"
    asleep   = true
  }

  assert {
    condition     = length(aws_cloudfront_function.edge) == 0 && length(aws_cloudfront_cache_policy.this) == 0 && length(aws_apigatewayv2_domain_name.origin) == 0 && length(aws_sesv2_configuration_set.this) == 0 && length(terraform_data.customers_data) == 0
    error_message = "Against an emulator, what it can't make is left out, and all of it can go."
  }

  assert {
    condition     = aws_ecs_service.api.desired_count == 0 && aws_ecs_service.worker.desired_count == 0
    error_message = "Asleep, no task runs."
  }

  assert {
    condition     = alltrue([for b in aws_cloudfront_distribution.site.ordered_cache_behavior : b.trusted_signers == tolist(["self"]) if contains(["/videos/*", "/progress-photos/*"], b.path_pattern)])
    error_message = "Emulated or not, nothing opens a video without a key."
  }
}

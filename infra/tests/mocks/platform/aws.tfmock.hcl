# What the provider checks the form of, and what a plan would otherwise not know.

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_data "aws_availability_zones" {
  defaults = { names = ["us-east-1c", "us-east-1a", "us-east-1b"] }
}

mock_data "aws_ssm_parameter" {
  defaults = { insecure_value = "ami-0123456789abcdef0" }
}

mock_data "aws_iam_policy_document" {
  defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
}

mock_resource "aws_acm_certificate" {
  defaults = {
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
    domain_validation_options = [
      { domain_name = "app.example.com", resource_record_name = "_1.app.example.com", resource_record_type = "CNAME", resource_record_value = "_1.acm.example" },
      { domain_name = "origin.app.example.com", resource_record_name = "_2.app.example.com", resource_record_type = "CNAME", resource_record_value = "_2.acm.example" },
    ]
  }
}

mock_resource "aws_acm_certificate_validation" {
  defaults = { certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000" }
}

mock_resource "aws_apigatewayv2_api" {
  defaults = { id = "api0123456", api_endpoint = "https://api0123456.execute-api.us-east-1.amazonaws.com" }
}

mock_resource "aws_cloudfront_distribution" {
  defaults = {
    arn         = "arn:aws:cloudfront::123456789012:distribution/E0123456789ABC"
    domain_name = "d0123456789abc.cloudfront.net"
  }
}

mock_resource "aws_cloudfront_function" {
  defaults = { arn = "arn:aws:cloudfront::123456789012:function/edge" }
}

mock_resource "aws_cloudfront_key_value_store" {
  defaults = { arn = "arn:aws:cloudfront::123456789012:key-value-store/00000000-0000-0000-0000-000000000000" }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:mocked" }
}

mock_resource "aws_cloudwatch_log_delivery_destination" {
  defaults = { arn = "arn:aws:logs:us-east-1:123456789012:delivery-destination:edge" }
}

mock_resource "aws_cognito_user_pool" {
  defaults = { id = "us-east-1_AbCdEfGhI", arn = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_AbCdEfGhI" }
}

mock_resource "aws_db_instance" {
  defaults = {
    arn      = "arn:aws:rds:us-east-1:123456789012:db:mocked"
    endpoint = "mocked.rds.amazonaws.com:5432"
    master_user_secret = [
      { secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:master-AbCdEf", kms_key_id = "", secret_status = "active" },
    ]
  }
}

mock_resource "aws_iam_policy" {
  defaults = { arn = "arn:aws:iam::123456789012:policy/mocked" }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/mocked" }
}

mock_resource "aws_kms_key" {
  defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000" }
}

mock_resource "aws_s3_bucket" {
  defaults = { arn = "arn:aws:s3:::mocked" }
}

mock_resource "aws_secretsmanager_secret" {
  defaults = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:mocked-AbCdEf" }
}

mock_resource "aws_ses_domain_identity" {
  defaults = { arn = "arn:aws:ses:us-east-1:123456789012:identity/mocked" }
}

mock_resource "aws_ses_domain_identity_verification" {
  defaults = { arn = "arn:aws:ses:us-east-1:123456789012:identity/verified" }
}

mock_resource "aws_ses_domain_dkim" {
  defaults = { dkim_tokens = ["one", "two", "three"] }
}

mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:us-east-1:123456789012:mocked" }
}

mock_resource "aws_wafv2_web_acl" {
  defaults = { arn = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/mocked/00000000" }
}

mock_resource "aws_service_discovery_service" {
  defaults = { arn = "arn:aws:servicediscovery:us-east-1:123456789012:service/srv-mocked" }
}

mock_resource "aws_route53_zone" {
  defaults = { name_servers = ["ns-1.example", "ns-2.example"] }
}
mock_resource "aws_vpc" {
  defaults = { id = "vpc-1" }
}

mock_resource "aws_internet_gateway" {
  defaults = { id = "igw-1" }
}

mock_resource "aws_eip" {
  defaults = { id = "eip-1" }
}

mock_resource "aws_nat_gateway" {
  defaults = { id = "nat-1" }
}

mock_resource "aws_instance" {
  defaults = { id = "i-1", primary_network_interface_id = "eni-1" }
}

mock_resource "aws_cloudfront_key_group" {
  defaults = { id = "keygroup" }
}

mock_resource "aws_cloudfront_origin_access_control" {
  defaults = { id = "oac" }
}

mock_resource "aws_apigatewayv2_vpc_link" {
  defaults = { id = "link" }
}

mock_resource "aws_apigatewayv2_integration" {
  defaults = { id = "integration" }
}

mock_resource "aws_route53_health_check" {
  defaults = { id = "health" }
}

mock_resource "aws_ecs_cluster" {
  defaults = { id = "cluster", arn = "arn:aws:ecs:us-east-1:123456789012:cluster/ffp" }
}

mock_resource "aws_elasticache_replication_group" {
  defaults = { primary_endpoint_address = "cache.example" }
}

mock_resource "aws_service_discovery_private_dns_namespace" {
  defaults = { id = "ns-1" }
}

mock_resource "aws_ecs_task_definition" {
  defaults = { arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/ffp:1" }
}

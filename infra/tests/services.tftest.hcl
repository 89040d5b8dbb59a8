# Identity, the HTTP API and its services: prod with everything switched on, grown to four api tasks.

mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks/platform"
}

mock_provider "aws" {
  alias           = "us_east_1"
  override_during = plan
  source          = "./tests/mocks/platform"
}

run "services" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    domain           = "app.example.com"
    google_client_id = "123-abc.apps.googleusercontent.com"
    repository       = "acme/ffp"
    cache            = true
    api_max_count    = 4
    database_class   = "db.t4g.medium"
    max_connections  = 400
  }

  # The members' pool

  assert {
    condition     = { for s in aws_cognito_user_pool.members.schema : s.name => [s.attribute_data_type, s.mutable, s.required] } == { tenantId = ["String", true, false], role = ["String", true, false], parentBusinessId = ["String", true, false] }
    error_message = "Members carry tenantId, role and parentBusinessId, which the server may change."
  }

  assert {
    condition     = aws_cognito_user_pool_client.platform.write_attributes == toset(["email"]) && aws_cognito_user_pool_client.platform.read_attributes == toset(["email", "email_verified", "custom:tenantId", "custom:role", "custom:parentBusinessId"])
    error_message = "The client reads the custom attributes and writes none of them."
  }

  assert {
    condition     = aws_cognito_user_pool_client.platform.id_token_validity == 15 && aws_cognito_user_pool_client.platform.access_token_validity == 15 && aws_cognito_user_pool_client.platform.token_validity_units[0].id_token == "minutes" && aws_cognito_user_pool_client.platform.token_validity_units[0].access_token == "minutes"
    error_message = "Tokens are good for 15 minutes."
  }

  assert {
    condition     = aws_cognito_user_pool_client.platform.refresh_token_validity == 7 && aws_cognito_user_pool_client.platform.token_validity_units[0].refresh_token == "days" && aws_cognito_user_pool_client.platform.refresh_token_rotation[0].feature == "ENABLED" && aws_cognito_user_pool_client.platform.refresh_token_rotation[0].retry_grace_period_seconds <= 60
    error_message = "Refresh tokens are good for 7 days, and for one use."
  }

  assert {
    condition     = aws_cognito_user_pool_client.platform.generate_secret && aws_cognito_user_pool_client.platform.prevent_user_existence_errors == "ENABLED" && aws_cognito_user_pool_client.platform.enable_token_revocation && aws_cognito_user_pool_client.platform.auth_session_validity == 3
    error_message = "The client is confidential, says nothing of who exists, and takes tokens back."
  }

  assert {
    condition     = !aws_cognito_user_pool.members.username_configuration[0].case_sensitive && aws_cognito_user_pool.members.username_attributes == toset(["email"]) && aws_cognito_user_pool.members.auto_verified_attributes == toset(["email"])
    error_message = "Members sign in with a verified address, in any case."
  }

  assert {
    condition     = aws_cognito_user_pool.members.password_policy[0].minimum_length == 10 && !aws_cognito_user_pool.members.password_policy[0].require_symbols && !aws_cognito_user_pool.members.password_policy[0].require_numbers && !aws_cognito_user_pool.members.password_policy[0].require_uppercase && !aws_cognito_user_pool.members.password_policy[0].require_lowercase
    error_message = "Passwords are judged by length, as the platform does."
  }

  assert {
    condition     = aws_cognito_user_pool.members.mfa_configuration == "OPTIONAL" && aws_cognito_user_pool.members.software_token_mfa_configuration[0].enabled
    error_message = "A second factor is for members to choose."
  }

  assert {
    condition     = aws_cognito_user_pool.members.user_attribute_update_settings[0].attributes_require_verification_before_update == toset(["email"]) && one(aws_cognito_user_pool.members.account_recovery_setting[0].recovery_mechanism).name == "verified_email"
    error_message = "A new address counts once it is verified, and an account comes back by a verified one."
  }

  # The operators' pool

  assert {
    condition     = aws_cognito_user_pool.operators.mfa_configuration == "ON" && aws_cognito_user_pool.operators.software_token_mfa_configuration[0].enabled && aws_cognito_user_pool.operators.admin_create_user_config[0].allow_admin_create_user_only && one(aws_cognito_user_pool.operators.account_recovery_setting[0].recovery_mechanism).name == "admin_only"
    error_message = "Operators have a second factor, are made by others, and get an account back from them."
  }

  assert {
    condition     = !aws_cognito_user_pool_client.operators.generate_secret && aws_cognito_user_pool_client.operators.refresh_token_validity == 1 && aws_cognito_user_pool_client.operators.write_attributes == toset(["email"])
    error_message = "The operators' client has no secret, so that the state has one credential only."
  }

  # Google

  assert {
    condition     = jsondecode(aws_cloudformation_stack.google[0].template_body).Resources.Google.Properties.AttributeMapping == { email = "email", email_verified = "email_verified", username = "sub" }
    error_message = "Google says who somebody is, never whose: no custom attribute is mapped."
  }

  assert {
    condition     = startswith(jsondecode(aws_cloudformation_stack.google[0].template_body).Resources.Google.Properties.ProviderDetails.client_secret, "{{resolve:secretsmanager:ffp/prod/google:")
    error_message = "Google's secret is a reference that AWS resolves: it is not in the state."
  }

  assert {
    condition     = aws_cognito_user_pool_client.platform.supported_identity_providers == toset(["Google"])
    error_message = "Cognito's own pages lead to Google and nowhere else: there nobody guesses passwords or registers past the platform."
  }

  assert {
    condition     = aws_cognito_user_pool_client.platform.allowed_oauth_flows == toset(["code"]) && aws_cognito_user_pool_client.platform.callback_urls == toset(["https://app.example.com/auth/google"])
    error_message = "Google sends members back to the site, with a code."
  }

  assert {
    condition     = [for s in data.aws_iam_policy_document.flow.statement : tolist(s.resources) if contains(s.actions, "logs:DescribeLogGroups")] == [tolist(["arn:aws:logs:us-east-1:123456789012:log-group:*"])] && contains(flatten([for s in data.aws_iam_policy_document.boundary.statement : tolist(s.actions)]), "logs:DescribeLogGroups")
    error_message = "Who writes the flow logs may ask which groups there are, as AWS wants."
  }

  # The workflow's role

  assert {
    condition     = anytrue([for c in data.aws_iam_policy_document.ci_assume[0].statement[0].condition : c.test == "StringEquals" && c.variable == "token.actions.githubusercontent.com:sub" && c.values == tolist(["repo:acme/ffp:environment:prod"])])
    error_message = "The role opens to one repository and one of its environments, without wildcard."
  }

  assert {
    condition     = anytrue([for c in data.aws_iam_policy_document.ci_assume[0].statement[0].condition : c.variable == "token.actions.githubusercontent.com:aud" && c.values == tolist(["sts.amazonaws.com"])])
    error_message = "The token was made for AWS."
  }

  assert {
    condition     = alltrue([for s in data.aws_iam_policy_document.ci[0].statement : anytrue([for c in s.condition : c.variable == "iam:PermissionsBoundary" && c.values == tolist([aws_iam_policy.boundary.arn])]) if s.sid == "MakeRoles"]) && alltrue([for s in data.aws_iam_policy_document.ci[0].statement : s.resources == toset(["arn:aws:iam::123456789012:role/ffp-prod-*"]) if contains(["MakeRoles", "KeepRoles", "PassRoles"], s.sid)])
    error_message = "It makes and passes roles of this environment only, within the boundary."
  }

  assert {
    condition     = !contains(flatten([for s in data.aws_iam_policy_document.ci[0].statement : tolist(s.actions) if s.effect != "Deny"]), "*") && !anytrue([for a in flatten([for s in data.aws_iam_policy_document.ci[0].statement : tolist(s.actions) if s.effect != "Deny"]) : startswith(a, "iam:*") || startswith(a, "sts:") || startswith(a, "organizations:")])
    error_message = "It may not do everything."
  }

  assert {
    condition     = alltrue([for s in data.aws_iam_policy_document.ci[0].statement : s.effect == "Deny" && contains(s.actions, "secretsmanager:GetSecretValue") && contains(s.actions, "rds:DeleteDBInstance") && contains(s.actions, "secretsmanager:DeleteSecret") if s.sid == "Customers"])
    error_message = "It reads no secret, deletes none, and deletes no customer's data."
  }

  assert {
    condition     = alltrue([for s in data.aws_iam_policy_document.ci[0].statement : contains(s.actions, "cognito-idp:Admin*") && contains(s.actions, "cognito-idp:ListUsers*") if s.sid == "Customers"])
    error_message = "It makes, changes and sees nobody's account."
  }

  assert {
    condition = alltrue([for tag, own in { Environment = tolist(["prod", "account"]), Owner = tolist(["ffp"]) } : anytrue([for s in data.aws_iam_policy_document.ci[0].statement :
      s.effect == "Deny" && s.actions == toset(["*"]) && s.resources == toset(["*"])
      && anytrue([for c in s.condition : c.test == "StringNotEquals" && c.variable == "aws:ResourceTag/${tag}" && tolist(c.values) == own])
    && anytrue([for c in s.condition : c.test == "Null" && c.variable == "aws:ResourceTag/${tag}" && tolist(c.values) == tolist(["false"])])])])
    error_message = "It touches nothing that carries another environment's tag, or another engineer's."
  }

  assert {
    condition     = anytrue([for s in data.aws_iam_policy_document.ci[0].statement : s.effect == "Deny" && contains(s.actions, "kms:PutKeyPolicy") && anytrue([for c in s.condition : c.variable == "aws:ResourceTag/Environment" && tolist(c.values) == tolist(["account"])])])
    error_message = "What all environments share it uses and does not change."
  }

  assert {
    condition     = [for s in data.aws_iam_policy_document.ci[0].statement : s.resources if s.sid == "OwnState"] == [toset(["arn:aws:s3:::ffp-state-123456789012/prod/terraform.tfstate", "arn:aws:s3:::ffp-state-123456789012/prod/terraform.tfstate.tflock"])]
    error_message = "It reads and writes its own environment's state."
  }

  assert {
    condition     = !anytrue(flatten([for s in data.aws_iam_policy_document.boundary.statement : [for a in s.actions : a == "*" || startswith(a, "iam:") || endswith(a, ":*")]]))
    error_message = "The boundary lets no role make roles, nor do everything of a service."
  }

  assert {
    condition = (alltrue(flatten([for s in data.aws_iam_policy_document.boundary.statement : [for a in s.actions : s.sid == "Objects" || s.sid == "Secrets" if startswith(a, "s3:") || startswith(a, "secretsmanager:")]]))
    && alltrue(flatten([for s in data.aws_iam_policy_document.boundary.statement : [for r in s.resources : strcontains(r, ":::ffp-") && strcontains(r, "-prod-123456789012") || strcontains(r, ":secret:ffp/prod/") || strcontains(r, ":secret:rds!") if s.sid != "Services"]])))
    error_message = "Whatever policy a role is given, it reaches this environment's objects and secrets alone."
  }

  # Routes

  assert {
    condition     = toset(keys(aws_apigatewayv2_route.public)) == toset(["OPTIONS /api/v1/{proxy+}", "ANY /api/v1/auth/{proxy+}", "ANY /api/v1/webhooks/{proxy+}", "GET /livez", "GET /readyz", "GET /health", "GET /docs/{proxy+}", "GET /openapi.json", "$default"]) && alltrue([for r in aws_apigatewayv2_route.public : r.authorization_type == "NONE"])
    error_message = "Without a token: sign-in, webhooks, health, documentation, pages and what browsers ask before a call, and nothing else."
  }

  assert {
    condition     = { for key, r in aws_apigatewayv2_route.this : key => [r.authorization_type, r.authorizer_id] } == { "ANY /api/v1/{proxy+}" = ["JWT", "members"], "ANY /api/v1/admin/{proxy+}" = ["JWT", "operators"] }
    error_message = "The API takes a member's token, and below admin an operator's."
  }

  assert {
    condition     = aws_apigatewayv2_authorizer.this["members"].jwt_configuration[0].issuer == "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_members" && aws_apigatewayv2_authorizer.this["members"].jwt_configuration[0].audience == toset(["membersclient"]) && aws_apigatewayv2_authorizer.this["operators"].jwt_configuration[0].audience == toset(["operatorsclient"])
    error_message = "Tokens are of the pools, made for their clients."
  }

  assert {
    condition     = aws_apigatewayv2_api.this.disable_execute_api_endpoint && aws_apigatewayv2_domain_name.origin[0].domain_name == "origin.app.example.com" && aws_apigatewayv2_domain_name.origin[0].domain_name_configuration[0].security_policy == "TLS_1_2"
    error_message = "With a domain the default endpoint is off."
  }

  assert {
    condition     = aws_apigatewayv2_api.this.cors_configuration[0].allow_origins == toset(["https://app.example.com"]) && !aws_apigatewayv2_api.this.cors_configuration[0].allow_credentials
    error_message = "The site alone calls from a browser, and without cookies."
  }

  assert {
    condition     = aws_apigatewayv2_stage.this.default_route_settings[0].throttling_rate_limit == 2000 && aws_apigatewayv2_stage.this.default_route_settings[0].throttling_burst_limit == 4000
    error_message = "All clients together are throttled, at more than a hundred tenants are promised."
  }

  assert {
    condition     = alltrue([for field in ["requestId", "status", "route", "latency"] : contains(keys(jsondecode(aws_apigatewayv2_stage.this.access_log_settings[0].format)), field)]) && !strcontains(aws_apigatewayv2_stage.this.access_log_settings[0].format, "$context.path")
    error_message = "Access logs are JSON with the request id, and without paths, which hold ids."
  }

  assert {
    condition     = aws_apigatewayv2_integration.api.connection_type == "VPC_LINK" && aws_apigatewayv2_integration.api.integration_type == "HTTP_PROXY" && aws_apigatewayv2_integration.api.integration_uri == aws_service_discovery_service.api.arn && aws_apigatewayv2_integration.api.timeout_milliseconds == 30000 && aws_apigatewayv2_vpc_link.this.security_group_ids == toset(["sg-link"])
    error_message = "The way in is the VPC link to what Cloud Map knows."
  }

  assert {
    condition     = one(aws_service_discovery_service.api.dns_config[0].dns_records).type == "SRV" && aws_ecs_service.api.service_registries[0].container_port == 8080
    error_message = "Cloud Map says address and port of each task."
  }

  # Services

  assert {
    condition     = alltrue([for t in aws_ecs_task_definition.this : t.runtime_platform[0].cpu_architecture == "ARM64" && t.requires_compatibilities == toset(["FARGATE"]) && t.network_mode == "awsvpc"]) && aws_ecs_service.api.launch_type == "FARGATE" && aws_ecs_service.worker.launch_type == "FARGATE"
    error_message = "Everything runs on Fargate, on arm64."
  }

  assert {
    condition     = length(distinct([for t in aws_ecs_task_definition.this : jsondecode(t.container_definitions)[0].image])) == 1 && jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].command == ["api"] && jsondecode(aws_ecs_task_definition.this["worker"].container_definitions)[0].command == ["worker"] && jsondecode(aws_ecs_task_definition.this["migrate"].container_definitions)[0].command == ["migrate"]
    error_message = "One image is api, worker and migration."
  }

  assert {
    condition     = alltrue([for s in [aws_ecs_service.api, aws_ecs_service.worker] : s.deployment_circuit_breaker[0].enable && s.deployment_circuit_breaker[0].rollback && s.deployment_minimum_healthy_percent == 100])
    error_message = "A release that does not come up is taken back."
  }

  assert {
    condition     = strcontains(jsonencode(jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].healthCheck.command), "http://127.0.0.1:8080/livez") && strcontains(jsonencode(jsondecode(aws_ecs_task_definition.this["worker"].container_definitions)[0].healthCheck.command), "http://127.0.0.1:9464/livez")
    error_message = "A container is healthy while it lives; readiness is for routing."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].stopTimeout > 28 && jsondecode(aws_ecs_task_definition.this["worker"].container_definitions)[0].stopTimeout > 28
    error_message = "A task is given longer to stop than the platform drains."
  }

  assert {
    condition     = length(aws_ecs_service.worker.load_balancer) == 0 && length(aws_ecs_service.worker.service_registries) == 0 && length(aws_ecs_service.api.load_balancer) == 0
    error_message = "Nobody finds the worker."
  }

  assert {
    condition     = length(regexall("(?s)resource \"aws_ecs_task_definition\" \"this\" \\{.*\n  depends_on = \\[aws_iam_role_policy.start, aws_iam_role_policy.service\\]\n.*\n\\}", file("${path.module}/containers.tf"))) == 1
    error_message = "Rights come before the tasks that need them, also where a deployment begins with the migration alone."
  }

  assert {
    condition     = alltrue([for name in concat(keys(local.alarms), keys(local.edge_alarms)) : strcontains(file("RUNBOOKS.md"), "\n| `${name}` |")])
    error_message = "The runbooks say what to do at each alarm: ${join(", ", concat(keys(local.alarms), keys(local.edge_alarms)))}."
  }

  # Environment

  assert {
    condition     = [for e in jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].environment : e.name] == ["AWS_REGION", "FFP_CORS_ORIGINS", "FFP_DATABASE_CONNECTIONS", "FFP_ENVIRONMENT", "FFP_GATE_SLOTS", "FFP_HOT_DATABASE_CONNECTIONS", "FFP_HTTP_ADDR", "FFP_INSTANCES", "FFP_MAIL_FROM", "FFP_MEMBERS_CLIENT_ID", "FFP_MEMBERS_POOL_ID", "FFP_OPERATORS_CLIENT_ID", "FFP_OPERATORS_POOL_ID", "FFP_OPERATOR_DATABASE_CONNECTIONS", "FFP_PUBLIC_URL", "FFP_VIDEOS_BUCKET", "FFP_WORKER_DATABASE_CONNECTIONS", "VALKEY_URL"]
    error_message = "The api is given exactly these settings."
  }

  assert {
    condition     = [for e in jsondecode(aws_ecs_task_definition.this["worker"].container_definitions)[0].environment : e.name] == ["AWS_REGION", "FFP_DATABASE_CONNECTIONS", "FFP_ENVIRONMENT", "FFP_GATE_SLOTS", "FFP_HOT_DATABASE_CONNECTIONS", "FFP_MAIL_FROM", "FFP_MEMBERS_CLIENT_ID", "FFP_MEMBERS_POOL_ID", "FFP_OPERATORS_CLIENT_ID", "FFP_OPERATORS_POOL_ID", "FFP_OPERATOR_DATABASE_CONNECTIONS", "FFP_PUBLIC_URL", "FFP_VIDEOS_BUCKET", "FFP_WORKER_DATABASE_CONNECTIONS", "VALKEY_URL"]
    error_message = "The worker is given exactly these settings."
  }

  assert {
    condition     = [for e in jsondecode(aws_ecs_task_definition.this["migrate"].container_definitions)[0].environment : e.name] == ["FFP_ADMIN_DATABASE_ADDRESS", "FFP_ENVIRONMENT"]
    error_message = "The migration is given exactly these settings."
  }

  assert {
    condition     = [for s in jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].secrets : s.name] == ["FFP_DATABASE_URL", "FFP_MEMBERS_CLIENT_SECRET", "FFP_OPERATOR_DATABASE_URL", "FFP_ORIGIN_SECRETS", "FFP_SIGNING_KEY_ID", "FFP_SIGNING_KEY_PEM", "FFP_WORKER_DATABASE_URL"] && [for s in jsondecode(aws_ecs_task_definition.this["worker"].container_definitions)[0].secrets : s.name] == ["FFP_DATABASE_URL", "FFP_MEMBERS_CLIENT_SECRET", "FFP_OPERATOR_DATABASE_URL", "FFP_SIGNING_KEY_ID", "FFP_SIGNING_KEY_PEM", "FFP_WORKER_DATABASE_URL"]
    error_message = "Api and worker are given exactly these secrets."
  }

  assert {
    condition     = [for s in jsondecode(aws_ecs_task_definition.this["migrate"].container_definitions)[0].secrets : s.name] == ["FFP_ADMIN_DATABASE_PASSWORD", "FFP_ADMIN_DATABASE_USER", "FFP_DATABASE_URL", "FFP_OPERATOR_DATABASE_URL", "FFP_OWNER_DATABASE_URL", "FFP_WORKER_DATABASE_URL"]
    error_message = "Migrations are given the roles' URLs and RDS's master."
  }

  assert {
    condition     = { for s in jsondecode(aws_ecs_task_definition.this["migrate"].container_definitions)[0].secrets : s.name => s.valueFrom }["FFP_ADMIN_DATABASE_PASSWORD"] == "${aws_db_instance.this.master_user_secret[0].secret_arn}:password::" && !strcontains(jsonencode(jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].secrets), "master") && !strcontains(jsonencode(jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].secrets), "OWNER")
    error_message = "The master and the owner are for migrations alone."
  }

  assert {
    condition     = { for e in jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].environment : e.name => e.value }["FFP_INSTANCES"] == "4" && { for e in jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].environment : e.name => e.value }["FFP_PUBLIC_URL"] == "https://app.example.com" && { for e in jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].environment : e.name => e.value }["VALKEY_URL"] == "rediss://cache.example:6379"
    error_message = "The api knows how many it is at most, its own address, and the cache by TLS."
  }

  assert {
    condition     = alltrue([for name, s in { for x in data.aws_iam_policy_document.start["worker"].statement : x.sid => x } : !strcontains(jsonencode(s.resources), "secret:migrations") && !strcontains(jsonencode(s.resources), "secret:edge") && !strcontains(jsonencode(s.resources), "secret:master")])
    error_message = "A task is started with its own secrets only."
  }

  # Load

  assert {
    condition     = aws_appautoscaling_target.api[0].min_capacity == 1 && aws_appautoscaling_target.api[0].max_capacity == 4
    error_message = "Autoscaling stays between the counts."
  }

  assert {
    condition     = aws_appautoscaling_policy.cpu[0].target_tracking_scaling_policy_configuration[0].predefined_metric_specification[0].predefined_metric_type == "ECSServiceAverageCPUUtilization" && aws_appautoscaling_policy.cpu[0].target_tracking_scaling_policy_configuration[0].target_value == 60
    error_message = "The number of tasks follows the CPU."
  }

  assert {
    condition     = anytrue([for m in aws_appautoscaling_policy.requests[0].target_tracking_scaling_policy_configuration[0].customized_metric_specification[0].metrics : m.id == "requests" && m.metric_stat[0].metric[0].namespace == "AWS/ApiGateway" && m.metric_stat[0].metric[0].metric_name == "Count" if m.id == "requests"]) && aws_appautoscaling_policy.requests[0].target_tracking_scaling_policy_configuration[0].target_value == 3000
    error_message = "The number of tasks follows the requests that the HTTP API publishes."
  }

  assert {
    condition     = aws_elasticache_replication_group.this[0].engine == "valkey" && aws_elasticache_replication_group.this[0].transit_encryption_enabled && aws_elasticache_replication_group.this[0].transit_encryption_mode == "required" && aws_elasticache_replication_group.this[0].at_rest_encryption_enabled && aws_elasticache_replication_group.this[0].security_group_ids == toset(["sg-cache"])
    error_message = "Valkey is encrypted and behind its own group."
  }

  assert {
    condition     = { for name, r in aws_vpc_security_group_ingress_rule.this : name => [r.security_group_id, r.referenced_security_group_id, r.from_port] if r.security_group_id == "sg-cache" } == { "api-cache" = ["sg-cache", "sg-api", 6379], "worker-cache" = ["sg-cache", "sg-worker", 6379] }
    error_message = "Api and worker alone reach the cache."
  }
}

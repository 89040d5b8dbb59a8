# The HTTP API: which routes need a token, and the way to the api service. The service itself is in api_service.tf.

locals {
  # Without a token, and nothing else: exactly what openapi.json declares public, health, documentation and the pages.
  # Webhooks prove themselves. platform/tests/cloud compares the file with the document and with what answers.
  public_routes = jsondecode(file("${path.module}/../public_routes.json"))

  # With a token, by whose: the more special route wins.
  routes = {
    "ANY /api/v1/{proxy+}"       = "members"
    "ANY /api/v1/admin/{proxy+}" = "operators"
  }

  # A page of another origin asks before it calls, without a token. Without a route of its own that question would come to
  # the authorizer, as any method does.
  preflight = length(local.cors_origins) > 0 ? ["OPTIONS /api/v1/{proxy+}"] : []

  issuers = {
    members   = { pool = aws_cognito_user_pool.members, client = aws_cognito_user_pool_client.platform }
    operators = { pool = aws_cognito_user_pool.operators, client = aws_cognito_user_pool_client.operators }
  }
}

resource "aws_apigatewayv2_api" "this" {
  name          = local.name
  protocol_type = "HTTP"
  description   = "FFP ${local.suffix}"
  # With a domain there is another way in, and the default name would be a way around the distribution.
  disable_execute_api_endpoint = local.has_domain

  dynamic "cors_configuration" {
    for_each = length(local.cors_origins) > 0 ? [local.cors_origins] : []

    content {
      allow_origins  = cors_configuration.value
      allow_methods  = ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]
      allow_headers  = ["authorization", "content-type", "idempotency-key", "if-match", "if-none-match"]
      expose_headers = ["etag", "location", "ratelimit", "ratelimit-policy", "retry-after", "x-request-id"]
      # No cookie: a page of another origin calls with a token.
      allow_credentials = false
      max_age           = 3600
    }
  }
}

resource "aws_apigatewayv2_authorizer" "this" {
  for_each = local.issuers

  api_id           = aws_apigatewayv2_api.this.id
  name             = each.key
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.Authorization"]

  jwt_configuration {
    issuer   = "https://cognito-idp.${var.region}.amazonaws.com/${each.value.pool.id}"
    audience = [each.value.client.id]
  }
}

resource "aws_apigatewayv2_route" "public" {
  for_each = toset(concat(local.public_routes, local.preflight))

  api_id             = aws_apigatewayv2_api.this.id
  route_key          = each.key
  authorization_type = "NONE"
  target             = "integrations/${aws_apigatewayv2_integration.api.id}"
}

resource "aws_apigatewayv2_route" "this" {
  for_each = local.routes

  api_id             = aws_apigatewayv2_api.this.id
  route_key          = each.key
  authorization_type = "JWT"
  authorizer_id      = aws_apigatewayv2_authorizer.this[each.value].id
  target             = "integrations/${aws_apigatewayv2_integration.api.id}"
}

resource "aws_apigatewayv2_integration" "api" {
  api_id                 = aws_apigatewayv2_api.this.id
  integration_type       = "HTTP_PROXY"
  integration_method     = "ANY"
  connection_type        = "VPC_LINK"
  connection_id          = aws_apigatewayv2_vpc_link.this.id
  integration_uri        = aws_service_discovery_service.api.arn
  payload_format_version = "1.0"
  timeout_milliseconds   = 30000
}

resource "aws_apigatewayv2_vpc_link" "this" {
  name               = local.name
  subnet_ids         = local.private_subnets
  security_group_ids = [aws_security_group.this["link"].id]
}

resource "aws_apigatewayv2_stage" "this" {
  api_id      = aws_apigatewayv2_api.this.id
  name        = "$default"
  auto_deploy = true

  default_route_settings {
    throttling_rate_limit  = var.api_throttle.rate
    throttling_burst_limit = var.api_throttle.burst
  }

  # Neither path nor query: paths hold ids, and a route says as much.
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format = jsonencode({
      requestId        = "$context.requestId"
      requestTime      = "$context.requestTime"
      method           = "$context.httpMethod"
      route            = "$context.routeKey"
      status           = "$context.status"
      authorizerError  = "$context.authorizer.error"
      integrationError = "$context.integrationErrorMessage"
      latency          = "$context.responseLatency"
      bytes            = "$context.responseLength"
      sourceIp         = "$context.identity.sourceIp"
    })
  }
}

resource "aws_cloudwatch_log_group" "access" {
  name              = "/ffp/${local.suffix}/access"
  retention_in_days = var.log_days
  kms_key_id        = aws_kms_key.data.arn
  depends_on        = [aws_kms_key_policy.data]
}

# Where the distribution finds the API once the default name is off; nobody else is to know it, and the platform
# refuses whoever does.
resource "aws_apigatewayv2_domain_name" "origin" {
  count = local.has_api_domain ? 1 : 0

  domain_name = "origin.${var.domain}"

  domain_name_configuration {
    certificate_arn = aws_acm_certificate_validation.origin[0].certificate_arn
    endpoint_type   = "REGIONAL"
    security_policy = "TLS_1_2"
  }
}

resource "aws_apigatewayv2_api_mapping" "origin" {
  count = local.has_api_domain ? 1 : 0

  api_id      = aws_apigatewayv2_api.this.id
  domain_name = aws_apigatewayv2_domain_name.origin[0].id
  stage       = aws_apigatewayv2_stage.this.id
}

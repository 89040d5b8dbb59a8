# What containers are given is what the platform reads, and numbers that stand here and in its code are the same.
# settings.json is what `platform settings` prints, which a test of the platform holds it to.

mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks/platform"
}

mock_provider "aws" {
  alias           = "us_east_1"
  override_during = plan
  source          = "./tests/mocks/platform"
}

# With everything that adds a variable.
run "settings" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    cache         = true
    cors_origins  = ["https://partner.example.com"]
    otlp_endpoint = "https://collector.example.com"
  }

  # Variables

  assert {
    condition = length(flatten([for command, plain in output.environment : [for name, variable in jsondecode(file("${path.module}/../settings.json")).variables :
      name if contains(variable.required_by, command) && !contains(concat(keys(plain), output.secret_environment[command]), name)
    ]])) == 0
    error_message = "Not given, and nothing runs without: ${join(", ", flatten([for command, plain in output.environment : [for name, variable in jsondecode(file("${path.module}/../settings.json")).variables :
      "${name} of ${command}" if contains(variable.required_by, command) && !contains(concat(keys(plain), output.secret_environment[command]), name)
    ]]))}."
  }

  assert {
    condition = length(flatten([for command, plain in output.environment : [for name in concat(keys(plain), output.secret_environment[command]) :
      name if !contains(try(jsondecode(file("${path.module}/../settings.json")).variables[name].commands, []), command)
    ]])) == 0
    error_message = "Given, and nobody reads it: ${join(", ", flatten([for command, plain in output.environment : [for name in concat(keys(plain), output.secret_environment[command]) :
      "${name} of ${command}" if !contains(try(jsondecode(file("${path.module}/../settings.json")).variables[name].commands, []), command)
    ]]))}."
  }

  assert {
    condition = length(flatten([for command, plain in output.environment : [for name in concat(keys(plain), output.secret_environment[command]) :
      [for other in try(jsondecode(file("${path.module}/../settings.json")).variables[name].needs[command], []) : other if !contains(concat(keys(plain), output.secret_environment[command]), other)]
    ]])) == 0
    error_message = "Given without what goes with it: ${join(", ", flatten([for command, plain in output.environment : [for name in concat(keys(plain), output.secret_environment[command]) :
      [for other in try(jsondecode(file("${path.module}/../settings.json")).variables[name].needs[command], []) : "${name} of ${command} without ${other}" if !contains(concat(keys(plain), output.secret_environment[command]), other)]
    ]]))}."
  }

  assert {
    condition = alltrue(flatten([for command, plain in output.environment : [for name in keys(plain) :
      !try(jsondecode(file("${path.module}/../settings.json")).variables[name].secret, false)
    ]]))
    error_message = "A secret is given in clear."
  }

  assert {
    condition     = alltrue([for name in ["VALKEY_URL", "FFP_CORS_ORIGINS", "OTEL_EXPORTER_OTLP_ENDPOINT"] : contains(keys(output.environment.api), name)])
    error_message = "What is switched on is among what is compared."
  }

  # Numbers and names

  assert {
    condition = alltrue([for client in [aws_cognito_user_pool_client.platform, aws_cognito_user_pool_client.operators] :
      client.id_token_validity == jsondecode(file("${path.module}/../settings.json")).shared.token_minutes
      && client.access_token_validity == jsondecode(file("${path.module}/../settings.json")).shared.token_minutes
    && client.auth_session_validity == jsondecode(file("${path.module}/../settings.json")).shared.challenge_minutes])
    error_message = "Tokens and challenges are good for as long as the platform takes them."
  }

  assert {
    condition     = aws_cognito_user_pool_client.platform.refresh_token_validity == jsondecode(file("${path.module}/../settings.json")).shared.refresh_days
    error_message = "Members stay signed in for as long as on a laptop."
  }

  assert {
    condition     = aws_cognito_user_pool.members.password_policy[0].minimum_length == jsondecode(file("${path.module}/../settings.json")).shared.password_length
    error_message = "The pool takes the passwords that the platform takes."
  }

  assert {
    condition     = toset([for s in aws_cognito_user_pool.members.schema : "custom:${s.name}"]) == toset(jsondecode(file("${path.module}/../settings.json")).shared.custom_attributes)
    error_message = "The pool has the attributes that the platform writes."
  }

  assert {
    condition = (aws_apigatewayv2_integration.api.timeout_milliseconds == 1000 * jsondecode(file("${path.module}/../settings.json")).shared.request_seconds
    && alltrue([for o in aws_cloudfront_distribution.site.origin : o.custom_origin_config[0].origin_read_timeout == jsondecode(file("${path.module}/../settings.json")).shared.request_seconds if o.origin_id == "api"]))
    error_message = "The way to the platform waits as long as a request may take there."
  }

  assert {
    condition = alltrue([for command in ["api", "worker"] :
    jsondecode(aws_ecs_task_definition.this[command].container_definitions)[0].stopTimeout > jsondecode(file("${path.module}/../settings.json")).shared.drain_seconds])
    error_message = "A task is given longer to stop than the platform drains."
  }

  assert {
    condition     = strcontains(jsonencode(jsondecode(aws_ecs_task_definition.this["worker"].container_definitions)[0].healthCheck.command), ":${jsondecode(file("${path.module}/../settings.json")).shared.metrics_port}/livez")
    error_message = "The worker is asked at its internal port."
  }

  assert {
    condition     = var.waf_requests_per_5_minutes == 2 * 5 * jsondecode(file("${path.module}/../settings.json")).shared.requests_per_minute
    error_message = "The firewall lets one address ask for twice a tenant's throttle."
  }

  assert {
    condition = alltrue([for bucket in aws_s3_bucket_lifecycle_configuration.this : alltrue(flatten([for rule in bucket.rule : [for abort in rule.abort_incomplete_multipart_upload :
    abort.days_after_initiation * 24 >= jsondecode(file("${path.module}/../settings.json")).shared.upload_hours]]))])
    error_message = "An upload's parts are kept for as long as it may be finished."
  }

  assert {
    condition     = strcontains(file("${path.module}/edge.js"), "request.headers['${jsondecode(file("${path.module}/../settings.json")).shared.origin_header}'] =")
    error_message = "The edge proves itself in the header that the platform looks at."
  }
}

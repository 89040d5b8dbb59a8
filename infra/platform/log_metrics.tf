# What the platform itself reports: metrics made of its log lines. A line is one flat JSON object; `message` names what
# happened (platform/src/telemetry/json.rs). A test feeds the platform's own lines through each pattern.

locals {
  metrics_namespace = "FFP/${local.suffix}"

  log_metrics = {
    # Each attempt that failed; the queue tries again.
    JobFailures = { command = "worker", pattern = "{ $.message = \"job failed, to be tried again\" }", value = "1", unit = "Count" }
    # Seconds for which the oldest job that could run has waited; the worker says so every minute.
    QueueAge = { command = "worker", pattern = "{ $.message = \"queue\" && $.oldest_seconds >= 0 }", value = "$.oldest_seconds", unit = "Seconds" }
    # Requests of tenants that were refused for what their tenant had used up.
    Throttled = { command = "api", pattern = "{ $.message = \"request\" && $.status = 429 && $.tenant = \"*\" }", value = "1", unit = "Count" }
    # Addresses that were confirmed, and invitations that were accepted.
    SignUps = {
      command = "api"
      pattern = "{ $.message = \"request\" && (($.route = \"/api/v1/auth/confirm\" && $.status = 204) || ($.route = \"/api/v1/auth/accept-invitation\" && $.status = 201)) }"
      value   = "1"
      unit    = "Count"
    }
    # Signed URLs that were given out; a player asks again every four minutes.
    Plays = { command = "api", pattern = "{ $.message = \"request\" && $.route = \"/api/v1/videos/*/stream\" && $.status = 200 }", value = "1", unit = "Count" }
    # Panics and answers of 500 and more, whatever API Gateway made of them.
    Failures = { command = "api", pattern = "{ $.level = \"ERROR\" && $.fingerprint = \"*\" }", value = "1", unit = "Count" }
  }
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local.log_metrics

  name           = each.key
  log_group_name = aws_cloudwatch_log_group.command[each.value.command].name
  pattern        = each.value.pattern

  metric_transformation {
    namespace = local.metrics_namespace
    name      = each.key
    value     = each.value.value
    unit      = each.value.unit
    # Nothing happened is a number too, of what is counted; an age is unknown then.
    default_value = each.value.unit == "Count" ? "0" : null
  }
}

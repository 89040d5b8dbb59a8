# What the platform itself reports: metrics made of its log lines. A line is one flat JSON object; `message` names what
# happened (platform/src/telemetry/json.rs). The patterns are in a file of their own, since platform/tests/cloud reads them
# too: it feeds the platform's own lines through each.

locals {
  metrics_namespace = "FFP/${local.suffix}"
  log_metrics       = jsondecode(file("${path.module}/../log_metrics.json"))
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

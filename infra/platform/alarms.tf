# What somebody is woken for. Thresholds stand here and nowhere else; RUNBOOKS.md says what to do at each.

locals {
  # Metrics of Route 53, certificates of CloudFront and the firewall are in us-east-1, and an alarm must be beside its
  # metric and its topic.
  edge_topic = var.region == "us-east-1" ? aws_sns_topic.alarms.arn : aws_sns_topic.edge[0].arn

  alarms = merge({
    api-5xx = {
      says      = "More than 5 answers of 500 and above in 5 minutes."
      namespace = "AWS/ApiGateway", metric = "5xx", dimensions = { ApiId = aws_apigatewayv2_api.this.id }
      statistic = "Sum", above = true, threshold = 5, period = 300, periods = 1, missing = "notBreaching"
    }
    job-failures = {
      says      = "More than 10 jobs failed in 5 minutes."
      namespace = local.metrics_namespace, metric = "JobFailures", dimensions = {}
      statistic = "Sum", above = true, threshold = 10, period = 300, periods = 1, missing = "notBreaching"
    }
    queue-age = {
      says      = "The oldest job has waited for more than 10 minutes."
      namespace = local.metrics_namespace, metric = "QueueAge", dimensions = {}
      statistic = "Maximum", above = true, threshold = 600, period = 300, periods = 1
      # The worker says so every minute: silence means that there is none. Dev sleeps.
      missing = local.is_disposable ? "notBreaching" : "breaching"
    }
    throttled = {
      says      = "Tenants were refused more than 300 requests in 5 minutes."
      namespace = local.metrics_namespace, metric = "Throttled", dimensions = {}
      statistic = "Sum", above = true, threshold = 300, period = 300, periods = 1, missing = "notBreaching"
    }
    database-cpu = {
      says      = "The database's CPU was above 80 % for 10 minutes."
      namespace = "AWS/RDS", metric = "CPUUtilization", dimensions = { DBInstanceIdentifier = aws_db_instance.this.identifier }
      statistic = "Average", above = true, threshold = 80, period = 300, periods = 2, missing = "notBreaching"
    }
    database-connections = {
      says      = "More than 80 % of the database's connections are in use."
      namespace = "AWS/RDS", metric = "DatabaseConnections", dimensions = { DBInstanceIdentifier = aws_db_instance.this.identifier }
      statistic = "Maximum", above = true, threshold = local.connection_limit, period = 300, periods = 1, missing = "notBreaching"
    }
    database-storage = {
      says      = "Less than 4 GB of the database's storage are free: it should have grown by itself at 5."
      namespace = "AWS/RDS", metric = "FreeStorageSpace", dimensions = { DBInstanceIdentifier = aws_db_instance.this.identifier }
      statistic = "Minimum", above = false, threshold = 4 * 1024 * 1024 * 1024, period = 300, periods = 1, missing = "notBreaching"
    }
    }, local.has_domain ? {
    bounces = {
      says      = "More than 5 % of the mail bounces: SES suspends who goes on."
      namespace = "AWS/SES", metric = "Reputation.BounceRate", dimensions = {}
      statistic = "Average", above = true, threshold = 0.05, period = 3600, periods = 1, missing = "notBreaching"
    }
    complaints = {
      says      = "More than 0.1 % of the mail is called spam: SES suspends who goes on."
      namespace = "AWS/SES", metric = "Reputation.ComplaintRate", dimensions = {}
      statistic = "Average", above = true, threshold = 0.001, period = 3600, periods = 1, missing = "notBreaching"
    }
    } : {}, local.has_api_domain ? {
    origin-certificate = {
      says      = "The origin's certificate ends in less than 30 days: its renewal did not work."
      namespace = "AWS/CertificateManager", metric = "DaysToExpiry", dimensions = { CertificateArn = aws_acm_certificate.origin[0].arn }
      statistic = "Minimum", above = false, threshold = 30, period = 86400, periods = 1, missing = "notBreaching"
    }
  } : {})

  edge_alarms = merge(local.has_domain ? {
    certificate = {
      says      = "The site's certificate ends in less than 30 days: its renewal did not work."
      namespace = "AWS/CertificateManager", metric = "DaysToExpiry", dimensions = { CertificateArn = aws_acm_certificate.site[0].arn }
      statistic = "Minimum", above = false, threshold = 30, period = 86400, periods = 1, missing = "notBreaching"
    }
    } : {}, length(aws_route53_health_check.site) > 0 ? {
    site = {
      says      = "The site does not answer from outside."
      namespace = "AWS/Route53", metric = "HealthCheckStatus", dimensions = { HealthCheckId = aws_route53_health_check.site[0].id }
      statistic = "Minimum", above = false, threshold = 1, period = 60, periods = 3, missing = "breaching"
    }
  } : {})
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.says
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = each.value.above ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "edge" {
  for_each = local.edge_alarms
  provider = aws.us_east_1

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.says
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = each.value.above ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = [local.edge_topic]
  ok_actions          = [local.edge_topic]
}

resource "aws_sns_topic" "alarms" {
  name              = "${local.name}-alarms"
  kms_master_key_id = aws_kms_key.data.arn
}

# The key is of the other region. What is said here is an alarm's name, and no customer's.
resource "aws_sns_topic" "edge" {
  count    = var.region == "us-east-1" ? 0 : 1
  provider = aws.us_east_1

  name = "${local.name}-edge-alarms"
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each = toset(var.alarm_emails)

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_sns_topic_subscription" "edge" {
  for_each = var.region == "us-east-1" ? toset([]) : toset(var.alarm_emails)
  provider = aws.us_east_1

  topic_arn = aws_sns_topic.edge[0].arn
  protocol  = "email"
  endpoint  = each.key
}

# One page that says how the environment is: what members notice first, what it runs on below.

locals {
  own     = local.metrics_namespace
  api_id  = aws_apigatewayv2_api.this.id
  rds_id  = aws_db_instance.this.identifier
  cluster = aws_ecs_cluster.this.name

  charts = [
    { title = "Requests", stat = "Sum", metrics = [["AWS/ApiGateway", "Count", "ApiId", local.api_id], [".", "4xx", ".", "."], [".", "5xx", ".", "."]] },
    { title = "Latency, ms (p99)", stat = "p99", metrics = [["AWS/ApiGateway", "Latency", "ApiId", local.api_id], [".", "IntegrationLatency", ".", "."]] },
    { title = "Sign-ups and plays", stat = "Sum", metrics = [[local.own, "SignUps"], [".", "Plays"]] },
    { title = "Throttled requests, failures", stat = "Sum", metrics = [[local.own, "Throttled"], [".", "Failures"]] },
    { title = "Job failures", stat = "Sum", metrics = [[local.own, "JobFailures"]] },
    { title = "Queue age, s", stat = "Maximum", metrics = [[local.own, "QueueAge"]] },
    { title = "Database CPU, %", stat = "Average", metrics = [["AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", local.rds_id], [".", "CPUCreditBalance", ".", "."]] },
    { title = "Database connections", stat = "Maximum", metrics = [["AWS/RDS", "DatabaseConnections", "DBInstanceIdentifier", local.rds_id]] },
    { title = "Database storage, bytes free", stat = "Minimum", metrics = [["AWS/RDS", "FreeStorageSpace", "DBInstanceIdentifier", local.rds_id]] },
    { title = "CPU and memory of tasks, %", stat = "Average", metrics = [
      ["AWS/ECS", "CPUUtilization", "ClusterName", local.cluster, "ServiceName", "api"], [".", "MemoryUtilization", ".", ".", ".", "."],
      ["AWS/ECS", "CPUUtilization", "ClusterName", local.cluster, "ServiceName", "worker"], [".", "MemoryUtilization", ".", ".", ".", "."],
    ] },
  ]

  # Which tenant it is, which no metric says: a metric for each tenant would cost more than the tenant.
  queries = [
    { title = "Tenants that were throttled most", group = "api", query = "filter message = \"request\" and status = 429 and ispresent(tenant) | stats count(*) as refused by tenant | sort refused desc | limit 10" },
    { title = "Failures by cause", group = "api", query = "filter ispresent(fingerprint) | stats count(*) as times, latest(message) as message, latest(cause) as cause by fingerprint | sort times desc | limit 10" },
    { title = "Jobs that fail", group = "worker", query = "filter message = \"job failed, to be tried again\" | stats count(*) as times, latest(error) as error by kind | sort times desc | limit 10" },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.name
  dashboard_body = jsonencode({
    widgets = concat(
      [for index, chart in local.charts : {
        type = "metric", width = 8, height = 6, x = index % 3 * 8, y = floor(index / 3) * 6
        properties = {
          title = chart.title, region = var.region, view = "timeSeries", period = 60, stat = chart.stat, metrics = chart.metrics
        }
      }],
      [for index, table in local.queries : {
        type = "log", width = 8, height = 8, x = index * 8, y = ceil(length(local.charts) / 3) * 6
        properties = {
          title = table.title, region = var.region, view = "table"
          query = "SOURCE '${aws_cloudwatch_log_group.command[table.group].name}' | ${table.query}"
        }
      }],
    )
  })
}

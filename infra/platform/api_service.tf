# The api: tasks that API Gateway finds by Cloud Map, and how their number follows the load.

resource "aws_service_discovery_private_dns_namespace" "this" {
  name        = "${local.suffix}.ffp.internal"
  description = "FFP ${local.suffix}"
  vpc         = aws_vpc.this.id
}

# SRV, since API Gateway needs the port beside the address.
resource "aws_service_discovery_service" "api" {
  name          = "api"
  force_destroy = true

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "SRV"
      ttl  = 10
    }
  }

  # ECS says who is healthy.
  health_check_custom_config {
    failure_threshold = 1
  }
}

resource "aws_ecs_service" "api" {
  name             = "api"
  cluster          = aws_ecs_cluster.this.id
  task_definition  = aws_ecs_task_definition.this["api"].arn
  launch_type      = "FARGATE"
  platform_version = "LATEST"
  desired_count    = var.asleep ? 0 : var.api_min_count
  propagate_tags   = "SERVICE"

  # The new tasks stand before the old ones go, and a release that does not come up is taken back.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = local.task_subnets
    security_groups  = [aws_security_group.this["api"].id]
    assign_public_ip = local.has_public_tasks
  }

  service_registries {
    registry_arn   = aws_service_discovery_service.api.arn
    container_name = "api"
    container_port = local.api_port
  }

  lifecycle {
    # Autoscaling's, and that of whoever puts dev to sleep.
    ignore_changes = [desired_count]
  }
}

# One task needs no scaling. Emulators have none.
resource "aws_appautoscaling_target" "api" {
  count = var.api_max_count > 1 && !var.emulated && !var.asleep ? 1 : 0

  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.api.name}"
  min_capacity       = var.api_min_count
  max_capacity       = var.api_max_count
}

resource "aws_appautoscaling_policy" "cpu" {
  count = length(aws_appautoscaling_target.api)

  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.api[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.api[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.api[0].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_in_cooldown  = 300
    scale_out_cooldown = 60

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

# Requests per minute and task. There is no load balancer that would count them by target, so: what the HTTP API
# publishes, divided by how many tasks reported their CPU in that minute.
resource "aws_appautoscaling_policy" "requests" {
  count = length(aws_appautoscaling_target.api)

  name               = "requests"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.api[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.api[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.api[0].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.api_requests_per_task
    scale_in_cooldown  = 300
    scale_out_cooldown = 60

    customized_metric_specification {
      metrics {
        id          = "requests"
        label       = "requests per minute"
        return_data = false

        metric_stat {
          stat = "Sum"

          metric {
            namespace   = "AWS/ApiGateway"
            metric_name = "Count"

            dimensions {
              name  = "ApiId"
              value = aws_apigatewayv2_api.this.id
            }
          }
        }
      }

      metrics {
        id          = "tasks"
        label       = "tasks"
        return_data = false

        metric_stat {
          stat = "SampleCount"

          metric {
            namespace   = "AWS/ECS"
            metric_name = "CPUUtilization"

            dimensions {
              name  = "ClusterName"
              value = aws_ecs_cluster.this.name
            }

            dimensions {
              name  = "ServiceName"
              value = aws_ecs_service.api.name
            }
          }
        }
      }

      metrics {
        id          = "each"
        label       = "requests per minute and task"
        expression  = "requests / tasks"
        return_data = true
      }
    }
  }
}

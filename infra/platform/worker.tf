# The worker's service. It serves nobody: no port, no name, no way in. Migrations run as a task of their own, before
# each deployment, in the worker's place of the network; nothing keeps them running.

resource "aws_ecs_service" "worker" {
  name             = "worker"
  cluster          = aws_ecs_cluster.this.id
  task_definition  = aws_ecs_task_definition.this["worker"].arn
  launch_type      = "FARGATE"
  platform_version = "LATEST"
  desired_count    = var.asleep ? 0 : var.worker_count
  propagate_tags   = "SERVICE"

  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = local.task_subnets
    security_groups  = [aws_security_group.this["worker"].id]
    assign_public_ip = local.has_public_tasks
  }

  lifecycle {
    ignore_changes = [desired_count]
  }
}

# Dev falls asleep by itself. AWS starts a stopped database after seven days, and somebody forgets to stop it.
locals {
  sleep = var.sleep_at == null ? {} : {
    api    = { call = "ecs:updateService", input = { Cluster = aws_ecs_cluster.this.name, Service = "api", DesiredCount = 0 } }
    worker = { call = "ecs:updateService", input = { Cluster = aws_ecs_cluster.this.name, Service = "worker", DesiredCount = 0 } }
    rds    = { call = "rds:stopDBInstance", input = { DbInstanceIdentifier = aws_db_instance.this.identifier } }
  }
}

resource "aws_scheduler_schedule" "sleep" {
  for_each = local.sleep

  name                = "${local.name}-sleep-${each.key}"
  description         = "Puts ${local.name} to sleep"
  schedule_expression = var.sleep_at
  kms_key_arn         = aws_kms_key.data.arn

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "arn:${local.aws}:scheduler:::aws-sdk:${each.value.call}"
    role_arn = aws_iam_role.sleep[0].arn
    input    = jsonencode(each.value.input)

    # Asleep already, for example: tomorrow is another day.
    retry_policy {
      maximum_retry_attempts = 0
    }
  }
}

resource "aws_iam_role" "sleep" {
  count = var.sleep_at == null ? 0 : 1

  name                 = "${local.name}-sleep"
  permissions_boundary = aws_iam_policy.boundary.arn
  assume_role_policy   = data.aws_iam_policy_document.assume["scheduler"].json
}

resource "aws_iam_role_policy" "sleep" {
  count = var.sleep_at == null ? 0 : 1

  name   = "sleep"
  role   = aws_iam_role.sleep[0].id
  policy = data.aws_iam_policy_document.sleep.json
}

data "aws_iam_policy_document" "sleep" {
  statement {
    sid       = "Services"
    actions   = ["ecs:UpdateService"]
    resources = [aws_ecs_service.api.id, aws_ecs_service.worker.id]
  }

  # The schedule itself is encrypted.
  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.data.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["scheduler.${var.region}.amazonaws.com"]
    }
  }

  statement {
    sid       = "Database"
    actions   = ["rds:StopDBInstance"]
    resources = [aws_db_instance.this.arn]
  }
}

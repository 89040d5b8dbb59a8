# What runs: one image as api, as worker, and for a moment as migration. Here are the cluster and the three task
# definitions with their environment; the services are in api_service.tf and worker.tf, the roles in roles.tf.

locals {
  image = coalesce(var.image, "${local.account}.dkr.ecr.${var.region}.amazonaws.com/ffp:${var.image_tag}")

  # The environment of each command, which the README's table explains. What is not here has the platform's default;
  # tests/settings compares the names with what the platform reads.
  environment_of_all = merge({
    AWS_REGION                        = var.region
    FFP_ENVIRONMENT                   = var.environment
    FFP_PUBLIC_URL                    = local.public_url
    FFP_MEMBERS_POOL_ID               = aws_cognito_user_pool.members.id
    FFP_MEMBERS_CLIENT_ID             = aws_cognito_user_pool_client.platform.id
    FFP_OPERATORS_POOL_ID             = aws_cognito_user_pool.operators.id
    FFP_OPERATORS_CLIENT_ID           = aws_cognito_user_pool_client.operators.id
    FFP_VIDEOS_BUCKET                 = aws_s3_bucket.this["videos"].id
    FFP_MAIL_FROM                     = local.mail_from
    FFP_GATE_SLOTS                    = tostring(var.gate_slots)
    FFP_DATABASE_CONNECTIONS          = tostring(var.pools.app)
    FFP_WORKER_DATABASE_CONNECTIONS   = tostring(var.pools.worker)
    FFP_OPERATOR_DATABASE_CONNECTIONS = tostring(var.pools.operator)
    FFP_HOT_DATABASE_CONNECTIONS      = tostring(var.pools.hot)
    },
    var.cache ? { VALKEY_URL = local.valkey_url } : {},
    var.otlp_endpoint == null ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp_endpoint },
  )

  # JSON members of secrets, by the variable they become.
  secret_of = merge([for secret, variables in local.secrets : {
    for variable in variables : variable => "${aws_secretsmanager_secret.this[secret].arn}:${variable}::"
  }]...)
  # RDS's own secret, which it rotates: read anew by each migration.
  master = aws_db_instance.this.master_user_secret[0].secret_arn

  services_secrets = [
    "FFP_DATABASE_URL", "FFP_WORKER_DATABASE_URL", "FFP_OPERATOR_DATABASE_URL", "FFP_MEMBERS_CLIENT_SECRET",
    "FFP_SIGNING_KEY_ID", "FFP_SIGNING_KEY_PEM",
  ]

  commands = {
    api = {
      size = var.api_size
      role = aws_iam_role.api.arn
      environment = merge(local.environment_of_all, {
        # Any address: the group in front lets API Gateway's link in alone.
        FFP_HTTP_ADDR = "0.0.0.0:${local.api_port}"
        FFP_INSTANCES = tostring(var.api_max_count)
      }, length(local.cors_origins) > 0 ? { FFP_CORS_ORIGINS = join(",", local.cors_origins) } : {})
      secrets = { for name in concat(local.services_secrets, ["FFP_ORIGIN_SECRETS"]) : name => local.secret_of[name] }
      port    = local.api_port
      # Liveness and not readiness: a database that is away is no reason to kill what waits for it.
      health = "http://127.0.0.1:${local.api_port}/livez"
    }
    worker = {
      size        = var.worker_size
      role        = aws_iam_role.worker.arn
      environment = local.environment_of_all
      secrets     = { for name in local.services_secrets : name => local.secret_of[name] }
      port        = null
      health      = "http://127.0.0.1:9464/livez"
    }
    migrate = {
      size = { cpu = 256, memory = 512 }
      role = aws_iam_role.migrate.arn
      environment = {
        FFP_ENVIRONMENT            = var.environment
        FFP_ADMIN_DATABASE_ADDRESS = "${aws_db_instance.this.endpoint}/${aws_db_instance.this.db_name}?${local.database_parameters}"
      }
      secrets = merge(
        { for name in ["FFP_OWNER_DATABASE_URL", "FFP_DATABASE_URL", "FFP_WORKER_DATABASE_URL", "FFP_OPERATOR_DATABASE_URL"] : name => local.secret_of[name] },
        { FFP_ADMIN_DATABASE_USER = "${local.master}:username::", FFP_ADMIN_DATABASE_PASSWORD = "${local.master}:password::" },
      )
      port   = null
      health = null
    }
  }
}

resource "aws_ecs_cluster" "this" {
  name = local.name

  setting {
    # Its metrics cost more than the tasks do; what matters is published without.
    name  = "containerInsights"
    value = "disabled"
  }
}

resource "aws_cloudwatch_log_group" "command" {
  for_each = local.commands

  name              = "/ffp/${local.suffix}/${each.key}"
  retention_in_days = var.log_days
  kms_key_id        = aws_kms_key.data.arn
  depends_on        = [aws_kms_key_policy.data]
}

resource "aws_ecs_task_definition" "this" {
  for_each = local.commands

  family                   = "${local.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.size.cpu
  memory                   = each.value.size.memory
  execution_role_arn       = aws_iam_role.start[each.key].arn
  task_role_arn            = each.value.role
  # A release is taken back to the one before, which must be there still.
  skip_destroy = !local.is_disposable
  # A task that starts may already do what its release needs, like read the master's secret of a restored database. Without
  # this, `deploy`'s first half, which makes nothing but the migration and what that depends on, would leave the rights out.
  depends_on = [aws_iam_role_policy.start, aws_iam_role_policy.service]

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "ARM64"
  }

  # Where ffprobe's pieces lie: the only place that can be written.
  volume {
    name = "scratch"
  }

  container_definitions = jsonencode([merge({
    name                   = each.key
    image                  = local.image
    command                = [each.key]
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    # Longer than the platform drains: 3 s in which it is still found, and 25 s for requests in flight.
    stopTimeout  = 60
    portMappings = each.value.port == null ? [] : [{ name = each.key, containerPort = each.value.port, hostPort = each.value.port, protocol = "tcp" }]
    mountPoints  = [{ sourceVolume = "scratch", containerPath = "/tmp", readOnly = false }]
    volumesFrom  = []
    linuxParameters = {
      initProcessEnabled = true
      capabilities       = { drop = ["ALL"] }
    }
    # By name, so that a plan shows what changed and not the order.
    environment = [for name in sort(keys(each.value.environment)) : { name = name, value = each.value.environment[name] }]
    secrets     = [for name in sort(keys(each.value.secrets)) : { name = name, valueFrom = each.value.secrets[name] }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.command[each.key].name
        awslogs-region        = var.region
        awslogs-stream-prefix = each.key
        # A log that can't be written holds nobody up.
        mode            = "non-blocking"
        max-buffer-size = "4m"
      }
    }
    }, each.value.health == null ? {} : {
    healthCheck = {
      command     = ["CMD", "curl", "--fail", "--silent", "--max-time", "4", each.value.health]
      interval    = 10
      timeout     = 5
      retries     = 3
      startPeriod = 30
    }
  })])
}

# PostgreSQL on RDS. Its master is no superuser: `platform migrate` makes the four roles with it, from the secret that
# RDS keeps and rotates itself.

locals {
  # What one process of each service may open at most; the 1 is the look that each takes through every role at start.
  connections_of_api    = var.pools.app + var.pools.hot + var.pools.operator + 1
  connections_of_worker = var.pools.worker + var.pools.app + 1
  # A deployment runs the new tasks beside the old ones, and migrations before.
  connections_at_most = 2 * (var.api_max_count * local.connections_of_api + var.worker_count * local.connections_of_worker) + 2

  # RDS checks the certificate's name with this; the bundle of its authorities is in the image.
  database_parameters = "sslmode=verify-full&sslrootcert=/etc/ssl/certs/rds.pem"
}

resource "aws_db_subnet_group" "this" {
  name       = local.name
  subnet_ids = local.isolated_subnets
}

resource "aws_db_parameter_group" "this" {
  name_prefix = "${local.name}-"
  family      = "postgres${var.database_version}"
  description = "FFP ${local.suffix}"

  # No connection in clear.
  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name         = "max_connections"
    value        = tostring(var.max_connections)
    apply_method = "pending-reboot"
  }

  # The slow-query log; without parameters, which are the members' data.
  parameter {
    name  = "log_min_duration_statement"
    value = tostring(var.slow_query_ms)
  }

  parameter {
    name  = "log_parameter_max_length"
    value = "0"
  }

  parameter {
    name  = "log_parameter_max_length_on_error"
    value = "0"
  }

  # Changes of the schema, of which there are few.
  parameter {
    name  = "log_statement"
    value = "ddl"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "this" {
  identifier     = local.name
  engine         = "postgres"
  engine_version = var.database_version
  instance_class = var.database_class
  db_name        = "ffp"
  username       = "ffp_admin"

  # In Secrets Manager, rotated by RDS; neither we nor the state ever see it.
  manage_master_user_password   = true
  master_user_secret_kms_key_id = aws_kms_key.data.arn

  storage_type          = "gp3"
  allocated_storage     = var.database_storage_gb.first
  max_allocated_storage = var.database_storage_gb.most
  storage_encrypted     = true
  kms_key_id            = aws_kms_key.data.arn

  multi_az               = var.multi_az
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this["database"].id]
  publicly_accessible    = false
  parameter_group_name   = aws_db_parameter_group.this.name
  ca_cert_identifier     = "rds-ca-rsa2048-g1"

  # Nightly, and every transaction between, so that any second of these days can be had again.
  backup_retention_period    = var.backup_days
  backup_window              = "03:00-04:00"
  maintenance_window         = "sun:04:30-sun:05:30"
  auto_minor_version_upgrade = true
  copy_tags_to_snapshot      = true
  delete_automated_backups   = local.is_disposable
  deletion_protection        = var.deletion_protection
  skip_final_snapshot        = local.is_disposable
  final_snapshot_identifier  = local.is_disposable ? null : "${local.name}-last"
  apply_immediately          = var.environment != "prod"

  # For people whom somebody granted rds_iam: a token of 15 minutes instead of a password. No role here has it.
  iam_database_authentication_enabled = true

  performance_insights_enabled          = true
  performance_insights_kms_key_id       = aws_kms_key.data.arn
  performance_insights_retention_period = 7
  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]

  lifecycle {
    # RDS takes any number, and a class that is too small falls over under it.
    precondition {
      condition = var.max_connections <= lookup({ micro = 112, small = 225, medium = 450, large = 901 }, split(".", var.database_class)[2], 5000)
      error_message = join("", [
        "max_connections = ${var.max_connections} is more than the memory of ${var.database_class} bears (112 per GB, RDS's own default): ",
        "lower it, or take a bigger class.",
      ])
    }

    precondition {
      condition = local.connections_at_most < var.max_connections * 0.8
      error_message = join("", [
        "The services may open ${local.connections_at_most} connections (twice ${var.api_max_count} api × ${local.connections_of_api} ",
        "and ${var.worker_count} worker × ${local.connections_of_worker}, since a deployment runs both releases, and 2 for migrations), ",
        "which is not below 80 % of max_connections = ${var.max_connections}: lower pools or counts, or raise max_connections with the class.",
      ])
    }
  }

  depends_on = [aws_cloudwatch_log_group.database]
}

# Made before RDS does, which would keep them for ever and in clear.
resource "aws_cloudwatch_log_group" "database" {
  for_each = toset(["postgresql", "upgrade"])

  name              = "/aws/rds/instance/${local.name}/${each.key}"
  retention_in_days = var.log_days
  kms_key_id        = aws_kms_key.data.arn
  depends_on        = [aws_kms_key_policy.data]
}

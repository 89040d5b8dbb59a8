# What scripts, the workflow and whoever boots the platform against this environment need. No secret among it.

output "name" {
  description = "What every name of the environment begins with."
  value       = local.name
}

output "public_url" {
  description = "Where members go."
  value       = local.public_url
}

output "region" {
  description = "The environment's region."
  value       = var.region
}

output "members_pool" {
  description = "The members' user pool and its app client."
  value       = { id = aws_cognito_user_pool.members.id, client_id = aws_cognito_user_pool_client.platform.id }
}

output "operators_pool" {
  description = "The operators' user pool and its app client."
  value       = { id = aws_cognito_user_pool.operators.id, client_id = aws_cognito_user_pool_client.operators.id }
}

output "buckets" {
  description = "Buckets by what they hold."
  value       = { for kind in keys(local.buckets) : kind => aws_s3_bucket.this[kind].id }
}

output "keys" {
  description = "The KMS keys."
  value       = { data = aws_kms_key.data.arn, media = aws_kms_key.media.arn }
}

output "secrets" {
  description = "The secrets that scripts/secrets fills, and the variables of each."
  value       = { for secret, variables in local.secrets : secret => { name = aws_secretsmanager_secret.this[secret].name, variables = variables } }
}

output "database" {
  description = "Where the database is, and what its URLs end with."
  value = {
    identifier = aws_db_instance.this.identifier
    address    = aws_db_instance.this.address
    port       = aws_db_instance.this.port
    name       = aws_db_instance.this.db_name
    parameters = local.database_parameters
    master     = local.master
  }
}

output "environment" {
  description = "The plain environment variables of each command, as its task definition has them."
  value       = { for command, settings in local.commands : command => settings.environment }
}

output "secret_environment" {
  description = "The names of the variables that each command gets from secrets."
  value       = { for command, settings in local.commands : command => sort(keys(settings.secrets)) }
}

output "public_routes" {
  description = "What the HTTP API passes on without a token."
  value       = local.public_routes
}

output "log_metrics" {
  description = "The patterns that make metrics of log lines."
  value       = { for name, metric in local.log_metrics : name => metric.pattern }
}

output "signing_key_ids" {
  description = "CloudFront's ids of the public keys, by our names."
  value       = { for name, key in aws_cloudfront_public_key.media : name => key.id }
}

output "distribution" {
  description = "The distribution, and the store that holds the origin header's value."
  value = {
    id    = aws_cloudfront_distribution.site.id
    store = one(aws_cloudfront_key_value_store.edge[*].arn)
  }
}

output "services" {
  description = "What a deployment, sleep and wake need of ECS."
  value = {
    cluster         = aws_ecs_cluster.this.name
    services        = { api = var.api_min_count, worker = var.worker_count }
    migrate         = aws_ecs_task_definition.this["migrate"].arn
    subnets         = local.task_subnets
    security_groups = [aws_security_group.this["worker"].id]
    public_address  = local.has_public_tasks
  }
}

output "name_servers" {
  description = "The zone's name servers, for whoever delegates the domain by hand."
  value       = try(aws_route53_zone.this[0].name_servers, [])
}

output "ci_role" {
  description = "The role that the workflow takes."
  value       = one(aws_iam_role.ci[*].arn)
}

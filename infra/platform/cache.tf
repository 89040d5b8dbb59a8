# Valkey, in which several api tasks count a tenant's requests together. Losing it loses no data: each task then serves
# its share of a throttle. No password, which would be in the state: the group lets api and worker in alone, by TLS.

locals {
  # Emulators have neither.
  has_cache  = var.cache && !var.emulated
  valkey_url = local.has_cache ? "rediss://${aws_elasticache_replication_group.this[0].primary_endpoint_address}:${local.cache_port}" : "redis://127.0.0.1:${local.cache_port}"
}

resource "aws_elasticache_subnet_group" "this" {
  count = local.has_cache ? 1 : 0

  name       = local.name
  subnet_ids = local.isolated_subnets
}

resource "aws_elasticache_parameter_group" "this" {
  count = local.has_cache ? 1 : 0

  name        = local.name
  family      = "valkey8"
  description = "FFP ${local.suffix}"

  # Buckets that nobody asks for go first; each has an expiry.
  parameter {
    name  = "maxmemory-policy"
    value = "volatile-ttl"
  }
}

resource "aws_elasticache_replication_group" "this" {
  count = local.has_cache ? 1 : 0

  replication_group_id       = local.name
  description                = "FFP ${local.suffix}: throttles"
  engine                     = "valkey"
  engine_version             = "8.0"
  node_type                  = var.cache_class
  num_cache_clusters         = 1
  port                       = local.cache_port
  parameter_group_name       = aws_elasticache_parameter_group.this[0].name
  subnet_group_name          = aws_elasticache_subnet_group.this[0].name
  security_group_ids         = [aws_security_group.this["cache"].id]
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  at_rest_encryption_enabled = true
  kms_key_id                 = aws_kms_key.data.arn
  auto_minor_version_upgrade = true
  # One node, as its loss costs fairness between tasks for a minute and nothing else.
  automatic_failover_enabled = false
  multi_az_enabled           = false
  snapshot_retention_limit   = 0
  apply_immediately          = true
}

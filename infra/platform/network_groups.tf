# Who may talk to whom: API Gateway's link to the api, api and worker to database, cache and the internet, and nobody
# to a container otherwise. Rules name groups, never addresses, except where the other side is the internet.

locals {
  groups = {
    link     = "API Gateway's way into the VPC"
    api      = "api tasks"
    worker   = "worker and migration tasks"
    database = "the database"
    cache    = "the cache, where there is one"
  }

  api_port      = 8080
  database_port = 5432
  cache_port    = 6379

  # from → to : port
  allowed = merge({
    "link-api"        = { from = "link", to = "api", port = local.api_port }
    "api-database"    = { from = "api", to = "database", port = local.database_port }
    "worker-database" = { from = "worker", to = "database", port = local.database_port }
    }, var.cache ? {
    "api-cache"    = { from = "api", to = "cache", port = local.cache_port }
    "worker-cache" = { from = "worker", to = "cache", port = local.cache_port }
    } : {}
  )
}

# What lies in the VPC without a group of its own reaches nobody.
resource "aws_default_security_group" "none" {
  vpc_id  = aws_vpc.this.id
  ingress = []
  egress  = []
}

resource "aws_security_group" "this" {
  for_each = local.groups

  name        = "${local.name}-${each.key}"
  description = "FFP: ${each.value}"
  vpc_id      = aws_vpc.this.id
  tags        = { Name = "${local.name}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = local.allowed

  description                  = "from ${each.value.from}"
  security_group_id            = aws_security_group.this[each.value.to].id
  referenced_security_group_id = aws_security_group.this[each.value.from].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "this" {
  for_each = local.allowed

  description                  = "to ${each.value.to}"
  security_group_id            = aws_security_group.this[each.value.from].id
  referenced_security_group_id = aws_security_group.this[each.value.to].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

# AWS's services, connected services and language models: by https only.
resource "aws_vpc_security_group_egress_rule" "internet" {
  for_each = toset(["api", "worker"])

  description       = "https to anywhere"
  security_group_id = aws_security_group.this[each.key].id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_security_group" "nat" {
  count = length(local.machines) > 0 ? 1 : 0

  name        = "${local.name}-nat"
  description = "FFP: the NAT instance"
  vpc_id      = aws_vpc.this.id
  tags        = { Name = "${local.name}-nat" }
}

resource "aws_vpc_security_group_ingress_rule" "nat" {
  for_each = length(local.machines) > 0 ? toset(["api", "worker"]) : toset([])

  description                  = "https of ${each.key}"
  security_group_id            = aws_security_group.nat[0].id
  referenced_security_group_id = aws_security_group.this[each.key].id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

# 80 besides, for its own packages.
resource "aws_vpc_security_group_egress_rule" "nat" {
  for_each = length(local.machines) > 0 ? toset(["80", "443"]) : toset([])

  description       = "port ${each.key} to anywhere"
  security_group_id = aws_security_group.nat[0].id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.key)
  to_port           = tonumber(each.key)
}

# What keeps tenants, strangers and mistakes out, in each environment: run with its terraform.tfvars, and with the cache.

mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks/platform"
}

mock_provider "aws" {
  alias           = "us_east_1"
  override_during = plan
  source          = "./tests/mocks/platform"
}

run "walls" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    cache = true
  }

  # Network

  assert {
    condition = alltrue([for rule in concat(values(aws_vpc_security_group_ingress_rule.this), values(aws_vpc_security_group_ingress_rule.nat)) :
      rule.referenced_security_group_id != null && rule.cidr_ipv4 == null && rule.cidr_ipv6 == null && rule.prefix_list_id == null
    && rule.ip_protocol == "tcp" && rule.from_port == rule.to_port])
    error_message = "Nobody comes in from an address: ingress is from a group, to one port."
  }

  assert {
    condition     = alltrue([for group in concat(values(aws_security_group.this), aws_security_group.nat) : length(group.ingress) == 0 && length(group.egress) == 0])
    error_message = "A group's rules stand by themselves, where they are looked at: none is written into a group."
  }

  # What nobody looks at here would be no failure, so it is looked for in the code.
  assert {
    condition = (toset(flatten([for file in fileset(path.module, "*.tf") :
      [for found in regexall("(?m)^resource \"(aws_[a-z0-9_]*(?:security_group|network_acl|sg_attachment)[a-z0-9_]*)\" \"([a-z0-9_]+)\"", file("${path.module}/${file}")) : join(".", found)]]))
      == toset(["aws_default_security_group.none", "aws_security_group.this", "aws_security_group.nat",
        "aws_vpc_security_group_ingress_rule.this", "aws_vpc_security_group_ingress_rule.nat",
    "aws_vpc_security_group_egress_rule.this", "aws_vpc_security_group_egress_rule.internet", "aws_vpc_security_group_egress_rule.nat"]))
    error_message = "There are no rules but those that are looked at here."
  }

  assert {
    condition = (alltrue([for name, rule in local.allowed : rule.from == "api" || rule.from == "worker" if rule.to == "database" || rule.to == "cache"])
    && length(aws_default_security_group.none.ingress) == 0 && length(aws_default_security_group.none.egress) == 0)
    error_message = "Database and cache take connections of api and worker alone, and the default group lets nobody in or out."
  }

  assert {
    condition = { for name, rule in aws_vpc_security_group_egress_rule.internet : name => [rule.security_group_id, rule.cidr_ipv4, rule.ip_protocol, rule.from_port, rule.to_port] } == {
      api    = ["sg-api", "0.0.0.0/0", "tcp", 443, 443]
      worker = ["sg-worker", "0.0.0.0/0", "tcp", 443, 443]
    }
    error_message = "Containers reach the internet by https alone, and nothing else reaches it."
  }

  assert {
    condition = alltrue([for name, rule in aws_vpc_security_group_egress_rule.this :
      rule.security_group_id == "sg-${local.allowed[name].from}" && rule.referenced_security_group_id == "sg-${local.allowed[name].to}"
    && rule.ip_protocol == "tcp" && rule.from_port == local.allowed[name].port && rule.to_port == local.allowed[name].port])
    error_message = "Inside the VPC, egress is to a group, at the port that lets in."
  }

  assert {
    condition = (alltrue([for subnet in aws_subnet.this : !subnet.map_public_ip_on_launch])
      && alltrue([for name, link in aws_route_table_association.this : link.route_table_id == aws_route_table.isolated.id if startswith(name, "isolated")])
    && toset(aws_db_subnet_group.this.subnet_ids) == toset(local.isolated_subnets) && toset(aws_elasticache_subnet_group.this[0].subnet_ids) == toset(local.isolated_subnets))
    error_message = "Database and cache are in the isolated subnets, whose table has no route; no subnet gives public addresses by itself."
  }

  assert {
    condition     = aws_flow_log.this.vpc_id == aws_vpc.this.id && aws_cloudwatch_log_group.flow.kms_key_id == aws_kms_key.data.arn
    error_message = "The VPC's flow logs are written, encrypted."
  }

  # Database

  assert {
    condition = (aws_db_instance.this.storage_encrypted && aws_db_instance.this.kms_key_id == aws_kms_key.data.arn
    && !aws_db_instance.this.publicly_accessible && aws_db_instance.this.manage_master_user_password && aws_db_instance.this.password == null)
    error_message = "The database is encrypted, not public, and its master's password is RDS's own."
  }

  assert {
    condition     = { for p in aws_db_parameter_group.this.parameter : p.name => p.value }["rds.force_ssl"] == "1"
    error_message = "The database takes no connection without TLS."
  }

  assert {
    condition     = aws_db_instance.this.backup_retention_period == 7 && var.backup_days == 7
    error_message = "The database can be restored to any second of 7 days."
  }

  assert {
    condition     = local.connections_at_most < 0.8 * var.max_connections
    error_message = "All pools together stay below 80 % of max_connections."
  }

  # Identity

  assert {
    condition     = toset(aws_cognito_user_pool_client.platform.write_attributes) == toset(["email"]) && toset(aws_cognito_user_pool_client.operators.write_attributes) == toset(["email"])
    error_message = "Clients may write the address alone: with a writable custom attribute a member changes tenant."
  }

  assert {
    condition = (aws_cognito_user_pool_client.platform.generate_secret
      && toset(aws_cognito_user_pool_client.platform.explicit_auth_flows) == toset(["ALLOW_ADMIN_USER_PASSWORD_AUTH"])
    && toset(aws_cognito_user_pool_client.operators.explicit_auth_flows) == toset(["ALLOW_ADMIN_USER_PASSWORD_AUTH"]))
    error_message = "Nobody signs in at Cognito past the platform: a confidential client, and flows that take IAM rights."
  }

  assert {
    condition = alltrue([for client in [aws_cognito_user_pool_client.platform, aws_cognito_user_pool_client.operators] :
      client.prevent_user_existence_errors == "ENABLED" && client.enable_token_revocation
    && length(client.refresh_token_rotation) == 1 && client.refresh_token_rotation[0].feature == "ENABLED"])
    error_message = "Neither client says who exists; both take tokens back, and refresh tokens are good for one use."
  }

  assert {
    condition     = aws_cognito_user_pool.operators.mfa_configuration == "ON" && aws_cognito_user_pool.operators.admin_create_user_config[0].allow_admin_create_user_only
    error_message = "Operators have a second factor and don't sign themselves up."
  }

  # Storage

  assert {
    condition = alltrue([for bucket in concat(values(aws_s3_bucket_public_access_block.this), [aws_s3_bucket_public_access_block.logs]) :
    bucket.block_public_acls && bucket.block_public_policy && bucket.ignore_public_acls && bucket.restrict_public_buckets])
    error_message = "All public access to every bucket is blocked."
  }

  assert {
    condition = (length(aws_s3_bucket_public_access_block.this) == 4
      && alltrue([for bucket in concat(values(aws_s3_bucket_ownership_controls.this), [aws_s3_bucket_ownership_controls.logs]) : bucket.rule[0].object_ownership == "BucketOwnerEnforced"])
    && alltrue([for bucket in concat(values(aws_s3_bucket_versioning.this), [aws_s3_bucket_versioning.logs]) : bucket.versioning_configuration[0].status == "Enabled"]))
    error_message = "Four buckets and the edge's logs, without access lists, versioned."
  }

  assert {
    condition = alltrue([for bucket in aws_s3_bucket_server_side_encryption_configuration.this :
    one(bucket.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == aws_kms_key.media.arn])
    error_message = "Every bucket is encrypted with the media key."
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.logs.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == aws_kms_key.data.arn
    error_message = "The edge's logs are encrypted with the data key, which no distribution uses."
  }

  # The order is the module's. What is in no list is no statement: each of these is looked at below.
  assert {
    condition = { for kind, policy in data.aws_iam_policy_document.bucket : kind => [for s in policy.statement : s.sid] } == {
      videos  = ["TlsOnly", "Distribution", "NobodyElse"]
      photos  = ["TlsOnly", "Distribution", "NobodyElse"]
      assets  = ["TlsOnly", "Distribution"]
      uploads = ["TlsOnly", "NobodyElse"]
    } && [for s in data.aws_iam_policy_document.logs_bucket.statement : s.sid] == ["TlsOnly", "EdgeLogs"]
    error_message = "Buckets' policies say this and nothing else; assets are the workflow's, where there is one."
  }

  assert {
    condition = alltrue(flatten([for kind, policy in merge(data.aws_iam_policy_document.bucket, { logs = data.aws_iam_policy_document.logs_bucket }) : [for s in policy.statement :
      s.effect == "Deny" && s.actions == toset(["s3:*"]) && s.resources == toset(["arn:aws:s3:::ffp-${kind}", "arn:aws:s3:::ffp-${kind}/*"])
      && [for p in s.principals : "${p.type} ${join(" ", p.identifiers)}"] == ["* *"]
    && [for c in s.condition : "${c.test} ${c.variable} ${join(" ", c.values)}"] == ["Bool aws:SecureTransport false"] if s.sid == "TlsOnly"]]))
    error_message = "No bucket is reached in clear, nor is that of the edge's logs."
  }

  assert {
    condition = alltrue(flatten([for kind, policy in data.aws_iam_policy_document.bucket : [for s in policy.statement :
      coalesce(s.effect, "Allow") == "Allow" && s.actions == toset(["s3:GetObject"]) && s.resources == toset(["arn:aws:s3:::ffp-${kind}/${local.buckets[kind].prefix}*"])
      && [for p in s.principals : "${p.type} ${join(" ", p.identifiers)}"] == ["Service cloudfront.amazonaws.com"]
    && [for c in s.condition : "${c.test} ${c.variable} ${join(" ", c.values)}"] == ["StringEquals aws:SourceArn ${aws_cloudfront_distribution.site.arn}"] if s.sid == "Distribution"]]))
    error_message = "Buckets let this distribution read, and no other."
  }

  assert {
    condition = alltrue(flatten([for kind, policy in data.aws_iam_policy_document.bucket : [for s in policy.statement :
      s.effect == "Deny" && s.actions == toset(["s3:GetObject*", "s3:PutObject*", "s3:DeleteObject*", "s3:RestoreObject"]) && s.resources == toset(["arn:aws:s3:::ffp-${kind}/*"])
      && [for p in s.principals : "${p.type} ${join(" ", p.identifiers)}"] == ["* *"]
      && toset([for c in s.condition : "${c.test} ${c.variable} ${join(" ", c.values)}"]) == toset([
        "ArnNotEquals aws:PrincipalArn ${aws_iam_role.api.arn} ${aws_iam_role.worker.arn}", "Bool aws:PrincipalIsAWSService false",
    ]) if s.sid == "NobodyElse"]]))
    error_message = "Objects are denied to everybody but the services' roles, and AWS's services by what is allowed to them above."
  }

  assert {
    condition = alltrue([for s in data.aws_iam_policy_document.logs_bucket.statement :
      coalesce(s.effect, "Allow") == "Allow" && s.actions == toset(["s3:PutObject"]) && s.resources == toset(["arn:aws:s3:::ffp-logs/edge/*"])
      && [for p in s.principals : "${p.type} ${join(" ", p.identifiers)}"] == ["Service delivery.logs.amazonaws.com"]
      && toset([for c in s.condition : "${c.test} ${c.variable} ${join(" ", c.values)}"]) == toset([
        "StringEquals aws:SourceAccount 123456789012", "ArnLike aws:SourceArn arn:aws:logs:us-east-1:123456789012:delivery-source:*",
    ]) if s.sid == "EdgeLogs"])
    error_message = "The edge's logs are written by this account's deliveries, and only below edge/."
  }

  # Edge and API

  assert {
    condition = alltrue([for b in aws_cloudfront_distribution.site.ordered_cache_behavior :
      length(coalesce(b.trusted_key_groups, [])) + length(coalesce(b.trusted_signers, [])) == 1
      && b.allowed_methods == toset(["GET", "HEAD"])
    if contains(["/videos/*", "/progress-photos/*"], b.path_pattern)])
    error_message = "Videos and photos are signed, and only read, also before the first key is made."
  }

  assert {
    condition = alltrue([for b in concat(tolist(aws_cloudfront_distribution.site.default_cache_behavior),
    [for o in aws_cloudfront_distribution.site.ordered_cache_behavior : o]) : contains(["https-only", "redirect-to-https"], b.viewer_protocol_policy)])
    error_message = "The edge speaks https."
  }

  assert {
    condition = (aws_cloudfront_function.edge[0].publish && strcontains(aws_cloudfront_function.edge[0].code, "x-origin-verify")
      && length(aws_cloudfront_distribution.site.default_cache_behavior[0].function_association) == 1
    && alltrue([for b in aws_cloudfront_distribution.site.ordered_cache_behavior : length(b.function_association) == 1 if b.path_pattern == "/api/*"]))
    error_message = "The edge proves itself with each request that it passes to the platform."
  }

  assert {
    condition     = alltrue([for route in aws_apigatewayv2_route.this : route.authorization_type == "JWT"]) && toset(keys(aws_apigatewayv2_route.this)) == toset(["ANY /api/v1/{proxy+}", "ANY /api/v1/admin/{proxy+}"])
    error_message = "The API takes a token everywhere but on the public routes."
  }

  assert {
    condition = { for name, a in aws_apigatewayv2_authorizer.this : name => [for jwt in a.jwt_configuration : [jwt.issuer, [for client in jwt.audience : client]]] } == {
      members   = [["https://cognito-idp.us-east-1.amazonaws.com/us-east-1_members", ["membersclient"]]]
      operators = [["https://cognito-idp.us-east-1.amazonaws.com/us-east-1_operators", ["operatorsclient"]]]
    }
    error_message = "Members' tokens are of the members' pool, operators' of theirs."
  }

  # Containers

  assert {
    condition = alltrue(flatten([for task in aws_ecs_task_definition.this : [for mount in jsondecode(task.container_definitions)[0].mountPoints :
    strcontains(file("${path.module}/../../Dockerfile"), "VOLUME [\"${mount.containerPath}\"]")]]))
    error_message = "What is mounted is a volume of the image's: otherwise Fargate gives it to root, and tasks are not root."
  }

  assert {
    condition = alltrue([for task in aws_ecs_task_definition.this : alltrue([for c in jsondecode(task.container_definitions) :
    c.readonlyRootFilesystem && c.user == "10001:10001" && c.linuxParameters.capabilities.drop == ["ALL"]])])
    error_message = "Containers run as nobody, on a file system that they can't write, without capabilities."
  }

  assert {
    condition = alltrue([for task in aws_ecs_task_definition.this : alltrue([for c in jsondecode(task.container_definitions) : alltrue([for e in c.environment :
    !can(regex("(DATABASE_URL|SECRETS?|PASSWORD|_PEM)$", e.name))])])])
    error_message = "No secret is in the plain environment."
  }

  assert {
    condition     = alltrue([for s in data.aws_iam_policy_document.service["api"].statement : !contains(s.resources, "*")]) && alltrue([for s in data.aws_iam_policy_document.service["worker"].statement : !contains(s.resources, "*")])
    error_message = "No service's role reaches everything of a kind."
  }

  assert {
    condition     = alltrue([for role in concat(values(aws_iam_role.start), aws_iam_role.sleep, [aws_iam_role.api, aws_iam_role.worker, aws_iam_role.migrate, aws_iam_role.flow]) : role.permissions_boundary == aws_iam_policy.boundary.arn])
    error_message = "Every role but the workflow's is within the boundary."
  }

  assert {
    condition = (toset(flatten([for file in fileset(path.module, "*.tf") :
      [for found in regexall("(?m)^resource \"(aws_iam_[a-z0-9_]+)\" \"([a-z0-9_]+)\"", file("${path.module}/${file}")) : trimprefix(join(".", found), "aws_iam_")]]))
      == toset(["policy.boundary", "role.start", "role.api", "role.worker", "role.migrate", "role.flow", "role.sleep", "role.ci",
    "role_policy.start", "role_policy.service", "role_policy.flow", "role_policy.sleep", "role_policy.ci"]))
    error_message = "There are no roles and no policies of theirs but those that are looked at."
  }

  assert {
    condition     = alltrue([for secret in aws_secretsmanager_secret.this : secret.kms_key_id == aws_kms_key.data.arn])
    error_message = "Secrets are encrypted with our key; nothing here writes a value into one."
  }
}

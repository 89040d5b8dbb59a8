# Prod as it is: its figures, network, database, objects and secrets. With environments/prod/terraform.tfvars.

mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks/platform"
}

mock_provider "aws" {
  alias           = "us_east_1"
  override_during = plan
  source          = "./tests/mocks/platform"
}

run "prod" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    repository = "acme/ffp"
  }

  # Figures

  assert {
    condition     = local.name == "ffp-prod" && length(terraform_data.customers_data) == 1
    error_message = "A plan that destroys or replaces what holds customers' data is refused."
  }

  assert {
    condition = (aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot && !aws_db_instance.this.delete_automated_backups
    && aws_cognito_user_pool.members.deletion_protection == "ACTIVE" && aws_cognito_user_pool.operators.deletion_protection == "ACTIVE")
    error_message = "Database and pools are protected from deletion, and leave a snapshot and backups."
  }

  assert {
    condition     = alltrue([for bucket in aws_s3_bucket.this : !bucket.force_destroy]) && alltrue([for secret in aws_secretsmanager_secret.this : secret.recovery_window_in_days == 30])
    error_message = "No bucket goes with anything in it, and a deleted secret can be had back for 30 days."
  }

  assert {
    condition     = aws_kms_key.data.deletion_window_in_days == 30 && aws_kms_key.media.deletion_window_in_days == 30
    error_message = "A key can be had back for 30 days."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && alltrue([for r in aws_route.nat : r.nat_gateway_id == aws_nat_gateway.this["0"].id]) && length(aws_instance.nat) == 0
    error_message = "prod has a NAT gateway, through which both zones go."
  }

  assert {
    condition = (!aws_ecs_service.api.network_configuration[0].assign_public_ip && toset(aws_ecs_service.api.network_configuration[0].subnets) == toset(local.private_subnets)
    && !aws_ecs_service.worker.network_configuration[0].assign_public_ip && toset(aws_ecs_service.worker.network_configuration[0].subnets) == toset(local.private_subnets))
    error_message = "Containers are in private subnets without public addresses."
  }

  assert {
    condition     = aws_db_instance.this.instance_class == "db.t4g.small" && aws_db_instance.this.allocated_storage == 50 && aws_db_instance.this.max_allocated_storage == 200
    error_message = "prod begins with db.t4g.small and 50 GB that grow to 200."
  }

  assert {
    condition     = !aws_db_instance.this.multi_az && !aws_db_instance.this.apply_immediately
    error_message = "Multi-AZ is off in the first phases, and changes wait for the maintenance window."
  }

  assert {
    condition     = { for p in aws_db_parameter_group.this.parameter : p.name => p.value }["max_connections"] == "200"
    error_message = "prod's max_connections are 200."
  }

  assert {
    condition     = { for e in jsondecode(aws_ecs_task_definition.this["worker"].container_definitions)[0].environment : e.name => e.value }["FFP_GATE_SLOTS"] == "10"
    error_message = "prod has 10 pieces of expensive work in flight."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["database-connections"].threshold == 160
    error_message = "The alarm rings at 80 % of 200 connections."
  }

  assert {
    condition     = length(aws_wafv2_web_acl.this) == 1 && aws_cloudfront_distribution.site.web_acl_id == aws_wafv2_web_acl.this[0].arn
    error_message = "prod has the firewall."
  }

  assert {
    condition     = length(aws_scheduler_schedule.sleep) == 0 && aws_flow_log.this.traffic_type == "ALL"
    error_message = "prod does not sleep, and all its traffic is in the flow logs."
  }

  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.command : group.retention_in_days == 90])
    error_message = "prod keeps 90 days of logs."
  }

  # Network

  assert {
    condition     = length(distinct([for s in aws_subnet.this : s.availability_zone])) == 2 && toset(keys(aws_subnet.this)) == toset(["public-0", "public-1", "private-0", "private-1", "isolated-0", "isolated-1"])
    error_message = "Two zones, each with a public, a private and an isolated subnet."
  }

  assert {
    condition     = { for name, r in aws_vpc_security_group_ingress_rule.this : name => [r.security_group_id, r.referenced_security_group_id, r.from_port] } == { "api-database" = ["sg-database", "sg-api", 5432], "worker-database" = ["sg-database", "sg-worker", 5432], "link-api" = ["sg-api", "sg-link", 8080] }
    error_message = "Ingress: the link to api, api and worker to the database, and nothing else."
  }

  assert {
    condition     = aws_db_instance.this.vpc_security_group_ids == toset(["sg-database"])
    error_message = "The database is behind its own group alone."
  }

  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3.route_table_ids == toset(["rtb-public", "rtb-private-0", "rtb-private-1"])
    error_message = "Containers reach S3 by a gateway endpoint, wherever they are."
  }

  assert {
    condition     = { for name, link in aws_route_table_association.this : name => link.route_table_id } == { "public-0" = "rtb-public", "public-1" = "rtb-public", "private-0" = "rtb-private-0", "private-1" = "rtb-private-1", "isolated-0" = "rtb-isolated", "isolated-1" = "rtb-isolated" } && toset([for r in aws_route.nat : r.route_table_id]) == toset(["rtb-private-0", "rtb-private-1"]) && aws_route.internet.route_table_id == "rtb-public"
    error_message = "Public subnets lead to the internet, private ones to the NAT, isolated ones nowhere."
  }

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL"
    error_message = "prod's flow logs hold what was let through, too."
  }

  # Database

  assert {
    condition     = aws_db_instance.this.engine == "postgres" && aws_db_instance.this.storage_type == "gp3" && aws_db_instance.this.allocated_storage == 50 && aws_db_instance.this.max_allocated_storage > 50
    error_message = "PostgreSQL on 50 GB of gp3 that grow by themselves."
  }

  assert {
    condition     = startswith(aws_db_instance.this.instance_class, "db.t4g.")
    error_message = "The database runs on Graviton."
  }

  assert {
    condition     = aws_db_instance.this.performance_insights_enabled && aws_db_instance.this.performance_insights_retention_period == 7 && aws_db_instance.this.enabled_cloudwatch_logs_exports == toset(["postgresql", "upgrade"])
    error_message = "Performance insights and logs are on."
  }

  assert {
    condition     = { for p in aws_db_parameter_group.this.parameter : p.name => p.value } == { "rds.force_ssl" = "1", max_connections = "200", log_min_duration_statement = "500", log_parameter_max_length = "0", log_parameter_max_length_on_error = "0", log_statement = "ddl" }
    error_message = "TLS is forced, connections are bounded, and statements above 500 ms are logged without members' data."
  }

  assert {
    condition     = local.connections_of_api == 29 && local.connections_of_worker == 25 && local.connections_at_most == 110
    error_message = "A process of each service opens 29 and 25 connections at most; with both releases and migrations they are 110."
  }

  assert {
    condition     = alltrue([for g in aws_cloudwatch_log_group.database : g.retention_in_days == 90 && g.kms_key_id == aws_kms_key.data.arn])
    error_message = "The database's logs end and are encrypted."
  }

  assert {
    condition     = strcontains(local.database_parameters, "sslmode=verify-full")
    error_message = "Clients check the database's certificate and its name."
  }

  # Objects

  assert {
    condition     = { for kind, b in aws_s3_bucket.this : kind => b.bucket } == { videos = "ffp-videos-prod-123456789012", photos = "ffp-photos-prod-123456789012", assets = "ffp-assets-prod-123456789012", uploads = "ffp-uploads-prod-123456789012" }
    error_message = "Four buckets, by environment and account."
  }

  # A rule that is off, or for other objects, does nothing.
  assert {
    condition = { for kind, l in merge(aws_s3_bucket_lifecycle_configuration.this, { logs = aws_s3_bucket_lifecycle_configuration.logs }) : kind => [for r in l.rule : "${r.id} ${r.status}"] } == {
      videos  = ["unfinished-uploads Enabled", "old-versions Enabled", "cold Enabled"]
      photos  = ["unfinished-uploads Enabled", "old-versions Enabled", "cold Enabled"]
      assets  = ["unfinished-uploads Enabled", "old-versions Enabled"]
      uploads = ["unfinished-uploads Enabled", "old-versions Enabled", "cold Enabled"]
      logs    = ["forget Enabled"]
    }
    error_message = "The rules of what ends and what gets cheaper are on."
  }

  assert {
    condition = { for kind, l in aws_s3_bucket_lifecycle_configuration.this : kind => flatten([for r in l.rule : [for f in r.filter : [f.prefix, length(f.tag), length(f.and)]] if r.id == "cold"]) } == {
      videos = ["videos/", 0, 0], photos = ["progress-photos/", 0, 0], assets = [], uploads = ["uploads/", 0, 0]
    }
    error_message = "What gets cheaper are the objects of each bucket's prefix, all of them."
  }

  # Of a filter that asks for nothing a plan does not show that it does.
  assert {
    condition     = flatten(regexall("id     = \"([a-z-]+)\"\n    status = \"Enabled\"\n\n    filter \\{\\}\n", file("${path.module}/storage.tf"))) == ["unfinished-uploads", "old-versions", "forget"]
    error_message = "What ends does so whatever it is called."
  }

  assert {
    condition     = alltrue([for l in aws_s3_bucket_lifecycle_configuration.this : [for r in l.rule : [for a in r.abort_incomplete_multipart_upload : a.days_after_initiation] if r.id == "unfinished-uploads"] == [[1]]])
    error_message = "Unfinished uploads end after a day."
  }

  assert {
    condition     = alltrue([for l in aws_s3_bucket_lifecycle_configuration.this : [for r in l.rule : [for n in r.noncurrent_version_expiration : n.noncurrent_days] if r.id == "old-versions"] == [[30]]])
    error_message = "Old versions end after 30 days."
  }

  assert {
    condition     = [for r in aws_s3_bucket_lifecycle_configuration.logs.rule : [one(r.expiration).days, one(r.noncurrent_version_expiration).noncurrent_days]] == [[90, 1]]
    error_message = "The edge's logs end with the others."
  }

  assert {
    condition     = { for kind, l in aws_s3_bucket_lifecycle_configuration.this : kind => flatten([for r in l.rule : [for t in r.transition : "${r.id} ${t.storage_class} ${t.days}"]]) } == { assets = [], photos = ["cold INTELLIGENT_TIERING 30"], uploads = ["cold GLACIER_IR 30"], videos = ["cold INTELLIGENT_TIERING 30"] }
    error_message = "What is no longer new gets cheaper, sources coldest."
  }

  assert {
    condition     = toset(keys(aws_s3_bucket_cors_configuration.this)) == toset(["videos", "photos", "uploads"]) && alltrue([for c in aws_s3_bucket_cors_configuration.this : one(c.cors_rule).allowed_origins == toset(["https://d0123456789abc.cloudfront.net"]) && one(c.cors_rule).allowed_methods == toset(["PUT"]) && toset(one(c.cors_rule).expose_headers) == toset(["ETag"])])
    error_message = "The site's pages alone may send parts."
  }

  assert {
    condition = [for s in data.aws_iam_policy_document.bucket["assets"].statement : [s.effect, [for a in s.actions : a], [for r in s.resources : r], toset([for c in s.condition : "${c.test} ${c.variable} ${join(" ", c.values)}"])] if s.sid == "NobodyElse"] == [[
      "Deny", ["s3:DeleteObject*", "s3:GetObject*", "s3:PutObject*", "s3:RestoreObject"], ["arn:aws:s3:::ffp-assets/*"],
      toset(["ArnNotEquals aws:PrincipalArn ${aws_iam_role.ci[0].arn}", "Bool aws:PrincipalIsAWSService false"]),
    ]]
    error_message = "Assets come from the workflow alone."
  }

  assert {
    condition = { for service, policy in data.aws_iam_policy_document.service : service => { for s in policy.statement : s.sid => [for a in s.actions : a] if coalesce(s.effect, "Allow") == "Allow" } } == {
      api = {
        Accounts = [
          "cognito-idp:AdminCreateUser", "cognito-idp:AdminDeleteUser", "cognito-idp:AdminGetUser", "cognito-idp:AdminInitiateAuth",
          "cognito-idp:AdminRespondToAuthChallenge", "cognito-idp:AdminSetUserPassword", "cognito-idp:AdminUpdateUserAttributes",
          "cognito-idp:AdminUserGlobalSignOut",
        ]
        Objects     = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
        ListPhotos  = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
        ListUploads = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
        ListVideos  = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
        Key         = ["kms:Decrypt", "kms:GenerateDataKey"]
      }
      worker = {
        Accounts = [
          "cognito-idp:AdminDeleteUser", "cognito-idp:AdminGetUser", "cognito-idp:AdminUpdateUserAttributes", "cognito-idp:AdminUserGlobalSignOut",
        ]
        Objects = [
          "s3:AbortMultipartUpload", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject",
        ]
        ListPhotos  = ["s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:ListBucketVersions"]
        ListUploads = ["s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:ListBucketVersions"]
        ListVideos  = ["s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:ListBucketVersions"]
        Key         = ["kms:Decrypt", "kms:GenerateDataKey"]
      }
    }
    error_message = "Services call what they call and nothing else: the worker deletes in all versions, the api deletes nothing."
  }

  assert {
    condition = alltrue([for policy in data.aws_iam_policy_document.service : [for s in policy.statement : [[for r in s.resources : r], [for c in s.condition : "${c.test} ${c.variable} ${join(" ", c.values)}"]] if s.sid == "Key"] == [[
      [aws_kms_key.media.arn], ["StringEquals kms:ViaService s3.us-east-1.amazonaws.com"],
    ]]])
    error_message = "Services use the media key by S3 alone."
  }

  assert {
    condition = alltrue([for command, policy in data.aws_iam_policy_document.start : { for s in policy.statement : s.sid => [for a in s.actions : a] } == {
      Registry = ["ecr:GetAuthorizationToken"]
      Image    = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Log      = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Secrets  = ["secretsmanager:GetSecretValue"]
      Key      = ["kms:Decrypt"]
    }])
    error_message = "What starts a task fetches image and secrets and writes the log."
  }

  assert {
    condition = alltrue([for policy in data.aws_iam_policy_document.start : [for s in policy.statement : [[for r in s.resources : r], [for c in s.condition : "${c.test} ${c.variable} ${join(" ", c.values)}"]] if s.sid == "Key"] == [[
      [aws_kms_key.data.arn], ["StringEquals kms:ViaService secretsmanager.us-east-1.amazonaws.com"],
    ]]])
    error_message = "What starts a task uses the data key for secrets alone."
  }

  assert {
    condition     = alltrue([for service in ["api", "worker"] : alltrue([for s in data.aws_iam_policy_document.service[service].statement : toset(s.resources) == toset(["arn:aws:s3:::ffp-videos/videos/*", "arn:aws:s3:::ffp-photos/progress-photos/*", "arn:aws:s3:::ffp-uploads/uploads/*"]) if s.sid == "Objects"])])
    error_message = "Services reach objects by prefix."
  }

  assert {
    condition = alltrue([for service in ["api", "worker"] : alltrue([for s in data.aws_iam_policy_document.service[service].statement : alltrue([for c in s.condition :
    c.test == "StringLikeIfExists" && c.variable == "s3:prefix" && contains(["videos/*", "progress-photos/*", "uploads/*"], one(c.values))]) && length(s.condition) == 1 if contains(s.actions, "s3:ListBucket")])])
    error_message = "Services list below their prefix; a request that has no prefix, as for uploads under way, is not one for another."
  }

  assert {
    condition     = alltrue([for service in ["api", "worker"] : alltrue([for s in data.aws_iam_policy_document.service[service].statement : s.resources == toset([aws_cognito_user_pool.members.arn]) if s.sid == "Accounts"])])
    error_message = "Services reach the members' accounts, and no operator's."
  }

  # Keys and secrets

  assert {
    condition     = aws_kms_key.data.enable_key_rotation && aws_kms_key.media.enable_key_rotation
    error_message = "Keys rotate."
  }

  assert {
    condition = [for s in data.aws_iam_policy_document.media_key.statement : [s.sid, coalesce(s.effect, "Allow"), [for p in s.principals : "${p.type} ${join(" ", p.identifiers)}"], [for a in s.actions : a], [for c in s.condition : "${c.test} ${c.variable} ${join(" ", c.values)}"]]] == [
      ["Account", "Allow", ["AWS arn:aws:iam::123456789012:root"], ["kms:*"], []],
      ["Distribution", "Allow", ["Service cloudfront.amazonaws.com"], ["kms:Decrypt"], ["StringEquals aws:SourceArn ${aws_cloudfront_distribution.site.arn}"]],
    ]
    error_message = "The media key lets this distribution decrypt, and no other."
  }

  assert {
    condition = [for s in data.aws_iam_policy_document.data_key.statement : [s.sid, coalesce(s.effect, "Allow"), [for p in s.principals : "${p.type} ${join(" ", p.identifiers)}"], [for a in s.actions : a], [for c in s.condition : "${c.test} ${c.variable} ${join(" ", c.values)}"]]] == [
      ["Account", "Allow", ["AWS arn:aws:iam::123456789012:root"], ["kms:*"], []],
      ["Logs", "Allow", ["Service logs.us-east-1.amazonaws.com"], ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
      ["ArnLike kms:EncryptionContext:aws:logs:arn arn:aws:logs:us-east-1:123456789012:log-group:/ffp/prod/* arn:aws:logs:us-east-1:123456789012:log-group:/aws/rds/instance/ffp-prod/* arn:aws:logs:us-east-1:123456789012:log-group:aws-waf-logs-ffp-prod"]],
      ["EdgeLogs", "Allow", ["Service delivery.logs.amazonaws.com"], ["kms:Decrypt", "kms:GenerateDataKey*"], ["StringEquals aws:SourceAccount 123456789012"]],
      ["Alarms", "Allow", ["Service cloudwatch.amazonaws.com"], ["kms:Decrypt", "kms:GenerateDataKey*"], ["StringEquals aws:SourceAccount 123456789012"]],
    ]
    error_message = "The data key lets this account's logs and alarms use it, and no distribution."
  }

  assert {
    condition     = { for name, s in aws_secretsmanager_secret.this : name => s.name } == { database = "ffp/prod/database", migrations = "ffp/prod/migrations", identity = "ffp/prod/identity", videos = "ffp/prod/videos", edge = "ffp/prod/edge" }
    error_message = "The five secrets that the platform reads."
  }

  # A plan does not show these two: they are looked for in the code.
  assert {
    condition     = length(flatten([for file in fileset(path.module, "*.tf") : regexall("(?m)^resource \"(aws_secretsmanager_secret_version|random_[a-z]+|tls_[a-z_]+|aws_ssm_parameter|aws_iam_access_key)\"", file("${path.module}/${file}"))])) == 0
    error_message = "Nothing here makes or writes a secret's value, which would be in the state."
  }

  assert {
    condition     = length(regexall("(?s)resource \"terraform_data\" \"customers_data\" \\{[^\n]*\n.*\n  lifecycle \\{\n    prevent_destroy = true\n  \\}\n\\}", file("${path.module}/guard.tf"))) == 1
    error_message = "The guard of customers' data can't be destroyed."
  }

  assert {
    condition     = terraform_data.customers_data[0].triggers_replace.buckets == { for kind, b in aws_s3_bucket.this : kind => b.arn } && toset(keys(terraform_data.customers_data[0].triggers_replace)) == toset(["database", "members", "operators", "buckets", "keys"])
    error_message = "The guard of customers' data holds database, pools, buckets and keys."
  }
}

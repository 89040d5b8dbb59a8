# The same in each environment, which links to this file: the provider, and the module with the values that the
# directory's terraform.tfvars and TF_VAR_… give. variables*.tf are the module's own, so that a wrong value is refused
# here with the same words.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = var.region

  # An emulator asks for no account, has no host name for each bucket, and its 500s are no reason to try for minutes: twice
  # more, since it drops a connection now and then.
  access_key                  = var.emulated ? "emulated" : null
  secret_key                  = var.emulated ? "emulated" : null
  skip_credentials_validation = var.emulated
  s3_use_path_style           = var.emulated
  max_retries                 = var.emulated ? 3 : null

  default_tags {
    tags = local.tags
  }
}

provider "aws" {
  alias  = "us_east_1"
  region = "us-east-1"

  access_key                  = var.emulated ? "emulated" : null
  secret_key                  = var.emulated ? "emulated" : null
  skip_credentials_validation = var.emulated
  s3_use_path_style           = var.emulated
  max_retries                 = var.emulated ? 3 : null

  default_tags {
    tags = local.tags
  }
}

locals {
  tags = { Project = "ffp", Environment = var.environment, Owner = var.name == "" ? "ffp" : var.name, ManagedBy = "terraform" }

  # Terraform only warns of a value that nothing takes: a misspelt one would silently be the default.
  given = concat(
    [for line in regexall("(?m)^([a-z][a-z0-9_]*)\\s*=", file("${path.module}/terraform.tfvars")) : line[0]],
    flatten([for file in fileset(path.module, "*.auto.tfvars.json") : keys(jsondecode(file("${path.module}/${file}")))]),
  )
  known   = flatten([for file in fileset(path.module, "variables*.tf") : [for found in regexall("(?m)^variable \"([a-z0-9_]+)\"", file("${path.module}/${file}")) : found[0]]])
  unknown = setsubtract(local.given, local.known)
}

output "platform" {
  description = "Everything the module says: see its outputs.tf."
  value       = module.platform

  precondition {
    condition     = var.environment == basename(abspath(path.module))
    error_message = "These are the values of ${var.environment}, and this is the directory of ${basename(abspath(path.module))}: take the values of this directory."
  }

  precondition {
    condition     = length(local.unknown) == 0
    error_message = "terraform.tfvars or *.auto.tfvars.json has what no variable takes: ${join(", ", local.unknown)}. The variables are in infra/platform/variables*.tf."
  }
}

module "platform" {
  source = "../../platform"

  providers = {
    aws           = aws
    aws.us_east_1 = aws.us_east_1
  }

  environment                = var.environment
  name                       = var.name
  region                     = var.region
  emulated                   = var.emulated
  asleep                     = var.asleep
  cidr                       = var.cidr
  nat                        = var.nat
  nat_in_each_zone           = var.nat_in_each_zone
  flow_log_traffic           = var.flow_log_traffic
  database_class             = var.database_class
  database_version           = var.database_version
  database_storage_gb        = var.database_storage_gb
  multi_az                   = var.multi_az
  backup_days                = var.backup_days
  max_connections            = var.max_connections
  pools                      = var.pools
  slow_query_ms              = var.slow_query_ms
  deletion_protection        = var.deletion_protection
  domain                     = var.domain
  parent_zone_id             = var.parent_zone_id
  mail_from                  = var.mail_from
  alarm_emails               = var.alarm_emails
  repository                 = var.repository
  state_bucket               = var.state_bucket
  cors_origins               = var.cors_origins
  signing_public_keys        = var.signing_public_keys
  google_client_id           = var.google_client_id
  waf                        = var.waf
  waf_requests_per_5_minutes = var.waf_requests_per_5_minutes
  otlp_endpoint              = var.otlp_endpoint
  image                      = var.image
  image_tag                  = var.image_tag
  api_size                   = var.api_size
  worker_size                = var.worker_size
  api_min_count              = var.api_min_count
  api_max_count              = var.api_max_count
  api_requests_per_task      = var.api_requests_per_task
  worker_count               = var.worker_count
  gate_slots                 = var.gate_slots
  cache                      = var.cache
  cache_class                = var.cache_class
  api_throttle               = var.api_throttle
  sleep_at                   = var.sleep_at
  health_check               = var.health_check
  log_days                   = var.log_days
}

# Names, and what several files share.

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}

locals {
  # `ffp-prod`, or `ffp-dev-ann`: every name begins with it, so that environments share an account without meeting.
  name    = join("-", compact(["ffp", var.environment, var.name]))
  suffix  = trimprefix(local.name, "ffp-")
  account = data.aws_caller_identity.this.account_id
  aws     = data.aws_partition.this.partition
  root    = "arn:${local.aws}:iam::${local.account}:root"

  # What is on in dev must go by one `terraform destroy`; everywhere else it holds customers' data.
  is_disposable = var.environment == "dev"

  has_domain = var.domain != null
  # Emulators have no custom domain names for HTTP APIs.
  has_api_domain = local.has_domain && !var.emulated
  public_url     = local.has_domain ? "https://${var.domain}" : "https://${aws_cloudfront_distribution.site.domain_name}"
  # Without a domain the distribution's name is known only after the API, which therefore can't name it. Pages and API
  # are of one origin then, and need no CORS.
  cors_origins = distinct(concat(local.has_domain ? ["https://${var.domain}"] : [], var.cors_origins))

  # The zones of the region, two of them: the first two by name, so that a new one moves nothing.
  zones = slice(sort(data.aws_availability_zones.this.names), 0, 2)

  # 20 % short of the limit is where the alarm rings and the plan stops.
  connection_limit = floor(var.max_connections * 0.8)
}

data "aws_availability_zones" "this" {
  state = "available"

  # Where API Gateway has no VPC links: by id, since a zone's letter is another in each account.
  exclude_zone_ids = ["use1-az3"]

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }

  # Zones of the region itself, and no city's.
  filter {
    name   = "zone-name"
    values = [for letter in ["a", "b", "c", "d", "e", "f"] : "${var.region}${letter}"]
  }
}

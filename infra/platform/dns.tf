# The domain's zone and records, its certificates, and a health check from outside; nothing of it without a domain.
# Keys of for_each are static: what a certificate asks to be proved is unknown to a plan.

locals {
  # Certificates: CloudFront's must be in us-east-1, API Gateway's beside the API.
  site_certificate = one(aws_acm_certificate_validation.site[*].certificate_arn)
  site_domains     = local.has_domain ? toset([var.domain]) : toset([])
  origin_domains   = local.has_api_domain ? toset(["origin.${var.domain}"]) : toset([])
}

resource "aws_route53_zone" "this" {
  count = local.has_domain ? 1 : 0

  name          = var.domain
  comment       = "FFP ${local.suffix}"
  force_destroy = local.is_disposable
}

resource "aws_route53_record" "delegation" {
  count = var.parent_zone_id == null ? 0 : 1

  zone_id = var.parent_zone_id
  name    = var.domain
  type    = "NS"
  ttl     = 3600
  records = aws_route53_zone.this[0].name_servers
}

resource "aws_route53_record" "site" {
  for_each = local.has_domain ? toset(["A", "AAAA"]) : toset([])

  zone_id = aws_route53_zone.this[0].zone_id
  name    = var.domain
  type    = each.key

  alias {
    name                   = aws_cloudfront_distribution.site.domain_name
    zone_id                = aws_cloudfront_distribution.site.hosted_zone_id
    evaluate_target_health = false
  }
}

# Where the distribution finds the API.
resource "aws_route53_record" "origin" {
  count = local.has_api_domain ? 1 : 0

  zone_id = aws_route53_zone.this[0].zone_id
  name    = "origin.${var.domain}"
  type    = "A"

  alias {
    name                   = aws_apigatewayv2_domain_name.origin[0].domain_name_configuration[0].target_domain_name
    zone_id                = aws_apigatewayv2_domain_name.origin[0].domain_name_configuration[0].hosted_zone_id
    evaluate_target_health = false
  }
}

# Nobody else's certificate authority makes one for this name.
resource "aws_route53_record" "caa" {
  count = local.has_domain ? 1 : 0

  zone_id = aws_route53_zone.this[0].zone_id
  name    = var.domain
  type    = "CAA"
  ttl     = 3600
  records = ["0 issue \"amazon.com\"", "0 issuewild \";\""]
}

resource "aws_acm_certificate" "site" {
  count    = local.has_domain ? 1 : 0
  provider = aws.us_east_1

  domain_name       = var.domain
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "site_certificate" {
  for_each = local.site_domains

  zone_id         = aws_route53_zone.this[0].zone_id
  allow_overwrite = true
  name            = one([for option in aws_acm_certificate.site[0].domain_validation_options : option.resource_record_name if option.domain_name == each.key])
  type            = one([for option in aws_acm_certificate.site[0].domain_validation_options : option.resource_record_type if option.domain_name == each.key])
  records         = [for option in aws_acm_certificate.site[0].domain_validation_options : option.resource_record_value if option.domain_name == each.key]
  ttl             = 300
}

resource "aws_acm_certificate_validation" "site" {
  count    = local.has_domain ? 1 : 0
  provider = aws.us_east_1

  certificate_arn         = aws_acm_certificate.site[0].arn
  validation_record_fqdns = [for record in aws_route53_record.site_certificate : record.fqdn]
}

resource "aws_acm_certificate" "origin" {
  count = local.has_api_domain ? 1 : 0

  domain_name       = "origin.${var.domain}"
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "origin_certificate" {
  for_each = local.origin_domains

  zone_id         = aws_route53_zone.this[0].zone_id
  allow_overwrite = true
  name            = one([for option in aws_acm_certificate.origin[0].domain_validation_options : option.resource_record_name if option.domain_name == each.key])
  type            = one([for option in aws_acm_certificate.origin[0].domain_validation_options : option.resource_record_type if option.domain_name == each.key])
  records         = [for option in aws_acm_certificate.origin[0].domain_validation_options : option.resource_record_value if option.domain_name == each.key]
  ttl             = 300
}

resource "aws_acm_certificate_validation" "origin" {
  count = local.has_api_domain ? 1 : 0

  certificate_arn         = aws_acm_certificate.origin[0].arn
  validation_record_fqdns = [for record in aws_route53_record.origin_certificate : record.fqdn]
}

# From three continents, every 30 s, all the way through the edge to the platform and its database.
resource "aws_route53_health_check" "site" {
  count = local.has_domain && var.health_check ? 1 : 0

  fqdn              = var.domain
  type              = "HTTPS"
  port              = 443
  resource_path     = "/readyz"
  request_interval  = 30
  failure_threshold = 3
  enable_sni        = true
  tags              = { Name = local.name }
}

# One distribution in front of everything. A URL's path is the key of its object: nothing rewrites it. Policies and keys
# are in cdn_policies.tf, the function that proves the edge to the platform is edge.js.

locals {
  origins = { for kind, bucket in local.buckets : kind => bucket if bucket.origin != null }

  # Without a key nothing opens videos and photos: `self` asks for signatures by key pairs of the account, of which there
  # are none. So these behaviours are never open, not even before the first key is made.
  has_signing_keys = length(var.signing_public_keys) > 0
  key_groups       = local.has_signing_keys ? [aws_cloudfront_key_group.media[0].id] : null
  no_keys          = local.has_signing_keys ? null : ["self"]

  behaviours = {
    "/videos/*"          = { origin = "videos", signed = true, cache = local.cache_policies.videos, headers = local.headers_policies.site }
    "/progress-photos/*" = { origin = "photos", signed = true, cache = local.cache_policies.photos, headers = local.headers_policies.site }
    "/assets/*"          = { origin = "assets", signed = false, cache = local.cache_policies.assets, headers = local.headers_policies.assets }
  }
}

resource "aws_cloudfront_distribution" "site" {
  comment         = local.name
  enabled         = true
  is_ipv6_enabled = true
  http_version    = "http2and3"
  # North America and Europe; the rest of the world is served from there, at their price.
  price_class = "PriceClass_100"
  aliases     = local.has_domain ? [var.domain] : []
  web_acl_id  = one(aws_wafv2_web_acl.this[*].arn)

  origin {
    origin_id   = "api"
    domain_name = local.has_api_domain ? "origin.${var.domain}" : trimprefix(aws_apigatewayv2_api.this.api_endpoint, "https://")

    custom_origin_config {
      http_port              = 80
      https_port             = 443
      origin_protocol_policy = "https-only"
      origin_ssl_protocols   = ["TLSv1.2"]
      # As long as the HTTP API waits for the platform.
      origin_read_timeout = 30
    }
  }

  dynamic "origin" {
    for_each = local.origins

    content {
      origin_id                = origin.key
      domain_name              = aws_s3_bucket.this[origin.key].bucket_regional_domain_name
      origin_access_control_id = aws_cloudfront_origin_access_control.s3.id
    }
  }

  # The pages: the platform says itself what may be kept.
  default_cache_behavior {
    target_origin_id           = "api"
    allowed_methods            = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
    cached_methods             = ["GET", "HEAD"]
    viewer_protocol_policy     = "redirect-to-https"
    compress                   = true
    cache_policy_id            = local.managed.caching_disabled
    origin_request_policy_id   = local.managed.all_viewer_except_host
    response_headers_policy_id = local.headers_policies.site

    dynamic "function_association" {
      for_each = aws_cloudfront_function.edge[*].arn

      content {
        event_type   = "viewer-request"
        function_arn = function_association.value
      }
    }
  }

  ordered_cache_behavior {
    path_pattern     = "/api/*"
    target_origin_id = "api"
    allowed_methods  = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
    cached_methods   = ["GET", "HEAD"]
    # A token that was sent in clear is lost already: no redirect that would hide it.
    viewer_protocol_policy     = "https-only"
    compress                   = true
    cache_policy_id            = local.managed.caching_disabled
    origin_request_policy_id   = local.managed.all_viewer_except_host
    response_headers_policy_id = local.headers_policies.site

    dynamic "function_association" {
      for_each = aws_cloudfront_function.edge[*].arn

      content {
        event_type   = "viewer-request"
        function_arn = function_association.value
      }
    }
  }

  dynamic "ordered_cache_behavior" {
    for_each = local.behaviours

    content {
      path_pattern               = ordered_cache_behavior.key
      target_origin_id           = ordered_cache_behavior.value.origin
      allowed_methods            = ["GET", "HEAD"]
      cached_methods             = ["GET", "HEAD"]
      viewer_protocol_policy     = "https-only"
      compress                   = ordered_cache_behavior.value.origin == "assets"
      cache_policy_id            = ordered_cache_behavior.value.cache
      response_headers_policy_id = ordered_cache_behavior.value.headers
      trusted_key_groups         = ordered_cache_behavior.value.signed ? local.key_groups : null
      trusted_signers            = ordered_cache_behavior.value.signed ? local.no_keys : null
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = !local.has_domain
    acm_certificate_arn            = local.has_domain ? local.site_certificate : null
    ssl_support_method             = local.has_domain ? "sni-only" : null
    # Amazon's own name takes what CloudFront decides.
    minimum_protocol_version = local.has_domain ? "TLSv1.2_2021" : null
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  depends_on = [aws_acm_certificate_validation.site]
}

resource "aws_cloudfront_origin_access_control" "s3" {
  name                              = local.name
  description                       = "Signs what the distribution asks of its buckets"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

# Who asked the edge for what. The newer way of delivery: the older one needs access lists on its bucket.
resource "aws_cloudwatch_log_delivery_source" "edge" {
  count    = var.emulated ? 0 : 1
  provider = aws.us_east_1

  name         = "${local.name}-edge"
  log_type     = "ACCESS_LOGS"
  resource_arn = aws_cloudfront_distribution.site.arn
}

resource "aws_cloudwatch_log_delivery_destination" "edge" {
  count    = var.emulated ? 0 : 1
  provider = aws.us_east_1

  name          = "${local.name}-edge"
  output_format = "json"

  delivery_destination_configuration {
    destination_resource_arn = "${aws_s3_bucket.logs.arn}/edge"
  }
}

resource "aws_cloudwatch_log_delivery" "edge" {
  count    = var.emulated ? 0 : 1
  provider = aws.us_east_1

  delivery_source_name     = aws_cloudwatch_log_delivery_source.edge[0].name
  delivery_destination_arn = aws_cloudwatch_log_delivery_destination.edge[0].arn
  # Without cookies and query strings, which hold signatures.
  record_fields = local.edge_log_fields

  depends_on = [aws_s3_bucket_policy.logs]
}

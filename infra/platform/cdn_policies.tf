# What the distribution keeps and for how long, what it adds to answers, which keys open videos, and what it proves.
# Emulators have no policies and functions of one's own: there AWS's managed ones stand in.

locals {
  # Fixed ids of AWS's managed policies.
  managed = {
    caching_disabled       = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    caching_optimized      = "658327ea-f89d-4fab-a63d-7e88639e58f6"
    all_viewer_except_host = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
    security_headers       = "67f7725c-6f97-4210-82d7-5512b31e9d03"
  }

  day  = 24 * 60 * 60
  year = 365 * local.day

  # Seconds for which the edge keeps an object: unless it says otherwise, and at most.
  cached = {
    videos = { default = local.day, most = local.year }
    photos = { default = local.day, most = local.year }
    # Their names are hashes of their content: another content has another name.
    assets = { default = local.year, most = local.year }
  }

  cache_policies   = { for kind in keys(local.cached) : kind => var.emulated ? local.managed.caching_optimized : aws_cloudfront_cache_policy.this[kind].id }
  headers_policies = { for kind in ["site", "assets"] : kind => var.emulated ? local.managed.security_headers : aws_cloudfront_response_headers_policy.this[kind].id }

  edge_log_fields = [
    "timestamp", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs(Host)", "cs-uri-stem", "sc-status",
    "cs(User-Agent)", "x-edge-result-type", "x-edge-request-id", "cs-protocol", "cs-bytes", "time-taken", "ssl-protocol",
    "x-edge-detailed-result-type", "sc-content-type", "sc-range-start", "sc-range-end",
  ]
}

resource "aws_cloudfront_cache_policy" "this" {
  for_each = var.emulated ? {} : local.cached

  name        = "${local.name}-${each.key}"
  min_ttl     = 0
  default_ttl = each.value.default
  max_ttl     = each.value.most

  # One copy for all viewers: the signature was checked and is no part of the key.
  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_brotli = each.key == "assets"
    enable_accept_encoding_gzip   = each.key == "assets"

    cookies_config {
      cookie_behavior = "none"
    }

    headers_config {
      header_behavior = "none"
    }

    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

resource "aws_cloudfront_response_headers_policy" "this" {
  for_each = var.emulated ? toset([]) : toset(["site", "assets"])

  name = "${local.name}-${each.key}"

  security_headers_config {
    strict_transport_security {
      access_control_max_age_sec = local.year
      include_subdomains         = true
      preload                    = false
      override                   = true
    }

    content_type_options {
      override = true
    }

    frame_options {
      frame_option = "DENY"
      override     = false
    }

    referrer_policy {
      referrer_policy = "strict-origin-when-cross-origin"
      override        = false
    }

    # The platform sends a stricter one with its pages, which stays.
    content_security_policy {
      content_security_policy = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
      override                = false
    }
  }

  dynamic "custom_headers_config" {
    for_each = each.key == "assets" ? [true] : []

    content {
      items {
        header   = "Cache-Control"
        value    = "public, max-age=${local.year}, immutable"
        override = true
      }
    }
  }
}

resource "aws_cloudfront_public_key" "media" {
  for_each = var.signing_public_keys

  name        = "${local.name}-${each.key}"
  encoded_key = "${trimspace(each.value)}\n"

  # A key leaves the group before it goes: CloudFront deletes none that is in use. Names differ, so both may be there.
  lifecycle {
    create_before_destroy = true
  }
}

# Two keys at most: what was signed with the last one opens until it expires.
resource "aws_cloudfront_key_group" "media" {
  count = local.has_signing_keys ? 1 : 0

  name  = local.name
  items = [for name in sort(keys(var.signing_public_keys)) : aws_cloudfront_public_key.media[name].id]
}

# What proves to the platform that a request came through this distribution, and from where. Its value is in a store
# that Terraform makes empty and scripts/secrets fills: as a custom header of the origin it would be in the state.
resource "aws_cloudfront_key_value_store" "edge" {
  count = var.emulated ? 0 : 1

  name    = "${local.name}-edge"
  comment = "origin: the value of X-Origin-Verify"
}

resource "aws_cloudfront_function" "edge" {
  count = var.emulated ? 0 : 1

  name                         = "${local.name}-edge"
  comment                      = "Proves the edge to the platform"
  runtime                      = "cloudfront-js-2.0"
  publish                      = true
  code                         = file("${path.module}/edge.js")
  key_value_store_associations = [aws_cloudfront_key_value_store.edge[0].arn]
}

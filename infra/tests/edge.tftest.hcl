# What the world sees of prod with a domain and two signing keys, and who is woken: edge, firewall, names, mail, alarms.

mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks/platform"
}

mock_provider "aws" {
  alias           = "us_east_1"
  override_during = plan
  source          = "./tests/mocks/platform"
}

run "edge" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    domain              = "app.example.com"
    parent_zone_id      = "Z0123456789ABCDEFGHIJ"
    signing_public_keys = { k1 = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----", k2 = "-----BEGIN PUBLIC KEY-----\nMFkx\n-----END PUBLIC KEY-----" }
    alarm_emails        = ["oncall@example.com"]
  }

  # Behaviours

  assert {
    condition     = [for b in aws_cloudfront_distribution.site.ordered_cache_behavior : b.path_pattern] == ["/api/*", "/assets/*", "/progress-photos/*", "/videos/*"] && length(aws_cloudfront_distribution.site.ordered_cache_behavior) == 4
    error_message = "One distribution serves the API, assets, photos and videos by their paths, and the pages by the rest."
  }

  assert {
    condition     = { for b in aws_cloudfront_distribution.site.ordered_cache_behavior : b.path_pattern => b.target_origin_id } == { "/api/*" = "api", "/assets/*" = "assets", "/progress-photos/*" = "photos", "/videos/*" = "videos" } && aws_cloudfront_distribution.site.default_cache_behavior[0].target_origin_id == "api"
    error_message = "Each path goes to its own origin, and the pages to the platform."
  }

  assert {
    condition     = alltrue([for b in aws_cloudfront_distribution.site.ordered_cache_behavior : b.trusted_key_groups == tolist([aws_cloudfront_key_group.media[0].id]) if contains(["/videos/*", "/progress-photos/*"], b.path_pattern)])
    error_message = "Videos and photos open by a signature of the key group."
  }

  assert {
    condition     = toset(aws_cloudfront_key_group.media[0].items) == toset(["key-k1", "key-k2"])
    error_message = "The key group has room for two keys: one in use, one before or after it."
  }

  assert {
    condition     = alltrue([for b in aws_cloudfront_distribution.site.ordered_cache_behavior : b.allowed_methods == toset(["GET", "HEAD"]) if b.path_pattern != "/api/*"])
    error_message = "Objects are only read."
  }

  assert {
    condition     = alltrue([for b in concat([aws_cloudfront_distribution.site.default_cache_behavior[0].cache_policy_id], [for o in aws_cloudfront_distribution.site.ordered_cache_behavior : o.cache_policy_id if o.path_pattern == "/api/*"]) : b == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"])
    error_message = "Nothing of API and pages is kept at the edge (the managed policy CachingDisabled)."
  }

  assert {
    condition     = aws_cloudfront_cache_policy.this["photos"].default_ttl == 86400 && aws_cloudfront_cache_policy.this["photos"].max_ttl == 31536000
    error_message = "The edge keeps a photo for 24 h unless it says otherwise, and for 365 days at most."
  }

  assert {
    condition     = aws_cloudfront_cache_policy.this["assets"].default_ttl == 31536000 && one(one(aws_cloudfront_response_headers_policy.this["assets"].custom_headers_config).items).value == "public, max-age=31536000, immutable"
    error_message = "Assets have hashed names and are kept for a year, at the edge and by browsers."
  }

  assert {
    condition     = { for b in aws_cloudfront_distribution.site.ordered_cache_behavior : b.path_pattern => b.cache_policy_id if b.path_pattern != "/api/*" } == { "/assets/*" = "cache-assets", "/progress-photos/*" = "cache-photos", "/videos/*" = "cache-videos" }
    error_message = "Each kind of object has its own policy of keeping."
  }

  assert {
    condition     = alltrue([for b in aws_cloudfront_distribution.site.ordered_cache_behavior : length(b.function_association) == 0 && length(b.lambda_function_association) == 0 if b.path_pattern != "/api/*"]) && alltrue([for o in aws_cloudfront_distribution.site.origin : o.origin_path == null || o.origin_path == ""])
    error_message = "A URL's path is the object's key: nothing rewrites it."
  }

  assert {
    condition     = aws_cloudfront_function.edge[0].runtime == "cloudfront-js-2.0" && aws_cloudfront_function.edge[0].key_value_store_associations == toset([aws_cloudfront_key_value_store.edge[0].arn]) && alltrue([for o in aws_cloudfront_distribution.site.origin : length(o.custom_header) == 0])
    error_message = "The value that proves the edge comes from a store, not from the state."
  }

  assert {
    condition     = strcontains(aws_cloudfront_function.edge[0].code, "delete request.headers['x-origin-verify']") && strcontains(aws_cloudfront_function.edge[0].code, "request.headers['cloudfront-viewer-address'] =")
    error_message = "What a viewer says about their address or the edge's proof is overwritten."
  }

  assert {
    condition     = flatten(regexall("store\\.get\\(([^)]*)\\)", aws_cloudfront_function.edge[0].code)) == ["'origin'"] && toset(flatten(regexall("\"(?:--key\", |Key\": )\"([^\"]*)\"", file("${path.module}/../scripts/secrets")))) == toset(["origin"])
    error_message = "The function looks for the value where scripts/secrets puts it."
  }

  assert {
    condition = { for kind, policy in aws_cloudfront_response_headers_policy.this : kind => [for h in policy.security_headers_config : [
      [for x in h.strict_transport_security : [x.access_control_max_age_sec, x.include_subdomains, x.override]], [for x in h.content_type_options : x.override],
      [for x in h.frame_options : x.frame_option], [for x in h.referrer_policy : x.referrer_policy],
      [for x in h.content_security_policy : [x.content_security_policy, x.override]],
      ]] } == { for kind in ["site", "assets"] : kind => [[
      [[31536000, true, true]], [true], ["DENY"], ["strict-origin-when-cross-origin"],
      [["default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'", false]],
    ]] }
    error_message = "Every answer has the security headers; a page's own content security policy, which is stricter, stays."
  }

  assert {
    condition = aws_cloudfront_distribution.site.default_cache_behavior[0].response_headers_policy_id == "headers-site" && {
      for b in aws_cloudfront_distribution.site.ordered_cache_behavior : b.path_pattern => b.response_headers_policy_id
    } == { "/api/*" = "headers-site", "/assets/*" = "headers-assets", "/progress-photos/*" = "headers-site", "/videos/*" = "headers-site" }
    error_message = "Every path has them."
  }

  assert {
    condition     = aws_cloudfront_distribution.site.viewer_certificate[0].minimum_protocol_version == "TLSv1.2_2021" && aws_cloudfront_distribution.site.viewer_certificate[0].ssl_support_method == "sni-only" && aws_cloudfront_distribution.site.aliases == toset(["app.example.com"])
    error_message = "With a domain, viewers speak TLS 1.2 of 2021 or newer."
  }

  assert {
    condition     = alltrue([for o in aws_cloudfront_distribution.site.origin : o.origin_access_control_id == aws_cloudfront_origin_access_control.s3.id if o.origin_id != "api"]) && aws_cloudfront_origin_access_control.s3.signing_behavior == "always"
    error_message = "Every bucket is reached by origin access control."
  }

  assert {
    condition     = alltrue([for o in aws_cloudfront_distribution.site.origin : o.domain_name == "origin.app.example.com" && o.custom_origin_config[0].origin_protocol_policy == "https-only" && o.custom_origin_config[0].origin_ssl_protocols == toset(["TLSv1.2"]) if o.origin_id == "api"])
    error_message = "The way from the edge to the API is TLS 1.2."
  }

  assert {
    condition     = aws_cloudwatch_log_delivery_source.edge[0].log_type == "ACCESS_LOGS" && aws_cloudwatch_log_delivery_source.edge[0].resource_arn == aws_cloudfront_distribution.site.arn && !contains(aws_cloudwatch_log_delivery.edge[0].record_fields, "cs-uri-query") && !contains(aws_cloudwatch_log_delivery.edge[0].record_fields, "cs(Cookie)")
    error_message = "The edge logs who asked for what, without signatures."
  }

  # Firewall

  assert {
    condition     = toset([for r in aws_wafv2_web_acl.this[0].rule : r.name]) == toset(["rate", "common", "bad_inputs", "sqli"]) && aws_wafv2_web_acl.this[0].scope == "CLOUDFRONT"
    error_message = "The firewall has rules for SQL injection, cross-site scripting (common), bad inputs, and a rate."
  }

  assert {
    condition     = toset(flatten([for r in aws_wafv2_web_acl.this[0].rule : [for s in r.statement : [for m in s.managed_rule_group_statement : m.name]]])) == toset(["AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet", "AWSManagedRulesSQLiRuleSet"])
    error_message = "The rules are AWS's own."
  }

  assert {
    condition = length(aws_wafv2_web_acl.this[0].default_action[0].allow) == 1 && { for r in aws_wafv2_web_acl.this[0].rule : r.name => [[for o in r.override_action : [length(o.none), length(o.count)]], flatten([for s in r.statement :
      [for m in s.managed_rule_group_statement : concat([m.vendor_name, length(m.scope_down_statement)], [for x in m.rule_action_override : x.name])]])] if r.name != "rate" } == {
      common     = [[[1, 0]], ["AWS", 0, "SizeRestrictions_BODY"]]
      bad_inputs = [[[1, 0]], ["AWS", 0]]
      sqli       = [[[1, 0]], ["AWS", 0]]
    }
    error_message = "What AWS's rules find is refused, on every path; the size of a body alone is only counted."
  }

  assert {
    condition     = flatten([for r in aws_wafv2_web_acl.this[0].rule : [for s in r.statement : [for m in s.rate_based_statement : [m.limit, m.aggregate_key_type, m.evaluation_window_sec, length(m.scope_down_statement)]]]]) == [10000, "IP", 300, 0] && alltrue([for r in aws_wafv2_web_acl.this[0].rule : length(r.action[0].block) == 1 if r.name == "rate"])
    error_message = "One address is refused beyond 10,000 requests in 5 minutes."
  }

  assert {
    condition     = aws_cloudfront_distribution.site.web_acl_id == aws_wafv2_web_acl.this[0].arn && aws_wafv2_web_acl_logging_configuration.this[0].logging_filter[0].default_behavior == "DROP" && toset(flatten([for f in aws_wafv2_web_acl_logging_configuration.this[0].redacted_fields : f.single_header[*].name])) == toset(["authorization", "cookie"])
    error_message = "The firewall is before the distribution, and logs what it refused, without tokens."
  }

  # Names

  assert {
    condition     = aws_route53_zone.this[0].name == "app.example.com" && toset(keys(aws_route53_record.site)) == toset(["A", "AAAA"]) && aws_route53_record.delegation[0].zone_id == "Z0123456789ABCDEFGHIJ" && aws_route53_record.delegation[0].type == "NS"
    error_message = "The zone leads to the distribution, and the parent to the zone."
  }

  assert {
    condition     = aws_route53_health_check.site[0].type == "HTTPS" && aws_route53_health_check.site[0].resource_path == "/readyz"
    error_message = "Somebody looks from outside whether the site answers."
  }

  assert {
    condition     = aws_acm_certificate.site[0].validation_method == "DNS" && aws_acm_certificate.site[0].domain_name == "app.example.com" && aws_acm_certificate.origin[0].domain_name == "origin.app.example.com"
    error_message = "Certificates renew themselves by DNS."
  }

  assert {
    condition     = contains(aws_route53_record.caa[0].records, "0 issue \"amazon.com\"")
    error_message = "No other authority makes a certificate for the domain."
  }

  # Mail

  assert {
    condition     = aws_ses_domain_identity.this[0].domain == "app.example.com" && aws_ses_domain_mail_from.this[0].mail_from_domain == "bounce.app.example.com" && length(aws_route53_record.dkim) == 3
    error_message = "SES signs with DKIM for the domain."
  }

  assert {
    condition     = aws_route53_record.mail_identity[0].name == "_amazonses.app.example.com" && aws_route53_record.mail_identity[0].type == "TXT" && aws_ses_domain_identity_verification.this[0].domain == "app.example.com" && aws_cognito_user_pool.members.email_configuration[0].source_arn == aws_ses_domain_identity_verification.this[0].arn
    error_message = "The members' pool waits until SES has seen that the domain is ours."
  }

  # A plan does not show in which order things go.
  assert {
    condition = alltrue([for what, file in { "\"aws_cloudfront_public_key\" \"media\"" = "cdn_policies", "\"aws_wafv2_web_acl\" \"this\"" = "waf" } :
    strcontains(split("\n}\n", split("resource ${what} {\n", file("${path.module}/${file}.tf"))[1])[0], "create_before_destroy = true")])
    error_message = "A key leaves its group, and the firewall the distribution, before it is deleted: AWS deletes nothing that is in use."
  }

  assert {
    condition     = aws_cognito_user_pool.members.email_configuration[0].email_sending_account == "DEVELOPER" && aws_cognito_user_pool.members.email_configuration[0].from_email_address == "FFP <no-reply@app.example.com>"
    error_message = "Cognito sends by SES, as the platform does."
  }

  assert {
    condition     = aws_sesv2_configuration_set.this[0].reputation_options[0].reputation_metrics_enabled && one(aws_sesv2_configuration_set.this[0].delivery_options).tls_policy == "REQUIRE" && aws_sesv2_configuration_set.this[0].suppression_options[0].suppressed_reasons == tolist(["BOUNCE", "COMPLAINT"])
    error_message = "Bounces and complaints are counted, and nobody is written to again after one."
  }

  assert {
    condition     = startswith(one(aws_route53_record.mail["dmarc"].records), "v=DMARC1; p=quarantine") && one(aws_route53_record.mail["spf"].records) == "v=spf1 include:amazonses.com -all"
    error_message = "Mail that only says it is ours is refused."
  }

  assert {
    condition = alltrue([for policy in data.aws_iam_policy_document.service : [for s in policy.statement : [[for a in s.actions : a], [for r in s.resources : r], [for c in s.condition : "${c.test} ${c.variable} ${join(" ", c.values)}"]] if s.sid == "Mail"] == [[
      ["ses:SendEmail"], [aws_ses_domain_identity.this[0].arn], ["StringEquals ses:FromAddress no-reply@app.example.com"],
    ]]])
    error_message = "Services send as one address of our domain."
  }

  # Logs

  assert {
    condition     = alltrue([for g in concat(values(aws_cloudwatch_log_group.command), values(aws_cloudwatch_log_group.database), [aws_cloudwatch_log_group.flow, aws_cloudwatch_log_group.access, aws_cloudwatch_log_group.waf[0]]) : g.retention_in_days == 90 && g.kms_key_id == aws_kms_key.data.arn])
    error_message = "Every log ends and is encrypted."
  }

  # Alarms

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["api-5xx"].namespace == "AWS/ApiGateway" && aws_cloudwatch_metric_alarm.this["api-5xx"].metric_name == "5xx" && aws_cloudwatch_metric_alarm.this["api-5xx"].statistic == "Sum" && aws_cloudwatch_metric_alarm.this["api-5xx"].comparison_operator == "GreaterThanThreshold" && aws_cloudwatch_metric_alarm.this["api-5xx"].threshold == 5 && aws_cloudwatch_metric_alarm.this["api-5xx"].period == 300 && aws_cloudwatch_metric_alarm.this["api-5xx"].evaluation_periods == 1 && aws_cloudwatch_metric_alarm.this["api-5xx"].dimensions == tomap({ ApiId = aws_apigatewayv2_api.this.id })
    error_message = "More than 5 answers of 5xx in 5 minutes ring, by the dimension that an HTTP API has."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["job-failures"].namespace == "FFP/prod" && aws_cloudwatch_metric_alarm.this["job-failures"].metric_name == "JobFailures" && aws_cloudwatch_metric_alarm.this["job-failures"].statistic == "Sum" && aws_cloudwatch_metric_alarm.this["job-failures"].comparison_operator == "GreaterThanThreshold" && aws_cloudwatch_metric_alarm.this["job-failures"].threshold == 10 && aws_cloudwatch_metric_alarm.this["job-failures"].period == 300 && aws_cloudwatch_metric_alarm.this["job-failures"].evaluation_periods == 1
    error_message = "More than 10 failed jobs in 5 minutes ring."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["database-cpu"].namespace == "AWS/RDS" && aws_cloudwatch_metric_alarm.this["database-cpu"].metric_name == "CPUUtilization" && aws_cloudwatch_metric_alarm.this["database-cpu"].statistic == "Average" && aws_cloudwatch_metric_alarm.this["database-cpu"].comparison_operator == "GreaterThanThreshold" && aws_cloudwatch_metric_alarm.this["database-cpu"].threshold == 80 && aws_cloudwatch_metric_alarm.this["database-cpu"].period == 300 && aws_cloudwatch_metric_alarm.this["database-cpu"].evaluation_periods == 2
    error_message = "The database's CPU above 80 % for 10 minutes rings."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["database-connections"].namespace == "AWS/RDS" && aws_cloudwatch_metric_alarm.this["database-connections"].metric_name == "DatabaseConnections" && aws_cloudwatch_metric_alarm.this["database-connections"].statistic == "Maximum" && aws_cloudwatch_metric_alarm.this["database-connections"].comparison_operator == "GreaterThanThreshold" && aws_cloudwatch_metric_alarm.this["database-connections"].threshold == 160 && aws_cloudwatch_metric_alarm.this["database-connections"].period == 300 && aws_cloudwatch_metric_alarm.this["database-connections"].evaluation_periods == 1 && local.connection_limit == 0.8 * var.max_connections
    error_message = "More than 80 % of the connections ring."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["database-storage"].namespace == "AWS/RDS" && aws_cloudwatch_metric_alarm.this["database-storage"].metric_name == "FreeStorageSpace" && aws_cloudwatch_metric_alarm.this["database-storage"].statistic == "Minimum" && aws_cloudwatch_metric_alarm.this["database-storage"].comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.this["database-storage"].threshold == 4294967296 && aws_cloudwatch_metric_alarm.this["database-storage"].period == 300 && aws_cloudwatch_metric_alarm.this["database-storage"].evaluation_periods == 1
    error_message = "Less than 4 GB of free storage ring."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["queue-age"].namespace == "FFP/prod" && aws_cloudwatch_metric_alarm.this["queue-age"].metric_name == "QueueAge" && aws_cloudwatch_metric_alarm.this["queue-age"].statistic == "Maximum" && aws_cloudwatch_metric_alarm.this["queue-age"].comparison_operator == "GreaterThanThreshold" && aws_cloudwatch_metric_alarm.this["queue-age"].threshold == 600 && aws_cloudwatch_metric_alarm.this["queue-age"].period == 300 && aws_cloudwatch_metric_alarm.this["queue-age"].evaluation_periods == 1 && aws_cloudwatch_metric_alarm.this["queue-age"].treat_missing_data == "breaching"
    error_message = "A job that waits for 10 minutes rings, and a worker that is silent."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["throttled"].namespace == "FFP/prod" && aws_cloudwatch_metric_alarm.this["throttled"].metric_name == "Throttled" && aws_cloudwatch_metric_alarm.this["throttled"].statistic == "Sum" && aws_cloudwatch_metric_alarm.this["throttled"].comparison_operator == "GreaterThanThreshold" && aws_cloudwatch_metric_alarm.this["throttled"].threshold == 300 && aws_cloudwatch_metric_alarm.this["throttled"].period == 300 && aws_cloudwatch_metric_alarm.this["throttled"].evaluation_periods == 1
    error_message = "More than 300 throttled requests of tenants in 5 minutes ring."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["bounces"].namespace == "AWS/SES" && aws_cloudwatch_metric_alarm.this["bounces"].metric_name == "Reputation.BounceRate" && aws_cloudwatch_metric_alarm.this["bounces"].statistic == "Average" && aws_cloudwatch_metric_alarm.this["bounces"].comparison_operator == "GreaterThanThreshold" && aws_cloudwatch_metric_alarm.this["bounces"].threshold == 0.05 && aws_cloudwatch_metric_alarm.this["bounces"].period == 3600 && aws_cloudwatch_metric_alarm.this["bounces"].evaluation_periods == 1 && aws_cloudwatch_metric_alarm.this["complaints"].namespace == "AWS/SES" && aws_cloudwatch_metric_alarm.this["complaints"].metric_name == "Reputation.ComplaintRate" && aws_cloudwatch_metric_alarm.this["complaints"].statistic == "Average" && aws_cloudwatch_metric_alarm.this["complaints"].comparison_operator == "GreaterThanThreshold" && aws_cloudwatch_metric_alarm.this["complaints"].threshold == 0.001 && aws_cloudwatch_metric_alarm.this["complaints"].period == 3600 && aws_cloudwatch_metric_alarm.this["complaints"].evaluation_periods == 1
    error_message = "Bounces above 5 % and complaints above 0.1 % ring."
  }

  assert {
    condition = { for name, a in { certificate = aws_cloudwatch_metric_alarm.edge["certificate"], origin-certificate = aws_cloudwatch_metric_alarm.this["origin-certificate"] } : name => [a.namespace, a.metric_name, a.statistic, a.comparison_operator, a.threshold, a.period, a.evaluation_periods] } == {
      for name in ["certificate", "origin-certificate"] : name => ["AWS/CertificateManager", "DaysToExpiry", "Minimum", "LessThanThreshold", 30, 86400, 1]
    }
    error_message = "A certificate that ends in less than 30 days rings."
  }

  assert {
    condition = [for a in [aws_cloudwatch_metric_alarm.edge["site"]] : [a.namespace, a.metric_name, a.statistic, a.comparison_operator, a.threshold, a.period, a.evaluation_periods, a.treat_missing_data]] == [
      ["AWS/Route53", "HealthCheckStatus", "Minimum", "LessThanThreshold", 1, 60, 3, "breaching"],
    ]
    error_message = "A site that does not answer from outside for 3 minutes rings."
  }

  # An alarm for something that there is not would be silent for ever.
  assert {
    condition = { for name, a in merge(aws_cloudwatch_metric_alarm.this, aws_cloudwatch_metric_alarm.edge) : name => { for what, which in coalesce(a.dimensions, {}) : what => which } } == {
      api-5xx              = { ApiId = "api0123456" }
      job-failures         = {}
      queue-age            = {}
      throttled            = {}
      database-cpu         = { DBInstanceIdentifier = "ffp-prod" }
      database-connections = { DBInstanceIdentifier = "ffp-prod" }
      database-storage     = { DBInstanceIdentifier = "ffp-prod" }
      bounces              = {}
      complaints           = {}
      origin-certificate   = { CertificateArn = "arn:aws:acm:us-east-1:123456789012:certificate/origin" }
      certificate          = { CertificateArn = "arn:aws:acm:us-east-1:123456789012:certificate/site" }
      site                 = { HealthCheckId = "health" }
    } && aws_db_instance.this.identifier == "ffp-prod"
    error_message = "Every alarm looks at what is made here."
  }

  assert {
    condition     = alltrue([for a in concat(values(aws_cloudwatch_metric_alarm.this), values(aws_cloudwatch_metric_alarm.edge)) : a.alarm_actions == toset([aws_sns_topic.alarms.arn]) && a.ok_actions == toset([aws_sns_topic.alarms.arn])]) && aws_sns_topic.alarms.kms_master_key_id == aws_kms_key.data.arn && aws_sns_topic_subscription.alarms["oncall@example.com"].protocol == "email"
    error_message = "Every alarm is told to somebody."
  }

  # Metrics of log lines

  assert {
    condition     = toset(keys(aws_cloudwatch_log_metric_filter.this)) == toset(["JobFailures", "QueueAge", "Throttled", "SignUps", "Plays", "Failures"]) && alltrue([for f in aws_cloudwatch_log_metric_filter.this : f.metric_transformation[0].namespace == "FFP/prod" && length(coalesce(f.metric_transformation[0].dimensions, {})) == 0])
    error_message = "The platform reports failures, queue age, throttles, sign-ups and plays, and no metric is by tenant."
  }

  assert {
    condition     = aws_cloudwatch_log_metric_filter.this["JobFailures"].log_group_name == "/ffp/prod/worker" && aws_cloudwatch_log_metric_filter.this["JobFailures"].pattern == "{ $.message = \"job failed, to be tried again\" }" && aws_cloudwatch_log_metric_filter.this["QueueAge"].metric_transformation[0].value == "$.oldest_seconds"
    error_message = "Jobs are counted in the log of the worker."
  }

  assert {
    condition     = aws_cloudwatch_log_metric_filter.this["Throttled"].log_group_name == "/ffp/prod/api" && strcontains(aws_cloudwatch_log_metric_filter.this["Throttled"].pattern, "$.status = 429")
    error_message = "Requests are counted in the api's log."
  }

  # Dashboard

  assert {
    condition     = alltrue([for title in ["Requests", "Job failures", "Queue age, s", "Database connections", "Sign-ups and plays", "Tenants that were throttled most"] : contains([for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : w.properties.title], title)])
    error_message = "One page shows what alarms speak of."
  }
}

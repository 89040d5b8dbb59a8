# Ids and ARNs that must be told apart: two of the same would let a test mistake one for the other.

override_resource {
  target = aws_subnet.this["public-0"]
  values = { id = "subnet-public-0" }
}

override_resource {
  target = aws_subnet.this["public-1"]
  values = { id = "subnet-public-1" }
}

override_resource {
  target = aws_subnet.this["private-0"]
  values = { id = "subnet-private-0" }
}

override_resource {
  target = aws_subnet.this["private-1"]
  values = { id = "subnet-private-1" }
}

override_resource {
  target = aws_subnet.this["isolated-0"]
  values = { id = "subnet-isolated-0" }
}

override_resource {
  target = aws_subnet.this["isolated-1"]
  values = { id = "subnet-isolated-1" }
}

override_resource {
  target = aws_route_table.public
  values = { id = "rtb-public" }
}

override_resource {
  target = aws_route_table.isolated
  values = { id = "rtb-isolated" }
}

override_resource {
  target = aws_route_table.private[0]
  values = { id = "rtb-private-0" }
}

override_resource {
  target = aws_route_table.private[1]
  values = { id = "rtb-private-1" }
}

override_resource {
  target = aws_security_group.this["link"]
  values = { id = "sg-link" }
}

override_resource {
  target = aws_security_group.this["api"]
  values = { id = "sg-api" }
}

override_resource {
  target = aws_security_group.this["worker"]
  values = { id = "sg-worker" }
}

override_resource {
  target = aws_security_group.this["database"]
  values = { id = "sg-database" }
}

override_resource {
  target = aws_security_group.this["cache"]
  values = { id = "sg-cache" }
}

override_resource {
  target = aws_security_group.nat[0]
  values = { id = "sg-nat" }
}

override_resource {
  target = aws_s3_bucket.this["videos"]
  values = { id = "ffp-videos", arn = "arn:aws:s3:::ffp-videos", bucket_regional_domain_name = "ffp-videos.s3.us-east-1.amazonaws.com" }
}

override_resource {
  target = aws_s3_bucket.this["photos"]
  values = { id = "ffp-photos", arn = "arn:aws:s3:::ffp-photos", bucket_regional_domain_name = "ffp-photos.s3.us-east-1.amazonaws.com" }
}

override_resource {
  target = aws_s3_bucket.this["assets"]
  values = { id = "ffp-assets", arn = "arn:aws:s3:::ffp-assets", bucket_regional_domain_name = "ffp-assets.s3.us-east-1.amazonaws.com" }
}

override_resource {
  target = aws_s3_bucket.this["uploads"]
  values = { id = "ffp-uploads", arn = "arn:aws:s3:::ffp-uploads", bucket_regional_domain_name = "ffp-uploads.s3.us-east-1.amazonaws.com" }
}

override_resource {
  target = aws_s3_bucket.logs
  values = { id = "ffp-logs", arn = "arn:aws:s3:::ffp-logs" }
}

override_resource {
  target = aws_kms_key.data
  values = { arn = "arn:aws:kms:us-east-1:123456789012:key/data", key_id = "data" }
}

override_resource {
  target = aws_kms_key.media
  values = { arn = "arn:aws:kms:us-east-1:123456789012:key/media", key_id = "media" }
}

override_resource {
  target = aws_iam_role.api
  values = { arn = "arn:aws:iam::123456789012:role/api", id = "api" }
}

override_resource {
  target = aws_iam_role.worker
  values = { arn = "arn:aws:iam::123456789012:role/worker", id = "worker" }
}

override_resource {
  target = aws_iam_role.migrate
  values = { arn = "arn:aws:iam::123456789012:role/migrate", id = "migrate" }
}

override_resource {
  target = aws_iam_role.flow
  values = { arn = "arn:aws:iam::123456789012:role/flow", id = "flow" }
}

override_resource {
  target = aws_iam_role.ci[0]
  values = { arn = "arn:aws:iam::123456789012:role/ci", id = "ci" }
}

override_resource {
  target = aws_iam_role.sleep[0]
  values = { arn = "arn:aws:iam::123456789012:role/sleep", id = "sleep" }
}

override_resource {
  target = aws_iam_role.start["api"]
  values = { arn = "arn:aws:iam::123456789012:role/start-api", id = "start-api" }
}

override_resource {
  target = aws_iam_role.start["worker"]
  values = { arn = "arn:aws:iam::123456789012:role/start-worker", id = "start-worker" }
}

override_resource {
  target = aws_iam_role.start["migrate"]
  values = { arn = "arn:aws:iam::123456789012:role/start-migrate", id = "start-migrate" }
}

override_resource {
  target = aws_secretsmanager_secret.this["database"]
  values = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:database-AbCdEf" }
}

override_resource {
  target = aws_secretsmanager_secret.this["migrations"]
  values = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:migrations-AbCdEf" }
}

override_resource {
  target = aws_secretsmanager_secret.this["identity"]
  values = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:identity-AbCdEf" }
}

override_resource {
  target = aws_secretsmanager_secret.this["videos"]
  values = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:videos-AbCdEf" }
}

override_resource {
  target = aws_secretsmanager_secret.this["edge"]
  values = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:edge-AbCdEf" }
}

override_resource {
  target = aws_secretsmanager_secret.this["google"]
  values = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:google-AbCdEf" }
}

override_resource {
  target = aws_cognito_user_pool.members
  values = { id = "us-east-1_members", arn = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_members" }
}

override_resource {
  target = aws_cognito_user_pool.operators
  values = { id = "us-east-1_operators", arn = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_operators" }
}

override_resource {
  target = aws_cognito_user_pool_client.platform
  values = { id = "membersclient" }
}

override_resource {
  target = aws_cognito_user_pool_client.operators
  values = { id = "operatorsclient" }
}

override_resource {
  target = aws_apigatewayv2_authorizer.this["members"]
  values = { id = "members" }
}

override_resource {
  target = aws_apigatewayv2_authorizer.this["operators"]
  values = { id = "operators" }
}

override_resource {
  target = aws_cloudfront_cache_policy.this["videos"]
  values = { id = "cache-videos" }
}

override_resource {
  target = aws_cloudfront_cache_policy.this["photos"]
  values = { id = "cache-photos" }
}

override_resource {
  target = aws_cloudfront_cache_policy.this["assets"]
  values = { id = "cache-assets" }
}

override_resource {
  target = aws_cloudfront_response_headers_policy.this["site"]
  values = { id = "headers-site" }
}

override_resource {
  target = aws_cloudfront_response_headers_policy.this["assets"]
  values = { id = "headers-assets" }
}

override_resource {
  target = aws_cloudfront_public_key.media["k1"]
  values = { id = "key-k1" }
}

override_resource {
  target = aws_cloudfront_public_key.media["k2"]
  values = { id = "key-k2" }
}

override_resource {
  target = aws_ecs_service.api
  values = { id = "arn:aws:ecs:us-east-1:123456789012:service/api" }
}

override_resource {
  target = aws_ecs_service.worker
  values = { id = "arn:aws:ecs:us-east-1:123456789012:service/worker" }
}

override_resource {
  target = aws_cloudwatch_log_group.command["api"]
  values = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:api" }
}

override_resource {
  target = aws_cloudwatch_log_group.command["worker"]
  values = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:worker" }
}

override_resource {
  target = aws_cloudwatch_log_group.command["migrate"]
  values = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:migrate" }
}

override_resource {
  target = aws_cloudwatch_log_group.flow
  values = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:flow" }
}

override_resource {
  target = aws_cloudwatch_log_group.access
  values = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:access" }
}

override_resource {
  target = aws_acm_certificate.site[0]
  values = {
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/site"
    domain_validation_options = [
      { domain_name = "app.example.com", resource_record_name = "_1.app.example.com", resource_record_type = "CNAME", resource_record_value = "_1.acm.example" },
    ]
  }
}

override_resource {
  target = aws_acm_certificate.origin[0]
  values = {
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/origin"
    domain_validation_options = [
      { domain_name = "origin.app.example.com", resource_record_name = "_1.origin.app.example.com", resource_record_type = "CNAME", resource_record_value = "_1.acm.example" },
    ]
  }
}

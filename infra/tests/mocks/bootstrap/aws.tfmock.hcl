mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_data "aws_iam_policy_document" {
  defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
}

mock_resource "aws_kms_key" {
  defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/account", key_id = "account" }
}

override_resource {
  target = aws_s3_bucket.state
  values = { arn = "arn:aws:s3:::ffp-state" }
}

override_resource {
  target = aws_s3_bucket.trail
  values = { arn = "arn:aws:s3:::ffp-trail" }
}

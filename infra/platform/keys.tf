# Two keys: one for database, secrets and logs, and one for what the distribution reads from buckets, so that CloudFront
# is never let near the first.

resource "aws_kms_key" "data" {
  description             = "FFP ${local.suffix}: database, secrets, logs, alarms"
  enable_key_rotation     = true
  deletion_window_in_days = local.is_disposable ? 7 : 30
}

resource "aws_kms_alias" "data" {
  name          = "alias/${local.name}-data"
  target_key_id = aws_kms_key.data.key_id
}

resource "aws_kms_key_policy" "data" {
  key_id = aws_kms_key.data.key_id
  policy = data.aws_iam_policy_document.data_key.json
}

data "aws_iam_policy_document" "data_key" {
  # As every key: IAM decides inside the account.
  statement {
    sid       = "Account"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [local.root]
    }
  }

  statement {
    sid       = "Logs"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${var.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values = [
        "arn:${local.aws}:logs:${var.region}:${local.account}:log-group:/ffp/${local.suffix}/*",
        "arn:${local.aws}:logs:${var.region}:${local.account}:log-group:/aws/rds/instance/${local.name}/*",
        "arn:${local.aws}:logs:${var.region}:${local.account}:log-group:aws-waf-logs-${local.name}",
      ]
    }
  }

  # The edge's access logs, on their way into their bucket.
  statement {
    sid       = "EdgeLogs"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }

  # Alarms that tell SNS something encrypted.
  statement {
    sid       = "Alarms"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_kms_key" "media" {
  description             = "FFP ${local.suffix}: buckets behind the distribution"
  enable_key_rotation     = true
  deletion_window_in_days = local.is_disposable ? 7 : 30
}

resource "aws_kms_alias" "media" {
  name          = "alias/${local.name}-media"
  target_key_id = aws_kms_key.media.key_id
}

# Apart from the key, since the distribution that it names needs the buckets, which need the key.
resource "aws_kms_key_policy" "media" {
  key_id = aws_kms_key.media.key_id
  policy = data.aws_iam_policy_document.media_key.json
}

data "aws_iam_policy_document" "media_key" {
  statement {
    sid       = "Account"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [local.root]
    }
  }

  # This distribution and no other, and to read alone.
  statement {
    sid       = "Distribution"
    actions   = ["kms:Decrypt"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudfront.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudfront_distribution.site.arn]
    }
  }
}

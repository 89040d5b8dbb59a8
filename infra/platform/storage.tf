# Buckets. The path of a URL is the key of its object, so videos lie under videos/, photos under progress-photos/,
# assets under assets/. Who may do what with them is in storage_policies.tf.

locals {
  # `origin`: read by the distribution, at this path. `cold`: what happens to objects that are no longer new.
  buckets = {
    # A member may play an old video any day: intelligent tiering costs nothing to read from, and moves what nobody reads.
    videos = { origin = "/videos/*", prefix = "videos/", cold = { class = "INTELLIGENT_TIERING", days = 30 } }
    photos = { origin = "/progress-photos/*", prefix = "progress-photos/", cold = { class = "INTELLIGENT_TIERING", days = 30 } }
    assets = { origin = "/assets/*", prefix = "assets/", cold = null }
    # Sources: read once, when they are encoded or parsed, and kept in case that must be repeated.
    uploads = { origin = null, prefix = "uploads/", cold = { class = "GLACIER_IR", days = 30 } }
  }

  # To which browsers PUT parts by URLs that the platform signed.
  upload_buckets = toset(["videos", "photos", "uploads"])
}

resource "aws_s3_bucket" "this" {
  for_each = local.buckets

  # `ffp-videos-prod-123456789012`: CloudTrail tells photo buckets by the beginning of their names.
  bucket = "ffp-${each.key}-${local.suffix}-${local.account}"
  # A bucket with anything in it goes in dev only.
  force_destroy = local.is_disposable
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = local.buckets

  bucket                  = aws_s3_bucket.this[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# No access lists: policies alone decide, and what is in the bucket is ours.
resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    # One question to KMS for many objects.
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.media.arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  # Parts of uploads that were given up are paid for and seen nowhere.
  rule {
    id     = "unfinished-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  # Long enough to undo a mistake. What a member deletes goes in all versions at once, by the worker.
  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    expiration {
      expired_object_delete_marker = true
    }
  }

  dynamic "rule" {
    for_each = each.value.cold[*]

    content {
      id     = "cold"
      status = "Enabled"

      # Objects below 128 KiB stay where they are, which is S3's own rule: moving them costs more than it saves.
      filter {
        prefix = each.value.prefix
      }

      transition {
        days          = rule.value.days
        storage_class = rule.value.class
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

# The site's pages alone may send parts, and read the entity tag that the platform asks for in return.
resource "aws_s3_bucket_cors_configuration" "this" {
  for_each = local.upload_buckets

  bucket = aws_s3_bucket.this[each.key].id

  cors_rule {
    allowed_methods = ["PUT"]
    allowed_origins = [local.public_url]
    allowed_headers = ["*"]
    expose_headers  = ["ETag"]
    max_age_seconds = 3600
  }
}

# The edge's own logs: who asked for what, which is personal.
resource "aws_s3_bucket" "logs" {
  bucket        = "ffp-logs-${local.suffix}-${local.account}"
  force_destroy = local.is_disposable
}

resource "aws_s3_bucket_public_access_block" "logs" {
  bucket                  = aws_s3_bucket.logs.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "logs" {
  bucket = aws_s3_bucket.logs.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "logs" {
  bucket = aws_s3_bucket.logs.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.data.arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id

  rule {
    id     = "forget"
    status = "Enabled"

    filter {}

    expiration {
      days = var.log_days
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.logs]
}

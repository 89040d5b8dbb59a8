# What holds customers' data is never destroyed or replaced by a plan.
#
# `prevent_destroy` takes no variable, and dev must go by one `terraform destroy`. So it stands on one resource that
# exists outside dev only and is made of the ids of what it guards: a plan that destroys or replaces any of those must
# replace it too, and is refused. RDS, Cognito and S3 guard themselves as well: `deletion_protection`, and buckets that
# are not deleted while there is anything in them.

resource "terraform_data" "customers_data" {
  count = local.is_disposable || var.emulated ? 0 : 1

  triggers_replace = {
    database  = aws_db_instance.this.resource_id
    members   = aws_cognito_user_pool.members.id
    operators = aws_cognito_user_pool.operators.id
    buckets   = { for kind in keys(local.buckets) : kind => aws_s3_bucket.this[kind].arn }
    keys      = [aws_kms_key.data.arn, aws_kms_key.media.arn]
  }

  lifecycle {
    prevent_destroy = true
  }
}

output "state_bucket" {
  description = "For terraform init -backend-config=bucket=… of every environment."
  value       = aws_s3_bucket.state.id
}

output "repository" {
  description = "Where images are pushed."
  value       = aws_ecr_repository.ffp.repository_url
}

output "parent_zone_id" {
  description = "For TF_VAR_parent_zone_id of every environment."
  value       = one(aws_route53_zone.parent[*].zone_id)
}

output "parent_name_servers" {
  description = "For the registrar of the parent domain."
  value       = try(aws_route53_zone.parent[0].name_servers, [])
}

# Nothing is made here. `terraform test` wants its tests/ beside a root, and those test the modules below:
#   terraform init -backend=false && terraform test -var-file=environments/prod/terraform.tfvars
terraform {
  required_version = ">= 1.11"
}

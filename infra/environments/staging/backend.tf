# The bucket is the account's (bootstrap makes it):
#   terraform init -backend-config=bucket=ffp-state-ACCOUNT
terraform {
  backend "s3" {
    key          = "staging/terraform.tfstate"
    region       = "us-east-1"
    encrypt      = true
    use_lockfile = true
  }
}

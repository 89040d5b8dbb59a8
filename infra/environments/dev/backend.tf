# The bucket is the account's (bootstrap makes it), and each engineer has a state of their own:
#   terraform init -backend-config=bucket=ffp-state-ACCOUNT -backend-config=key=dev/NAME.tfstate
terraform {
  backend "s3" {
    region       = "us-east-1"
    encrypt      = true
    use_lockfile = true
  }
}

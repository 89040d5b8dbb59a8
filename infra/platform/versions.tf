terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
      # CloudFront takes its certificate and its firewall from us-east-1 alone, wherever the rest is.
      configuration_aliases = [aws.us_east_1]
    }
  }
}

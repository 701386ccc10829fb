# A registry in Jakarta. Certificate and zone are there already; `make package` comes first.

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.90, < 7"
    }
  }
}

provider "aws" {
  region = "ap-southeast-3"
}

provider "aws" {
  alias  = "us_east_1"
  region = "us-east-1"
}

variable "certificate_arn" {
  description = "Of the host name, in us-east-1"
  type        = string
}

variable "hosted_zone_id" {
  description = "The zone of the host name"
  type        = string
}

module "registry" {
  source = "../module"
  providers = {
    aws           = aws
    aws.us_east_1 = aws.us_east_1
  }

  name            = "ccr-prod"
  package         = "${path.root}/../../../build/package/package.zip"
  host_name       = "registry.example.id"
  certificate_arn = var.certificate_arn
  hosted_zone_id  = var.hosted_zone_id
}

output "registry" {
  value = module.registry
}

# What functions, tables and alarms there are is in deployment.json, which `make templates` writes from the code.

data "aws_partition" "current" {}
data "aws_region" "current" {}
data "aws_caller_identity" "current" {}

locals {
  deployment  = jsondecode(file("${path.module}/deployment.json"))
  bucket      = "${var.name}-${data.aws_caller_identity.current.account_id}-${data.aws_region.current.name}"
  has_host    = var.host_name != ""
  has_gateway = var.gateway_image != ""
  with_url    = { for name, one in local.deployment.functions : name => one if one.has_url }
  scheduled   = { for name, one in local.deployment.functions : name => one if one.schedule != null }
  events      = { for name, one in local.deployment.functions : name => one if one.is_event }
  streamed    = { for name, one in local.deployment.functions : name => one if one.stream != null }

  # What CloudFormation would put in place of its references.
  places = {
    "@[AWS::Partition]" = data.aws_partition.current.partition
    "@[AWS::Region]"    = data.aws_region.current.name
    "@[AWS::AccountId]" = data.aws_caller_identity.current.account_id
    "@[AWS::StackName]" = var.name
  }
  statements = {
    for name, one in local.deployment.functions : name => replace(replace(replace(replace(replace(replace(replace(
      jsonencode(one.statements),
      "@[AWS::Partition]", local.places["@[AWS::Partition]"]),
      "@[AWS::Region]", local.places["@[AWS::Region]"]),
      "@[AWS::AccountId]", local.places["@[AWS::AccountId]"]),
      "@[AWS::StackName]", local.places["@[AWS::StackName]"]),
      "@[TokenKey]", aws_secretsmanager_secret.key["token"].arn),
      "@[OriginSecret]", aws_secretsmanager_secret.key["origin"].arn),
    "@[Failures.Arn]", aws_sqs_queue.failures.arn)
  }
}

resource "aws_dynamodb_table" "table" {
  for_each = local.deployment.tables

  name                        = "${var.name}-${each.key}"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = each.value.hash_key
  range_key                   = each.value.range_key
  deletion_protection_enabled = var.protect
  stream_enabled              = each.value.stream != null
  stream_view_type            = each.value.stream

  dynamic "attribute" {
    for_each = each.value.attributes
    content {
      name = attribute.key
      type = attribute.value
    }
  }

  dynamic "global_secondary_index" {
    for_each = each.value.global_indexes
    content {
      name               = global_secondary_index.key
      hash_key           = global_secondary_index.value.hash_key
      range_key          = global_secondary_index.value.range_key
      projection_type    = global_secondary_index.value.projection
      non_key_attributes = global_secondary_index.value.attributes
    }
  }

  dynamic "local_secondary_index" {
    for_each = each.value.local_indexes
    content {
      name               = local_secondary_index.key
      range_key          = local_secondary_index.value.range_key
      projection_type    = local_secondary_index.value.projection
      non_key_attributes = local_secondary_index.value.attributes
    }
  }

  dynamic "ttl" {
    for_each = each.value.ttl == null ? [] : [each.value.ttl]
    content {
      attribute_name = ttl.value
      enabled        = true
    }
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  server_side_encryption {
    enabled = true
  }
}

resource "aws_s3_bucket" "bucket" {
  bucket = local.bucket
}

resource "aws_s3_bucket_public_access_block" "bucket" {
  bucket                  = aws_s3_bucket.bucket.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "bucket" {
  bucket = aws_s3_bucket.bucket.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "bucket" {
  bucket = aws_s3_bucket.bucket.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "bucket" {
  count  = var.versioning ? 1 : 0
  bucket = aws_s3_bucket.bucket.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "bucket" {
  bucket = aws_s3_bucket.bucket.id

  dynamic "rule" {
    for_each = local.deployment.lifecycle
    content {
      id     = rule.value.Id
      status = rule.value.Status
      filter {
        prefix = try(rule.value.Prefix, "")
      }
      dynamic "expiration" {
        for_each = try([rule.value.ExpirationInDays], [])
        content {
          days = expiration.value
        }
      }
      dynamic "abort_incomplete_multipart_upload" {
        for_each = try([rule.value.AbortIncompleteMultipartUpload.DaysAfterInitiation], [])
        content {
          days_after_initiation = abort_incomplete_multipart_upload.value
        }
      }
      dynamic "noncurrent_version_expiration" {
        for_each = try([rule.value.NoncurrentVersionExpiration.NoncurrentDays], [])
        content {
          noncurrent_days = noncurrent_version_expiration.value
        }
      }
    }
  }
}

resource "aws_s3_bucket_policy" "bucket" {
  bucket = aws_s3_bucket.bucket.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsAlone"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.bucket.arn, "${aws_s3_bucket.bucket.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "WhatTheEdgeStores"
        Effect    = "Allow"
        Principal = { Service = "cloudfront.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.bucket.arn}/staged/*"
        Condition = { StringEquals = { "AWS:SourceArn" = aws_cloudfront_distribution.edge.arn } }
      },
    ]
  })
}

resource "aws_s3_bucket_notification" "bucket" {
  bucket     = aws_s3_bucket.bucket.id
  depends_on = [aws_lambda_permission.adopt]
  lambda_function {
    lambda_function_arn = aws_lambda_alias.live["adopt"].arn
    events              = ["s3:ObjectCreated:*"]
    filter_prefix       = "staged/"
  }
}

resource "aws_secretsmanager_secret" "key" {
  for_each = toset(["token", "origin"])
  name     = "${var.name}-${each.key}"
}

ephemeral "aws_secretsmanager_random_password" "key" {
  for_each = { token = 64, origin = 32 }

  password_length            = each.value
  exclude_uppercase          = true
  exclude_punctuation        = true
  require_each_included_type = false
  exclude_characters         = "ghijklmnopqrstuvwxyz"
}

# Write-only: the keys are in no state. To rotate one, write its secret by hand: the new value, a comma, the old one.
resource "aws_secretsmanager_secret_version" "key" {
  for_each = aws_secretsmanager_secret.key

  secret_id                = each.value.id
  secret_string_wo         = ephemeral.aws_secretsmanager_random_password.key[each.key].random_password
  secret_string_wo_version = 1
}

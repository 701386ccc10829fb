locals {
  edge     = "${path.module}/../../edge"
  no_cache = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad" # Managed-CachingDisabled
  all      = "b689b0a8-53d0-40ab-baf2-68738e2966ac" # Managed-AllViewerExceptHostHeader
  # `make package` writes it beside the package.
  origin_response = "${dirname(var.package)}/origin-response.zip"
  methods         = ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"]
}

resource "aws_cloudfront_key_value_store" "edge" {
  name    = "${var.name}-edge"
  comment = "What viewer-request.js knows"
}

resource "aws_cloudfront_function" "viewer_request" {
  name                         = "${var.name}-viewer-request"
  runtime                      = "cloudfront-js-2.0"
  publish                      = true
  code                         = file("${local.edge}/viewer-request.js")
  key_value_store_associations = [aws_cloudfront_key_value_store.edge.arn]
}

resource "aws_cloudfront_function" "viewer_response" {
  name    = "${var.name}-viewer-response"
  runtime = "cloudfront-js-2.0"
  publish = true
  code    = file("${local.edge}/viewer-response.js")
}

resource "aws_iam_role" "origin_response" {
  name = "${var.name}-origin-response"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = ["lambda.amazonaws.com", "edgelambda.amazonaws.com"] }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "origin_response" {
  role       = aws_iam_role.origin_response.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_lambda_function" "origin_response" {
  provider         = aws.us_east_1
  function_name    = "${var.name}-origin-response"
  description      = "infra/edge/origin-response.js"
  runtime          = "nodejs22.x"
  handler          = "index.handler"
  memory_size      = 128
  timeout          = 5
  publish          = true
  role             = aws_iam_role.origin_response.arn
  filename         = local.origin_response
  source_code_hash = filebase64sha256(local.origin_response)
}

resource "aws_cloudfront_origin_access_control" "storage" {
  name                              = "${var.name}-storage"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_distribution" "edge" {
  comment         = "${var.name}: container registry"
  enabled         = true
  http_version    = "http2and3"
  is_ipv6_enabled = true
  price_class     = var.price_class
  aliases         = local.has_host ? [var.host_name] : []

  dynamic "origin" {
    for_each = merge(
      { for name, one in aws_lambda_function_url.function : name => split("/", one.function_url)[2] },
      local.has_gateway ? { gateway = var.gateway_host_name } : {},
    )
    content {
      origin_id   = origin.key
      domain_name = origin.value
      custom_origin_config {
        http_port              = 80
        https_port             = 443
        origin_protocol_policy = "https-only"
        origin_ssl_protocols   = ["TLSv1.2"]
        origin_read_timeout    = 60
      }
    }
  }

  origin {
    origin_id                = "storage"
    domain_name              = aws_s3_bucket.bucket.bucket_regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.storage.id
  }

  default_cache_behavior {
    target_origin_id         = "registry"
    viewer_protocol_policy   = "https-only"
    allowed_methods          = local.methods
    cached_methods           = ["GET", "HEAD"]
    compress                 = false
    cache_policy_id          = local.no_cache
    origin_request_policy_id = local.all
    function_association {
      event_type   = "viewer-request"
      function_arn = aws_cloudfront_function.viewer_request.arn
    }
    lambda_function_association {
      event_type = "origin-response"
      lambda_arn = aws_lambda_function.origin_response.qualified_arn
    }
  }

  dynamic "ordered_cache_behavior" {
    for_each = [{ path = "/s/*", origin = "storage" }, { path = "/api/*", origin = "management" }]
    content {
      path_pattern             = ordered_cache_behavior.value.path
      target_origin_id         = ordered_cache_behavior.value.origin
      viewer_protocol_policy   = "https-only"
      allowed_methods          = local.methods
      cached_methods           = ["GET", "HEAD"]
      compress                 = false
      cache_policy_id          = local.no_cache
      origin_request_policy_id = local.all
      function_association {
        event_type   = "viewer-request"
        function_arn = aws_cloudfront_function.viewer_request.arn
      }
      dynamic "function_association" {
        for_each = ordered_cache_behavior.value.origin == "storage" ? ["viewer-response"] : []
        content {
          event_type   = function_association.value
          function_arn = aws_cloudfront_function.viewer_response.arn
        }
      }
      lambda_function_association {
        event_type = "origin-response"
        lambda_arn = aws_lambda_function.origin_response.qualified_arn
      }
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = !local.has_host
    acm_certificate_arn            = local.has_host ? var.certificate_arn : null
    ssl_support_method             = local.has_host ? "sni-only" : null
    minimum_protocol_version       = local.has_host ? "TLSv1.2_2021" : "TLSv1"
  }
}

resource "aws_route53_record" "alias" {
  for_each = var.hosted_zone_id == "" ? toset([]) : toset(["A", "AAAA"])
  zone_id  = var.hosted_zone_id
  name     = var.host_name
  type     = each.key
  alias {
    name                   = aws_cloudfront_distribution.edge.domain_name
    zone_id                = aws_cloudfront_distribution.edge.hosted_zone_id
    evaluate_target_health = false
  }
}

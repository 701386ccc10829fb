# Outputs, as those of infra/cloudformation/registry.json.

output "url" {
  description = "Where clients reach the registry"
  value       = local.has_host ? "https://${var.host_name}" : "https://${aws_cloudfront_distribution.edge.domain_name}"
}

output "distribution_domain" {
  description = "What a record of the host name points to"
  value       = aws_cloudfront_distribution.edge.domain_name
}

output "region" {
  description = "The region of the deployment"
  value       = data.aws_region.current.name
}

output "bucket" {
  description = "CCR_BUCKET"
  value       = aws_s3_bucket.bucket.id
}

output "table_prefix" {
  description = "CCR_TABLE_PREFIX"
  value       = "${var.name}-"
}

output "token_key_secret" {
  description = "CCR_TOKEN_KEY_SECRET"
  value       = aws_secretsmanager_secret.key["token"].arn
}

output "origin_secret_secret" {
  description = "CCR_ORIGIN_SECRET_SECRET"
  value       = aws_secretsmanager_secret.key["origin"].arn
}

output "edge_keys" {
  description = "The key value store of the edge"
  value       = aws_cloudfront_key_value_store.edge.arn
}

output "setup_function" {
  description = "What opens the deployment"
  value       = aws_lambda_function.function["setup"].function_name
}

output "registry_function_url" {
  description = "The registry, for who knows the origin secret"
  value       = aws_lambda_function_url.function["registry"].function_url
}

output "alarm_topic" {
  description = "Where alarms go"
  value       = aws_sns_topic.alarms.arn
}

output "failure_queue" {
  description = "What functions failed at"
  value       = aws_sqs_queue.failures.url
}

output "event_bus_name" {
  description = "CCR_EVENT_BUS"
  value       = var.event_bus ? aws_cloudwatch_event_bus.events[0].name : null
}

output "gateway_target" {
  description = "What a record of gateway_host_name points to"
  value       = local.has_gateway ? aws_lb.gateway["on"].dns_name : null
}

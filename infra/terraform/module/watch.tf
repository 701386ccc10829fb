resource "aws_sqs_queue" "failures" {
  name                      = "${var.name}-failures"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sns_topic" "alarms" {
  name = "${var.name}-alarms"
}

resource "aws_sns_topic_subscription" "mail" {
  count     = var.alarm_mail == "" ? 0 : 1
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_mail
}

locals {
  # Dimensions name functions by the stack, and tables and the queue by their resources.
  dimensions = {
    for name, alarm in local.deployment.alarms : name => {
      for key, value in alarm.dimensions : key => (
        key == "TableName" ? "${var.name}-${local.table_of[value]}"
        : key == "QueueName" ? aws_sqs_queue.failures.name
        : replace(value, "@[AWS::StackName]", var.name)
      )
    }
  }
  table_of = { for name, _ in local.deployment.tables : "@[${join("", [upper(substr(name, 0, 1)), substr(name, 1, -1)])}Table]" => name }
}

resource "aws_cloudwatch_metric_alarm" "alarm" {
  for_each            = local.deployment.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = local.dimensions[each.key]
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  period              = each.value.period
  evaluation_periods  = each.value.periods
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_dashboard" "dashboard" {
  dashboard_name = var.name
  dashboard_body = replace(replace(
    jsonencode(local.deployment.dashboard),
    "@[AWS::Region]", data.aws_region.current.name),
  "@[AWS::StackName]", var.name)
}

resource "aws_cloudwatch_log_group" "function" {
  for_each          = local.deployment.functions
  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_days
}

resource "aws_iam_role" "function" {
  for_each = local.deployment.functions
  name     = "${var.name}-${each.key}"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "function" {
  for_each = local.deployment.functions
  name     = "own"
  role     = aws_iam_role.function[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.function[each.key].arn}:*"
      }],
      jsondecode(local.statements[each.key]),
    )
  })
}

resource "aws_lambda_function" "function" {
  for_each = local.deployment.functions

  function_name    = "${var.name}-${each.key}"
  handler          = each.value.handler
  runtime          = "python3.13"
  architectures    = ["arm64"]
  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  memory_size      = each.value.memory
  timeout          = each.value.timeout
  role             = aws_iam_role.function[each.key].arn
  publish          = true
  depends_on       = [aws_iam_role_policy.function, aws_secretsmanager_secret_version.key]

  dynamic "snap_start" {
    for_each = each.value.has_url ? [1] : []
    content {
      apply_on = "PublishedVersions"
    }
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.function[each.key].name
  }

  environment {
    variables = {
      CCR_TABLE_PREFIX         = "${var.name}-"
      CCR_BUCKET               = local.bucket
      CCR_TOKEN_KEY_SECRET     = aws_secretsmanager_secret.key["token"].arn
      CCR_ORIGIN_SECRET_SECRET = aws_secretsmanager_secret.key["origin"].arn
      CCR_PUBLIC_URL           = local.has_host ? "https://${var.host_name}" : ""
      CCR_UPLOADS              = local.has_gateway ? "function,edge,gateway" : "function,edge"
      CCR_VERIFIER_FUNCTION    = "${var.name}-verifier:live"
      CCR_GRACE_SECONDS        = var.grace_seconds
      CCR_RETENTION_DAYS       = var.retention_days
      CCR_RETENTION_COUNTED    = var.retention_counted ? "on" : "off"
      CCR_EVENT_BUS            = var.event_bus ? var.name : ""
      CCR_PULL_EVENTS          = var.pull_events
      CCR_WEBHOOK_RETRIES      = var.webhook_retries
      CCR_CREATE_ON_PUSH       = var.create_on_push ? "on" : "off"
    }
  }
}

resource "aws_lambda_alias" "live" {
  for_each         = local.deployment.functions
  name             = "live"
  function_name    = aws_lambda_function.function[each.key].function_name
  function_version = aws_lambda_function.function[each.key].version
}

resource "aws_lambda_function_url" "function" {
  for_each           = local.with_url
  function_name      = aws_lambda_function.function[each.key].function_name
  qualifier          = aws_lambda_alias.live[each.key].name
  authorization_type = "NONE"
}

# An open function URL asks for both.
resource "aws_lambda_permission" "url" {
  for_each               = local.with_url
  statement_id           = "Url"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = aws_lambda_function.function[each.key].function_name
  qualifier              = aws_lambda_alias.live[each.key].name
  principal              = "*"
  function_url_auth_type = "NONE"
}

# By a stack: version 5 of the provider cannot say `InvokedViaFunctionUrl`, and without it anybody with an account of
# AWS could invoke the function past its URL.
resource "aws_cloudformation_stack" "url_invoke" {
  for_each = local.with_url
  name     = "${var.name}-${each.key}-url"
  template_body = jsonencode({
    Resources = {
      Permission = {
        Type = "AWS::Lambda::Permission"
        Properties = {
          Action                = "lambda:InvokeFunction"
          FunctionName          = aws_lambda_alias.live[each.key].arn
          Principal             = "*"
          InvokedViaFunctionUrl = true
        }
      }
    }
  })
}

resource "aws_lambda_permission" "adopt" {
  statement_id   = "Bucket"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.function["adopt"].function_name
  qualifier      = aws_lambda_alias.live["adopt"].name
  principal      = "s3.amazonaws.com"
  source_account = data.aws_caller_identity.current.account_id
  source_arn     = aws_s3_bucket.bucket.arn
}

resource "aws_lambda_function_event_invoke_config" "function" {
  for_each               = local.events
  function_name          = aws_lambda_function.function[each.key].function_name
  qualifier              = aws_lambda_alias.live[each.key].name
  maximum_retry_attempts = 2
  destination_config {
    on_failure {
      destination = aws_sqs_queue.failures.arn
    }
  }
}

resource "aws_cloudwatch_event_rule" "schedule" {
  for_each            = local.scheduled
  name                = "${var.name}-${each.key}"
  schedule_expression = each.value.schedule
}

resource "aws_cloudwatch_event_target" "schedule" {
  for_each = local.scheduled
  rule     = aws_cloudwatch_event_rule.schedule[each.key].name
  arn      = aws_lambda_alias.live[each.key].arn
}

resource "aws_lambda_permission" "schedule" {
  for_each      = local.scheduled
  statement_id  = "Schedule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.function[each.key].function_name
  qualifier     = aws_lambda_alias.live[each.key].name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.schedule[each.key].arn
}

resource "aws_lambda_event_source_mapping" "stream" {
  for_each                       = local.streamed
  event_source_arn               = aws_dynamodb_table.table[each.value.stream].stream_arn
  function_name                  = aws_lambda_alias.live[each.key].arn
  starting_position              = "TRIM_HORIZON"
  batch_size                     = 100
  bisect_batch_on_function_error = true
  maximum_retry_attempts         = 2
  depends_on                     = [aws_iam_role_policy.function]

  destination_config {
    on_failure {
      destination_arn = aws_sqs_queue.failures.arn
    }
  }

  filter_criteria {
    filter {
      pattern = jsonencode(local.deployment.stream_filter)
    }
  }
}

resource "aws_cloudwatch_event_bus" "events" {
  count = var.event_bus ? 1 : 0
  name  = var.name
}

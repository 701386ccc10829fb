# The upload gateway, where an image is named.

locals {
  gateway = local.has_gateway ? { on = true } : {}
}

resource "aws_secretsmanager_secret" "gateway_key" {
  for_each = local.gateway
  name     = "${var.name}-gateway-key"
}

resource "aws_cloudwatch_log_group" "gateway" {
  for_each          = local.gateway
  name              = "/ecs/${var.name}-gateway"
  retention_in_days = var.log_days
}

resource "aws_iam_role" "gateway" {
  for_each = local.has_gateway ? toset(["own", "start"]) : toset([])
  name     = "${var.name}-gateway-${each.key}"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "ecs-tasks.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "gateway_own" {
  for_each = local.gateway
  name     = "own"
  role     = aws_iam_role.gateway["own"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = jsondecode(replace(replace(replace(replace(
      jsonencode(local.deployment.gateway_statements),
      "@[AWS::Partition]", local.places["@[AWS::Partition]"]),
      "@[AWS::Region]", local.places["@[AWS::Region]"]),
      "@[AWS::AccountId]", local.places["@[AWS::AccountId]"]),
    "@[AWS::StackName]", local.places["@[AWS::StackName]"]))
  })
}

resource "aws_iam_role_policy" "gateway_start" {
  for_each = local.gateway
  name     = "start"
  role     = aws_iam_role.gateway["start"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = [aws_secretsmanager_secret.gateway_key["on"].arn, aws_secretsmanager_secret.key["origin"].arn]
      },
      {
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.gateway["on"].arn}:*"
      },
      {
        Effect = "Allow"
        Action = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
        Resource = join(":", ["arn", data.aws_partition.current.partition, "ecr", data.aws_region.current.name,
        data.aws_caller_identity.current.account_id, "repository/*"])
      },
      { Effect = "Allow", Action = "ecr:GetAuthorizationToken", Resource = "*" },
    ]
  })
}

resource "aws_ecs_cluster" "gateway" {
  for_each = local.gateway
  name     = "${var.name}-gateway"
}

resource "aws_ecs_task_definition" "gateway" {
  for_each                 = local.gateway
  family                   = "${var.name}-gateway"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 512
  memory                   = 1024
  task_role_arn            = aws_iam_role.gateway["own"].arn
  execution_role_arn       = aws_iam_role.gateway["start"].arn
  runtime_platform {
    cpu_architecture        = "ARM64"
    operating_system_family = "LINUX"
  }
  container_definitions = jsonencode([{
    name                   = "gateway"
    image                  = var.gateway_image
    essential              = true
    readonlyRootFilesystem = true
    stopTimeout            = 120
    linuxParameters        = { capabilities = { drop = ["ALL"] }, initProcessEnabled = true }
    portMappings           = [{ containerPort = 8080 }]
    environment = [for name, value in {
      AWS_REGION        = data.aws_region.current.name
      CCR_BUCKET        = local.bucket
      CCR_TABLE_PREFIX  = "${var.name}-"
      CCR_REGISTRY_URL  = aws_lambda_function_url.function["registry"].function_url
      CCR_DRAIN_SECONDS = "110"
    } : { name = name, value = value }]
    secrets = [
      { name = "CCR_CAPABILITY_KEY", valueFrom = aws_secretsmanager_secret.gateway_key["on"].arn },
      { name = "CCR_ORIGIN_SECRET", valueFrom = aws_secretsmanager_secret.key["origin"].arn },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.gateway["on"].name
        awslogs-region        = data.aws_region.current.name
        awslogs-stream-prefix = "gateway"
      }
    }
  }])
}

resource "aws_security_group" "gateway_balancer" {
  for_each    = local.gateway
  name_prefix = "${var.name}-gateway-"
  description = "Port 443 for the edge"
  vpc_id      = var.gateway_vpc
  ingress {
    protocol        = "tcp"
    from_port       = 443
    to_port         = 443
    prefix_list_ids = [var.gateway_prefix_list]
  }
  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "gateway" {
  for_each    = local.gateway
  name_prefix = "${var.name}-gateway-"
  description = "Port 8080 for the load balancer"
  vpc_id      = var.gateway_vpc
  ingress {
    protocol        = "tcp"
    from_port       = 8080
    to_port         = 8080
    security_groups = [aws_security_group.gateway_balancer["on"].id]
  }
  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_lb" "gateway" {
  for_each           = local.gateway
  name_prefix        = "ccr-"
  load_balancer_type = "application"
  internal           = false
  subnets            = var.gateway_subnets
  security_groups    = [aws_security_group.gateway_balancer["on"].id]
  idle_timeout       = 120
}

resource "aws_lb_target_group" "gateway" {
  for_each             = local.gateway
  name_prefix          = "ccr-"
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = 8080
  vpc_id               = var.gateway_vpc
  deregistration_delay = 120
  health_check {
    path = "/readyz"
  }
}

resource "aws_lb_listener" "gateway" {
  for_each          = local.gateway
  load_balancer_arn = aws_lb.gateway["on"].arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.gateway_certificate_arn
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.gateway["on"].arn
  }
}

resource "aws_ecs_service" "gateway" {
  for_each                           = local.gateway
  name                               = "${var.name}-gateway"
  cluster                            = aws_ecs_cluster.gateway["on"].id
  launch_type                        = "FARGATE"
  task_definition                    = aws_ecs_task_definition.gateway["on"].arn
  desired_count                      = var.gateway_count
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  depends_on                         = [aws_lb_listener.gateway]
  load_balancer {
    container_name   = "gateway"
    container_port   = 8080
    target_group_arn = aws_lb_target_group.gateway["on"].arn
  }
  network_configuration {
    assign_public_ip = true
    subnets          = var.gateway_subnets
    security_groups  = [aws_security_group.gateway["on"].id]
  }
}

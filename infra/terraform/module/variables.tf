# Inputs, as the parameters of infra/cloudformation/registry.json. `package` and `name` are besides.

variable "name" {
  description = "What the name of everything starts with, as the name of the stack does"
  type        = string
}

variable "package" {
  description = "The zip that `make package` writes"
  type        = string
}

variable "host_name" {
  description = "The public host name; none: the one that CloudFront gives"
  type        = string
  default     = ""
}

variable "certificate_arn" {
  description = "A certificate of that name in us-east-1"
  type        = string
  default     = ""
}

variable "hosted_zone_id" {
  description = "The zone of Route 53 for its records; none: they are made elsewhere"
  type        = string
  default     = ""
}

variable "price_class" {
  description = "Where CloudFront serves from"
  type        = string
  default     = "PriceClass_200"
  validation {
    condition     = contains(["PriceClass_100", "PriceClass_200", "PriceClass_All"], var.price_class)
    error_message = "One of PriceClass_100, PriceClass_200, PriceClass_All."
  }
}

variable "protect" {
  description = "Whether tables refuse to be deleted"
  type        = bool
  default     = true
}

variable "point_in_time_recovery" {
  description = "Whether tables can be restored to any second of 35 days"
  type        = bool
  default     = true
}

variable "versioning" {
  description = "Whether the bucket keeps what was deleted for 30 days"
  type        = bool
  default     = false
}

variable "log_days" {
  description = "How long logs are kept"
  type        = number
  default     = 30
}

variable "grace_seconds" {
  description = "How long a blob stays that no manifest names"
  type        = number
  default     = 86400
  validation {
    condition     = var.grace_seconds >= 1 && var.grace_seconds <= 31536000
    error_message = "From 1 to 31536000."
  }
}

variable "retention_days" {
  description = "How long what is deleted can be restored"
  type        = number
  default     = 7
  validation {
    condition     = var.retention_days >= 0 && var.retention_days <= 365
    error_message = "From 0 to 365."
  }
}

variable "retention_counted" {
  description = "Whether what can be restored counts; false: it gives way to pushes that have no other room"
  type        = bool
  default     = true
}

variable "event_bus" {
  description = "Whether every change is told to an EventBridge bus, named as the deployment is"
  type        = bool
  default     = true
}

variable "webhook_retries" {
  description = "After how many seconds a delivery is tried again; after the last of them it is given up"
  type        = string
  default     = "5,300,1800,7200,18000,36000,36000"
}

variable "create_on_push" {
  description = "Whether a push makes the registry that it names, for who may"
  type        = bool
  default     = false
}

variable "pull_events" {
  description = "Pulls that are told too: off, all, or a share of them such as 0.01"
  type        = string
  default     = "off"
  validation {
    condition     = can(regex("^(off|all|0|1|0?\\.[0-9]{1,6})$", var.pull_events))
    error_message = "One of off, all, or a share such as 0.01."
  }
}

variable "alarm_mail" {
  description = "Where alarms are mailed to"
  type        = string
  default     = ""
}

variable "gateway_image" {
  description = "The image of infra/gateway; none: no gateway, and layers go by `ccr push` or one PUT"
  type        = string
  default     = ""
}

variable "gateway_host_name" {
  description = "The name of its load balancer, which CloudFront reaches it by"
  type        = string
  default     = ""
}

variable "gateway_certificate_arn" {
  description = "A certificate of that name in the region of the stack"
  type        = string
  default     = ""
}

variable "gateway_vpc" {
  description = "The VPC of the gateway"
  type        = string
  default     = ""
}

variable "gateway_subnets" {
  description = "Two or more public subnets of it"
  type        = list(string)
  default     = []
}

variable "gateway_prefix_list" {
  description = "The id of com.amazonaws.global.cloudfront.origin-facing in the region"
  type        = string
  default     = ""
}

variable "gateway_count" {
  description = "How many of it run"
  type        = number
  default     = 2
  validation {
    condition     = var.gateway_count >= 0 && var.gateway_count <= 100
    error_message = "From 0 to 100."
  }
}

# kms-monitor as a function of AWS Lambda: rules, bus, topic and table. The same as deploy/aws/serverless.yaml.
#
# Everything is encrypted by AWS's own keys: whoever takes keys away must not blind us by that.

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

data "aws_region" "here" {}

locals {
  account   = data.aws_caller_identity.here.account_id
  partition = data.aws_partition.here.partition
  # Its name is an attribute of the provider's versions 5 and 6, `region` only of the later one.
  region  = try(data.aws_region.here.region, data.aws_region.here.name)
  regions = length(var.regions) > 0 ? var.regions : [local.region]
  rules   = jsondecode(file("${path.module}/rules.json"))

  own_rule_arns       = [for one in aws_cloudwatch_event_rule.own : one.arn]
  forwarded_rule_arns = [for one in aws_cloudwatch_event_rule.forwarded : one.arn]
  rule_arns           = concat(local.own_rule_arns, local.forwarded_rule_arns)
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-dlq"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

# It is no other queue's; Lambda and EventBridge put into it what they could not get done.
resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  queue_url            = aws_sqs_queue.dead_letters.id
  redrive_allow_policy = jsonencode({ redrivePermission = "denyAll" })
}

# Only the rules made here may send, the function with its own right, and nobody without TLS.
resource "aws_sqs_queue_policy" "senders" {
  queue_url = aws_sqs_queue.dead_letters.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "FromRule"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.dead_letters.arn
        Condition = { ArnLike = { "aws:SourceArn" = local.rule_arns } }
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.dead_letters.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_cloudwatch_event_rule" "own" {
  for_each = local.rules.rules

  name          = "${var.name}-${each.key}"
  description   = "Events that the detectors of kms-monitor look at"
  event_pattern = jsonencode(each.value.pattern)
  state         = each.value.state
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "own" {
  for_each = aws_cloudwatch_event_rule.own

  rule      = each.value.name
  target_id = "function"
  arn       = aws_lambda_function.function.arn

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }

  retry_policy {
    maximum_retry_attempts       = 185
    maximum_event_age_in_seconds = 86400
  }
}

# Where rules of other accounts and Regions send to; its one rule calls the function.
resource "aws_cloudwatch_event_bus" "bus" {
  name = var.name
  tags = var.tags
}

resource "aws_cloudwatch_event_bus_policy" "senders" {
  count = length(var.members) > 0 || var.organization != "" ? 1 : 0

  event_bus_name = aws_cloudwatch_event_bus.bus.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [for each in(length(var.members) > 0 ? ["Members"] : []) : {
        Sid       = each
        Effect    = "Allow"
        Principal = { AWS = [for one in var.members : "arn:${local.partition}:iam::${one}:root"] }
        Action    = "events:PutEvents"
        Resource  = aws_cloudwatch_event_bus.bus.arn
      }],
      [for each in(var.organization != "" ? ["Organization"] : []) : {
        Sid       = each
        Effect    = "Allow"
        Principal = "*"
        Action    = "events:PutEvents"
        Resource  = aws_cloudwatch_event_bus.bus.arn
        Condition = { StringEquals = { "aws:PrincipalOrgID" = var.organization } }
      }],
    )
  })
}

resource "aws_cloudwatch_event_rule" "forwarded" {
  for_each = local.rules.forwarded

  name           = "${var.name}-${each.key}"
  description    = "Events that rules of other accounts and Regions send here for kms-monitor"
  event_bus_name = aws_cloudwatch_event_bus.bus.name
  event_pattern  = jsonencode(each.value.pattern)
  state          = each.value.state
  tags           = var.tags
}

resource "aws_cloudwatch_event_target" "forwarded" {
  for_each = aws_cloudwatch_event_rule.forwarded

  rule           = each.value.name
  event_bus_name = aws_cloudwatch_event_bus.bus.name
  target_id      = "function"
  arn            = aws_lambda_function.function.arn

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }

  retry_policy {
    maximum_retry_attempts       = 185
    maximum_event_age_in_seconds = 86400
  }
}

# Has the function look at all keys, whether any event told of them or not.
resource "aws_cloudwatch_event_rule" "sweep" {
  count = var.sweep_every != "never" ? 1 : 0

  name                = "${var.name}-sweep"
  description         = "Has kms-monitor look at all keys"
  schedule_expression = "rate(${var.sweep_every})"
  state               = "ENABLED"
  tags                = var.tags
}

resource "aws_cloudwatch_event_target" "sweep" {
  count = var.sweep_every != "never" ? 1 : 0

  rule      = aws_cloudwatch_event_rule.sweep[0].name
  target_id = "function"
  arn       = aws_lambda_function.function.arn
  input     = jsonencode({ kms-monitor = "sweep" })

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }

  retry_policy {
    maximum_retry_attempts       = 185
    maximum_event_age_in_seconds = 86400
  }
}

resource "aws_sns_topic" "topic" {
  name = var.name
  tags = var.tags
}

# The function and the alarms publish, and nobody else.
resource "aws_sns_topic_policy" "topic" {
  arn = aws_sns_topic.topic.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Function"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.topic.arn
        Condition = { ArnEquals = { "aws:PrincipalArn" = aws_iam_role.function.arn } }
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.topic.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.topic.arn
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account }
          ArnLike = {
            "aws:SourceArn" = "arn:${local.partition}:cloudwatch:${local.region}:${local.account}:alarm:${var.name}-*"
          }
        }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "mail" {
  count = var.email != "" ? 1 : 0

  topic_arn = aws_sns_topic.topic.arn
  protocol  = "email"
  endpoint  = var.email
}

# As monitor/stores/table_shape.py wants it. Baselines and the action log are nowhere else. Without
# server_side_encryption: with a key that AWS owns.
resource "aws_dynamodb_table" "table" {
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = true
  tags                        = var.tags

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  attribute {
    name = "changed"
    type = "N"
  }

  global_secondary_index {
    name            = "changes"
    hash_key        = "pk"
    range_key       = "changed"
    projection_type = "ALL"
  }

  ttl {
    attribute_name = "expires"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }
}

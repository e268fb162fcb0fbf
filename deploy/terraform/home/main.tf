# Where the daemon lives: queues, rules, bus, topic, table and canary. The same as deploy/aws/home.yaml.
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

resource "aws_sqs_queue" "queue" {
  name                       = var.name
  message_retention_seconds  = 1209600
  sqs_managed_sse_enabled    = true
  visibility_timeout_seconds = 60
  tags                       = var.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = 5
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.queue.arn]
  })
}

# Only the rules made here may send, and nobody without TLS.
resource "aws_sqs_queue_policy" "senders" {
  for_each = {
    queue        = { url = aws_sqs_queue.queue.id, arn = aws_sqs_queue.queue.arn }
    dead_letters = { url = aws_sqs_queue.dead_letters.id, arn = aws_sqs_queue.dead_letters.arn }
  }

  queue_url = each.value.url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "FromRule"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = each.value.arn
        Condition = { ArnLike = { "aws:SourceArn" = local.rule_arns } }
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = each.value.arn
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
  target_id = "queue"
  arn       = aws_sqs_queue.queue.arn

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }
}

# Where rules of other accounts and Regions send to; its one rule sends on into the queue.
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
  target_id      = "queue"
  arn            = aws_sqs_queue.queue.arn

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }
}

resource "aws_sns_topic" "topic" {
  name = var.name
  tags = var.tags
}

# The daemon and the alarms publish, and nobody else.
resource "aws_sns_topic_policy" "topic" {
  arn = aws_sns_topic.topic.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Daemon"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.topic.arn
        Condition = { ArnEquals = { "aws:PrincipalArn" = aws_iam_role.daemon.arn } }
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
  count = var.table ? 1 : 0

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

# A key that is only enabled again and again, by the daemon itself.
resource "aws_kms_key" "canary" {
  count = var.canary ? 1 : 0

  description = "The canary of ${var.name}; nothing is encrypted with it"
  tags        = merge(var.tags, { kms-monitor = "canary" })

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Account"
      Effect    = "Allow"
      Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
      Action    = "kms:*"
      Resource  = "*"
    }]
  })
}

resource "aws_kms_alias" "canary" {
  count = var.canary ? 1 : 0

  name          = "alias/${var.name}-canary"
  target_key_id = aws_kms_key.canary[0].key_id
}

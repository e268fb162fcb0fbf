# The role that the function runs as: exactly the rights of `kms-monitor generate stack`, no others.

locals {
  # Statements that hang on a parameter or a rule of AWS Config are taken only where there is one.
  rights = jsondecode(templatefile("${path.module}/rights.json.tftpl", {
    account      = local.account
    partition    = local.partition
    region       = local.region
    name         = var.name
    regions      = jsonencode(local.regions)
    dead_letters = aws_sqs_queue.dead_letters.arn
    topic        = aws_sns_topic.topic.arn
    table        = aws_dynamodb_table.table.arn
    parameter    = var.settings_parameter
  }))
  kinds = concat(
    ["always"],
    var.settings_parameter != "" ? ["parameter"] : [],
    var.config_rule ? ["config_rule"] : [],
  )

  enters = {
    Members      = length(var.members) > 0 ? { "aws:ResourceAccount" = var.members } : null
    Organization = var.organization != "" ? { "aws:ResourceOrgID" = [var.organization] } : null
  }
  enter = [
    for sid, whose in local.enters : {
      Sid       = sid
      Effect    = "Allow"
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Resource  = "arn:${local.partition}:iam::*:role/${var.name}"
      Condition = { StringEquals = whose }
    } if whose != null
  ]

  policies = {
    Function = flatten([for kind in local.kinds : local.rights.function[kind]])
    Look     = local.rights.look
    Repair   = local.rights.repair
    Enter    = local.enter
    Ask      = local.rights.ask
  }
  # Which of them there are has to be known before any ARN is.
  shape = jsondecode(templatefile("${path.module}/rights.json.tftpl", {
    account = "", partition = "", region = "", name = "", regions = "[]", dead_letters = "", topic = "", table = "", parameter = ""
  }))
  there = {
    Function = true
    Look     = true
    Repair   = var.mode == "enforce" && length(local.shape.repair) > 0
    Enter    = length(var.members) > 0 || var.organization != ""
    Ask      = length(local.shape.ask) > 0
  }
}

resource "aws_iam_role" "function" {
  name        = var.name
  description = "The function kms-monitor"
  tags        = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Function"
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  for_each = toset([for name, there in local.there : name if there])

  name = each.key
  role = aws_iam_role.function.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.policies[each.key]
  })
}

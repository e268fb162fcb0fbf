# Another account or Region whose keys are guarded. The same as deploy/aws/member.yaml: once for each
# Region, with a provider of that Region; the roles in one Region of each account, for IAM is global.

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

data "aws_region" "here" {}

locals {
  account   = data.aws_caller_identity.here.account_id
  partition = data.aws_partition.here.partition
  # Its name is an attribute of the provider's versions 5 and 6, `region` only of the later one.
  region  = try(data.aws_region.here.region, data.aws_region.here.name)
  regions = length(var.regions) > 0 ? var.regions : [local.region]
  files   = jsondecode(file("${path.module}/rules.json"))
  rules   = local.files[var.events == "all" ? "rules" : "global"]

  bus       = "arn:${local.partition}:events:${var.home_region}:${var.home}:event-bus/${var.name}"
  forwarder = "arn:${local.partition}:iam::${local.account}:role/${var.name}-forward"
  # In the daemon's own account there is nothing to enter.
  entered = var.roles && local.account != var.home

  rights = jsondecode(templatefile("${path.module}/rights.json.tftpl", {
    account     = local.account
    partition   = local.partition
    name        = var.name
    home        = var.home
    external_id = var.external_id
    regions     = jsonencode(local.regions)
  }))
  policies = merge(
    { Look = local.rights.look.always },
    var.mode == "enforce" ? { Repair = local.rights.repair.always } : {},
  )
}

resource "aws_cloudwatch_event_rule" "forward" {
  for_each = local.rules

  name          = "${var.name}-${each.key}"
  description   = "Events that the detectors of kms-monitor look at"
  event_pattern = jsonencode(each.value.pattern)
  state         = each.value.state
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "forward" {
  for_each = aws_cloudwatch_event_rule.forward

  rule      = each.value.name
  target_id = "home"
  arn       = local.bus
  role_arn  = local.forwarder

  depends_on = [aws_iam_role_policy.forwarder]
}

# Which the daemon assumes.
resource "aws_iam_role" "daemon" {
  count = local.entered ? 1 : 0

  name               = var.name
  description        = "Entered by the daemon kms-monitor"
  assume_role_policy = jsonencode(local.rights.trust)
  tags               = var.tags
}

resource "aws_iam_role_policy" "daemon" {
  for_each = local.entered ? toset(nonsensitive(keys(local.policies))) : []

  name = each.key
  role = aws_iam_role.daemon[0].id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.policies[each.key]
  })
}

# Which the rules are when they put events on the bus at home.
resource "aws_iam_role" "forwarder" {
  count = var.roles ? 1 : 0

  name        = "${var.name}-forward"
  description = "By which rules send events to the daemon kms-monitor"
  tags        = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Rules"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:events:*:${local.account}:rule/${var.name}-*" }
      }
    }]
  })
}

resource "aws_iam_role_policy" "forwarder" {
  count = var.roles ? 1 : 0

  name = "SendHome"
  role = aws_iam_role.forwarder[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "SendHome"
      Effect   = "Allow"
      Action   = "events:PutEvents"
      Resource = local.bus
    }]
  })
}

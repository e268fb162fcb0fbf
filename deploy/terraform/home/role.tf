# The role that the daemon runs as: exactly the rights of `kms-monitor generate stack`, no others.

locals {
  # Statements that hang on a table or a canary are taken only where there is one.
  rights = jsondecode(templatefile("${path.module}/rights.json.tftpl", {
    account      = local.account
    partition    = local.partition
    name         = var.name
    regions      = jsonencode(local.regions)
    queue        = aws_sqs_queue.queue.arn
    dead_letters = aws_sqs_queue.dead_letters.arn
    topic        = aws_sns_topic.topic.arn
    table        = var.table ? aws_dynamodb_table.table[0].arn : ""
    canary       = var.canary ? aws_kms_key.canary[0].arn : ""
  }))
  kinds  = concat(["always"], var.table ? ["table"] : [], var.canary ? ["canary"] : [])
  look   = flatten([for kind in local.kinds : local.rights.look[kind]])
  repair = flatten([for kind in local.kinds : local.rights.repair[kind]])

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
    Look   = local.look
    Repair = local.repair
    Enter  = local.enter
    Ask    = local.rights.ask
  }
  # Which of them there are has to be known before any ARN is.
  shape = jsondecode(templatefile("${path.module}/rights.json.tftpl", {
    account = "", partition = "", name = "", regions = "[]", queue = "", dead_letters = "", topic = "", table = "", canary = ""
  }))
  there = {
    Look   = true
    Repair = var.mode == "enforce" && length(local.shape.repair.always) > 0
    Enter  = length(var.members) > 0 || var.organization != ""
    Ask    = length(local.shape.ask) > 0
  }

  in_cluster = merge(
    {
      "aws:RequestTag/kubernetes-namespace"       = var.namespace
      "aws:RequestTag/kubernetes-service-account" = var.service_account
    },
    var.cluster != "" ? { "aws:RequestTag/eks-cluster-name" = var.cluster } : {},
  )
  trusts = {
    eks-irsa = {
      principal = { Federated = "arn:${local.partition}:iam::${local.account}:oidc-provider/${var.oidc_provider}" }
      actions   = ["sts:AssumeRoleWithWebIdentity"]
      condition = {
        "${var.oidc_provider}:aud" = "sts.${data.aws_partition.here.dns_suffix}"
        "${var.oidc_provider}:sub" = "system:serviceaccount:${var.namespace}:${var.service_account}"
      }
    }
    eks-pod-identity = {
      principal = { Service = "pods.eks.amazonaws.com" }
      actions   = ["sts:AssumeRole", "sts:TagSession"]
      condition = local.in_cluster
    }
    ec2 = {
      principal = { Service = "ec2.amazonaws.com" }
      actions   = ["sts:AssumeRole"]
      condition = {}
    }
    ecs = {
      principal = { Service = "ecs-tasks.amazonaws.com" }
      actions   = ["sts:AssumeRole"]
      condition = {}
    }
  }
  trust = local.trusts[var.runs_on]
}

resource "aws_iam_role" "daemon" {
  name        = var.name
  description = "The daemon kms-monitor"
  tags        = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge(
      {
        Sid       = "Daemon"
        Effect    = "Allow"
        Principal = local.trust.principal
        Action    = local.trust.actions
      },
      length(local.trust.condition) > 0 ? { Condition = { StringEquals = local.trust.condition } } : {},
    )]
  })

  lifecycle {
    precondition {
      condition     = var.runs_on != "eks-irsa" || var.oidc_provider != ""
      error_message = "eks-irsa needs oidc_provider."
    }
  }
}

resource "aws_iam_role_policy" "daemon" {
  for_each = toset([for name, there in local.there : name if there])

  name = each.key
  role = aws_iam_role.daemon.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.policies[each.key]
  })
}

resource "aws_iam_instance_profile" "daemon" {
  count = var.runs_on == "ec2" ? 1 : 0

  name = var.name
  role = aws_iam_role.daemon.name
  tags = var.tags
}

resource "aws_eks_pod_identity_association" "daemon" {
  count = var.runs_on == "eks-pod-identity" && var.cluster != "" ? 1 : 0

  cluster_name    = var.cluster
  namespace       = var.namespace
  service_account = var.service_account
  role_arn        = aws_iam_role.daemon.arn
  tags            = var.tags
}

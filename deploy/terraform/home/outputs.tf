output "queue_url" {
  value = aws_sqs_queue.queue.url
}

output "dead_letters_url" {
  value = aws_sqs_queue.dead_letters.url
}

output "topic_arn" {
  value = aws_sns_topic.topic.arn
}

output "bus_arn" {
  value = aws_cloudwatch_event_bus.bus.arn
}

output "role_arn" {
  value = aws_iam_role.daemon.arn
}

output "settings" {
  description = "The settings of the daemon (docs/install-aws.md)."

  value = yamlencode(merge(
    {
      mode        = var.mode
      environment = var.name
      accounts    = [{ id = local.account, regions = local.regions }]
      queues      = [{ url = aws_sqs_queue.queue.url, region = local.region }]
      responders  = { restore_key = {}, sns = { topic_arn = aws_sns_topic.topic.arn } }
      watched = {
        queues = [aws_sqs_queue.dead_letters.arn]
        tables = aws_dynamodb_table.table[*].arn
      }
    },
    var.table ? { store = { kind = "dynamodb", table = var.name, region = local.region } } : {},
    var.canary ? { canary = { keys = aws_kms_key.canary[*].arn } } : {},
  ))
}

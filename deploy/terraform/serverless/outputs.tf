output "function_arn" {
  value = aws_lambda_function.function.arn
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
  value = aws_iam_role.function.arn
}

output "settings" {
  description = "The settings of the function (docs/serverless-install.md)."
  value       = local.settings
}

# The watcher's watcher: alarms that need nothing of the function, not even that it can be called.

locals {
  of_function = { FunctionName = aws_lambda_function.function.function_name }
  alarms = merge(
    {
      errors = {
        description = "Calls of the function failed, or ran out of time: its log says why. Lambda tries twice more, then the event lies in the dead-letter queue."
        namespace   = "AWS/Lambda"
        metric      = "Errors"
        dimensions  = local.of_function
        statistic   = "Sum"
        comparison  = "GreaterThanThreshold"
        threshold   = 0
        minutes     = 1
        missing     = "notBreaching"
      }
      throttles = {
        description = "The function was not called because too many of its calls, or of the account's, were under way. Events wait; keys are put back late."
        namespace   = "AWS/Lambda"
        metric      = "Throttles"
        dimensions  = local.of_function
        statistic   = "Sum"
        comparison  = "GreaterThanThreshold"
        threshold   = 0
        minutes     = 5
        missing     = "notBreaching"
      }
      late = {
        description = "Events wait for more than five minutes until the function is called for them."
        namespace   = "AWS/Lambda"
        metric      = "AsyncEventAge"
        dimensions  = local.of_function
        statistic   = "Maximum"
        comparison  = "GreaterThanThreshold"
        threshold   = 300000
        minutes     = 3
        missing     = "notBreaching"
      }
      iterator-age = {
        description = "Records of a stream are more than five minutes old when the function gets them."
        namespace   = "AWS/Lambda"
        metric      = "IteratorAge"
        dimensions  = local.of_function
        statistic   = "Maximum"
        comparison  = "GreaterThanThreshold"
        threshold   = 300000
        minutes     = 3
        missing     = "notBreaching"
      }
      dead-letters = {
        description = "Events could not be read, handled or delivered: kms-monitor dlq show."
        namespace   = "AWS/SQS"
        metric      = "ApproximateNumberOfMessagesVisible"
        dimensions  = { QueueName = aws_sqs_queue.dead_letters.name }
        statistic   = "Maximum"
        comparison  = "GreaterThanThreshold"
        threshold   = 0
        minutes     = 1
        missing     = "notBreaching"
      }
    },
    # Without a schedule a quiet account has no calls.
    {
      for name in(var.sweep_every != "never" ? ["not-called"] : []) : name => {
        description = "Nobody has called the function for two hours, though a schedule does: it, the function's permissions or the function itself are gone. Keys are not guarded."
        namespace   = "AWS/Lambda"
        metric      = "Invocations"
        dimensions  = local.of_function
        statistic   = "Sum"
        comparison  = "LessThanThreshold"
        threshold   = 1
        minutes     = 130
        missing     = "breaching"
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "function" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = 60
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  evaluation_periods  = each.value.minutes
  datapoints_to_alarm = each.value.minutes
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.topic.arn]
  ok_actions          = [aws_sns_topic.topic.arn]
  tags                = var.tags
}

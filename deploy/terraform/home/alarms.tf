# The watcher's watcher: alarms that need nothing of the daemon, not even that it lives.

locals {
  alarms = merge(
    {
      old = {
        description = "An event has waited in the queue for more than five minutes."
        metric      = "ApproximateAgeOfOldestMessage"
        queue       = aws_sqs_queue.queue.name
        statistic   = "Maximum"
        comparison  = "GreaterThanThreshold"
        threshold   = 300
        minutes     = 3
        missing     = "notBreaching"
      }
      dead-letters = {
        description = "Events could not be read, handled or delivered: kms-monitor dlq show."
        metric      = "ApproximateNumberOfMessagesVisible"
        queue       = aws_sqs_queue.dead_letters.name
        statistic   = "Maximum"
        comparison  = "GreaterThanThreshold"
        threshold   = 0
        minutes     = 1
        missing     = "notBreaching"
      }
    },
    # Without a canary a quiet account has no events.
    {
      for name in(var.canary ? ["no-events"] : []) : name => {
        description = "No event has come for half an hour, though the canary causes one every five minutes: the trail, a rule or the queue's policy is broken, or somebody blinds us."
        metric      = "NumberOfMessagesSent"
        queue       = aws_sqs_queue.queue.name
        statistic   = "Sum"
        comparison  = "LessThanThreshold"
        threshold   = 1
        minutes     = 30
        missing     = "breaching"
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "queue" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = "AWS/SQS"
  metric_name         = each.value.metric
  dimensions          = { QueueName = each.value.queue }
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

# A long poll that finds nothing counts as an empty receive, so that a daemon with nothing to do still shows.
resource "aws_cloudwatch_metric_alarm" "not_read" {
  alarm_name          = "${var.name}-not-read"
  alarm_description   = "Nobody has read the queue for five minutes: the daemon is down, cut off, or without rights. Keys are not guarded."
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  evaluation_periods  = 5
  datapoints_to_alarm = 5
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.topic.arn]
  ok_actions          = [aws_sns_topic.topic.arn]
  tags                = var.tags

  dynamic "metric_query" {
    for_each = { m1 = "NumberOfMessagesReceived", m2 = "NumberOfEmptyReceives" }

    content {
      id          = metric_query.key
      return_data = false

      metric {
        namespace   = "AWS/SQS"
        metric_name = metric_query.value
        dimensions  = { QueueName = aws_sqs_queue.queue.name }
        period      = 60
        stat        = "Sum"
      }
    }
  }

  metric_query {
    id          = "sum"
    label       = "not-read"
    expression  = "FILL(m1, 0) + FILL(m2, 0)"
    return_data = true
  }
}

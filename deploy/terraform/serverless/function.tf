# The function, who may call it, and what it has for settings.

locals {
  settings = yamlencode({
    mode        = var.mode
    environment = var.name
    accounts    = [{ id = local.account, regions = local.regions }]
    responders  = { restore_key = {}, sns = { topic_arn = aws_sns_topic.topic.arn } }
    watched = {
      queues = [aws_sqs_queue.dead_letters.arn]
      tables = [aws_dynamodb_table.table.arn]
    }
    store    = { kind = "dynamodb", table = var.name, region = local.region }
    function = { failure_queue = { url = aws_sqs_queue.dead_letters.url } }
  })
  # Each rule by its own ARN: a wildcard would let in whoever can make a rule of such a name.
  callers = merge(
    { for word, one in aws_cloudwatch_event_rule.own : word => one.arn },
    { for word, one in aws_cloudwatch_event_rule.forwarded : word => one.arn },
    { for one in aws_cloudwatch_event_rule.sweep : "sweep" => one.arn },
  )
}

resource "aws_lambda_function" "function" {
  function_name                  = var.name
  description                    = "kms-monitor: puts KMS keys back that somebody takes away"
  runtime                        = var.runtime
  architectures                  = [var.architecture]
  handler                        = "monitor.serverless.handle"
  s3_bucket                      = var.code_bucket
  s3_key                         = var.code_key
  s3_object_version              = var.code_version
  role                           = aws_iam_role.function.arn
  memory_size                    = var.memory
  timeout                        = 120
  reserved_concurrent_executions = var.concurrency
  tags                           = var.tags

  dead_letter_config {
    target_arn = aws_sqs_queue.dead_letters.arn
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.log.name
  }

  environment {
    variables = {
      for name, value in {
        KMS_MONITOR_SETTINGS = var.settings_parameter == "" ? local.settings : null
        KMS_MONITOR_CONFIG   = var.settings_parameter != "" ? "ssm:${var.settings_parameter}" : null
      } : name => value if value != null
    }
  }

  # Lambda refuses a dead-letter queue that the role has no right for.
  depends_on = [aws_iam_role_policy.function]
}

resource "aws_lambda_function_event_invoke_config" "tries" {
  function_name                = aws_lambda_function.function.function_name
  qualifier                    = "$LATEST"
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 21600
}

resource "aws_cloudwatch_log_group" "log" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_days
  skip_destroy      = true
  tags              = var.tags
}

resource "aws_lambda_permission" "rule" {
  for_each = local.callers

  function_name = aws_lambda_function.function.function_name
  action        = "lambda:InvokeFunction"
  principal     = "events.amazonaws.com"
  source_arn    = each.value
}

# Of AWS Config the recorder has to be there already, and to record AWS::KMS::Key: a Region can have but one.
resource "aws_lambda_permission" "config" {
  count = var.config_rule ? 1 : 0

  function_name  = aws_lambda_function.function.function_name
  action         = "lambda:InvokeFunction"
  principal      = "config.amazonaws.com"
  source_account = local.account
}

resource "aws_config_config_rule" "keys" {
  count = var.config_rule ? 1 : 0

  name        = var.name
  description = "Keys are enabled, not about to be deleted, and open to nobody else: judged by ${var.name}"
  tags        = var.tags

  scope {
    compliance_resource_types = ["AWS::KMS::Key"]
  }

  source {
    owner             = "CUSTOM_LAMBDA"
    source_identifier = aws_lambda_function.function.arn

    source_detail {
      event_source = "aws.config"
      message_type = "ConfigurationItemChangeNotification"
    }

    source_detail {
      event_source = "aws.config"
      message_type = "OversizedConfigurationItemChangeNotification"
    }

    source_detail {
      event_source                = "aws.config"
      message_type                = "ScheduledNotification"
      maximum_execution_frequency = "TwentyFour_Hours"
    }
  }

  # Config tries whether it may call the function while the rule is made.
  depends_on = [aws_lambda_permission.config]
}

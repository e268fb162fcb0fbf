"""The calls that change what we see by, and which trail, rule, queue or topic each one touches.

Those that change nothing but data, such as PurgeQueue, are not among them. Parameters: aws-facts 7.
"""

from collections.abc import Mapping

from monitor.event import Event
from monitor.sight.blinding import Arn, queue, rule, topic, trail

CLOUDTRAIL, EVENTS = "cloudtrail.amazonaws.com", "events.amazonaws.com"
SQS, SNS = "sqs.amazonaws.com", "sns.amazonaws.com"
CHANGES: Mapping[tuple[str, str], tuple[str, Arn]] = {
    (CLOUDTRAIL, "DeleteTrail"): ("trails", trail("name")),
    (CLOUDTRAIL, "PutEventSelectors"): ("trails", trail("trailName")),
    (CLOUDTRAIL, "StartLogging"): ("trails", trail("name")),
    (CLOUDTRAIL, "StopLogging"): ("trails", trail("name")),
    (CLOUDTRAIL, "UpdateTrail"): ("trails", trail("name")),
    (EVENTS, "DeleteRule"): ("rules", rule("name")),
    (EVENTS, "DisableRule"): ("rules", rule("name")),
    (EVENTS, "EnableRule"): ("rules", rule("name")),
    (EVENTS, "PutRule"): ("rules", rule("name")),
    (EVENTS, "PutTargets"): ("rules", rule("rule")),
    (EVENTS, "RemoveTargets"): ("rules", rule("rule")),
    (SNS, "AddPermission"): ("topics", topic("topicArn")),
    (SNS, "DeleteTopic"): ("topics", topic("topicArn")),
    (SNS, "RemovePermission"): ("topics", topic("topicArn")),
    (SNS, "SetTopicAttributes"): ("topics", topic("topicArn")),
    (SQS, "AddPermission"): ("queues", queue),
    (SQS, "DeleteQueue"): ("queues", queue),
    (SQS, "RemovePermission"): ("queues", queue),
    (SQS, "SetQueueAttributes"): ("queues", queue),
}
"""With the field of `Watched` that names such a resource, and how to read its ARN."""


def touched(event: Event) -> tuple[str, str]:
    """The field of `Watched`, and the ARN; empty texts where it is no such call, or names none."""
    kind, read = CHANGES.get((event.event_source, event.event_name), ("", None))
    arn = read(event, event.request()) if read else ""
    return (kind, arn) if arn else ("", "")

"""The watcher's watcher: alarms that need nothing of the daemon, not even that it lives. Pure.

Metrics: SQS developer guide, "Available CloudWatch metrics for Amazon SQS". A long poll that finds nothing
counts as an empty receive, so that a daemon with nothing to do still shows in them.
"""

from typing import Any

from monitor.stack.words import Value, attribute, ref, resource, text

MINUTE = 60
MISSING_IS_BAD, MISSING_IS_GOOD = "breaching", "notBreaching"
QUIET_MINUTES = 130
"""After which nobody has called a function that is called at least once an hour."""

Measured = tuple[str, str, Value]
"""A namespace of CloudWatch, a dimension and its value."""


def queue(name: str) -> Measured:
    return ("AWS/SQS", "QueueName", attribute(name, "QueueName"))


FUNCTION: Measured = ("AWS/Lambda", "FunctionName", ref("Function"))
"""AWS Lambda developer guide, "Types of metrics for Lambda functions"."""


def dead_letters() -> Value:
    return alarm(
        "dead-letters",
        "Events could not be read, handled or delivered: kms-monitor dlq show.",
        (queue("DeadLetters"), ("ApproximateNumberOfMessagesVisible",)),
        ("Maximum", "GreaterThanThreshold", 0),
        minutes=1,
    )


def alarms() -> Value:
    """Of the daemon."""
    return {
        "AlarmNotRead": alarm(
            "not-read",
            "Nobody has read the queue for five minutes: the daemon is down, cut off, or without "
            "rights. Keys are not guarded.",
            (queue("Queue"), ("NumberOfMessagesReceived", "NumberOfEmptyReceives")),
            ("Sum", "LessThanThreshold", 1),
            missing=MISSING_IS_BAD,
        ),
        "AlarmOld": alarm(
            "old",
            "An event has waited in the queue for more than five minutes.",
            (queue("Queue"), ("ApproximateAgeOfOldestMessage",)),
            ("Maximum", "GreaterThanThreshold", 300),
            minutes=3,
        ),
        "AlarmDeadLetters": dead_letters(),
        "AlarmNoEvents": alarm(
            "no-events",
            "No event has come for half an hour, though the canary causes one every five minutes: the "
            "trail, a rule or the queue's policy is broken, or somebody blinds us.",
            (queue("Queue"), ("NumberOfMessagesSent",)),
            ("Sum", "LessThanThreshold", 1),
            minutes=30,
            missing=MISSING_IS_BAD,
            Condition="HasCanary",
        ),
    }


def function_alarms() -> Value:
    """Of the function."""
    return {
        "AlarmErrors": alarm(
            "errors",
            "Calls of the function failed, or ran out of time: its log says why. Lambda tries twice "
            "more, then the event lies in the dead-letter queue.",
            (FUNCTION, ("Errors",)),
            ("Sum", "GreaterThanThreshold", 0),
            minutes=1,
        ),
        "AlarmThrottles": alarm(
            "throttles",
            "The function was not called because too many of its calls, or of the account's, were "
            "under way. Events wait; keys are put back late.",
            (FUNCTION, ("Throttles",)),
            ("Sum", "GreaterThanThreshold", 0),
            minutes=5,
        ),
        "AlarmLate": alarm(
            "late",
            "Events wait for more than five minutes until the function is called for them.",
            (FUNCTION, ("AsyncEventAge",)),
            # Milliseconds, as IteratorAge.
            ("Maximum", "GreaterThanThreshold", 300_000),
            minutes=3,
        ),
        "AlarmIteratorAge": alarm(
            "iterator-age",
            "Records of a stream are more than five minutes old when the function gets them.",
            (FUNCTION, ("IteratorAge",)),
            ("Maximum", "GreaterThanThreshold", 300_000),
            minutes=3,
        ),
        "AlarmDeadLetters": dead_letters(),
        "AlarmNotCalled": alarm(
            "not-called",
            "Nobody has called the function for two hours, though a schedule does: it, the function's "
            "permissions or the function itself are gone. Keys are not guarded.",
            (FUNCTION, ("Invocations",)),
            ("Sum", "LessThanThreshold", 1),
            minutes=QUIET_MINUTES,
            missing=MISSING_IS_BAD,
            Condition="HasSweep",
        ),
    }


def alarm(
    name: str,
    description: str,
    measured: tuple[Measured, tuple[str, ...]],
    bad: tuple[str, str, int],
    *,
    minutes: int = 5,
    missing: str = MISSING_IS_GOOD,
    **more: Any,
) -> Value:
    """Sounds if one minute after the other was bad. `measured`: of what, and metrics, added up."""
    (namespace, dimension, value), metrics = measured
    statistic, comparison, threshold = bad
    dimensions = [{"Name": dimension, "Value": value}]
    properties: dict[str, Value] = {
        "AlarmName": text(f"${{Name}}-{name}"),
        "AlarmDescription": description,
        "ComparisonOperator": comparison,
        "Threshold": threshold,
        "EvaluationPeriods": minutes,
        "DatapointsToAlarm": minutes,
        "TreatMissingData": missing,
        "AlarmActions": [ref("Topic")],
        "OKActions": [ref("Topic")],
    }
    if len(metrics) == 1:
        properties |= {
            "Namespace": namespace,
            "MetricName": metrics[0],
            "Dimensions": dimensions,
            "Statistic": statistic,
            "Period": MINUTE,
        }
    else:
        properties["Metrics"] = [
            *(
                {
                    "Id": f"m{number}",
                    "ReturnData": False,
                    "MetricStat": {
                        "Metric": {
                            "Namespace": namespace,
                            "MetricName": metric,
                            "Dimensions": dimensions,
                        },
                        "Period": MINUTE,
                        "Stat": statistic,
                    },
                }
                for number, metric in enumerate(metrics, 1)
            ),
            # What has no data in a minute counts as nothing in it.
            {
                "Id": "sum",
                "Label": name,
                "ReturnData": True,
                "Expression": " + ".join(
                    f"FILL(m{number}, 0)" for number in range(1, len(metrics) + 1)
                ),
            },
        ]
    return resource("CloudWatch::Alarm", properties, **more)

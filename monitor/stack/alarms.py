"""The watcher's watcher: alarms that need nothing of the daemon, not even that it lives. Pure.

Metrics: SQS developer guide, "Available CloudWatch metrics for Amazon SQS". A long poll that finds nothing
counts as an empty receive, so that a daemon with nothing to do still shows in them.
"""

from typing import Any

from monitor.stack.words import Value, attribute, ref, resource, text

MINUTE = 60
MISSING_IS_BAD, MISSING_IS_GOOD = "breaching", "notBreaching"


def alarms() -> Value:
    return {
        "AlarmNotRead": alarm(
            "not-read",
            "Nobody has read the queue for five minutes: the daemon is down, cut off, or without "
            "rights. Keys are not guarded.",
            ("Queue", ("NumberOfMessagesReceived", "NumberOfEmptyReceives")),
            ("Sum", "LessThanThreshold", 1),
            missing=MISSING_IS_BAD,
        ),
        "AlarmOld": alarm(
            "old",
            "An event has waited in the queue for more than five minutes.",
            ("Queue", ("ApproximateAgeOfOldestMessage",)),
            ("Maximum", "GreaterThanThreshold", 300),
            minutes=3,
        ),
        "AlarmDeadLetters": alarm(
            "dead-letters",
            "Events could not be read, handled or delivered: kms-monitor dlq show.",
            ("DeadLetters", ("ApproximateNumberOfMessagesVisible",)),
            ("Maximum", "GreaterThanThreshold", 0),
            minutes=1,
        ),
        "AlarmNoEvents": alarm(
            "no-events",
            "No event has come for half an hour, though the canary causes one every five minutes: the "
            "trail, a rule or the queue's policy is broken, or somebody blinds us.",
            ("Queue", ("NumberOfMessagesSent",)),
            ("Sum", "LessThanThreshold", 1),
            minutes=30,
            missing=MISSING_IS_BAD,
            Condition="HasCanary",
        ),
    }


def alarm(
    name: str,
    description: str,
    measured: tuple[str, tuple[str, ...]],
    bad: tuple[str, str, int],
    *,
    minutes: int = 5,
    missing: str = MISSING_IS_GOOD,
    **more: Any,
) -> Value:
    """Sounds if one minute after the other was bad. `measured`: a queue and metrics, added up."""
    queue, metrics = measured
    statistic, comparison, threshold = bad
    dimensions = [{"Name": "QueueName", "Value": attribute(queue, "QueueName")}]
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
            "Namespace": "AWS/SQS",
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
                            "Namespace": "AWS/SQS",
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

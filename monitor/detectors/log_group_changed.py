"""Somebody deleted or shortened logs, filters or alarms that tell about keys.

A trail may write to CloudWatch Logs beside its bucket, and metric filters and alarms may watch it
there: another road to people than ours. Calls: aws-facts 7.4; CloudWatch Logs and CloudWatch API
references. CloudWatch's eventSource is `monitoring.amazonaws.com`.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from monitor.arns import arn_of, log_group_arn
from monitor.detector import About
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import member, named_resource, number, short, text, texts
from monitor.whose import OnOurs

LOGS = "logs.amazonaws.com"
CLOUDWATCH = "monitoring.amazonaws.com"
GROUPS = {
    "DeleteLogGroup": (Severity.HIGH, "was deleted"),
    "DeleteLogStream": (Severity.MEDIUM, "lost a stream"),
    "DeleteMetricFilter": (Severity.MEDIUM, "lost a metric filter"),
    "DeleteSubscriptionFilter": (Severity.HIGH, "lost a subscription filter"),
}
ALARMS = {
    "DeleteAlarms": "deleted",
    "DisableAlarmActions": "silenced",
}


class LogGroupOptions(BaseModel, extra="forbid"):
    alarms: list[str] = Field(
        ["*kms*"],
        description="Shell patterns, without regard to case, of the names of those CloudWatch "
        "alarms that look after keys or after the daemon.",
    )
    short_days: int = Field(
        30, ge=1, description="Keeping logs for fewer days than these is worth telling."
    )


class LogGroupChanged(OnOurs[LogGroupOptions]):
    name: ClassVar = "log_group_changed"
    title: ClassVar = "Log group or alarm changed"
    about: ClassVar = About(
        description="Somebody deleted a log group of ours, a filter in it or an alarm about keys, "
        "silenced such an alarm, or made the group forget soon.",
        severity="high where a group or its subscription filter is gone, and for alarms; medium "
        "for metric filters, streams and a short retention; silent for other groups and alarms",
        techniques=("T1562.001", "T1562.008", "T1070"),
        false_positives=(
            "Alarms are silenced during planned work, or made anew by infrastructure as code.",
            "Old streams of a log group are tidied up.",
        ),
        advice=(
            "Find out whether whoever did it was meant to.",
            "Make the group, the filter or the alarm anew, and see that the trail writes to it.",
        ),
        references=(
            "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_Operations.html",
            "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DeleteAlarms.html",
            "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/send-cloudtrail-events-to-cloudwatch-logs.html",
        ),
    )
    events: ClassVar = frozenset(
        {
            (LOGS, "PutRetentionPolicy"),
            *((LOGS, name) for name in GROUPS),
            *((CLOUDWATCH, name) for name in ALARMS),
        }
    )
    Options: ClassVar[type[BaseModel]] = LogGroupOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        if event.event_source == CLOUDWATCH:
            return self.alarms(event, request)
        return self.group(event, request)

    def group(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        named = text(request, "logGroupName", "logGroupIdentifier")
        if event.failed and not named:
            named = named_resource(event.error_message)
        group = log_group_arn(event, named)
        if event.failed:
            return self.attempt_on(event, "log_groups", [group])
        mine = self.mine("log_groups", [group])
        days = number(member(request, "retentionInDays"))
        if not mine:
            return []
        if event.event_name in GROUPS:
            severity, what = GROUPS[event.event_name]
        elif days is not None and days < self.options.short_days:
            severity, what = Severity.MEDIUM, f"keeps logs for only {days:.0f} days"
        else:
            return []
        title = f"Log group {short(group.partition(':log-group:')[2])} {what}"
        given = {"filter": text(request, "filterName"), "stream": text(request, "logStreamName")}
        details = {name: short(value) for name, value in given.items() if value}
        return [
            self.finding(event, title, severity, kind=Kind.NOTICE, resource=group, details=details)
        ]

    def alarms(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        """One finding about all alarms of the call, as long as one of them is ours."""
        named = texts(member(request, "alarmNames"))
        if event.failed and not named:
            named = [named_resource(event.error_message).rpartition(":alarm:")[2]]
        mine = sorted(one for one in named if self.is_ours(one))
        if not mine:
            return []
        resource = arn_of(event, "cloudwatch", mine[0], kind="alarm:")
        if event.failed:
            return [self.attempt(event, event.event_name, resource=resource)]
        return [
            self.finding(
                event,
                f"CloudWatch alarms about keys were {ALARMS[event.event_name]}",
                Severity.HIGH,
                kind=Kind.NOTICE,
                resource=resource,
                details={"alarms": short(", ".join(mine)), "number": str(len(mine))},
            )
        ]

    def is_ours(self, alarm: str) -> bool:
        return any(fnmatchcase(alarm.lower(), one.lower()) for one in self.options.alarms)

"""Somebody emptied or deleted our SQS queue, or changed who and what gets into it.

The queue is the one way in: what is purged is lost, what is refused never comes (aws-facts 5, 7.3).
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from monitor.arns import arn_of, queue_arn
from monitor.detector import About, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Severity
from monitor.parameters import listed, short
from monitor.sight.queues import Limits, judge
from monitor.whose import OnOurs, graded, lowered

SQS = "sqs.amazonaws.com"
REFERENCE = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference"
GUIDE = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide"


class QueueEmptied(OnOurs[NoOptions]):
    name: ClassVar = "queue_emptied"
    title: ClassVar = "SQS queue emptied"
    about: ClassVar = About(
        description="Somebody purged or deleted an SQS queue that brings us events, or that keeps "
        "those we could not handle. Every event in it is lost.",
        severity="critical for one of our queues, their dead-letter queues included; medium if no "
        "queue is known; other queues are not told of. An attempt is medium if AWS denied it, else "
        "low",
        techniques=("T1562.001", "T1485"),
        false_positives=("A dead-letter queue is purged after its messages were looked at.",),
        advice=(
            "Look into the event history for what was lost: kms-monitor replay.",
            "Make the queue anew if it is gone, with its policy and its dead-letter queue.",
            "Sweep all keys: kms-monitor sweep.",
        ),
        references=(f"{REFERENCE}/API_PurgeQueue.html", f"{REFERENCE}/API_DeleteQueue.html"),
    )
    events: ClassVar = frozenset((SQS, name) for name in ("DeleteQueue", "PurgeQueue"))

    def inspect(self, event: Event) -> Iterable[Finding]:
        arn = queue_arn(event, event.request().get("queueUrl"))
        deleted = event.event_name == "DeleteQueue"
        if event.failed:
            what = f"{'Deleting' if deleted else 'Purging'} an SQS queue"
            return self.refused(event, what, "queues", arn, "sqs")
        severity = graded(self.whose("queues", arn), Severity.CRITICAL, Severity.MEDIUM)
        title = "SQS queue deleted" if deleted else self.title
        return [self.notice(event, title, severity, arn)] if severity else []


class QueueOptions(BaseModel, extra="forbid"):
    least_retention_hours: int = Field(
        24, ge=1, le=336, description="Keeping messages for less than so many hours is told of."
    )
    most_delay_seconds: int = Field(
        10, ge=0, le=900, description="Delivering messages later than so many seconds is told of."
    )
    least_message_kib: int = Field(
        256, ge=1, le=1024, description="Refusing messages of less than so many KiB is told of."
    )


class QueueChanged(OnOurs[QueueOptions]):
    name: ClassVar = "queue_changed"
    title: ClassVar = "SQS queue changed"
    about: ClassVar = About(
        description="Somebody changed an SQS queue of ours so that events do not get in, are read "
        "by others, or are lost: its policy, the key that encrypts it, its dead-letter queue, how "
        "long and how late it keeps messages; or moved messages out of it or into it.",
        severity="critical if nobody may send to the queue any more; high for a policy that is "
        "public or forbids, a key, messages that are lost; medium for another dead-letter queue or "
        "a changed policy; low if no queue is known; other queues are not told of",
        techniques=("T1562.001", "T1098"),
        false_positives=("A deployment of the queue's own stack sets its attributes again.",),
        advice=(
            "Compare the queue with what it should be: aws sqs get-queue-attributes.",
            "Put its policy and its attributes back.",
            "If a key encrypts it now, take it away: whoever rules the key rules the queue.",
        ),
        references=(
            f"{REFERENCE}/API_SetQueueAttributes.html",
            f"{REFERENCE}/API_StartMessageMoveTask.html",
            f"{GUIDE}/sqs-key-management.html",
        ),
    )
    events: ClassVar = frozenset(
        (SQS, name)
        for name in (
            "AddPermission",
            "RemovePermission",
            "SetQueueAttributes",
            "StartMessageMoveTask",
        )
    )
    Options: ClassVar[type[BaseModel]] = QueueOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        if event.event_name == "StartMessageMoveTask":
            return self.moved(event, request)
        arn = queue_arn(event, request.get("queueUrl"))
        if event.failed:
            return self.refused(event, WHAT[event.event_name], "queues", arn, "sqs")
        ours = self.whose("queues", arn)
        if ours is False:
            return []
        match event.event_name:
            case "AddPermission":
                strangers = self.strangers(event)
                severity = Severity.HIGH if strangers else Severity.LOW
                title = "Others may use an SQS queue"
                details = {
                    "accounts": ", ".join(strangers)[:300] or "our own",
                    "actions": ", ".join(short(one) for one in listed(request.get("actions")))[
                        :300
                    ],
                }
            case "RemovePermission":
                severity, title = Severity.HIGH, "Permission of an SQS queue removed"
                details = {"label": short(request.get("label"))}
            case _:
                limits = Limits(
                    self.options.least_retention_hours * 3600,
                    self.options.most_delay_seconds,
                    self.options.least_message_kib * 1024,
                )
                judged = judge(request.get("attributes"), self.knowledge.watched.queues, limits)
                if not judged.details:
                    return []
                severity, title, details = judged.severity, self.title, judged.details
        return [self.damage(event, title, lowered(severity, ours), arn, details)]

    def moved(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        """A redrive. Without a destination, messages go back to where they came from."""
        source = arn_of(event, "sqs", request.get("sourceArn"))
        destination = arn_of(event, "sqs", request.get("destinationArn"))
        if event.failed:
            arn = source or destination
            return self.refused(event, WHAT[event.event_name], "queues", arn, "sqs")
        out, into = self.whose("queues", source), self.whose("queues", destination)
        details = {"from": short(source), "to": short(destination) or "its source queues"}
        title = "Messages of an SQS queue moved"
        if out and destination and not into:
            return [self.notice(event, title, Severity.HIGH, source, details)]
        if into and not out:
            title = "Messages moved into an SQS queue"
            return [self.notice(event, title, Severity.MEDIUM, destination, details)]
        if out or (out is None and into is None):
            return [self.notice(event, title, Severity.LOW, source, details)]
        return []


WHAT = {
    "AddPermission": "Letting others use an SQS queue",
    "RemovePermission": "Removing a permission of an SQS queue",
    "SetQueueAttributes": "Changing an SQS queue",
    "StartMessageMoveTask": "Moving messages of an SQS queue",
}

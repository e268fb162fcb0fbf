"""EC2 or RDS could not do its work because of a key: whom the loss of a key hurts.

Calls that failed at once are CloudTrail records with an errorCode (EC2 API reference, "Error codes";
RDS API reference, `KMSKeyNotAccessibleFault`). What fails later has no record: EBS and RDS tell it
on EventBridge (Amazon EBS user guide, "Amazon EventBridge events for Amazon EBS"; Amazon RDS user
guide, "Amazon RDS event categories and event messages").
"""

import re
from collections.abc import Iterable
from typing import ClassVar

from monitor.decoding import part
from monitor.detector import About, Base, NoOptions
from monitor.event import Event, Resource
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import short, text

EC2 = "ec2.amazonaws.com"
RDS = "rds.amazonaws.com"
VOLUME = ("aws.ec2", "EBS Volume Notification")
DATABASES = (("aws.rds", "RDS DB Instance Event"), ("aws.rds", "RDS DB Cluster Event"))
CODES = {
    EC2: (
        "Client.CustomerKeyHasBeenRevoked",
        "Client.InvalidKMSKey.InvalidState",
        "Client.InvalidKmsKey.InvalidState",
        "Client.KMSKeyNotAccessible",
    ),
    RDS: ("KMSKeyNotAccessibleFault", "KMSKeyNotAccessible"),
}
"""EC2's CloudTrail writes `Client.` before a code; both spellings of KMS are seen in the field."""
CALLS = {
    EC2: (
        "AttachVolume",
        "CopyImage",
        "CopySnapshot",
        "CreateImage",
        "CreateSnapshot",
        "CreateVolume",
        "ImportSnapshot",
        "RunInstances",
        "StartInstances",
    ),
    RDS: (
        "CopyDBClusterSnapshot",
        "CopyDBSnapshot",
        "CreateDBCluster",
        "CreateDBInstance",
        "CreateDBInstanceReadReplica",
        "ModifyDBCluster",
        "ModifyDBInstance",
        "RestoreDBClusterFromSnapshot",
        "RestoreDBClusterToPointInTime",
        "RestoreDBInstanceFromDBSnapshot",
        "RestoreDBInstanceToPointInTime",
        "StartDBCluster",
        "StartDBInstance",
        "StartExportTask",
    ),
}
KEY = re.compile(r":kms:|\bKMS\b|\bCMK\b")
"""What EBS's `cause` has in it where a key is the cause: `ARN is pending deletion.`, for one."""
FAILING, LOST, BACK = "RDS-EVENT-0418", "RDS-EVENT-0419", "RDS-EVENT-0420"
"""RDS cannot reach the key of a database; gives it up for the time being; reaches it again."""
STATES = ("inaccessible-encryption-credentials", "unable to access the kms")


class DownstreamFailure(Base[NoOptions]):
    name: ClassVar = "downstream_failure"
    title: ClassVar = "A service cannot use a key"
    about: ClassVar = About(
        description="EC2, EBS or RDS could not start, attach, copy or restore something because "
        "its key is disabled, pending deletion or out of reach. It shows whom the loss of a key "
        "hurts. An RDS database that has lost its key is stopped, and after 7 days can only be "
        "restored from a backup.",
        severity="high; critical where RDS puts a database into an inaccessible state; info where "
        "RDS reaches the key again",
        techniques=("T1485", "T1489"),
        false_positives=(
            (
                "A key policy or a grant is missing, as for a new role of Auto Scaling: EC2 then says "
                "that the key is in an incorrect state."
            ),
            "A key was disabled on purpose, and something forgotten still uses it.",
        ),
        advice=(
            "Look at the key's state and policy, and put it back if it was not meant to change.",
            "Then start what failed again; a database within 7 days.",
        ),
        references=(
            "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html",
            "https://docs.aws.amazon.com/ebs/latest/userguide/ebs-cloud-watch-events.html",
            "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html",
            "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.Encryption.Keys.html",
        ),
    )
    events: ClassVar = frozenset({VOLUME, *DATABASES})
    failures: ClassVar = frozenset(
        (source, name, code)
        for source, names in CALLS.items()
        for name in names
        for code in CODES[source]
    )

    def inspect(self, event: Event) -> Iterable[Finding]:
        call = (event.event_source, event.event_name)
        if event.failed:
            found = self.call(event)
        else:
            found = self.volume(event) if call == VOLUME else self.database(event)
        for one in found:
            if one.key is not None and one.kind is Kind.EVIDENCE:
                who = one.resource or one.actor.principal
                self.knowledge.failed_uses.note(one.key, who, event.time, event.event_id)
        return found

    def call(self, event: Event) -> list[Finding]:
        service = "RDS" if event.event_source == RDS else "EC2"
        details = {"error_message": short(event.error_message or "")}
        title = f"{service} could not do {event.event_name} because of a key"
        return [self.finding(event, title, Severity.HIGH, kind=Kind.EVIDENCE, details=details)]

    def volume(self, event: Event) -> list[Finding]:
        """A volume that could not be made or attached. Its event names the key, and why."""
        detail = event.request()
        cause = text(detail, "cause")
        if text(detail, "result") != "failed" or not KEY.search(cause):
            return []
        details = {"cause": short(cause), "event": short(text(detail, "event"))}
        title = "EBS could not use a key for a volume"
        return [
            self.finding(
                event,
                title,
                Severity.HIGH,
                kind=Kind.EVIDENCE,
                resource=next((arn for arn in arns_of(event) if ":volume/" in arn), ""),
                details=details,
            )
        ]

    def database(self, event: Event) -> list[Finding]:
        """A database that loses its key, or gets it back. RDS does not say which key."""
        detail = event.request()
        number, message = text(detail, "EventID"), text(detail, "Message")
        kind = Kind.EVIDENCE
        if number == BACK:
            severity, title, kind = (
                Severity.INFO,
                "RDS reaches a database's key again",
                Kind.RECOVERY,
            )
        elif number == LOST:
            severity, title = Severity.CRITICAL, "RDS puts a database out of reach: its key is lost"
        elif number == FAILING or any(one in message.lower() for one in STATES):
            severity, title = Severity.HIGH, "RDS cannot reach a database's key"
        else:
            return []
        arn = text(detail, "SourceArn")
        return [
            self.finding(
                event,
                title,
                severity,
                kind=kind,
                resource=arn if ":rds:" in arn else "",
                details={"message": short(message), "rds_event": short(number)},
            )
        ]


def arns_of(event: Event) -> list[str]:
    """What EventBridge's envelope says that the event is about."""
    return [one.ARN or "" for one in part(event.resources, list[Resource], [])]

"""KMS has deleted a key: its waiting period is over.

KMS tells it twice: by CloudTrail's `DeleteKey` (an AwsServiceEvent, KMS developer guide "DeleteKey")
and by its own EventBridge event `KMS CMK Deletion`, which needs no trail.
"""

from collections.abc import Iterable
from typing import ClassVar

from monitor.detector import KMS, NATIVE, About, Base, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Severity
from monitor.key import KeyRef, KeyState
from monitor.parameters import short, text

DAY = 86_400


class KeyDeleted(Base[NoOptions]):
    name: ClassVar = "key_deleted"
    title: ClassVar = "KMS key deleted for good"
    about: ClassVar = About(
        description="The waiting period of a KMS key is over, and KMS has deleted it. Everything "
        "encrypted under it is unreadable for ever, unless it was a replica of a multi-Region key: "
        "that can be made anew while its primary lives.",
        severity="critical",
        techniques=("T1485",),
        false_positives=("A key that nothing uses any more was deleted after a review.",),
        advice=(
            "Find out whether anybody noticed the waiting period, and why it was not stopped.",
            "If it was a replica, make it anew with ReplicateKey from its primary.",
            "Find out what was encrypted under it, and restore that from backups under other keys.",
        ),
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/ct-delete-key.html",
            "https://docs.aws.amazon.com/kms/latest/developerguide/kms-events.html",
        ),
    )
    events: ClassVar = frozenset({(KMS, "DeleteKey"), (NATIVE, "KMS CMK Deletion")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return []  # nobody can call it: it is KMS's own event
        key = event.key
        details = {}
        hsm = text(event.additional(), "backingKeysDeletionStatus")
        if hsm:
            details["cloudhsm_deletion_status"] = short(hsm)
        known = self.knowledge.key(key)
        if known and known.primary and known.primary != key:
            details["replica_of"] = known.primary.arn
        return [
            self.finding(
                event,
                self.title,
                Severity.CRITICAL,
                caused=KeyState.GONE,
                details=details,
                occasion=occasion(key, event),
            )
        ]


def occasion(key: KeyRef | None, event: Event) -> str:
    """The same for both ways on which KMS tells it.

    A key dies once, but for a replica: made anew, it bears the same ARN. It lives for 7 days at
    least, so a day tells one death from the next.
    """
    if key is None:
        return ""
    return f"gone on day {int(event.time // DAY)}" if key.key_id.startswith("mrk-") else "gone"

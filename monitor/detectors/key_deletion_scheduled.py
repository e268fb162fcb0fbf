"""Somebody scheduled a key for deletion, or tried to.

From that moment the key cannot be used; at the end of the window it is gone for good, and with it
everything encrypted under it (aws-facts 3.1). A multi-Region primary that still has replicas goes
to PendingReplicaDeletion instead, has no deletion date, and can stay there for ever.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from monitor.detector import KMS, About, Base
from monitor.event import Event
from monitor.finding import Finding, Severity
from monitor.key import KeyState

DEFAULT_WINDOW_DAYS = 30
"""AWS's default where the caller names no window (aws-facts 2.3)."""


class DeletionOptions(BaseModel, extra="forbid"):
    short_window_days: int = Field(
        10,
        ge=7,
        le=30,
        description="A window of so many days or fewer raises the severity to critical: somebody "
        "who chooses less than the default of 30 is in a hurry.",
    )


class KeyDeletionScheduled(Base[DeletionOptions]):
    name: ClassVar = "key_deletion_scheduled"
    title: ClassVar = "KMS key scheduled for deletion"
    about: ClassVar = About(
        description="Somebody scheduled a KMS key for deletion. It is of no use from this moment on; "
        "when its waiting period of 7 to 30 days ends, it is gone, and everything encrypted under "
        "it is unreadable for ever.",
        severity="high; critical if the waiting period is `short_window_days` or less; an attempt "
        "is medium if AWS denied it, else low",
        techniques=("T1485", "T1490"),
        false_positives=("A key that nothing uses any more is deleted after a review.",),
        advice=(
            "Find out whether whoever did it was meant to.",
            "If nobody knows of it, revoke the sessions of the role or the keys of the user.",
            "Look for other keys, backups and snapshots that the same caller touched.",
        ),
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html",
            "https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys-mrk.html",
        ),
    )
    events: ClassVar = frozenset({(KMS, "ScheduleKeyDeletion")})
    Options: ClassVar[type[BaseModel]] = DeletionOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return [self.attempt(event, "Scheduling a KMS key for deletion")]
        response, request = event.response(), event.request()
        days = window_days(response, request)
        waits = response.get("keyState") == KeyState.PENDING_REPLICA_DELETION
        details = {"window_days": str(days)}
        # The date is locale text without a zone (aws-facts 2.3): shown to people, never computed
        # with; DescribeKey knows the real one.
        date = response.get("deletionDate")
        if isinstance(date, str):
            details["deletion_date_text"] = date
        if waits:
            details["waits_for"] = "the deletion of the last replica"
        short = days <= self.options.short_window_days
        return [
            self.finding(
                event,
                f"{self.title} in {days} days",
                Severity.CRITICAL if short else Severity.HIGH,
                caused=KeyState.PENDING_REPLICA_DELETION if waits else KeyState.PENDING_DELETION,
                details=details,
            )
        ]


def window_days(response: dict[str, Any], request: dict[str, Any]) -> int:
    """The window as AWS confirmed it, else as it was asked for, else AWS's default.

    Booleans and numbers beyond the API model's 1 to 365 are no windows.
    """
    for source in (response, request):
        days = source.get("pendingWindowInDays")
        if isinstance(days, int) and not isinstance(days, bool) and 1 <= days <= 365:
            return days
    return DEFAULT_WINDOW_DAYS

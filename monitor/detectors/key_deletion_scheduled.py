"""Somebody scheduled a key for deletion, or tried to.

From that moment the key cannot be used; at the end of the window it is gone for good, and with it
everything encrypted under it (aws-facts 3.1). A multi-Region primary that still has replicas goes
to PendingReplicaDeletion instead, has no deletion date, and can stay there for ever. So who wants to
be rid of all of it deletes the replicas first, in Regions where fewer look (aws-facts 3.4).
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from monitor.detector import KMS, About, Base
from monitor.event import Event
from monitor.finding import Finding, Severity
from monitor.key import KeyRef, KeyState
from monitor.knowledge import Knowledge
from monitor.parameters import deletion_window, few, short, text


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
            "If it is a multi-Region key, look at its primary and its other replicas as well.",
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
        days = deletion_window(response, request)
        waits = response.get("keyState") == KeyState.PENDING_REPLICA_DELETION
        details = {"window_days": str(days)}
        # The date is locale text without a zone (aws-facts 2.3): shown to people, never computed
        # with; DescribeKey knows the real one.
        date = response.get("deletionDate")
        if isinstance(date, str):
            details["deletion_date_text"] = date
        if waits:
            details["waits_for"] = "the deletion of the last replica"
        related = related_keys(self.knowledge, event.key)
        details |= related | cloudhsm(event.additional())
        title = "KMS replica key scheduled for deletion" if "replica_of" in related else self.title
        short = days <= self.options.short_window_days
        # Without a date: the waiting period begins when the last replica is gone (aws-facts 3.4).
        when = f"{days} days after its last replica is gone" if waits else f"in {days} days"
        return [
            self.finding(
                event,
                f"{title} {when}",
                Severity.CRITICAL if short else Severity.HIGH,
                caused=KeyState.PENDING_REPLICA_DELETION if waits else KeyState.PENDING_DELETION,
                details=details,
            )
        ]


def related_keys(knowledge: Knowledge, key: KeyRef | None) -> dict[str, str]:
    """What is known of the other keys with the same material, where it is a multi-Region key."""
    known = knowledge.key(key)
    if key is None or known is None:
        return {}
    found: dict[str, str] = {}
    if known.primary and known.primary != key:
        found["replica_of"] = known.primary.arn
    others = sorted(one for one in known.replicas if one != key)
    if others:
        found["replicas"] = few(one.arn for one in others)
    return found


def cloudhsm(additional: dict[str, Any]) -> dict[str, str]:
    """Where the material of a key in a custom key store lies (KMS developer guide,
    "ScheduleKeyDeletion"): to restore it after the deletion takes a backup of that cluster.

    `backingKeys` is JSON in a text; shown as it is.
    """
    members = {
        "custom_key_store_id": "customKeyStoreId",
        "cluster_id": "clusterId",
        "backing_keys": "backingKeys",
    }
    texts = {name: text(additional, member) for name, member in members.items()}
    return {name: short(text, 200) for name, text in texts.items() if text}

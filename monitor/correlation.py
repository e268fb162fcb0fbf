"""What the detectors share that look at several events: which calls matter, how much is much, words.

Pure, and it knows no detector.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from monitor.event import Event
from monitor.parameters import short
from monitor.windows import Entry

TAKES_AWAY = frozenset({"DeleteImportedKeyMaterial", "DisableKey", "ScheduleKeyDeletion"})
"""KMS calls after which the key cannot be used (aws-facts 3.1)."""
HARMFUL = TAKES_AWAY | {
    "CreateGrant",
    "DeleteAlias",
    "DeleteCustomKeyStore",
    "DisableKeyRotation",
    "DisconnectCustomKeyStore",
    "ImportKeyMaterial",
    "PutKeyPolicy",
    "ReplicateKey",
    "RevokeGrant",
    "UpdateAlias",
    "UpdateCustomKeyStore",
    "UpdatePrimaryRegion",
}
"""KMS calls that take a key away, or can take or give control of it."""
HARMLESS = frozenset(
    {
        "CancelKeyDeletion",
        "ConnectCustomKeyStore",
        "CreateAlias",
        "CreateCustomKeyStore",
        "CreateKey",
        "EnableKey",
        "EnableKeyRotation",
        "RotateKeyOnDemand",
        "TagResource",
        "UntagResource",
        "UpdateKeyDescription",
    }
)
"""The other KMS calls that change something, RetireGrant left out: grantees end their work by it."""
GRANTS = frozenset({"CreateGrant", "RetireGrant", "RevokeGrant"})
"""AWS services make and revoke these for whoever starts an instance or a database."""
STEPS = (10, 30, 100, 300)


def level_of(count: int, first: int, steps: Iterable[int] = STEPS) -> int:
    """How far a count has come: 0 below `first`, 1 from there, one more for every step above it."""
    if count < first:
        return 0
    return 1 + sum(first < step <= count for step in steps)


def is_person(event: Event) -> bool:
    """Whether a user or a role called, and not AWS itself or a role that AWS made for a service."""
    actor = event.actor
    return bool(actor.arn) and not actor.is_aws


def for_a_service(event: Event) -> bool:
    """Whether it is a grant that a service asked for in somebody's name (aws-facts 1.3)."""
    return event.event_name in GRANTS and event.actor.on_an_errand


def listed(texts: Iterable[str], most: int = 5) -> str:
    """A few of them, each once, in their order, and how many more there are."""
    found = list(dict.fromkeys(texts))
    more = f", and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(short(one, 120) for one in found[:most]) + more


def when(at: float) -> str:
    """A moment, for people."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def story(entries: Iterable[Entry], joint: str = "by", most: int = 8) -> str:
    """What happened, oldest first: the last `most` of it."""
    return "; ".join(
        f"{when(one.at)} {one.what} {joint} {short(one.about, 120)}"
        for one in sorted(entries)[-most:]
    )

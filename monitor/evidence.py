"""What shows how much the loss of a key hurts, and how long there is time to undo it. Pure.

Gathered by `monitor.evidence_gathering` when an incident opens or becomes worse, kept with the
incident and told with it. Every part may be missing, and then says why. Names come from events, or
from whoever made an alias or a grant: untrusted, cut, and only a few of each.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

MOST_NAMES: Final = 5
"""Names of users, grantees and aliases that are kept; all are counted."""
LONGEST: Final = 200
"""Characters of one name, or of why a part is missing."""


class LastUse(msgspec.Struct, frozen=True):
    """`KeyLastUsage` of GetKeyLastUsage: the last cryptographic operation that succeeded.

    KMS knows it for up to an hour after the use not yet, and forgets nothing since it began to track
    (April 2026, aws-facts 2.4).
    """

    call: str
    """Such as `Decrypt`."""
    at: float
    """Epoch seconds."""
    event_id: str = ""
    """CloudTrail's eventID of it."""


class FailedUse(msgspec.Struct, frozen=True):
    """One user of a key that could not use it. Times are epoch seconds, by CloudTrail."""

    who: str
    """A principal's ARN, or an AWS service's name."""
    count: int
    """Calls that we saw fail; more may have."""
    first_at: float
    last_at: float
    service: bool = False


class Evidence(msgspec.Struct, frozen=True):
    """Times are epoch seconds. None, or 0, where nobody knows: `missing` says why."""

    gathered_at: float
    last_use: LastUse | None = None
    """None, and not missing: it was not used since `tracked_since`."""
    tracked_since: float = 0.0
    """Since when KMS remembers its uses."""
    failed_uses: tuple[FailedUse, ...] = ()
    """Who missed it most, first."""
    failed_users: int = 0
    failed_calls: int = 0
    grants: int | None = None
    grantees: tuple[str, ...] = ()
    """Who may use it by a grant."""
    aliases: int | None = None
    alias_names: tuple[str, ...] = ()
    encrypts: str = ""
    """What of ours it encrypts, as far as we know, such as `trail X`."""
    deadline: float = 0.0
    """When the key is gone for good; 0: its deletion is not scheduled."""
    missing: dict[str, str] = {}
    """The parts that could not be had, and why."""


def with_failed_uses(evidence: Evidence, uses: Iterable[FailedUse]) -> Evidence:
    """The same, with what is known of failed uses by now.

    Of a user that was known before the greater count stays: after a restart it is counted anew.
    """
    found = {one.who: one for one in evidence.failed_uses}
    for one in uses:
        before = found.get(one.who)
        count = max(one.count, before.count) if before else one.count
        first_at = min(one.first_at, before.first_at) if before else one.first_at
        found[one.who] = replace(one, count=count, first_at=first_at)
    ranked = sorted(found.values(), key=lambda one: (-one.count, one.who))
    return replace(
        evidence,
        failed_uses=tuple(ranked[:MOST_NAMES]),
        failed_users=max(evidence.failed_users, len(ranked)),
        failed_calls=max(evidence.failed_calls, sum(one.count for one in ranked)),
    )

"""An approval: an expiring record that lets one actor make one kind of change to one key. Pure.

It is given beforehand, by somebody else than the actor, and is spent by the change. What it covers is
judged by the event's own time and by the ARN of the user or role that answers for the call, never
by a session's name (aws-facts 1.3). A key that is never to be approved for, and a deletion with a
short waiting period, no approval covers.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec
from pydantic import Field

from monitor.finding import Actor, Finding
from monitor.key import KeyRef
from monitor.key_patterns import TagPatterns, by_any_tag, by_name, either, may_be_alias
from monitor.setting_types import Model, Pattern

EARLY = 60.0
"""Seconds. So far the clock of whoever approves may be ahead of AWS's."""
SHORT_DAYS = 10
"""As many as `key_deletion_scheduled` calls a hurry by default."""
ACTIONS = frozenset(
    {
        "CreateGrant",
        "DeleteAlias",
        "DeleteImportedKeyMaterial",
        "DisableKey",
        "DisableKeyRotation",
        "EnableKeyRotation",
        "PutKeyPolicy",
        "ReplicateKey",
        "RetireGrant",
        "RevokeGrant",
        "ScheduleKeyDeletion",
        "TagResource",
        "UntagResource",
        "UpdateAlias",
        "UpdateKeyDescription",
        "UpdatePrimaryRegion",
    }
)
"""The calls on a key that may count as damage, as CloudTrail names them (aws-facts 2)."""


class State(StrEnum):
    """What may still become of an approval. A closed list, fit for a metric label."""

    OPEN = "open"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Use(msgspec.Struct, frozen=True):
    """One change that an approval was used for: its event, and when that was (epoch seconds)."""

    event_id: str
    at: float


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Times are epoch seconds."""

    id: str
    key: KeyRef
    action: str
    """One of `ACTIONS`."""
    actor: str
    """A pattern over the own ARN of an IAM user or role, as in `approved_actors`."""
    ticket: str
    approver: str
    reason: str = ""
    made_at: float
    until: float
    uses: int = 1
    """For so many changes it holds."""
    used: tuple[Use, ...] = ()
    """Oldest first."""
    revoked_at: float = 0.0
    """0: it is not."""

    def state(self, now: float) -> State:
        if self.revoked_at:
            return State.REVOKED
        if len(self.used) >= self.uses:
            return State.USED
        return State.EXPIRED if now > self.until else State.OPEN

    def used_by(self, event_id: str) -> bool:
        return any(one.event_id == event_id for one in self.used)

    def covers(self, finding: Finding) -> bool:
        """Whether the change is the one that was approved, and the approval is not spent.

        Spent for this very change it still covers it: a message may come twice.
        """
        left = not self.revoked_at and len(self.used) < self.uses
        return (
            finding.key == self.key
            and finding.event_name == self.action
            and matches(finding.actor, self.actor)
            and self.made_at - EARLY <= finding.event_time <= self.until
            and (left or self.used_by(finding.event_id))
        )


class NeverApprove(Model, frozen=True):
    """The keys for which nobody's change is right, and deletions that nobody can approve."""

    keys: list[Pattern] = Field(
        default_factory=list,
        description="Patterns over a key's id, its ARN, or an alias (alias/NAME) that it should "
        "have.",
    )
    tags: TagPatterns = Field(
        default_factory=dict,
        description="Patterns of values by the tag's name; any one is enough. Tags are those that "
        "the key should have.",
    )
    window_days: int = Field(
        default=SHORT_DAYS,
        ge=7,
        le=29,
        description="A deletion whose waiting period is so many days or fewer no approval covers.",
    )

    def holds(
        self, key: KeyRef, aliases: Iterable[str] | None, tags: Mapping[str, str] | None
    ) -> bool:
        """Whether it is one of those keys. What is not known (None) counts against it."""
        answer = either((by_name(self.keys, key, aliases), by_any_tag(self.tags, tags)))
        return answer is not False

    @property
    def needs_to_know(self) -> bool:
        """Whether a key's ARN alone does not tell: aliases or tags have to be known."""
        return bool(self.tags) or any(may_be_alias(pattern) for pattern in self.keys)

    def too_short(self, findings: Iterable[Finding]) -> bool:
        """Whether one event's findings tell of a deletion that no approval covers.

        A detector that does not say how long the waiting period is leaves it to the others; if
        none says it, it may be short.
        """
        deletions = [one for one in findings if one.event_name == "ScheduleKeyDeletion"]
        said = [one.details["window_days"] for one in deletions if "window_days" in one.details]
        days = [int(text) for text in said if text.isascii() and text.isdigit()]
        return bool(deletions) and (not days or min(days) <= self.window_days)


def matches(actor: Actor, pattern: str) -> bool:
    """Whether a pattern names this user, or this role; a session by its issuer."""
    arn = actor.answerable
    return bool(arn) and fnmatchcase(arn, pattern)


def is_actor(approver: str, actor: str) -> bool:
    """Whether who approves is, or may be, whom the pattern `actor` lets act.

    A session's ARN has lost its role's path (aws-facts 1.3), so that only account and name count.
    """
    name = actor.rpartition("/")[2]
    parts = approver.split(":", 5)
    if len(parts) < 6:
        return approver.casefold() in {actor.casefold(), name.casefold()}
    kind, _, rest = parts[5].partition("/")
    if parts[2] == "sts" and kind == "assumed-role":
        role = rest.partition("/")[0]
        same_account = parts[4] == actor.split(":")[4]
        return same_account and ":role/" in actor and fnmatchcase(role, name)
    return fnmatchcase(approver, actor)

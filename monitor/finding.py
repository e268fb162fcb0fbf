"""What a detector saw."""

import hashlib
from enum import IntEnum, StrEnum

import msgspec

from monitor.key import KeyRef, KeyState


class Severity(IntEnum):
    """Ordered, so that a detector can raise it with `max`."""

    INFO = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5

    @property
    def word(self) -> str:
        return self.name.lower()


class Kind(StrEnum):
    """What the finding says about the key."""

    DAMAGE = "damage"
    """A successful change that takes the key, or control of it, away."""
    ATTEMPT = "attempt"
    """Such a change was tried and failed (`errorCode` present): a signal, not a change."""
    CHANGE = "change"
    """A change that no detector minds, and that may move the baseline."""
    NOTICE = "notice"
    """Something that people should know and that no repair undoes."""


class Actor(msgspec.Struct, frozen=True):
    """Who called, as CloudTrail's `userIdentity` tells it. Every text may be empty."""

    type: str = ""
    arn: str = ""
    account: str = ""
    issuer_arn: str = ""
    """For a role session the role's ARN with its path, which the session's ARN has lost."""
    session: str = ""
    invoked_by: str = ""
    source_ip: str = ""
    user_agent: str = ""
    mfa: bool = False

    @property
    def name(self) -> str:
        """The best name there is, for people."""
        return self.arn or self.issuer_arn or self.invoked_by or self.account or "unknown"


class Finding(msgspec.Struct, frozen=True):
    """One thing that one detector saw in one event (times are epoch seconds)."""

    detector: str
    title: str
    kind: Kind
    severity: Severity
    event_id: str
    event_name: str
    event_time: float
    account: str
    region: str
    key: KeyRef | None = None
    """None where the record does not say which key it was about."""
    caused: KeyState | None = None
    """The state that this event leads to, where it leads to one."""
    actor: Actor = Actor()
    error_code: str = ""
    details: dict[str, str] = {}
    """Further facts for people, such as `window_days`. Values come from the event: untrusted."""

    @property
    def finding_id(self) -> str:
        """The same for every redelivery of the same event."""
        subject = self.key.arn if self.key else ""
        text = f"{self.detector}|{self.event_id}|{subject}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

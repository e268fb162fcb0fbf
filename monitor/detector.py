"""What a detector is, and what helps to write one.

A detector is a class with a name, a description of itself (`About`), typed options, and the names
of the events that it needs. It looks at one event at a time and says what it saw; it never waits
and never acts, so that replay says the same as the daemon did.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import msgspec
from pydantic import BaseModel

from monitor.event import KMS, OWN, Event
from monitor.finding import Aspect, Finding, Kind, Severity
from monitor.key import KeyRef, KeyState
from monitor.knowledge import Knowledge

__all__ = [
    "KMS",
    "NATIVE",
    "OWN",
    "About",
    "Base",
    "Call",
    "Detector",
    "NoOptions",
    "OptionsT",
    "is_denied",
]

NATIVE = "aws.kms"
"""The source of KMS's own events on EventBridge, which need no trail."""
Call = tuple[str, str]
"""eventSource and eventName."""


class NoOptions(BaseModel, extra="forbid"):
    """For plugins that have no settings."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector tells about itself: for people, the reference page and notifications."""

    description: str
    """What it sees and why that matters, in one to three sentences."""
    severity: str
    """How severe a finding is, and what raises or lowers it."""
    techniques: tuple[str, ...]
    """ATT&CK technique ids, such as T1485 (Data Destruction) or T1562.008."""
    false_positives: tuple[str, ...]
    advice: tuple[str, ...]
    """What to do now, in order: one imperative sentence each."""
    references: tuple[str, ...]
    """Addresses of AWS's pages that it rests on."""
    quiet: bool = False
    """True where it is not on unless the settings name it: many events, or few who care."""


@runtime_checkable
class Detector(Protocol):
    """Looks at one event and says what it saw; never waits, never acts.

    `__init__` takes its validated `Options` and the `Knowledge`. It is shown no other events than
    it asks for: `events` whatever became of the call, `failures` (with the errorCode) only where it
    failed so.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[About]
    events: ClassVar[frozenset[Call]]
    failures: ClassVar[frozenset[tuple[str, str, str]]]
    Options: ClassVar[type[Any]]
    """A pydantic model that refuses unknown members."""

    def inspect(self, event: Event) -> Iterable[Finding]: ...


OptionsT = TypeVar("OptionsT", bound=BaseModel)


class Base(Generic[OptionsT]):
    """What most detectors have in common. To derive from it is a convenience, not a duty."""

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[About]
    events: ClassVar[frozenset[Call]]
    failures: ClassVar[frozenset[tuple[str, str, str]]] = frozenset()
    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, options: OptionsT, knowledge: Knowledge | None = None) -> None:
        self.options = options
        self.knowledge = knowledge or Knowledge()

    def finding(
        self,
        event: Event,
        title: str,
        severity: Severity,
        *,
        kind: Kind = Kind.DAMAGE,
        caused: KeyState | None = None,
        aspect: Aspect = Aspect.STATE,
        resource: str = "",
        details: dict[str, str] | None = None,
        occasion: str = "",
        key: KeyRef | None = None,
    ) -> Finding:
        """A finding about `event`, with all that the record says filled in.

        `key`: the one that suffers, where it is another than the record names.
        """
        key = key or event.key
        known = self.knowledge.key(key)
        return Finding(
            detector=self.name,
            title=title,
            kind=kind,
            severity=severity,
            event_id=event.event_id,
            event_name=event.event_name,
            event_time=event.time,
            account=event.recipient_account_id or "",
            region=event.aws_region or "",
            key=key,
            caused=caused,
            aspect=aspect,
            resource=resource,
            actor=event.actor,
            error_code=event.error_code or "",
            details=details or {},
            tags=(known.tags if known else None) or {},
            aliases=(known.aliases if known else None) or (),
            tags_known=known is not None and known.tags is not None,
            aliases_known=known is not None and known.aliases is not None,
            techniques=self.about.techniques,
            advice=self.about.advice,
            occasion=occasion,
        )

    def attempt(self, event: Event, what: str, *, resource: str = "") -> Finding:
        """A finding about a call that failed: a signal, not a change.

        Without the right to do it (AccessDenied) somebody tried a door that is not theirs; any
        other error, such as a wrong state, is as often a mistake. A dry run changes nothing either.
        """
        code = event.error_code or ""
        title = f"{what} was tried and failed ({code})"
        if code == "DryRunOperationException":
            title = f"{what} was rehearsed (dry run)"
        return self.finding(
            event,
            title,
            Severity.MEDIUM if is_denied(code) else Severity.LOW,
            kind=Kind.ATTEMPT,
            resource=resource,
            details={"error_message": event.error_message or ""},
        )


def is_denied(code: str | None) -> bool:
    """Whether an errorCode says that the caller has no right to the call.

    CloudTrail says AccessDenied where the SDK says AccessDeniedException (aws-facts 2.4); EC2 says
    Client.UnauthorizedOperation, other services UnauthorizedOperation or AuthorizationError.
    """
    return any(
        word in (code or "") for word in ("AccessDenied", "Unauthorized", "AuthorizationErr")
    )

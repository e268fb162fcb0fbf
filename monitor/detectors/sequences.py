"""What one after the other means more than each call alone: preparation, then damage."""

from collections.abc import Iterable
from typing import ClassVar

import msgspec
from pydantic import BaseModel, Field

from monitor.arns import account_of
from monitor.correlation import (
    HARMFUL,
    HARMLESS,
    TAKES_AWAY,
    for_a_service,
    is_person,
    level_of,
    listed,
    story,
)
from monitor.detector import KMS, About, Base, is_denied
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import short, text
from monitor.windows import Entry, Window

PREPARED_BY: dict[str, frozenset[str]] = {
    "ScheduleKeyDeletion": frozenset(
        {"CreateGrant", "DeleteAlias", "DisableKey", "PutKeyPolicy", "RevokeGrant"}
    ),
    "DisableKey": frozenset({"CreateGrant"}),
}
"""What takes a key away, and what somebody does before who means it."""
DAMAGING = TAKES_AWAY | {"PutKeyPolicy"}


class PreparationOptions(BaseModel, extra="forbid"):
    hours: int = Field(
        24,
        ge=1,
        le=168,
        description="Steps that lie further apart do not belong together. AWS advises to disable a "
        "key some days before its deletion: that is more than 24 hours.",
    )


class DeletionAfterPreparation(Base[PreparationOptions]):
    name: ClassVar = "deletion_after_preparation"
    title: ClassVar = "KMS key taken away after preparation"
    about: ClassVar = About(
        description="On one KMS key its deletion was scheduled after it had been disabled, its policy "
        "changed, its grants revoked or its alias deleted; or it was taken away after somebody of "
        "another account had been granted its use. Whoever takes such steps means it, and knows how.",
        severity="critical; told again when a further kind of preparation becomes known",
        techniques=("T1485", "T1098"),
        false_positives=(
            "A key is retired: disabled, its alias deleted, and scheduled for deletion on one day.",
            "Infrastructure as code destroys a key together with its alias and its grants.",
        ),
        advice=(
            "Find out whether all these steps were meant, and by whom.",
            "See that policy, grants and aliases of the key are as they were, not only its state.",
            "If nobody knows of it, revoke the sessions of every role that took part.",
        ),
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html",
            "https://docs.aws.amazon.com/kms/latest/developerguide/grants.html",
        ),
    )
    events: ClassVar = frozenset(
        (KMS, name) for name in {*PREPARED_BY, *(one for by in PREPARED_BY.values() for one in by)}
    )
    Options: ClassVar[type[BaseModel]] = PreparationOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        key = event.key
        if event.failed or key is None or not self.counts(event):
            return []
        within = self.options.hours * 3600.0
        window = self.knowledge.windows.of(self.name, key.arn)
        who = event.actor.principal
        window.note(event.event_id, event.time, event.event_name, who, keep=2 * within)
        steps = prepared(window, event.event_id, within)
        kinds = {one.what for one in steps[:-1]}
        if not window.rises(event.event_id, len(kinds), within):
            return []
        names = ", ".join([*sorted(kinds), *(one.what for one in steps[-1:])])
        return [
            self.finding(
                event,
                f"{self.title}: {names}",
                Severity.CRITICAL,
                kind=Kind.NOTICE,
                details={"steps": story(steps), "callers": listed(one.about for one in steps)},
            )
        ]

    def counts(self, event: Event) -> bool:
        """Not our own repairs, nor grants of services; of new grants only those to strangers."""
        if for_a_service(event) or self.knowledge.watched.ours("roles", event.actor.principal):
            return False
        if event.event_name != "CreateGrant":
            return True
        account = account_of(text(event.request(), "granteePrincipal"))
        ours = {event.recipient_account_id or "", *self.knowledge.accounts}
        return bool(account) and account not in ours


def prepared(window: Window, event_id: str, within: float) -> list[Entry]:
    """The preparations of an end, then the end: where the event is one of them. Else nothing.

    Of several ends the one with the most kinds of preparation. Two calls of one second may be in
    either order, for CloudTrail's times have no more resolution.
    """
    best: list[Entry] = []
    for end in window.around(event_id, within):
        by = PREPARED_BY.get(end.what)
        if by is None:
            continue
        before = [one for one in window.between(end.at - within, end.at) if one.what in by]
        if event_id not in {one.event_id for one in (*before, end)}:
            continue
        if len({one.what for one in before}) > len({one.what for one in best[:-1]}):
            best = [*before, end]
    return best


class DeniedOptions(BaseModel, extra="forbid"):
    attempts: int = Field(
        3, ge=1, le=400, description="So many denied attempts must have come before."
    )
    hours: int = Field(24, ge=1, le=168, description="Within so many hours before the success.")


class DeniedThenSuccess(Base[DeniedOptions]):
    name: ClassVar = "denied_then_success"
    title: ClassVar = "KMS key damaged after denied attempts"
    about: ClassVar = About(
        description="A user or role was denied several calls of KMS administration, and then damaged "
        "a KMS key: it tried doors until one opened, or gave itself the right meanwhile.",
        severity="high",
        techniques=("T1485", "T1078.004", "T1098"),
        false_positives=(
            "A new pipeline fails until its role has been given the rights that it lacks.",
        ),
        advice=(
            "Find out how the caller came to have the right: a new policy, grant or key policy.",
            "If nobody knows of it, revoke the sessions of the role or the keys of the user.",
            "See that the damaged key was put back.",
        ),
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html",
            "https://docs.aws.amazon.com/kms/latest/developerguide/logging-using-cloudtrail.html",
        ),
    )
    events: ClassVar = frozenset((KMS, name) for name in HARMFUL | HARMLESS)
    Options: ClassVar[type[BaseModel]] = DeniedOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        # A grant that a service asked for in somebody's name says nothing about what they try.
        if not is_person(event) or for_a_service(event):
            return []
        if event.failed and not is_denied(event.error_code):
            return []
        if not event.failed and (event.event_name not in DAMAGING or event.key is None):
            return []
        within = self.options.hours * 3600.0
        who = event.actor.principal
        window = self.knowledge.windows.of(self.name, who)
        about = "" if event.failed else event.key.arn if event.key else ""
        what = f"{event.event_name} denied" if event.failed else event.event_name
        window.note(event.event_id, event.time, what, about, keep=2 * within)
        denied, success = opened(window, event.event_id, within)
        level = level_of(len(denied), self.options.attempts)
        if not window.rises(event.event_id, level, within):
            return []
        title = f"{len(denied)} denied attempts, then {success}, by {short(who)}"
        details = {"denied": listed(one.what.split()[0] for one in denied)}
        if event.failed:
            # It came late: what it completes is told, but a failed call stays an attempt.
            attempt = self.attempt(event, event.event_name)
            details |= attempt.details
            return [
                msgspec.structs.replace(
                    attempt, title=title, severity=Severity.HIGH, details=details
                )
            ]
        return [self.finding(event, title, Severity.HIGH, kind=Kind.NOTICE, details=details)]


def opened(window: Window, event_id: str, within: float) -> tuple[list[Entry], str]:
    """The most denied attempts before one success, of which the event is one; and the success."""
    best: list[Entry] = []
    success = ""
    mine = window.find(event_id)
    succeeded = mine is not None and bool(mine.about)
    for end in window.around(event_id, within):
        # A success has only its own denials before it: hundreds of others are not gone through.
        if not end.about or (succeeded and end is not mine):
            continue
        before = [one for one in window.between(end.at - within, end.at) if not one.about]
        belongs = event_id in {one.event_id for one in (*before, end)}
        if belongs and len(before) >= len(best):
            best, success = before, f"{end.what} of {end.about}"
    return best, success

"""Whether a call was about one of the resources that our sight rests on.

What a caller names is made an ARN first: see `monitor.arns`. A call that was denied has no
parameters at all; then the ARN stands at best in the error's text (aws-facts 2.4).
"""

from collections.abc import Iterable

from msgspec.structs import replace

from monitor.arns import arn_in
from monitor.detector import Base, OptionsT, is_denied
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import key_owner, listed, short


class OnOurs(Base[OptionsT]):
    """A detector of calls on resources that are, or may be, ours."""

    def whose(self, kind: str, arn: str) -> bool | None:
        """Whether it is ours; None where that cannot be told. `kind` is a field of `Watched`."""
        return self.knowledge.watched.ours(kind, arn) if arn else None

    def notice(
        self,
        event: Event,
        title: str,
        severity: Severity,
        resource: str,
        details: dict[str, str] | None = None,
        *,
        kind: Kind = Kind.NOTICE,
    ) -> Finding:
        """A finding about a resource, with its name in the title."""
        name = short(resource.split(":", 5)[-1].rpartition("/")[2]) if resource else ""
        return self.finding(
            event,
            f"{title}: {name}" if name else title,
            severity,
            kind=kind,
            resource=resource,
            details=details,
        )

    def damage(
        self,
        event: Event,
        title: str,
        severity: Severity,
        resource: str,
        details: dict[str, str] | None = None,
    ) -> Finding:
        """The same about what a responder may put back, if it is known to be ours; else a notice.

        How a resource that only may be ours should be is known to nobody.
        """
        found = self.notice(event, title, severity, resource, details)
        kinds = ("trails", "rules", "queues", "topics")
        if not any(self.whose(kind, resource) for kind in kinds):
            return found
        return replace(found, kind=Kind.DAMAGE, sight=True)

    def refused(self, event: Event, what: str, kind: str, arn: str, service: str) -> list[Finding]:
        """The attempt, unless the resource is known not to be ours."""
        named = arn or arn_in(event.error_message, service)
        if self.whose(kind, named) is False:
            return []
        return [self.attempt(event, what, resource=named)]

    def mine(self, kind: str, arns: Iterable[str]) -> str:
        """The first of `arns` that is ours; "" where none is, or nothing of the kind is known."""
        return next((arn for arn in arns if self.whose(kind, arn)), "")

    def attempt_on(self, event: Event, kind: str, arns: Iterable[str]) -> list[Finding]:
        """A failed call of an API that is busy with things that are not ours.

        It is worth telling if it was about ours, or if it does not say about what: a denied call
        often names nothing at all. While nothing of the kind is known it is not told.
        """
        named = [arn for arn in arns if arn]
        mine = self.mine(kind, named)
        untold = not named and is_denied(event.error_code) and getattr(self.knowledge.watched, kind)
        if not (mine or untold):
            return []
        return [self.attempt(event, event.event_name, resource=mine)]

    def foreign(self, event: Event, key: str) -> str:
        """The account that a key belongs to, if that is neither the caller's nor one of ours.

        A key without an ARN (an id, an alias's name) is one of the account where it was given.
        """
        owner = key_owner(key)
        return owner if owner and self.strange(event, owner) else ""

    def strange(self, event: Event, account: str) -> bool:
        """Whether an account is none of ours."""
        return account not in self.knowledge.accounts | {event.recipient_account_id}

    def strangers(self, event: Event) -> list[str]:
        """The accounts that AddPermission lets in and that are not ours.

        Whether CloudTrail writes `aWSAccountIds` or `awsAccountIds` is not documented (aws-facts 7.3).
        """
        found = [
            listed(value)
            for name, value in event.request().items()
            if name.lower().startswith("awsaccountid")
        ]
        return [short(one) for some in found for one in some if self.strange(event, str(one)[:13])]


def graded(
    ours: bool | None, mine: Severity, unknown: Severity | None, others: Severity | None = None
) -> Severity | None:
    """The severity by whose it is; None where nothing is to be said."""
    return mine if ours else unknown if ours is None else others


def lowered(severity: Severity, ours: bool | None) -> Severity:
    """A severity for what may be ours."""
    return severity if ours else min(severity, Severity.LOW)

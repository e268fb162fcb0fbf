"""Which resource a call was about, and whether it is one of those that our sight rests on.

Callers name a resource in many ways: by name or by ARN, a queue by a URL. A call that was denied
has no parameters at all; then the ARN stands at best in the error's text (aws-facts 2.4).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from monitor.detector import Base, OptionsT, is_denied
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.key import partition_of
from monitor.parameters import key_owner, short

ARN = re.compile(r"arn:aws[a-z-]{0,20}:[a-z0-9-]{1,40}:[a-z0-9-]{0,40}:[0-9]{0,12}:\S{1,1000}")
NAME = re.compile(r"[A-Za-z0-9._/@+=-]{1,256}")
ACCOUNT = re.compile(r"[0-9]{12}")
DEFAULT_BUS = "default"


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


def listed(found: object) -> list[Any]:
    """A list as it is; anything else is an empty one."""
    return found if isinstance(found, list) else []


def mapped(found: object) -> dict[str, Any]:
    """An object as it is; anything else is an empty one."""
    return found if isinstance(found, dict) else {}


def said(request: Mapping[str, Any], name: str) -> bool | None:
    """A switch in a request; None where it was not touched. CloudTrail may write it as text."""
    return {True: True, False: False, "true": True, "false": False}.get(
        found if isinstance(found := request.get(name), bool | str) else ""
    )


def named(event: Event, service: str, name: object, prefix: str = "") -> str:
    """The ARN of what the caller named; "" where that cannot be told."""
    if not isinstance(name, str):
        return ""
    if name.startswith("arn:"):
        return name if ARN.fullmatch(name) else ""
    if not NAME.fullmatch(name):
        return ""
    return built(event.aws_region, service, event.recipient_account_id, f"{prefix}{name}")


def built(region: str | None, service: str, account: str | None, rest: str) -> str:
    """An ARN of its parts; "" where one is missing."""
    if not (region and account and ACCOUNT.fullmatch(account)):
        return ""
    return f"arn:{partition_of(region)}:{service}:{region}:{account}:{rest}"


def arn_in(message: str | None, service: str) -> str:
    """The first ARN of a service in an error's text; "" where there is none."""
    found = re.search(rf"arn:aws[a-z-]{{0,20}}:{service}:[^\s\"',]{{1,500}}", message or "")
    return found[0].rstrip(".;:)") if found else ""


def trail_arn(event: Event, name: object) -> str:
    return named(event, "cloudtrail", name, "trail/")


def bus_name(bus: object) -> str:
    """A bus by its name; a call that names none means the default one (aws-facts 7.2)."""
    text = bus if isinstance(bus, str) and bus else DEFAULT_BUS
    return text.rpartition("event-bus/")[2] if text.startswith("arn:") else text


def bus_arn(event: Event, bus: object) -> str:
    if isinstance(bus, str) and bus.startswith("arn:"):
        return named(event, "events", bus)
    return named(event, "events", bus_name(bus), "event-bus/")


def rule_arn(event: Event, rule: object, bus: object) -> str:
    """`rule/NAME` on the default bus, `rule/BUS/NAME` on another."""
    name = bus_name(bus)
    return named(event, "events", rule, "rule/" if name == DEFAULT_BUS else f"rule/{name}/")


def queue_arn(event: Event, url: object) -> str:
    """The queue of a URL, which has several forms; the last two parts of its path count.

    The Region is the event's own, for not every host says it (aws-facts 7.3).
    """
    if not isinstance(url, str):
        return ""
    if url.startswith("arn:"):
        return named(event, "sqs", url)
    try:
        parts = [part for part in urlsplit(url).path.split("/") if part]
    except ValueError:
        return ""
    if len(parts) < 2 or not NAME.fullmatch(parts[-1]):
        return ""
    return built(event.aws_region, "sqs", parts[-2], parts[-1])


def topic_of(subscription: str) -> str:
    """A subscription's ARN is its topic's, and an id behind it."""
    return subscription.rpartition(":")[0] if subscription.count(":") > 5 else ""

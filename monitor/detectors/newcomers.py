"""Somebody does for the first time what others do every day: rule a key, or use one.

What is usual must be learned first. Learning is counted from the oldest event that was seen, so that
`kms-monitor replay` and log files of the past shorten it.
"""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import ClassVar

from pydantic import BaseModel, Field

from monitor.correlation import HARMFUL, HARMLESS, for_a_service, is_person
from monitor.detector import KMS, About, Base
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.knowledge import Knowledge
from monitor.parameters import short
from monitor.sight.kms_calls import USES
from monitor.windows import DAY, Window


class NewcomerOptions(BaseModel, extra="forbid"):
    learning_days: int = Field(
        14,
        ge=0,
        le=90,
        description="So many days after the first event nothing is told, and everybody is known "
        "afterwards who was seen meanwhile. 0: everybody is new once.",
    )
    remember_days: int = Field(
        90, ge=1, le=400, description="Who was not seen for so many days is new again."
    )


class AdministratorOptions(NewcomerOptions):
    addresses: bool = Field(
        False,
        description="Also tell of the first call from a network (/24, or /64 of IPv6). Off, for "
        "people and pipelines roam.",
    )


class UserOptions(NewcomerOptions):
    burst: int = Field(
        0,
        ge=0,
        le=400,
        description="Also tell of so many uses of a key by one principal within a minute. 0: off. "
        "Every single use is remembered for it: not for busy keys.",
    )


def is_new(
    knowledge: Knowledge,
    event: Event,
    detector: str,
    subject: str,
    options: NewcomerOptions,
    *,
    group: str,
) -> bool:
    """Whether nobody of that name was seen before, once what is usual in the group is learned.

    Redelivered, the event that was new is new again. Everybody who is seen is remembered anew, but
    written only once a day.
    """
    at, remember = event.time, options.remember_days * DAY
    learned = learned_at(knowledge.windows.of(detector, group), event, options)
    window = knowledge.windows.of(detector, subject)
    if window.find(event.event_id) is None:
        known = [one for one in window.entries if one.until >= at]
        if known:
            window.renew(known[-1], at + remember)
            return False
        window.note(event.event_id, at, "first", keep=remember)
    return bool(window.rises(event.event_id, int(at >= learned), 0))


def learned_at(window: Window, event: Event, options: NewcomerOptions) -> float:
    """When learning ends: counted from the oldest event of the group that was ever seen."""
    at, remember = event.time, options.remember_days * DAY
    known = [one for one in window.entries if one.until >= at]
    if not known or at < known[0].at - DAY:
        window.note(event.event_id, at, "began", keep=remember)
        known = [one for one in window.entries if one.until >= at]
    first = known[0]
    window.renew(first, at + remember)
    return first.at + options.learning_days * DAY


class NewAdministrator(Base[AdministratorOptions]):
    name: ClassVar = "new_administrator"
    title: ClassVar = "KMS keys administered by a newcomer"
    about: ClassVar = About(
        description="A user or role changed a KMS key, or something that belongs to one, for the first "
        "time in this account. Few people rule keys; a new one is a new pipeline, a new colleague, or "
        "somebody with stolen credentials.",
        severity="medium; low for calls that take nothing away, such as TagResource",
        techniques=("T1078.004", "T1098"),
        false_positives=(
            "A new role, pipeline or colleague does this work from now on.",
            "Somebody returns after `remember_days`.",
        ),
        advice=(
            "Find out who it is, and whether they are meant to administer keys.",
            "If nobody knows them, revoke their sessions and see what else they did.",
        ),
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html",
            "https://docs.aws.amazon.com/kms/latest/developerguide/logging-using-cloudtrail.html",
        ),
    )
    events: ClassVar = frozenset((KMS, name) for name in HARMFUL | HARMLESS)
    Options: ClassVar[type[BaseModel]] = AdministratorOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        who = event.actor.principal
        if (
            event.failed
            or not is_person(event)
            or for_a_service(event)
            or self.knowledge.watched.ours("roles", who)
        ):
            return []
        account = event.recipient_account_id or ""
        harmful = event.event_name in HARMFUL
        # Whoever only tagged keys so far is new once more when they take one away.
        new = self.first(event, f"{account} {who}")
        if harmful:
            new = self.first(event, f"{account} {who} harmful")
        found = []
        severity = Severity.MEDIUM if harmful else Severity.LOW
        if new:
            title = f"{event.event_name}: first of its kind in this account by {short(who)}"
            found.append(self.finding(event, title, severity, kind=Kind.NOTICE))
        network = network_of(event.actor.source_ip)
        if self.options.addresses and network and self.first(event, f"{account} {network}"):
            found.append(
                self.finding(
                    event,
                    f"{event.event_name}: first administration of KMS keys from {network}",
                    severity,
                    kind=Kind.NOTICE,
                    details={"network": network},
                    occasion=f"{event.event_id} {network}",
                )
            )
        return found

    def first(self, event: Event, subject: str) -> bool:
        group = f"{event.recipient_account_id or ''} began"
        return is_new(self.knowledge, event, self.name, subject, self.options, group=group)


def network_of(address: str) -> str:
    """The network of an address; "" where it is none, as the name of an AWS service."""
    try:
        length = 24 if ip_address(address).version == 4 else 64
        return str(ip_network(f"{address}/{length}", strict=False))
    except ValueError:
        return ""


class NewKeyUser(Base[UserOptions]):
    name: ClassVar = "new_key_user"
    title: ClassVar = "KMS key used by a newcomer"
    about: ClassVar = About(
        description="A user, role or service used a KMS key for the first time, or very often. It "
        "needs the events of cryptographic calls in the rule, which are many, and which a trail that "
        "logs only writes leaves out: Decrypt and the like count as read-only.",
        severity="low; medium for a burst, and where the caller is of another account",
        techniques=("T1078.004", "T1530"),
        false_positives=("An application is deployed under a new role.",),
        advice=(
            "Find out what data the key protects, and whether the caller is meant to read it.",
            "If not, take the caller's right to the key away and see what was read.",
        ),
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html",
            "https://docs.aws.amazon.com/kms/latest/developerguide/ct-decrypt.html",
        ),
        quiet=True,
    )
    events: ClassVar = frozenset((KMS, name) for name in USES)
    Options: ClassVar[type[BaseModel]] = UserOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        key, actor = event.key, event.actor
        if event.failed or key is None:
            return []
        who = actor.principal
        found = []
        if is_new(
            self.knowledge, event, self.name, f"{key.arn} {who}", self.options, group=key.arn
        ):
            foreign = actor.account not in {"", key.account, *self.knowledge.accounts}
            title = f"KMS key used for the first time by {short(who)}"
            severity = Severity.MEDIUM if foreign else Severity.LOW
            found.append(self.finding(event, title, severity, kind=Kind.NOTICE))
        if self.options.burst:
            window = self.knowledge.windows.of(self.name, f"{key.arn} {who} burst")
            window.note(event.event_id, event.time, event.event_name, keep=3600)
            most = max((len(span) for span in window.spans(event.event_id, 60)), default=0)
            if window.rises(event.event_id, int(most >= self.options.burst), 3600):
                found.append(
                    self.finding(
                        event,
                        f"KMS key used {most} times within a minute by {short(who)}",
                        Severity.MEDIUM,
                        kind=Kind.NOTICE,
                        occasion=f"{event.event_id} burst",
                    )
                )
        return found

"""Somebody shared a key with others by AWS Resource Access Manager.

A shared key gets a second policy, `AWS_RAM`, which PutKeyPolicy cannot touch and the key's own does
not show (aws-facts 2.5). Names of members are those of the API reference of AWS RAM.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec
from pydantic import BaseModel

from monitor.detector import About, Base
from monitor.event import Event
from monitor.finding import Aspect, Finding, Kind, Severity
from monitor.key import KeyRef
from monitor.key_policy.trust import TrustOptions, is_outsider

RAM = "ram.amazonaws.com"
REMEMBERED = 400 * 86_400.0
"""How long it is kept in mind which share has a key, or an outsider, in it."""


class ResourceShareChanged(Base[TrustOptions]):
    name: ClassVar = "resource_share_changed"
    title: ClassVar = "KMS key shared"
    about: ClassVar = About(
        description="Somebody put a KMS key into a resource share of AWS RAM, or let others into a "
        "share that has one. They may then use the key though its policy does not name them.",
        severity="high if a foreign account is among the principals or external principals are "
        "allowed; else low; an attempt is medium if AWS denied it, else low",
        techniques=("T1537", "T1098"),
        false_positives=("A key is shared with a partner's account on purpose.",),
        advice=(
            "Find out whether the key is to be shared, and with whom.",
            "Take it out of the share: aws ram disassociate-resource-share.",
            "Set allowExternalPrincipals to false on shares that stay within the organization.",
        ),
        references=(
            "https://docs.aws.amazon.com/ram/latest/APIReference/API_CreateResourceShare.html",
            "https://docs.aws.amazon.com/ram/latest/APIReference/API_AssociateResourceShare.html",
        ),
    )
    events: ClassVar = frozenset(
        (RAM, f"{what}ResourceShare") for what in ("Create", "Associate", "Update")
    )
    Options: ClassVar[type[BaseModel]] = TrustOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        share, keys = share_of(event), keys_in(request)
        if event.failed:
            key = keys[0] if keys else event.key
            if key is None:
                return []
            failed = self.attempt(event, "Sharing a KMS key", resource=share)
            return [msgspec.structs.replace(failed, key=key)]
        external = allows_external(event)
        outsiders = self.outsiders(event, keys)
        known = self.remembered(event, f"{share}|keys", [one.arn for one in keys])
        earlier = self.remembered(event, f"{share}|outsiders", outsiders)
        concerned = sorted({*known, *(one.arn for one in keys)})
        if not concerned or not (keys or request.get("principals") or external):
            return []
        strangers = sorted({*outsiders, *earlier}) if keys else outsiders
        grave = bool(strangers or external)
        title = f"{self.title} by AWS RAM"
        if strangers:
            title = f"{self.title} by AWS RAM with an outsider: {strangers[0][:80]}"
        elif external:
            title = f"{self.title} by AWS RAM, external principals allowed"
        details = {"keys": ", ".join(concerned)[:400], "outsiders": ", ".join(strangers)[:400]}
        found = self.finding(
            event,
            title,
            Severity.HIGH if grave else Severity.LOW,
            kind=Kind.NOTICE,
            aspect=Aspect.POLICY,
            resource=share,
            details={name: text for name, text in details.items() if text},
        )
        return [msgspec.structs.replace(found, key=found.key or KeyRef.parse(concerned[0]))]

    def outsiders(self, event: Event, keys: list[KeyRef]) -> list[str]:
        """The principals of foreign accounts, and those that AWS RAM calls external.

        An organization, or a part of one, can only be our own (AWS RAM user guide).
        """
        trust = self.options.trust(self.knowledge.accounts, {one.account for one in keys})
        named = texts(event.request().get("principals"))
        foreign = [one for one in named if ":organizations:" not in one and is_outsider(one, trust)]
        for one in listed(event.response().get("resourceShareAssociations")):
            entity = one.get("associatedEntity") if isinstance(one, dict) else None
            if isinstance(entity, str) and one.get("external") is True:
                foreign += [entity] if is_outsider(entity, trust) else []
        return sorted(set(foreign))

    def remembered(self, event: Event, subject: str, new: list[str]) -> list[str]:
        """What earlier events told of this share. `new` is kept in mind for later ones."""
        if subject.startswith("|"):
            return []
        window = self.knowledge.windows.of(self.name, subject)
        if new:
            about = " ".join(new)[:2_000]
            window.note(event.event_id, event.time, event.event_name, about, keep=REMEMBERED)
        past = window.between(event.time - REMEMBERED, event.time)
        return [text for entry in past for text in entry.about.split()]


def share_of(event: Event) -> str:
    made = event.response().get("resourceShare")
    for source in (event.request(), made if isinstance(made, dict) else {}):
        if isinstance(share := source.get("resourceShareArn"), str):
            return share
    return ""


def allows_external(event: Event) -> bool:
    """As AWS RAM confirmed it, else as it was asked for; a new share allows it by default."""
    made = event.response().get("resourceShare")
    if event.event_name == "AssociateResourceShare":
        return False
    if event.event_name == "UpdateResourceShare":
        return event.request().get("allowExternalPrincipals") is True
    for source in (made if isinstance(made, dict) else {}, event.request()):
        if isinstance(allowed := source.get("allowExternalPrincipals"), bool):
            return allowed
    return True


def keys_in(request: dict[str, Any]) -> list[KeyRef]:
    arns = texts(request.get("resourceArns"))
    return [key for arn in arns if (key := KeyRef.parse(arn))]


def texts(given: object) -> list[str]:
    return [one for one in listed(given) if isinstance(one, str)]


def listed(given: object) -> list[Any]:
    return given if isinstance(given, list) else []

"""What is written on a key: its tags and its description.

Where access is granted by tag (ABAC) a change of tags is a change of rights; and tags such as
`protected` are what service control policies and people's own rules go by (KMS developer guide,
"ABAC for AWS KMS").
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import ClassVar

from pydantic import BaseModel, Field

from monitor.detector import KMS, About, Base, NoOptions, is_denied
from monitor.event import Event
from monitor.finding import Aspect, Finding, Kind, Severity
from monitor.parameters import few, member, short, tags_of, text, texts

GUIDE = "https://docs.aws.amazon.com/kms/latest/developerguide/"
API = "https://docs.aws.amazon.com/kms/latest/APIReference/"
PROTECTING = (
    "*protect*",
    "*critical*",
    "*donotdelete*",
    "*do?not?delete*",
    "*retain*",
    "*retention*",
    "*legalhold*",
    "*legal?hold*",
    "*classification*",
    "*confidential*",
    "*compliance*",
)


class TagOptions(BaseModel, extra="forbid"):
    tags: tuple[str, ...] = Field(
        PROTECTING,
        description="Shell patterns of the names of tags that protect a key, whether in small or "
        "capital letters.",
    )
    any_tag: bool = Field(
        False,
        description="Also tell, as medium, when any other tag that the key should have is taken "
        "away or changed: for accounts that grant access to keys by their tags.",
    )


class ProtectionTagRemoved(Base[TagOptions]):
    name: ClassVar = "protection_tag_removed"
    title: ClassVar = "Protecting tag of a KMS key removed"
    about: ClassVar = About(
        description="Somebody took a protecting tag off a KMS key, or changed its value. Rules that "
        "go by the tag guard the key no longer: it is the step before the deed.",
        severity="high; medium for any other tag that the key should have, with `any_tag`; low if "
        "a protecting tag was written and it is not known what it was before; an attempt is medium "
        "if AWS denied it, else low",
        techniques=("T1562", "T1098"),
        false_positives=("Infrastructure as code renames a tag.",),
        advice=(
            "Put the tag back with TagResource.",
            "Find out whether whoever did it was meant to.",
            "See what the same caller did to the key, and what the tag had kept others from.",
        ),
        references=(
            GUIDE + "tag-authorization.html",
            API + "API_UntagResource.html",
            API + "API_TagResource.html",
        ),
    )
    events: ClassVar = frozenset({(KMS, "UntagResource"), (KMS, "TagResource")})
    Options: ClassVar[type[BaseModel]] = TagOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        written = tags_of(request, "tags")
        removed = texts(member(request, "tagKeys")) if event.event_name == "UntagResource" else []
        if event.failed:
            return self.failed(event, [*removed, *written])
        known = self.knowledge.key(event.key)
        before = known.tags if known else None
        if before is None:
            # What was removed was there, most likely; what was written may have been so before.
            gone = [name for name in removed if self.protects(name)]
            unsure = [name for name in written if self.protects(name)]
        else:
            changed = [name for name, value in written.items() if before.get(name, value) != value]
            gone = [name for name in removed if name in before] + changed
            unsure = []
        protecting = [name for name in gone if self.protects(name)]
        if protecting:
            return [self.told(event, self.title, Severity.HIGH, protecting)]
        if gone and self.options.any_tag:
            title = "Tag of a KMS key removed or changed"
            return [self.told(event, title, Severity.MEDIUM, gone)]
        if unsure:
            title = "Protecting tag of a KMS key written; what it was before is not known"
            return [self.told(event, title, Severity.LOW, unsure, kind=Kind.NOTICE)]
        return []

    def failed(self, event: Event, names: list[str]) -> list[Finding]:
        """Of a denied call nobody says which tags it was about: to untag is worth telling then."""
        concerns = any(self.protects(name) for name in names)
        untold = not names and event.event_name == "UntagResource" and is_denied(event.error_code)
        what = "Removing a protecting tag of a KMS key" if names else "Removing tags of a KMS key"
        return [self.attempt(event, what)] if concerns or untold else []

    def told(
        self,
        event: Event,
        title: str,
        severity: Severity,
        names: list[str],
        *,
        kind: Kind = Kind.DAMAGE,
    ) -> Finding:
        known = self.knowledge.key(event.key)
        before = (known.tags if known else None) or {}
        was = [f"{name}={before[name]}" for name in names if name in before]
        details = {"tags": few(names)} | ({"previous_values": few(was)} if was else {})
        return self.finding(event, title, severity, kind=kind, aspect=Aspect.TAGS, details=details)

    def protects(self, name: str) -> bool:
        small = name.lower()
        return any(fnmatchcase(small, pattern.lower()) for pattern in self.options.tags)


class KeyDescriptionChanged(Base[NoOptions]):
    name: ClassVar = "key_description_changed"
    title: ClassVar = "Description of a KMS key changed"
    about: ClassVar = About(
        description="Somebody changed the description of a KMS key. The key works on, but people "
        "may be made to take it for another one.",
        severity="low; an attempt that AWS denied is medium, any other failure is silent; silent "
        "where the description is what it should be",
        techniques=("T1036",),
        false_positives=("Descriptions are edited as keys change hands.",),
        advice=("Find out whether whoever did it was meant to.",),
        references=(API + "API_UpdateKeyDescription.html",),
    )
    events: ClassVar = frozenset({(KMS, "UpdateKeyDescription")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            denied = is_denied(event.error_code)
            what = "Changing the description of a KMS key"
            return [self.attempt(event, what)] if denied else []
        known = self.knowledge.key(event.key)
        written = text(event.request(), "description")
        if known and known.description == written:
            return []
        details = {"description": short(written)}
        if known:
            details["previous_description"] = short(known.description)
        return [
            self.finding(
                event,
                self.title,
                Severity.LOW,
                kind=Kind.NOTICE,
                aspect=Aspect.DESCRIPTION,
                details=details,
            )
        ]

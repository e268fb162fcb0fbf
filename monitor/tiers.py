"""Tiers: named classes of keys, which the other settings can refer to. Pure.

A key belongs to a tier by its id, its ARN, an alias or a tag, as it should be. Where that is not known,
whoever asks gets None, and has to take what is safe: a key may be of the most precious tier.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from msgspec.structs import replace
from pydantic import Field, model_validator

from monitor.approval import NeverApprove
from monitor.finding import Finding, Kind, Severity
from monitor.key import KeyRef
from monitor.key_patterns import TagPatterns, by_all_tags, by_any_tag, by_name, either, every
from monitor.setting_types import Model, Name, Pattern, SeverityWord

TIER_0 = "tier-0"
"""The keys on which everything rests: its changes are never approved, whatever else is said."""


class Tier(Model):
    """A class of keys. Any of its patterns is enough."""

    name: Name = Field(description="By which `response` and `maintenance` refer to it.")
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
    severity: SeverityWord = Field(
        default="info", description="Damage to its keys counts at least as this."
    )
    never_approve: bool | None = Field(
        default=None,
        description="Whether nobody's change to its keys is right, as under never_approve. Default: "
        "only for the tier named tier-0, for which it cannot be turned off.",
    )

    @model_validator(mode="after")
    def names_keys(self) -> "Tier":
        if not (self.keys or self.tags):
            raise ValueError("must name at least one of keys and tags")
        return self

    def has(self, finding: Finding) -> bool | None:
        """Whether the finding is about one of its keys; None where that cannot be told."""
        key = finding.key
        if key is None:
            # A call on a key that the record does not name is about any of them.
            return False if finding.resource else None
        return self.holds(key, finding.known_aliases, finding.known_tags)

    def holds(
        self, key: KeyRef, aliases: Iterable[str] | None, tags: Mapping[str, str] | None
    ) -> bool | None:
        return either((by_name(self.keys, key, aliases), by_any_tag(self.tags, tags)))


class Criteria(Protocol):
    """What a rule or a window asks of a key; what it does not name is met."""

    @property
    def keys(self) -> list[Pattern]: ...
    @property
    def tags(self) -> TagPatterns: ...
    @property
    def tiers(self) -> list[Name]: ...


def meets(
    wanted: Criteria,
    key: KeyRef,
    aliases: Iterable[str] | None,
    tags: Mapping[str, str] | None,
    tiers: Mapping[str, Tier],
) -> bool | None:
    """Whether a key meets every criterion; None where that cannot be told."""
    answers = [by_all_tags(wanted.tags, tags)]
    if wanted.keys:
        answers.append(by_name(wanted.keys, key, aliases))
    if wanted.tiers:
        answers.append(either(tiers[name].holds(key, aliases, tags) for name in wanted.tiers))
    return every(answers)


def tiers_of(finding: Finding, tiers: Mapping[str, Tier]) -> tuple[str, ...]:
    """The names of the tiers that its key is known to belong to."""
    return tuple(name for name, tier in tiers.items() if tier.has(finding) is True)


def graded(finding: Finding, tiers: Mapping[str, Tier]) -> Finding:
    """The finding, as severe as the tiers of its key say. A key that may belong to one counts so."""
    if finding.kind is not Kind.DAMAGE:
        return finding
    words = (tier.severity for tier in tiers.values() if tier.has(finding) is not False)
    severity = max((finding.severity, *(Severity[word.upper()] for word in words)))
    return finding if severity is finding.severity else replace(finding, severity=severity)


def never_approved(named: NeverApprove, tiers: Iterable[Tier]) -> NeverApprove:
    """The keys for which nobody's change is right: those named so, and those of such tiers."""
    keys, tags = list(named.keys), {name: listed(one) for name, one in named.tags.items()}
    for tier in tiers:
        if tier.name == TIER_0 or tier.never_approve:
            keys += tier.keys
            for tag, wanted in tier.tags.items():
                tags[tag] = tags.get(tag, []) + listed(wanted)
    return named.model_copy(update={"keys": keys, "tags": tags})


def listed(wanted: str | list[str]) -> list[str]:
    return [wanted] if isinstance(wanted, str) else list(wanted)

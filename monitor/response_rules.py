"""Which rule of the settings decides how a finding is responded to. Pure.

The first rule that matches decides everything: the mode, who responds and for how long. What it does
not say is as it is without rules. A rule that may match, or not, because the key's aliases or tags
are not known, does not weaken: of all rules that may be the first the strictest counts, which is to
write rather than to observe, and to tell everybody whom any of them tells.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
from pydantic import Field, model_validator

from monitor.finding import Finding, Severity
from monitor.key_patterns import TagPatterns, every
from monitor.setting_types import AccountId, Model, Name, Pattern, SeverityWord
from monitor.tiers import Tier, meets

LONGEST = {True: 150.0, False: 30.0}
"""Seconds that a responder may take by default, by whether it repairs."""
NO_RULE = "no rule"


class ResponseRule(Model):
    """What is done about findings that meet every criterion it names.

    Within one criterion any entry is enough; of `tags` all have to match.
    """

    name: Name = Field(description="Shown wherever the rule decided, and in metrics.")
    detectors: list[Pattern] = Field(
        default_factory=list, description="Patterns of detectors' names."
    )
    tiers: list[Name] = Field(default_factory=list, description="Names out of `tiers`.")
    keys: list[Pattern] = Field(
        default_factory=list,
        description="Patterns over a key's id, its ARN, or an alias (alias/NAME) that it should "
        "have.",
    )
    tags: TagPatterns = Field(
        default_factory=dict,
        description="Patterns of values by the tag's name. They all have to match. Tags are those "
        "that the key should have.",
    )
    accounts: list[AccountId] = Field(
        default_factory=list, description="Accounts whose keys and resources it is about."
    )
    regions: list[Pattern] = Field(
        default_factory=list, description="Patterns of Regions, such as eu-*."
    )
    min_severity: SeverityWord = Field(
        default="info", description="Findings less severe than this it is not about."
    )
    mode: Literal["observe", "enforce"] | None = Field(
        default=None,
        description="Stands above the mode of the detector and of the whole. Default: theirs.",
    )
    responders: list[Name] | None = Field(
        default=None,
        min_length=1,
        description="Who responds, in this order: first those that repair, then those that tell. "
        "Default: all.",
    )
    time_limit_seconds: dict[Name, Annotated[float, Field(ge=1, le=150)]] = Field(
        default_factory=dict,
        description="How long one action may take, by responder. Default: 150 to repair, 30 to "
        "tell.",
    )

    @model_validator(mode="after")
    def responders_differ(self) -> "ResponseRule":
        names = self.responders or []
        if len(set(names)) < len(names):
            raise ValueError("responders: each may stand there once")
        return self

    @property
    def asks_for_a_key(self) -> bool:
        """Whether it is about findings on keys alone."""
        return bool(self.keys or self.tags or self.tiers)

    @property
    def lowest(self) -> Severity:
        return Severity[self.min_severity.upper()]

    def matches(self, finding: Finding, tiers: Mapping[str, Tier]) -> bool | None:
        """Whether it is about this finding; None where that cannot be told."""
        return every((self.finds(finding), self.is_about(finding, tiers)))

    def finds(self, finding: Finding) -> bool:
        """Whether what was seen, and how bad it is, is what it asks for."""
        return self.takes(finding.detector) and finding.severity >= self.lowest

    def takes(self, detector: str) -> bool:
        """Whether it is about what this detector sees."""
        named = any(fnmatchcase(detector, pattern) for pattern in self.detectors)
        return named or not self.detectors

    def is_about(self, finding: Finding, tiers: Mapping[str, Tier]) -> bool | None:
        """Whether the key or resource is one that it asks for."""
        key = finding.key
        account = key.account if key else finding.account
        region = key.region if key else finding.region
        if self.accounts and account not in self.accounts:
            return False
        if self.regions and not any(fnmatchcase(region, pattern) for pattern in self.regions):
            return False
        if not self.asks_for_a_key:
            return True
        if key is None:
            # A call on a key that the record does not name may be on any.
            return False if finding.resource else None
        return meets(self, key, finding.known_aliases, finding.known_tags, tiers)


class Course(msgspec.Struct, frozen=True):
    """How one finding is to be responded to."""

    observe: bool
    repairers: tuple[str, ...]
    tellers: tuple[str, ...]
    limits: dict[str, float] = {}
    """Seconds by responder, where a rule says so."""
    rule: str = ""
    """The rule that decided; several where it cannot be told which; "" where none did."""
    rules: tuple[str, ...] = ()
    """The names of all that may have decided: one, but for keys that are not known yet."""


def course(
    finding: Finding,
    rules: Iterable[ResponseRule],
    tiers: Mapping[str, Tier],
    *,
    observe: bool,
    repairers: tuple[str, ...],
    tellers: tuple[str, ...],
) -> Course:
    """The course that the rules set; `observe`, `repairers` and `tellers` are those without rules."""
    found = first_of(finding, rules, tiers)
    if found == [None]:
        return Course(observe, repairers, tellers)
    named = [
        name
        for rule in found
        for name in (rule.responders if rule and rule.responders else repairers + tellers)
    ]
    names = tuple(rule.name if rule else NO_RULE for rule in found)
    # A limit that only one of them sets must not cut short what another leaves time for.
    limited = set.intersection(*(set(rule.time_limit_seconds if rule else ()) for rule in found))
    return Course(
        observe=all(rule.mode == "observe" if rule and rule.mode else observe for rule in found),
        repairers=tuple(name for name in dict.fromkeys(named) if name in repairers),
        tellers=tuple(name for name in dict.fromkeys(named) if name in tellers),
        limits={
            name: max(rule.time_limit_seconds[name] for rule in found if rule) for name in limited
        },
        rule=" or ".join(names),
        rules=names,
    )


def first_of(
    finding: Finding, rules: Iterable[ResponseRule], tiers: Mapping[str, Tier]
) -> list[ResponseRule | None]:
    """The rules of which one is the first that matches; None among them for no rule at all."""
    found: list[ResponseRule | None] = []
    for rule in rules:
        answer = rule.matches(finding, tiers)
        if answer is not False:
            found.append(rule)
        if answer is True:
            return found
    return [*found, None]


def may_have_heard(
    finding: Finding,
    rules: Iterable[ResponseRule],
    tiers: Mapping[str, Tier],
    tellers: tuple[str, ...],
) -> tuple[str, ...]:
    """Who may have been told of this key before, whatever was seen: they hear of the end, too."""
    heard: list[str] = []
    for rule in rules:
        about = rule.is_about(finding, tiers)
        if about is not False:
            heard += rule.responders or tellers
        if about is True and not rule.detectors and rule.lowest is Severity.INFO:
            break
    else:
        heard += tellers
    return tuple(name for name in dict.fromkeys(heard) if name in tellers)

"""Findings that nobody wants to be told of: who, where, until when, and why.

A suppression silences. It never keeps a key from being put back, and it hides nothing: what it
silenced is counted, logged and shown by replay, with the reason. Whether it has run out is judged
by the event's own time, so that replay says the same as the daemon did.

It never looks at what a caller is free to choose: not at the user agent, not at a session's name.
"""

import math
from datetime import datetime
from fnmatch import fnmatchcase
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    Field,
    IPvAnyNetwork,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from monitor.finding import Finding, Severity
from monitor.key_patterns import TagPatterns, by_all_tags
from monitor.setting_types import AccountId, Pattern

NEVER = "never"


def end_of(value: Any) -> float:
    """`until` as epoch seconds; infinite for `never`."""
    if value == NEVER:
        return math.inf
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError(
            "until: must be a time with its zone, such as 2026-12-31T00:00:00Z, or never"
        )
    return moment.timestamp()


Until = Annotated[
    float,
    PlainValidator(end_of),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "format": "date-time"}, {"const": NEVER}], "title": "Until"}
    ),
]


class Suppression(BaseModel, extra="forbid", frozen=True):
    """Silences findings that meet every criterion it names; within one, any entry is enough."""

    reason: str = Field(
        min_length=1, max_length=200, description="Why; shown wherever something was silenced."
    )
    until: Until = Field(
        description="When it runs out: a time with its zone. `never` has to be said."
    )
    even_critical: bool = Field(
        default=False, description="Whether critical findings are silenced too."
    )
    detectors: list[Pattern] = Field(
        default_factory=list, description="Patterns of detectors' names."
    )
    actors: list[Pattern] = Field(
        default_factory=list,
        description="Patterns over the ARN of an IAM user or role, as in approved_actors; never "
        "over the name of a session, which its holder chooses.",
    )
    accounts: list[AccountId] = Field(
        default_factory=list, description="Accounts whose keys and resources it is about."
    )
    addresses: list[IPvAnyNetwork] = Field(
        default_factory=list, description="Where the call came from: addresses or CIDR blocks."
    )
    tags: TagPatterns = Field(
        default_factory=dict,
        description="Patterns of values by the tag's name. They all have to match. Tags are those "
        "that the key should have, not those that somebody gave it a moment ago.",
    )
    keys: list[Pattern] = Field(
        default_factory=list,
        description="Patterns over a key's id, its ARN, or an alias (alias/NAME) that it should "
        "have.",
    )

    @model_validator(mode="after")
    def names_a_criterion(self) -> "Suppression":
        patterns = [*self.detectors, *self.actors, *self.keys]
        # `*` says nothing: who wants silence about everything turns the responder off.
        if not (
            self.accounts or self.addresses or self.tags or any(p.strip("*") for p in patterns)
        ):
            raise ValueError(
                "must name at least one of detectors, actors, accounts, addresses, tags and keys, "
                "with more than *"
            )
        return self

    def active(self, now: float) -> bool:
        return now < self.until

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is one of those that it silences."""
        if not self.active(finding.event_time):
            return False
        if finding.severity is Severity.CRITICAL and not self.even_critical:
            return False
        key, actor = finding.key, finding.actor
        names = (key.key_id, key.arn, *finding.aliases) if key else ()
        account = key.account if key else finding.account
        return (
            (not self.detectors or any_match(self.detectors, finding.detector))
            and (not self.actors or any_match(self.actors, actor.answerable))
            and (not self.accounts or account in self.accounts)
            and (not self.addresses or self.comes_from(actor.source_ip))
            and (not self.keys or any_match(self.keys, *names))
            and by_all_tags(self.tags, finding.tags) is True
        )

    def comes_from(self, text: str) -> bool:
        """Whether an address is in one of the blocks. A service's name is no address."""
        try:
            address = ip_address(text)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in block for block in self.addresses)


def any_match(patterns: list[str], *texts: str) -> bool:
    """Whether a pattern matches a text. Nothing matches what is not known."""
    return any(text and fnmatchcase(text, pattern) for pattern in patterns for text in texts)

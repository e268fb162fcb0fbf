"""Does a trail still record what is done to KMS keys, and why not. Pure.

A trail has either classic event selectors or advanced ones, and records an event if any of them
takes it. Rests on the CloudTrail user guide, "Logging management events", and on the API reference,
"EventSelector", "AdvancedEventSelector" and "AdvancedFieldSelector"; see also aws-facts 7.1.

Selectors are spelled in two ways: as the API answers them (`FieldSelectors`) and as CloudTrail
records the call (`fieldSelectors`). What somebody else chose to write in them may have any shape:
what cannot be read takes nothing, so that a doubt is told and not passed over.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from monitor.event import KMS
from monitor.sight.kms_calls import READS, SERVICE_EVENTS, WRITES

MOST_VALUES = 600
"""Of one operator. A trail may have 500 values in all its selectors together."""
Fields = Mapping[str, str]
"""An event's fields that selectors may ask for, as text."""


class Sight(msgspec.Struct, frozen=True):
    """What a trail shows of KMS."""

    lost: tuple[str, ...] = ()
    """The writes that are no longer recorded, for every caller or for some."""
    lost_uses: tuple[str, ...] = ()
    """The uses of keys that are no longer recorded: a Decrypt that failed among them."""
    blind: bool = False
    """No write at all is recorded any more."""
    why_not: tuple[str, ...] = ()
    """One reason a selector that does not take everything, in words of our own."""

    @property
    def sees(self) -> bool:
        """Every write is recorded, whoever called."""
        return not self.lost

    @property
    def sees_use(self) -> bool:
        """Every use is recorded, whoever called."""
        return not self.lost_uses


def sight(
    selectors: Mapping[str, Any],
    writes: Iterable[str] = WRITES,
    uses: Iterable[str] = READS,
) -> Sight:
    """Judge a trail's selectors, as PutEventSelectors takes them or GetEventSelectors answers.

    A selector that asks who called, such as one on `userIdentity.arn`, takes the calls of some and
    not of others: what it takes counts as lost, for that is how one caller would hide.
    """
    takers: list[Classic | Advanced] = [
        *(Classic(one) for one in objects(selectors, "eventSelectors")),
        *(Advanced(one) for one in objects(selectors, "advancedEventSelectors")),
    ]
    wanted = tuple(writes)
    lost = tuple(name for name in wanted if not any(one.takes(write(name)) for one in takers))
    lost_uses = tuple(name for name in uses if not any(one.takes(use(name)) for one in takers))
    reasons: list[str] = []
    if lost or lost_uses:
        reasons += [one.why_not() for one in takers] or ["there is no event selector"]
    return Sight(
        lost=lost,
        lost_uses=lost_uses,
        blind=bool(wanted) and len(lost) == len(wanted),
        why_not=tuple(dict.fromkeys(reason for reason in reasons if reason)),
    )


def write(name: str) -> Fields:
    """A KMS event that changes something, as selectors see it."""
    kind = "AwsServiceEvent" if name in SERVICE_EVENTS else "AwsApiCall"
    return {
        "eventCategory": "Management",
        "eventSource": KMS,
        "eventName": name,
        "eventType": kind,
        "readOnly": "false",
    }


def use(name: str) -> Fields:
    """A use of a KMS key."""
    return {**write(name), "readOnly": "true"}


class Classic:
    """One of a trail's `eventSelectors`. What it does not say, it takes (AWS's defaults)."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.management = member(given, "includeManagementEvents") not in {False, "false"}
        kind = member(given, "readWriteType")
        self.kind = kind if isinstance(kind, str) and kind else "All"
        self.excluded = frozenset(texts(member(given, "excludeManagementEventSources")))

    def takes(self, fields: Fields) -> bool:
        if not self.management or fields["eventSource"] in self.excluded:
            return False
        wanted = {"All": None, "ReadOnly": "true", "WriteOnly": "false"}.get(self.kind, "")
        return wanted is None or fields["readOnly"] == wanted

    def why_not(self) -> str:
        """What keeps it from taking all of KMS; "" where nothing does."""
        if not self.management:
            return "includeManagementEvents is false"
        if KMS in self.excluded:
            return f"excludeManagementEventSources names {KMS}"
        return "" if self.kind == "All" else f"readWriteType is {self.kind[:20]}"


class Advanced:
    """One of `advancedEventSelectors`: it takes what all of its field selectors take."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.fields = [Field(one) for one in objects(given, "fieldSelectors")]

    def takes(self, fields: Fields) -> bool:
        return bool(self.fields) and all(one.takes(fields) for one in self.fields)

    def why_not(self) -> str:
        """The fields that keep it from taking all of KMS; "" where nothing does."""
        if not self.fields:
            return "an advanced selector has no fieldSelectors"
        samples = [write("DisableKey"), write("DeleteKey"), use("Decrypt")]
        # Every field that lets one of the samples go, and every one about names, which may let
        # others go.
        narrow = [
            one
            for one in self.fields
            if one.name == "eventName" or not all(one.takes(sample) for sample in samples)
        ]
        return "; ".join(str(one) for one in narrow)


class Field:
    """One field selector: a field's name, and what its value must be."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        name = member(given, "field")
        self.name = name if isinstance(name, str) else ""
        found = {one: texts(member(given, one)) for one in COMPARISONS}
        self.operators = {one: values for one, values in found.items() if values}

    def takes(self, fields: Fields) -> bool:
        if not self.name:
            return False
        value = fields.get(self.name)
        if value is None:
            # Who called, from where: it differs by the call.
            return not self.operators
        return all(
            COMPARISONS[operator](value, values) for operator, values in self.operators.items()
        )

    def __str__(self) -> str:
        operators = [
            f"{operator} {', '.join(values[:3])[:80]}{' ...' if len(values) > 3 else ''}"
            for operator, values in self.operators.items()
        ]
        return f"{self.name[:40] or 'a field without a name'} {' and '.join(operators)}".strip()


def some(test: Callable[[str, str], bool]) -> Callable[[str, list[str]], bool]:
    return lambda value, wanted: any(test(value, one) for one in wanted)


def none(test: Callable[[str, str], bool]) -> Callable[[str, list[str]], bool]:
    return lambda value, wanted: not any(test(value, one) for one in wanted)


COMPARISONS: Mapping[str, Callable[[str, list[str]], bool]] = {
    "equals": some(str.__eq__),
    "startsWith": some(str.startswith),
    "endsWith": some(str.endswith),
    "notEquals": none(str.__eq__),
    "notStartsWith": none(str.startswith),
    "notEndsWith": none(str.endswith),
}
"""One value of several is enough; where they say what must not be, none may be it."""


def member(given: Mapping[str, Any], name: str) -> Any:
    """A member by its name in a CloudTrail record, or by the one that the API gives it."""
    found = given.get(name)
    return given.get(name[0].upper() + name[1:]) if found is None else found


def objects(given: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects in a list; empty where it is none."""
    found = member(given, name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def texts(found: Any) -> list[str]:
    """The texts in a list; empty where it is none."""
    if not isinstance(found, list):
        return []
    return [one for one in found if isinstance(one, str)][:MOST_VALUES]

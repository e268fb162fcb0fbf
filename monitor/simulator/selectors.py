"""Which records a trail logs: its classic or advanced event selectors.

A record is logged if any selector takes it. Only management events exist here, so selectors for
data and network events take nothing. Rests on the CloudTrail user guide, "Logging management
events" and "Filtering data events by using advanced event selectors".
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from monitor.simulator.words import Refusal


class Selectors(msgspec.Struct, frozen=True):
    """A trail's selectors as PutEventSelectors takes them; one of the two lists is empty."""

    classic: tuple[dict[str, Any], ...] = ()
    advanced: tuple[dict[str, Any], ...] = ()

    def include(self, record: Mapping[str, Any]) -> bool:
        """Tell whether any of the selectors takes this CloudTrail record."""
        return any(_classic_takes(one, record) for one in self.classic) or any(
            _advanced_takes(one, record) for one in self.advanced
        )

    def body(self) -> dict[str, Any]:
        """Show them as GetEventSelectors and PutEventSelectors answer them."""
        if self.advanced:
            return {"AdvancedEventSelectors": list(self.advanced)}
        return {"EventSelectors": list(self.classic)}


EVERYTHING = Selectors(
    classic=(
        {
            "ReadWriteType": "All",
            "IncludeManagementEvents": True,
            "DataResources": [],
            "ExcludeManagementEventSources": [],
        },
    )
)
"""What a trail logs until someone puts selectors: every management event, no data event."""

_EXCLUDABLE = frozenset({"kms.amazonaws.com", "rdsdata.amazonaws.com"})
_READ_WRITE = frozenset({"All", "ReadOnly", "WriteOnly"})


def selectors_from(parameters: Mapping[str, Any]) -> Selectors:
    """Read the request of PutEventSelectors; raises Refusal with InvalidEventSelectorsException."""
    classic = parameters.get("EventSelectors") or []
    advanced = parameters.get("AdvancedEventSelectors") or []
    if bool(classic) == bool(advanced):
        raise _invalid("Specify either EventSelectors or AdvancedEventSelectors, and not both.")
    for selector in advanced:
        _check_advanced(selector)
    return Selectors(
        classic=tuple(_completed(selector) for selector in classic), advanced=tuple(advanced)
    )


def _completed(selector: Mapping[str, Any]) -> dict[str, Any]:
    whole = {**EVERYTHING.classic[0], **selector}
    if whole["ReadWriteType"] not in _READ_WRITE:
        raise _invalid(
            f"ReadWriteType {whole['ReadWriteType']} is none of All, ReadOnly, WriteOnly."
        )
    for source in whole["ExcludeManagementEventSources"]:
        if source not in _EXCLUDABLE:
            raise _invalid(f"Event source {source} cannot be excluded.")
    return whole


def _check_advanced(selector: Mapping[str, Any]) -> None:
    fields = [str(one.get("Field")) for one in selector.get("FieldSelectors", [])]
    if "eventCategory" not in fields:
        raise _invalid("Each advanced event selector needs a field selector for eventCategory.")
    for one in selector["FieldSelectors"]:
        if not any(one.get(name) for name in _COMPARISONS):
            raise _invalid(f"Field selector for {one['Field']} has no operator with a value.")


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidEventSelectorsException", message)


def _classic_takes(selector: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    if not selector["IncludeManagementEvents"]:
        return False
    if record["eventSource"] in selector["ExcludeManagementEventSources"]:
        return False
    wanted = selector["ReadWriteType"]
    return bool(wanted == "All" or (wanted == "ReadOnly") == record["readOnly"])


def _advanced_takes(selector: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    return all(_field_takes(one, record) for one in selector["FieldSelectors"])


def _field_takes(one: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    values = _values_of(one["Field"], record)
    return all(
        comparison(values, one[name]) for name, comparison in _COMPARISONS.items() if one.get(name)
    )


def _values_of(field: str, record: Mapping[str, Any]) -> list[str]:
    """Take a field's texts out of a record; `resources.*` may have several, others at most one."""
    head, _, tail = field.partition(".")
    found = record.get(head)
    if tail:
        parts = found if isinstance(found, list) else [found or {}]
        values = [part.get(tail) for part in parts]
    else:
        values = [found]
    texts = [str(value).lower() if isinstance(value, bool) else value for value in values]
    return [text for text in texts if isinstance(text, str)]


def _some(test: Callable[[str, str], bool]) -> Callable[[list[str], list[str]], bool]:
    return lambda values, wanted: any(test(value, want) for value in values for want in wanted)


def _none(test: Callable[[str, str], bool]) -> Callable[[list[str], list[str]], bool]:
    return lambda values, wanted: not any(test(value, want) for value in values for want in wanted)


_COMPARISONS: Mapping[str, Callable[[list[str], list[str]], bool]] = {
    "Equals": _some(str.__eq__),
    "StartsWith": _some(str.startswith),
    "EndsWith": _some(str.endswith),
    "NotEquals": _none(str.__eq__),
    "NotStartsWith": _none(str.startswith),
    "NotEndsWith": _none(str.endswith),
}

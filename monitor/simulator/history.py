"""CloudTrail's event history: LookupEvents over every management event, trails or no trails."""

import json
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from monitor.simulator.words import Refusal, Reply

_KEPT = 50_000
"""Records kept per account and Region; AWS keeps 90 days."""
_PAGE = 50
"""MaxResults is 1 to 50 and 50 by default (API reference, LookupEvents)."""

_LOOKUPS: Mapping[str, Callable[[dict[str, Any]], list[str]]] = {
    "EventId": lambda entry: [entry["EventId"]],
    "EventName": lambda entry: [entry["EventName"]],
    "ReadOnly": lambda entry: [entry["ReadOnly"]],
    "Username": lambda entry: [entry.get("Username", "")],
    "EventSource": lambda entry: [entry["EventSource"]],
    "AccessKeyId": lambda entry: [entry.get("AccessKeyId", "")],
    "ResourceName": lambda entry: [one["ResourceName"] for one in entry["Resources"]],
    "ResourceType": lambda entry: [one["ResourceType"] for one in entry["Resources"]],
}


class _Kept(msgspec.Struct, frozen=True):
    seen_from: float
    """Epoch seconds from which LookupEvents shows it."""
    entry: dict[str, Any]


class History:
    """The management events of every account and Region, newest last."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        self.delay_seconds = 0.0
        """How long a record needs until LookupEvents shows it; AWS says about five minutes."""
        self._now = now
        self._kept: dict[tuple[str, str], deque[_Kept]] = {}

    def add(self, record: Mapping[str, Any]) -> None:
        """Keep one management record."""
        place = (record["recipientAccountId"], record["awsRegion"])
        kept = self._kept.setdefault(place, deque(maxlen=_KEPT))
        kept.append(_Kept(self._now() + self.delay_seconds, _entry(record)))

    def lookup(self, parameters: Mapping[str, Any], *, account: str, region: str) -> Reply:
        """Answer LookupEvents: newest first, one attribute at most, paged."""
        attributes = parameters.get("LookupAttributes") or []
        if len(attributes) > 1 or any(one["AttributeKey"] not in _LOOKUPS for one in attributes):
            raise Refusal(
                "InvalidLookupAttributesException", "You can specify only one valid attribute."
            )
        size = int(parameters.get("MaxResults", _PAGE))
        if not 1 <= size <= _PAGE:
            raise Refusal(
                "InvalidMaxResultsException", f"MaxResults must be between 1 and {_PAGE}."
            )
        start, end = _seconds(parameters, "StartTime"), _seconds(parameters, "EndTime")
        if start is not None and end is not None and start > end:
            raise Refusal("InvalidTimeRangeException", "StartTime is later than EndTime.")
        found = [
            one.entry
            for one in reversed(self._kept.get((account, region), ()))
            if one.seen_from <= self._now()
            and (start is None or one.entry["EventTime"] >= start)
            and (end is None or one.entry["EventTime"] <= end)
            and all(
                attribute["AttributeValue"] in _LOOKUPS[attribute["AttributeKey"]](one.entry)
                for attribute in attributes
            )
        ]
        return Reply(body=_page(found, size, parameters.get("NextToken")), read_only=True)


def _page(found: list[dict[str, Any]], size: int, token: str | None) -> dict[str, Any]:
    # The token names the last event shown, so new events do not shift the pages.
    first = 0
    if token is not None:
        ids = [entry["EventId"] for entry in found]
        if token not in ids:
            raise Refusal("InvalidNextTokenException", "The token is invalid.")
        first = ids.index(token) + 1
    page = found[first : first + size]
    more = first + size < len(found)
    return {"Events": page} | ({"NextToken": page[-1]["EventId"]} if more else {})


def _seconds(parameters: Mapping[str, Any], name: str) -> float | None:
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        return datetime.fromisoformat(value).timestamp()
    return float(value)


def _entry(record: Mapping[str, Any]) -> dict[str, Any]:
    identity = record["userIdentity"]
    issuer = identity.get("sessionContext", {}).get("sessionIssuer")
    # The name of a role session is what follows the colon of its principal id.
    name = identity.get("userName") or (
        identity["principalId"].partition(":")[2] if issuer else identity.get("invokedBy")
    )
    entry: dict[str, Any] = {
        "EventId": record["eventID"],
        "EventName": record["eventName"],
        "ReadOnly": str(record["readOnly"]).lower(),
        "EventTime": datetime.fromisoformat(record["eventTime"]).timestamp(),
        "EventSource": record["eventSource"],
        "Resources": [
            {"ResourceType": one["type"], "ResourceName": one["ARN"]}
            for one in record.get("resources", [])
        ],
        "CloudTrailEvent": json.dumps(record, separators=(",", ":")),
    }
    if identity.get("accessKeyId"):
        entry["AccessKeyId"] = identity["accessKeyId"]
    if name:
        entry["Username"] = name
    return entry

"""How the DynamoDB table has to be made. Pure. `deploy/aws/table.yaml` makes it so."""

from collections.abc import Mapping
from typing import Any, Final

TTL: Final = "expires"
KEYS: Final = [("pk", "HASH", "S"), ("sk", "RANGE", "S")]
INDEX: Final = "changes"
INDEX_KEYS: Final = [("pk", "HASH", "S"), ("changed", "RANGE", "N")]


def faults(table: Mapping[str, Any], ttl: Mapping[str, Any]) -> list[str]:
    """What is wrong with a table, as DescribeTable and DescribeTimeToLive show it; [] if nothing is."""
    types = {one["AttributeName"]: one["AttributeType"] for one in table["AttributeDefinitions"]}

    def keys(schema: list[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
        found = [(one["AttributeName"], one["KeyType"]) for one in schema]
        return [(name, kind, types.get(name, "")) for name, kind in found]

    found = []
    status = table.get("TableStatus", "ACTIVE")
    if status not in {"ACTIVE", "UPDATING"}:
        found.append(f"it is {status}")
    if keys(table["KeySchema"]) != KEYS:
        found.append("its keys must be pk (HASH, S) and sk (RANGE, S)")
    indexes = {one["IndexName"]: one for one in table.get("GlobalSecondaryIndexes") or ()}
    index = indexes.get(INDEX)
    if index is None:
        found.append(f"it has no index {INDEX}")
    elif keys(index["KeySchema"]) != INDEX_KEYS or index["Projection"]["ProjectionType"] != "ALL":
        found.append(f"its index {INDEX} must be over pk and changed (RANGE, N), projecting ALL")
    enabled = ttl.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}
    if not enabled or ttl.get("AttributeName") != TTL:
        found.append(f"time to live must be enabled on {TTL}, or it grows for ever")
    return found

"""How DynamoDB writes items and conditions, for `monitor.stores.items`. Pure."""

import re
from collections.abc import Mapping
from typing import Any

Item = dict[str, Any]
"""By attribute: text, float, bytes, or a dict of these. Always with `pk` and `sk`, its key."""
Key = tuple[str, str]
"""`pk`, which says the partition, and `sk`."""

NAME = re.compile(r"#(\w+)")


def refused(answer: dict[str, Any], token: str = "") -> Item | None:
    """What stood in the way of a write; None where nothing did."""
    if "refused" not in answer:
        return None
    there = decoded(answer["refused"])
    return None if token and there.get("token") == token else there


def writing(
    kind: str, item: Item, condition: str, values: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """One write of a transaction: Put of an item, or Delete or ConditionCheck of its key."""
    what = "Item" if kind == "Put" else "Key"
    given = conditional(condition, values)
    del given["ReturnValuesOnConditionCheckFailure"]
    return {kind: {what: encoded(item), **given}}


def conditional(condition: str, values: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parameters of a condition. `#name` in it stands for the attribute of that name."""
    if not condition:
        return {}
    given: dict[str, Any] = {
        "ConditionExpression": condition,
        "ExpressionAttributeNames": names_in(condition),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if values:
        given["ExpressionAttributeValues"] = placed(values)
    return given


def names_in(expression: str) -> dict[str, str]:
    """Many plain names are words of DynamoDB's own, such as `until` and `owner`."""
    return {f"#{name}": name for name in NAME.findall(expression)}


def key_of(key: Key) -> dict[str, Any]:
    return encoded(dict(zip(("pk", "sk"), key, strict=True)))


def placed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f":{name}": encode(value) for name, value in values.items()}


def encoded(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: encode(value) for name, value in item.items()}


def decoded(item: Mapping[str, Any]) -> Item:
    return {name: decode(value) for name, value in item.items()}


def encode(value: Any) -> dict[str, Any]:
    """As DynamoDB writes attribute values. A number keeps all digits of a float."""
    match value:
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
        case dict():
            return {"M": encoded(value)}
        case _:
            return {"N": repr(value)}


def decode(value: Mapping[str, Any]) -> Any:
    match value:
        case {"N": number}:
            return float(number)
        case {"M": members}:
            return decoded(members)
        case {"S": text}:
            return text
        case {"B": content}:
            return bytes(content)
        case _:
            return None

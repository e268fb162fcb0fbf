"""EventBridge event patterns: does an event match, and is a pattern valid at all.

A pattern is a JSON object of the event's shape whose leaves are non-empty arrays: a plain value is
matched exactly, an object is a content filter (prefix, suffix, anything-but, numeric, exists,
equals-ignore-case, wildcard, cidr). Fields are ANDed, the values of one array are ORed, `$or`
takes an array of alternatives. Rests on the EventBridge user guide, "Creating event patterns" and
"Comparison operators".
"""

import ipaddress
import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

MAX_PATTERN_CHARACTERS = 2048
"""Quota of the event pattern's size (EventBridge quotas)."""
MAX_DEPTH = 40
"""Of objects inside one another; an event of CloudTrail has no more than ten."""

_MISSING = object()
_NUMERIC: Mapping[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class InvalidPatternError(ValueError):
    """The pattern is none; the text says why, as AWS puts it after `Reason:`."""


def parse(text: str) -> dict[str, Any]:
    """Read a pattern as PutRule takes it, a JSON text, and raise InvalidPatternError if it is none."""
    if len(text) > MAX_PATTERN_CHARACTERS:
        raise InvalidPatternError(f"Event pattern is longer than {MAX_PATTERN_CHARACTERS}")
    try:
        pattern = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidPatternError(f"Filter is not a valid JSON: {error}") from error
    if not isinstance(pattern, dict):
        raise InvalidPatternError("Filter is not an object")
    _check_object(pattern, "")
    return pattern


def matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Tell whether an event (a whole envelope) matches a pattern that `parse` has accepted."""
    return all(_field_matches(name, wanted, event) for name, wanted in pattern.items())


def _field_matches(name: str, wanted: Any, event: Mapping[str, Any]) -> bool:
    if name == "$or":
        return any(matches(alternative, event) for alternative in wanted)
    value = event.get(name, _MISSING)
    if isinstance(wanted, dict):
        objects = [one for one in _as_list(value) if isinstance(one, dict)]
        # Nothing there is an object without fields: {"exists": false} below must still match.
        return any(matches(wanted, one) for one in objects or [{}])
    leaves = [one for one in _as_list(value) if not isinstance(one, dict)]
    if not leaves:
        return any(test == {"exists": False} for test in wanted)
    return any(_leaf_matches(test, leaf) for test in wanted for leaf in leaves)


def _as_list(value: Any) -> list[Any]:
    if value is _MISSING:
        return []
    return value if isinstance(value, list) else [value]


def _leaf_matches(test: Any, value: Any) -> bool:
    if isinstance(test, dict):
        ((name, argument),) = test.items()
        return _FILTERS[name](argument, value)
    return _equal(test, value)


def _equal(left: Any, right: Any) -> bool:
    # To Python True is 1; to EventBridge, as to JSON, it is not.
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _affix(has: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    """Build `prefix` or `suffix`, each of which also takes {"equals-ignore-case": text}."""

    def test(argument: Any, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        if isinstance(argument, dict):
            return has(value.lower(), argument["equals-ignore-case"].lower())
        return has(value, argument)

    return test


def _ignore_case(argument: str, value: Any) -> bool:
    return isinstance(value, str) and value.lower() == argument.lower()


def _wildcard(argument: str, value: Any) -> bool:
    # `*` is any run of characters; `\*` and `\\` are the characters themselves.
    if not isinstance(value, str):
        return False
    pieces = [""]
    for run in re.findall(r"\\[*\\]|\*|[^*\\]+|\\", argument):
        if run == "*":
            pieces.append("")
        else:
            pieces[-1] += run[-1] if run in {"\\*", "\\\\"} else run
    first, *middle = pieces
    if not middle:
        return value == first
    last = middle.pop()
    if len(value) < len(first) + len(last):
        return False
    if not (value.startswith(first) and value.endswith(last)):
        return False
    # Each piece as early as it can be. A regular expression would try every place of every piece,
    # and whoever writes the pattern could make it try for hours.
    at, end = len(first), len(value) - len(last)
    for piece in middle:
        at = value.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def _numeric(argument: list[Any], value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    pairs = zip(argument[::2], argument[1::2], strict=True)
    return all(_NUMERIC[comparison](value, bound) for comparison, bound in pairs)


def _cidr(argument: str, value: Any) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(argument, strict=False)
    except ValueError:
        return False


def _anything_but(argument: Any, value: Any) -> bool:
    if isinstance(argument, dict):
        ((name, inner),) = argument.items()
        choices = inner if isinstance(inner, list) else [inner]
        return not any(_FILTERS[name](one, value) for one in choices)
    choices = argument if isinstance(argument, list) else [argument]
    return not any(_equal(one, value) for one in choices)


_FILTERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "prefix": _affix(str.startswith),
    "suffix": _affix(str.endswith),
    "equals-ignore-case": _ignore_case,
    "wildcard": _wildcard,
    "numeric": _numeric,
    "cidr": _cidr,
    "exists": lambda argument, _value: bool(argument),
    "anything-but": _anything_but,
}


def _check_object(pattern: Mapping[str, Any], path: str, depth: int = 1) -> None:
    if not pattern:
        raise InvalidPatternError("Empty objects are not allowed")
    if depth > MAX_DEPTH:
        raise InvalidPatternError(f"Objects are nested more than {MAX_DEPTH} deep")
    for name, wanted in pattern.items():
        where = f"{path}.{name}" if path else name
        if name == "$or":
            if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
                raise InvalidPatternError(f'"{where}" must be an array of objects')
            for alternative in wanted:
                _check_object(alternative, path, depth + 1)
        elif isinstance(wanted, dict):
            _check_object(wanted, where, depth + 1)
        elif not isinstance(wanted, list):
            raise InvalidPatternError(f'"{where}" must be an object or an array')
        elif not wanted:
            raise InvalidPatternError(f'Empty arrays are not allowed: "{where}"')
        else:
            for test in wanted:
                _check_test(test, where)


def _check_test(test: Any, where: str) -> None:
    if isinstance(test, list):
        raise InvalidPatternError(f'Arrays in the array of "{where}" are not allowed')
    if not isinstance(test, dict):
        return
    if len(test) != 1:
        raise InvalidPatternError(f'Only one key allowed in match expression of "{where}"')
    ((name, argument),) = test.items()
    if name not in _FILTERS:
        raise InvalidPatternError(f"Unrecognized match type {name}")
    if not _argument_fits(name, argument):
        raise InvalidPatternError(f'Wrong value for match type {name} in "{where}"')


def _argument_fits(name: str, argument: Any) -> bool:
    if name == "exists":
        return isinstance(argument, bool)
    if name == "numeric":
        return isinstance(argument, list) and _numeric_fits(argument)
    if name == "anything-but":
        return _anything_but_fits(argument)
    if name in {"prefix", "suffix"} and isinstance(argument, dict) and len(argument) == 1:
        argument = argument.get("equals-ignore-case")
    return isinstance(argument, str)


def _anything_but_fits(argument: Any) -> bool:
    if isinstance(argument, dict):
        ((inner, value),) = argument.items() if len(argument) == 1 else [("", None)]
        choices = value if isinstance(value, list) else [value]
        return inner in _ANYTHING_BUT and all(isinstance(one, str) for one in choices)
    choices = argument if isinstance(argument, list) else [argument]
    return bool(choices) and not any(isinstance(one, list | dict) for one in choices)


_ANYTHING_BUT = frozenset({"prefix", "suffix", "equals-ignore-case", "wildcard"})


def _numeric_fits(argument: list[Any]) -> bool:
    """[comparison, number] once or twice, as in [">", 0, "<=", 5]."""
    return len(argument) in {2, 4} and all(
        comparison in _NUMERIC and isinstance(bound, int | float) and not isinstance(bound, bool)
        for comparison, bound in zip(argument[::2], argument[1::2], strict=True)
    )

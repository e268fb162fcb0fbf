"""What a target receives of an event: all of it, a part, a constant or a transformed text.

Rests on the EventBridge user guide, "Transforming input". JSON paths are the simple ones: names
and list indexes (`$.detail.resources[0].ARN`).
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from monitor.simulator.records import iso

_STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]|\['([^']+)'\]")
_VARIABLE = re.compile(r"<([\w.-]+)>")
_ABSENT = object()


def body_for(
    target: Mapping[str, Any],
    event: Mapping[str, Any],
    *,
    rule_name: str,
    rule_arn: str,
    now: float,
) -> str:
    """Build the text that a target of a rule receives of an event."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        part = _part(target["InputPath"], event)
        return json.dumps(None if part is _ABSENT else part, separators=(",", ":"))
    if "InputTransformer" in target:
        transformer = target["InputTransformer"]
        found = {
            name: _part(path, event)
            for name, path in (transformer.get("InputPathsMap") or {}).items()
        }
        values = {name: value for name, value in found.items() if value is not _ABSENT}
        values |= {
            "aws.events.rule-arn": rule_arn,
            "aws.events.rule-name": rule_name,
            "aws.events.event": {key: value for key, value in event.items() if key != "detail"},
            "aws.events.event.json": dict(event),
            "aws.events.event.ingestion-time": iso(now),
        }
        return _filled(transformer["InputTemplate"], values)
    return json.dumps(event, separators=(",", ":"))


def _part(path: str, event: Mapping[str, Any]) -> Any:
    found: Any = event
    for step in _STEP.finditer(path.removeprefix("$")):
        name, index, quoted = step.groups()
        try:
            found = found[int(index)] if index is not None else found[name or quoted]
        except (KeyError, IndexError, TypeError):
            return _ABSENT
    return found


def _filled(template: str, values: Mapping[str, Any]) -> str:
    # Between quotes a text stands as it is; elsewhere every value stands as JSON. A variable
    # without a value is dropped.
    quoted = False
    parts, end = [], 0
    for found in _VARIABLE.finditer(template):
        before = template[end : found.start()]
        quoted ^= before.replace('\\"', "").count('"') % 2 == 1
        value = values.get(found[1], "")
        bare = isinstance(value, str) and (quoted or found[1] not in values)
        parts += [before, value if bare else json.dumps(value, separators=(",", ":"))]
        end = found.end()
    return "".join(parts) + template[end:]

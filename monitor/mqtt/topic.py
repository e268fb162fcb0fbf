"""MQTT topics out of templates whose values may come from an event, and so from an attacker. Pure.

In a topic `/` makes levels, `+` and `#` are wildcards, a leading `$` belongs to the broker, and NUL
is forbidden (MQTT 3.1.1, sections 4.7 and 1.5.3); paho passes some of them on (operations 4.1).
A value can therefore change one level of a topic and nothing else. Templates come from the
settings and are checked when those are read; they know a closed list of placeholders, and nothing
is ever formatted from objects.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

PLACEHOLDER: Final = re.compile(r"\{([a-z_]{1,32})\}")
LONGEST_LEVEL: Final = 128
LONGEST_TEMPLATE: Final = 512


def level(value: str) -> str:
    """`value` as one level: `[A-Za-z0-9_.:@=-]` stay, the rest becomes `%XX`; `_` where empty."""
    safe = quote(value[:LONGEST_LEVEL], safe=":@=", errors="replace").replace("~", "%7E")
    # Cut between escapes, never inside one.
    return re.sub(r"%[0-9A-F]?$", "", safe[:LONGEST_LEVEL]) or "_"


def check(template: str, placeholders: frozenset[str]) -> str:
    """`template` itself. Raises ValueError, with a sentence for the operator, if it is unfit."""
    if not template or len(template) > LONGEST_TEMPLATE:
        raise ValueError(f"a topic has 1 to {LONGEST_TEMPLATE} characters")
    unknown = [name for name in PLACEHOLDER.findall(template) if name not in placeholders]
    if unknown:
        known = ", ".join(sorted(placeholders))
        raise ValueError(f"unknown placeholder {{{unknown[0]}}}; there are: {known}")
    fixed = PLACEHOLDER.sub("x", template)
    if "{" in fixed or "}" in fixed:
        raise ValueError("a brace that belongs to no placeholder; write {name}")
    if "+" in fixed or "#" in fixed:
        raise ValueError("+ and # are wildcards: nothing can be published to them")
    if not fixed.isprintable():
        raise ValueError("control characters have no place in a topic")
    if fixed.startswith("$"):
        raise ValueError("topics that begin with $ belong to the broker")
    if "" in fixed.split("/"):
        raise ValueError("an empty level: no / at the start or the end, no //")
    return template


def fill(template: str, values: Mapping[str, str]) -> str:
    """The topic. `template` must have passed `check`; `values` may be anything."""
    return PLACEHOLDER.sub(lambda match: level(values[match[1]]), template)

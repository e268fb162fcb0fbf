"""The reference of responders and escrows with their options: docs/reference/responders.md."""

from collections.abc import Iterator
from typing import Final

from manual import rows, tables
from manual.rows import SCHEMA

HEAD: Final = f"""\
# Responders and escrows

{tables.MADE}

Each runs if the settings name it, under `responders` or `escrows`; nothing behind its name means its defaults. How to tell whom of
what: [notifications.md](../notifications.md). Write your own: [plugins.md](../plugins.md).

"""
PAGES: Final = {
    "restore_key": "baselines.md",
    "restore_sight": "sight.md",
    "contain": "contain.md",
}


def page() -> str:
    return HEAD + "\n\n".join([*sections("responders"), *sections("escrows")]) + "\n"


def sections(kind: str) -> Iterator[str]:
    yield f"## {kind.capitalize()}"
    for name, schema in sorted(SCHEMA["properties"][kind]["properties"].items()):
        yield f"### {name}"
        more = PAGES.get(name, "material.md" if kind == "escrows" else "notifications.md")
        yield f"{tables.plain(schema['description'])} More: [{more}](../{more})."
        found = list(rows.below(schema, f"{kind}.{name}"))
        yield tables.settings(found) if found else "It has no options."

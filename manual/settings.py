"""The reference of the settings: docs/reference/settings.md."""

from collections.abc import Iterator
from typing import Final

from manual import rows, tables
from manual.rows import FUNCTION, SCHEMA, Schema, resolved
from monitor.reload import LIVE

HEAD: Final = f"""\
# Settings

{tables.MADE}

Every setting, with its default. The same as a commented file, to begin with: [config/example.yaml](../../config/example.yaml);
for editors: [config/schema.json](../../config/schema.json). Options of plugins have pages of their own:
[detectors](../detectors.md), [responders and escrows](responders.md).

* A path says where a setting stands in the YAML file: `store.path` is `path` under `store`; `accounts[].id` is the `id` of each entry
  of the list `accounts`.
* Any setting can come from a variable, which stands above the file: two underscores between the parts, its value as YAML.
  `KMS_MONITOR_STORE__PATH=/var/lib/kms-monitor/state.db`.
* Unknown names are refused. A wrong setting is one line with its file, line, value and what is expected, and exit code 2.
* *Live*: it can be changed while the daemon runs ([Change it while it runs](../response.md#change-it-while-it-runs)).
  What is not waits for a restart, and a warning in the log says so.

"""
PAGES: Final = {
    "accounts": "accounts.md",
    "organizations": "accounts.md",
    "queues": "envelopes.md",
    "log_files": "envelopes.md",
    "material": "material.md",
    "never_approve": "approvals.md",
    "tiers": "response.md",
    "response": "response.md",
    "maintenance": "response.md",
    "limits": "limits.md",
    "store": "stores.md",
    "suppressions": "tune.md",
}
"""Where more is said about a section."""


def page() -> str:
    return HEAD + "\n\n".join(sections()) + "\n"


def sections() -> Iterator[str]:
    simple, others = parted()
    yield "## The whole"
    yield "The settings that stand at the top."
    whole = {"properties": dict(simple), "required": SCHEMA["required"]}
    yield tables.table(
        ("setting", "type", "default", "live", "meaning"),
        (
            (
                f"`{one.path}`",
                one.type,
                one.default,
                "yes" if one.path in LIVE else "",
                tables.plain(one.meaning),
            )
            for one in sorted(rows.rows(whole), key=lambda one: one.default != "required")
        ),
    )
    for name, schema in sorted(others):
        yield f"## {name}"
        yield " ".join(intro(name, schema))
        yield tables.settings(rows.below(schema, name))
    yield "## function"
    yield f"{FUNCTION['description']} Only of the serverless form, which has no `queues`."
    yield tables.settings(rows.below(FUNCTION, "function"))


def parted() -> tuple[list[tuple[str, Schema]], list[tuple[str, Schema]]]:
    """Settings of one value, and those that have settings inside."""
    simple: list[tuple[str, Schema]] = []
    others: list[tuple[str, Schema]] = []
    for name, schema in SCHEMA["properties"].items():
        inside = any(rows.below(schema, name)) and name not in rows.PLUGINS
        (others if inside else simple).append(
            (name, without_options(schema) if name in rows.PLUGINS else schema)
        )
    return simple, others


def without_options(schema: Schema) -> Schema:
    return {name: value for name, value in schema.items() if name != "properties"}


def intro(name: str, schema: Schema) -> Iterator[str]:
    whole = resolved(schema)
    listed = whole.get("type") == "array"
    yield tables.plain(whole.get("description", ""))
    if listed:
        inner = resolved(whole["items"]).get("description", "")
        yield f"Each entry: {inner[:1].lower()}{inner[1:]}" if inner else "A list of mappings."
    if name in SCHEMA["required"]:
        yield "Required."
    if name in LIVE:
        yield "*Live.*"
    if name in PAGES:
        yield f"More: [{PAGES[name]}](../{PAGES[name]})."

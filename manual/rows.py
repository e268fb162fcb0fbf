"""Settings as rows of a table, from their JSON schema: path, type with unit and limits, default, meaning."""

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from monitor.schema import settings_schema
from monitor.serverless.settings import FunctionSettings

Schema = dict[str, Any]
SCHEMA: Final = settings_schema()
FUNCTION: Final = FunctionSettings.model_json_schema()
"""What only the serverless form has, under `function`."""
DEFINITIONS: Final[dict[str, Schema]] = SCHEMA["$defs"] | FUNCTION.get("$defs", {})
UNITS: Final = {
    "seconds": "seconds",
    "minutes": "minutes",
    "hours": "hours",
    "days": "days",
    "mb": "MB",
}
"""By the last word of a setting's name."""
TYPES: Final = {"boolean": "true or false", "string": "text"}
PLUGINS: Final = ("detectors", "responders", "escrows")
"""Their options have pages of their own."""


class Row(NamedTuple):
    path: str
    """With `[]` behind a list, of whose entries it is, and `.NAME` for a name of the user's."""
    type: str
    default: str
    """As YAML would say it; `required`, or nothing where its parts have their own."""
    meaning: str


def resolved(schema: Schema) -> Schema:
    """The schema itself, where it refers to a model; of a union with null, the rest."""
    branches = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(branches) == 1:
        outer = {name: value for name, value in schema.items() if name != "anyOf"}
        schema = branches[0] | outer
    name = schema.get("$ref", "").rpartition("/")[2]
    return DEFINITIONS[name] | schema if name else schema


def rows(schema: Schema, path: str = "") -> Iterator[Row]:
    """Every setting below that schema, in the order of the code."""
    schema = resolved(schema)
    required = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        inside = f"{path}{name}"
        yield row(inside, inner, required=name in required)
        yield from below(inner, inside)


def below(schema: Schema, path: str) -> Iterator[Row]:
    """The settings inside of one, whether it is a model or a list or a mapping of models."""
    schema = resolved(schema)
    yield from rows({name: schema[name] for name in schema if name != "items"}, f"{path}.")
    if "items" in schema:
        yield from rows(schema["items"], f"{path}[].")


def row(path: str, schema: Schema, *, required: bool) -> Row:
    whole = resolved(schema)
    if required:
        default = "required"
    elif "default" not in whole and whole.get("type") == "array":
        default = "`[]`"  # of a factory the schema does not tell
    elif "properties" in whole or "default" not in whole:
        default = ""
    else:
        default = "none" if whole["default"] is None else shown(whole["default"])
    unit = UNITS.get(path.rpartition("_")[2], "")
    words = (type_of(whole), unit, limits(whole))
    return Row(
        path, ", ".join(word for word in words if word), default, whole.get("description", "")
    )


def shown(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def type_of(schema: Schema) -> str:
    schema = resolved(schema)
    if "anyOf" in schema:
        found = [type_of(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(found))
    if "enum" in schema or "const" in schema:
        return " or ".join(shown(one) for one in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {plural(type_of(schema['items']))}"
    if "properties" in schema:
        return "mapping"
    if schema.get("type") == "object":
        named = [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
        values = [type_of(one) for one in named if one]
        return f"mapping of names to {plural(values[0])}" if values else "mapping"
    if schema.get("format") == "path":
        return "path"
    kind = schema.get("type", "string")
    return "mapping" if isinstance(kind, list) else TYPES.get(kind, str(kind))


def plural(words: str) -> str:
    simple = {"text": "texts", "integer": "integers", "mapping": "mappings", "path": "paths"}
    return simple.get(words, words)


def limits(schema: Schema) -> str:
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    above = schema.get("exclusiveMinimum")
    if above is not None:
        return f"above {number(above)}" + (f", up to {number(highest)}" if highest else "")
    if lowest is not None and highest is not None:
        return f"{number(lowest)} to {number(highest)}"
    if lowest is not None:
        return f"{number(lowest)} or more"
    return f"up to {number(highest)}" if highest is not None else ""


def number(value: float) -> str:
    return f"{value:,.10g}"


def all_settings() -> list[Row]:
    """Those of daemon and function and, by their whole paths, the options of built-in plugins."""
    return [*rows(SCHEMA), *rows({"properties": {"function": FUNCTION}})]

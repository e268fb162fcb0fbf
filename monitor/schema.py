"""The JSON schema of the settings, with the options of the built-in plugins: for editors."""

import inspect
import sys
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from monitor.settings import Settings
from monitor.shelf import GROUPS, Shelf

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NOT_TRUE: dict[str, Any] = {"not": {"const": True}}
"""A detector can be turned off by `false`; there is nothing that `true` would mean."""

Validation = tuple[type[BaseModel], Literal["validation"]]


def settings_schema(form: type[Settings] = Settings) -> dict[str, Any]:
    """The schema. Raises `SettingsError` where a built-in plugin cannot be loaded.

    `form`: of the daemon, or another form's own settings, which hold the daemon's.
    """
    shelf = Shelf()
    found = {
        (kind, name): shelf.load(kind, name)
        for kind in GROUPS
        for name, source in sorted(shelf.sources[kind].items())
        if source.built_in
    }
    options = {plugin.Options for plugin in found.values()}
    # All in one go, so that two models of one name are told apart.
    models: list[Validation] = [(model, "validation") for model in (form, *options)]
    places, document = models_json_schema(models)
    definitions: dict[str, dict[str, Any]] = document["$defs"]
    by_model = {model: definitions.pop(name_of(places[model, kind])) for model, kind in models}
    root = by_model[form]
    for kind in GROUPS:
        # A plugin of others may have any options, or none; those of others are let through unseen.
        root["properties"][kind]["additionalProperties"] = (
            {"type": ["object", "null", "boolean"], **NOT_TRUE}
            if kind == "detectors"
            else {"type": ["object", "null"]}
        )
        root["properties"][kind]["properties"] = {
            name: entry(kind, plugin, by_model[plugin.Options])
            for (its_kind, name), plugin in found.items()
            if its_kind == kind
        }
    root.pop("description", None)  # it speaks to readers of the code
    return {"$schema": DIALECT, **root, "title": "Settings of kms-monitor", "$defs": definitions}


def name_of(place: dict[str, Any]) -> str:
    """The name of a model among the definitions."""
    return str(place["$ref"]).rpartition("/")[2]


def entry(kind: str, plugin: Any, options: dict[str, Any]) -> dict[str, Any]:
    """What may stand behind a plugin's name. Nothing at all means its defaults."""
    properties = dict(options.get("properties", {}))
    if kind == "detectors":
        properties["mode"] = {
            "$ref": "#/$defs/Mode",
            "description": "For this detector, where it differs from the mode of the whole.",
        }
    types = ["object"] if options.get("required") else ["object", "null"]
    what = inspect.getdoc(sys.modules[plugin.__module__]) or ""
    description = plugin.about.description if kind == "detectors" else what.partition("\n")[0]
    return options | {
        "title": plugin.name,
        "description": description,
        "properties": properties,
        "type": types,
        **({"type": [*types, "boolean"], **NOT_TRUE} if kind == "detectors" else {}),
    }

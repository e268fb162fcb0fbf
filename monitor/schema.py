"""The JSON schema of the settings, with the options of the built-in plugins: for editors."""

import inspect
import sys
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from monitor import plugins
from monitor.settings import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
OURS = "kms-monitor"
"""The distribution whose plugins are known here. Those of others are let through unseen."""

Validation = tuple[type[BaseModel], Literal["validation"]]


def settings_schema() -> dict[str, Any]:
    """The schema. Raises `SettingsError` where a built-in plugin cannot be loaded."""
    found = {
        (kind, name): plugins.load(kind, name)
        for kind in plugins.GROUPS
        for name, point in sorted(plugins.installed(kind).items())
        if point.dist is not None and point.dist.name == OURS
    }
    options = {plugin.Options for plugin in found.values()}
    # All in one go, so that two models of one name are told apart.
    models: list[Validation] = [(model, "validation") for model in (Settings, *options)]
    places, document = models_json_schema(models)
    definitions: dict[str, dict[str, Any]] = document["$defs"]
    by_model = {model: definitions.pop(name_of(places[model, kind])) for model, kind in models}
    root = by_model[Settings]
    for kind in plugins.GROUPS:
        # A plugin of others may have any options, or none.
        root["properties"][kind]["additionalProperties"] = {"type": ["object", "null"]}
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
    what = inspect.getdoc(sys.modules[plugin.__module__]) or ""
    return options | {
        "title": plugin.name,
        "description": what.partition("\n")[0],
        "type": "object" if options.get("required") else ["object", "null"],
        "properties": properties,
    }

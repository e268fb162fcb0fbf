"""Whether a class, or an object, is the plugin that it says it is.

Type checkers see it all before anything runs; this is for code that none has seen. It looks at the
shape only: whether the plugin does what it should is for `monitor.testing`.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from pydantic import BaseModel

from monitor import foreign
from monitor.detector import About
from monitor.finding import Aspect

MISSING = object()


def faults_of(kind: str, name: str, plugin: Any) -> list[str]:
    """What is wrong with a plugin of that kind and name; empty where nothing is."""
    ran = foreign.run(partial(compare, kind, name, plugin))
    if ran.value is None:  # a property, or a metaclass, of theirs
        return [f"cannot be looked at: {foreign.place_of(ran.error or TypeError())}"]
    return ran.value


def compare(kind: str, name: str, plugin: Any) -> list[str]:
    found = [
        f"{attribute} is missing" if value is MISSING else f"{attribute} must be {wanted}"
        for attribute, (good, wanted) in CONTRACTS[kind].items()
        if (value := getattr(plugin, attribute, MISSING)) is MISSING or not good(value)
    ]
    if not found and plugin.name != name:
        found.append(f"its name is {str(plugin.name)[:60]!r}, not {name!r}")
    if not found and kind == "detectors" and not (plugin.events or plugin.failures):
        found.append("events and failures are both empty: it would never be shown anything")
    return found


def is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def is_about(value: Any) -> bool:
    """The members of a struct are not checked when it is made."""
    if not isinstance(value, About):
        return False
    members = msgspec.structs.asdict(value)
    return all(
        isinstance(one, bool)
        if name == "quiet"
        else is_text(one)
        if name in {"description", "severity"}
        else isinstance(one, tuple) and all(map(is_text, one))
        for name, one in members.items()
    )


def are_tuples(length: int) -> Callable[[Any], bool]:
    def good(value: Any) -> bool:
        return isinstance(value, frozenset | set) and all(
            isinstance(one, tuple) and len(one) == length and all(map(is_text, one))
            for one in value
        )

    return good


def is_model(value: Any) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, BaseModel)
        and value.model_config.get("extra") == "forbid"
    )


def is_plain(value: Any) -> bool:
    """A function that answers at once. A generator is one too."""
    waits = inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value)
    return callable(value) and not waits


def are_aspects(value: Any) -> bool:
    return isinstance(value, frozenset | set) and all(isinstance(one, Aspect) for one in value)


Rule = tuple[Callable[[Any], bool], str]
ALL: Mapping[str, Rule] = {
    "name": (is_text, "a text"),
    "Options": (is_model, 'a pydantic model with extra="forbid"'),
}
CONTRACTS: Mapping[str, Mapping[str, Rule]] = {
    "detectors": {
        **ALL,
        "title": (is_text, "a text"),
        "about": (is_about, "a monitor.detector.About, with texts and tuples of texts"),
        "events": (are_tuples(2), "a set of pairs: eventSource and eventName"),
        "failures": (are_tuples(3), "a set of triples: eventSource, eventName and errorCode"),
        "inspect": (is_plain, "a plain method"),
    },
    "responders": {
        **ALL,
        "repairs": (lambda value: isinstance(value, bool), "true or false"),
        "aspects": (are_aspects, "a set of monitor.finding.Aspect"),
        "respond": (inspect.iscoroutinefunction, "an async method"),
        "serve": (inspect.iscoroutinefunction, "an async method"),
        "problem": (is_plain, "a plain method"),
    },
    "escrows": {**ALL, "fetch": (inspect.iscoroutinefunction, "an async method")},
}

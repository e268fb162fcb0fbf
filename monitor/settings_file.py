"""Reads the settings: a YAML file, then `KMS_MONITOR_...` variables over it.

A variable names a setting by its path, with two underscores between the parts:
`KMS_MONITOR_STORE__PATH=/var/lib/kms-monitor/state.db`; its value is read as YAML. Variables whose
first part is no setting are ignored, for Kubernetes makes such names by itself for a service called
`kms-monitor`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from monitor.errors import SettingsError
from monitor.settings import Settings

PREFIX = "KMS_MONITOR_"
LARGEST = 1024 * 1024
"""Bytes. Nobody writes more settings by hand."""

SECRET = re.compile(
    r"secret|passw|token|credential|external_id|private|auth|webhook|routing_key|address|_env$",
    re.IGNORECASE,
)
"""Settings of such names are never shown: somebody may have put the secret where its place is named."""

Path_ = tuple[str | int, ...]
Places = dict[Path_, int | str]
"""Where a setting stands: its line in the file, or the name of its variable."""
Kind = TypeVar("Kind", bound=Settings)


def read_settings(path: Path, environment: Mapping[str, str]) -> Settings:
    """The validated settings. Raises `SettingsError` with one sentence for each fault."""
    return validated(Settings, str(path), *read_yaml(path), environment)


def validated(
    model: type[Kind],
    name: str,
    document: dict[str, Any],
    lines: Places,
    environment: Mapping[str, str],
) -> Kind:
    """A document, with the variables over it, as settings. Raises `SettingsError`.

    `name` is what people know the document by, `lines` where in it things stand.
    """
    variables = overlay(document, environment, model)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise SettingsError(faults(error, name, lines | variables)) from error


def read_yaml(path: Path) -> tuple[dict[str, Any], Places]:
    """The document, and the line on which each of its parts stands."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from error
    return parse(text, str(path))


def parse(text: bytes, path: str) -> tuple[dict[str, Any], Places]:
    """The same of a text that people know by the name `path`."""
    if len(text) > LARGEST:
        raise SettingsError([f"{path}: is larger than {LARGEST} bytes"])
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            # A few lines of aliases can unfold into gigabytes.
            raise SettingsError([f"{path}: aliases (*name) are not supported"])
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise SettingsError([f"{where}: is not valid YAML: {problem}"]) from error
    if not isinstance(document, dict):
        raise SettingsError([f"{path}: must hold names with values, such as `mode: observe`"])
    lines: Places = {}
    twice: list[str] = []
    note_lines(node, (), lines, twice)
    if twice:
        # YAML would take the last one without a word.
        raise SettingsError([f"{path}:{one}: stands there twice" for one in twice])
    return document, lines


def note_lines(node: yaml.Node | None, path: Path_, lines: Places, twice: list[str]) -> None:
    """Fill `lines`, and `twice` with the line and path of every name that stood there before."""
    if node is None:
        return
    lines.setdefault(path, node.start_mark.line + 1)
    match node:
        case yaml.MappingNode():
            for name, value in node.value:
                inside = (*path, str(name.value))
                if inside in lines:
                    twice.append(f"{name.start_mark.line + 1}: {'.'.join(map(str, inside))}")
                lines[inside] = name.start_mark.line + 1
                note_lines(value, inside, lines, twice)
        case yaml.SequenceNode():
            for index, value in enumerate(node.value):
                note_lines(value, (*path, index), lines, twice)
        case _:
            pass


def overlay(
    document: dict[str, Any], environment: Mapping[str, str], model: type[Settings] = Settings
) -> Places:
    """Write the variables' values over the document's; which variable set what."""
    found: Places = {}
    for name, text in sorted(environment.items()):
        first, *rest = name.removeprefix(PREFIX).lower().split("__")
        if not name.startswith(PREFIX) or first not in model.model_fields:
            continue
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise SettingsError([f"{name}: its value is not valid YAML"]) from error
        target: Any = document
        parts = [first, *rest]
        for part in parts[:-1]:
            inner = target.get(part)
            if not isinstance(inner, dict):
                inner = target[part] = {}
            target = inner
        target[parts[-1]] = value
        found[tuple(parts)] = name
    return found


def faults(error: ValidationError, file: str, lines: Places, prefix: Path_ = ()) -> list[str]:
    """One sentence for each fault: file, line, path, what stands there, what is expected."""
    return [fault(one, file, lines, prefix) for one in error.errors(include_url=False)]


def fault(one: ErrorDetails, file: str, lines: Places, prefix: Path_) -> str:
    path = prefix + tuple(one["loc"])
    where = place(path, file, lines)
    name = ".".join(str(part) for part in path) or "settings"
    match one["type"]:
        case "missing":
            return f"{where}: {name}: is missing"
        case "extra_forbidden":
            # Without its value: what stands in the wrong place may be a secret.
            return f"{where}: {name}: there is no such setting"
        case "value_error":
            return f"{where}: {name}: {one['msg'].removeprefix('Value error, ')}"
        case _:
            pass
    return f"{where}: {name}: is {shown(path, one['input'])}, but: {one['msg']}"


def place(path: Path_, file: str, lines: Places) -> str:
    """Where a setting stands, or else the nearest thing around it."""
    known = path
    while known and known not in lines:
        known = known[:-1]
    where = lines.get(known)
    return where if isinstance(where, str) else f"{file}:{where}" if where else file


def shown(path: Path_, value: Any) -> str:
    """A wrong value for people to see; never a secret, nor what may hold one."""
    if any(SECRET.search(str(part)) for part in path):
        return "something that is not shown here"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return f"{text[:60]}..." if len(text) > 60 else text


def plugin_options(
    model: type[BaseModel], options: Mapping[str, Any], path: Path_, file: Path
) -> BaseModel:
    """The options of one plugin, validated by its own model. Raises `SettingsError`."""
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        raise SettingsError(faults(error, str(file), lines_of(file), path)) from error


def lines_of(file: Path) -> Places:
    try:
        return read_yaml(file)[1]
    except SettingsError:
        return {}

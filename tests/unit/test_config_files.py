"""The files in config/ agree with the settings that the code knows."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

import monitor
from monitor.assembly import load
from monitor.catalogue import built_in_entries, with_settings
from monitor.schema import settings_schema
from monitor.serverless.settings import ServerlessSettings
from monitor.settings_file import read_settings

CONFIG = Path(monitor.__file__).parent.parent / "config"
FILES = sorted(path.name for path in CONFIG.glob("*.yaml"))
SCHEMA = settings_schema()


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    for one in schema.get("anyOf", ()):  # a model, or none
        if "$ref" in one:
            schema = schema | one
    reference = schema.get("$ref", "").rpartition("/")[2]
    return SCHEMA["$defs"][reference] | schema if reference else schema


def settings(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every setting that the schema knows, by its path; in lists by the path of any entry."""
    schema = resolved(schema)
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}{name}", resolved(inner)
        yield from settings(inner, f"{path}{name}.")
    if "items" in schema:
        yield from settings(schema["items"], path)


def values(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in a document, by its path."""
    if isinstance(document, dict):
        for name, inner in document.items():
            yield f"{path}{name}", inner
            yield from values(inner, f"{path}{name}.")
    if isinstance(document, list):
        for inner in document:
            yield from values(inner, path)


def example() -> str:
    return (CONFIG / "example.yaml").read_text(encoding="utf-8")


def test_schema_is_up_to_date() -> None:
    """If not: make schema."""
    assert json.loads((CONFIG / "schema.json").read_text(encoding="utf-8")) == SCHEMA
    function = (CONFIG / "function.schema.json").read_text(encoding="utf-8")
    assert json.loads(function) == settings_schema(ServerlessSettings)


def test_an_editor_knows_the_settings_of_a_function() -> None:
    schema = settings_schema(ServerlessSettings)
    Draft202012Validator.check_schema(schema)
    look = Draft202012Validator(schema)
    good = {"mode": "observe", "accounts": [], "function": {"margin_seconds": 5}}
    assert list(look.iter_errors(good)) == []
    wrongs: list[dict[str, Any]] = [{"queues": [{}]}, {"function": {"margin": 5}}]
    for wrong in wrongs:
        assert list(look.iter_errors(good | wrong))


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("file", FILES)
def test_file_is_accepted(file: str) -> None:
    read = read_settings(CONFIG / file, {})
    load(read, CONFIG / file)


@pytest.mark.parametrize("file", FILES)
def test_file_agrees_with_the_schema(file: str) -> None:
    Draft202012Validator(SCHEMA).validate(yaml.safe_load((CONFIG / file).read_text("utf-8")))


def test_example_names_every_setting_and_no_other() -> None:
    """Those that are commented out included."""
    everything = yaml.safe_load(re.sub(r"^( *)#([a-z_]+:)", r"\1\2", example(), flags=re.MULTILINE))
    assert {path for path, _ in values(everything)} == {path for path, _ in settings(SCHEMA)}


def test_example_has_every_detector_as_it_is() -> None:
    """If not: make reference."""
    assert with_settings(example(), built_in_entries()) == example()


def test_an_example_without_a_place_for_detectors_is_refused() -> None:
    with pytest.raises(ValueError, match="there are no lines"):
        with_settings("mode: observe\n", [])


def test_example_tells_the_truth_about_defaults() -> None:
    known = dict(settings(SCHEMA))
    wrong = {
        path: value
        for path, value in values(yaml.safe_load(example()))
        if not isinstance(value, dict)
        and known[path].get("default") is not None
        and known[path]["default"] != value
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"mode": "maybe"}, "mode"),
        ({"accounts": [{"id": 111122223333, "regions": ["eu-west-1"]}]}, "accounts.0.id"),
        ({"detectors": {"key_disabled": {"mode": "maybe"}}}, "detectors.key_disabled.mode"),
        ({"detectors": {"key_disabled": {"nonsense": 1}}}, "detectors.key_disabled"),
        ({"detectors": {"key_disabled": True}}, "detectors.key_disabled"),
        ({"detectors": {"somebody_elses": True}}, "detectors.somebody_elses"),
        ({"responders": {"restore_key": False}}, "responders.restore_key"),
        ({"suppressions": [{"reason": "x", "until": 5}]}, "suppressions.0.until"),
        (
            {"responders": {"restore_key": {"doubt_seconds": -1}}},
            "responders.restore_key.doubt_seconds",
        ),
        ({"responders": {"sns": None}}, "responders.sns"),
        ({"escrows": {"file": None}}, "escrows.file"),
        ({"escrows": {"vault": {"address": 5, "version": 2}}}, "escrows.vault.address"),
        ({"nonsense": 1}, ""),
    ],
)
def test_schema_points_at_what_is_wrong(change: dict[str, Any], path: str) -> None:
    document = yaml.safe_load((CONFIG / "minimal.yaml").read_text("utf-8")) | change
    errors = list(Draft202012Validator(SCHEMA).iter_errors(document))
    assert [".".join(str(part) for part in error.absolute_path) for error in errors] == [path]


def test_schema_lets_a_detector_be_turned_off() -> None:
    document = yaml.safe_load((CONFIG / "minimal.yaml").read_text("utf-8"))
    document["detectors"] = {"key_disabled": False, "key_deletion_scheduled": None}
    Draft202012Validator(SCHEMA).validate(document)


def test_schema_lets_plugins_of_others_through() -> None:
    document = yaml.safe_load((CONFIG / "minimal.yaml").read_text("utf-8"))
    document["detectors"] = {"somebody_elses": {"anything": [1]}, "another": None, "off": False}
    Draft202012Validator(SCHEMA).validate(document)

"""The documentation agrees with the code: what is made of it is fresh, and what pages name is there.

In scope: `manual`, docs/ and README.md. That links lead somewhere, mkdocs says: `make docs`.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from manual import alerts, commands, metrics, rows
from manual.__main__ import MADE
from monitor.config_rule.parameters import RuleParameters
from monitor.settings import Settings
from monitor.settings_file import PREFIX
from tests import pages
from tests.pages import DOCS, PAGES, ROOT
from tests.promql import declared

OF_CODE = MADE.keys() | {"detectors.md", "peers.md"}
BY_HAND = {name: text for name, text in PAGES.items() if name.removeprefix("docs/") not in OF_CODE}
METRICS = declared() | {one.name: set(one.labels) for one in metrics.all_metrics()}
"""Each series by its name; a histogram by its own name, too."""
ALL_SETTINGS = rows.all_settings()
TYPES = {one.path.replace("[]", ""): one.type for one in ALL_SETTINGS}
NOT_OURS = {
    "kms_monitor_us_east_1",  # a Terraform module's name
}
OPTIONS_OF_OTHERS = {
    "detectors.prod_alias_deleted",  # docs/plugins.md writes it
    "detectors.prod_alias_deleted.prefix",
}
VARIABLES = {"KMS_MONITOR_CONFIG", "KMS_MONITOR_SETTINGS", "KMS_MONITOR_HEALTH_URL"}


@pytest.mark.parametrize(("name", "made"), MADE.items(), ids=list(MADE))
def test_what_is_made_of_the_code_is_fresh(name: str, made: Callable[[], str]) -> None:
    """If not: make reference."""
    assert (DOCS / name).read_text(encoding="utf-8") == made()


@pytest.mark.parametrize("name", [name for name in MADE if name.endswith(".svg")])
def test_a_picture_is_whole_and_says_what_it_shows(name: str) -> None:
    root = ET.fromstring((DOCS / name).read_text(encoding="utf-8"))
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert len(title.text or "") > 20


# -- the navigation


class AnyTag(yaml.SafeLoader):
    """mkdocs.yml names a function by a tag of Python's."""


AnyTag.add_multi_constructor("", lambda *_: None)
SITE = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), AnyTag)


def in_navigation(entry: Any) -> Iterator[str]:
    match entry:
        case str():
            yield entry
        case dict():
            for inner in entry.values():
                yield from in_navigation(inner)
        case _:
            for inner in entry:
                yield from in_navigation(inner)


def test_every_page_is_in_the_navigation_once() -> None:
    """mkdocs says it, too; this says it before the site is built."""
    found = list(in_navigation(SITE["nav"]))
    assert len(set(found)) == len(found)
    elsewhere = {
        "readme.md",
        "changelog.md",
        "contributing.md",
        "security.md",
        "reference/chart.md",
    }
    assert set(found) - elsewhere == {
        name.removeprefix("docs/") for name in PAGES if name.startswith("docs/")
    }


def test_the_site_is_built_strictly() -> None:
    assert SITE["strict"] is True
    assert set(SITE["validation"].values()) == {"warn"}


# -- the references tell all


def test_every_setting_says_what_it_is_for() -> None:
    sections = {name for name in TYPES if any(one.startswith(f"{name}.") for one in TYPES)}
    silent = [one.path for one in ALL_SETTINGS if not one.meaning]
    assert [path for path in silent if path not in sections] == []


def test_settings_are_told_with_type_unit_limits_and_default() -> None:
    found = {one.path: one for one in ALL_SETTINGS}
    assert found["mode"][1:3] == ('`"observe"` or `"enforce"`', "required")
    assert found["sweep.every_minutes"][1:3] == ("number, minutes, above 0, up to 1,440", "`60`")
    assert found["queues[].in_flight"][1:3] == ("integer, 1 to 1,000", "`50`")
    assert found["accounts[].regions"][1:3] == ("list of texts", "required")
    assert found["store.region"][1:3] == ("text", "none")
    assert found["store.path"].type == "path"
    assert found["kill_switch"].type == "true or false"
    assert found["watched.keys"].type == "mapping of names to texts"
    assert found["escrows.vault.kubernetes.mount"].default == '`"kubernetes"`'
    assert found["responders.sns.topic_arn"].default == "required"


def test_every_command_says_what_it_does_and_has_an_example() -> None:
    for name, command in commands.commands():
        assert commands.first_line(command), name
        assert commands.example(command).startswith(name), name
        assert wrong_with(commands.example(command).removeprefix("kms-monitor ")) == "", name
        for option in commands.options(command):
            assert option.help, (name, option.name)


def test_every_metric_says_what_it_counts() -> None:
    found = metrics.all_metrics()
    assert len(found) > 80
    assert all(len(one.meaning) > 8 for one in found)


def test_metrics_name_the_alerts_that_ask_for_them() -> None:
    used = metrics.used_by()
    assert "KmsMonitorQueueUnreachable" in used["kms_monitor_source_up"]
    # Through a recorded series, of a histogram.
    assert "KmsMonitorEventsLateFast" in used["kms_monitor_event_age_seconds_bucket"]
    named = {name for names in used.values() for name in names}
    assert alerts.by_name().keys() - named == {"KmsMonitorWatchdog"}


# -- what pages name is there


@pytest.mark.parametrize("page", BY_HAND)
def test_metrics_on_a_page_are_metrics(page: str) -> None:
    text = BY_HAND[page]
    for name, inside in re.findall(r"\b(?<!grep )(kms_monitor_\w+)\b(?!\()(?:\{([^}]*)\})?", text):
        if name in NOT_OURS:
            continue
        assert name in METRICS, name
        labels = {part.partition("=")[0].strip(" ~!") for part in inside.split(",") if part}
        assert labels <= METRICS[name], (name, labels)
    searched = re.findall(r"\bgrep (kms_monitor_\w+)", text)
    for begin, names, end in re.findall(r"\b(kms_monitor_\w*)\(([a-z_|]+)\)(\w*)", text):
        searched += [f"{begin}{one}{end}" for one in names.split("|")]
    for beginning in searched:
        assert any(name.startswith(beginning) for name in METRICS), beginning


@pytest.mark.parametrize("page", BY_HAND)
def test_commands_on_a_page_are_commands(page: str) -> None:
    for line in pages.commands(BY_HAND[page]):
        assert wrong_with(line) == "", line


def test_commands_are_found_where_they_stand() -> None:
    found = {page: pages.commands(text) for page, text in BY_HAND.items()}
    assert sum(map(len, found.values())) > 150
    assert sum(len(lines) for page, lines in found.items() if "runbooks" in page) > 40


def wrong_with(line: str) -> str:
    """What the command line would refuse, or nothing."""
    words = shlex.split(line, comments=True)
    known = dict(commands.everything())
    name = "kms-monitor"
    while words and f"{name} {words[0]}" in known:
        name = f"{name} {words.pop(0)}"
    command = known[name]
    if getattr(command, "commands", {}) and words and not words[0].startswith("-"):
        return f"{name} has no {words[0]}"
    options = {spelling for one in command.params for spelling in (*one.opts, *one.secondary_opts)}
    used = {
        word.partition("=")[0].strip("[]") for word in words if word.lstrip("[").startswith("-")
    }
    strange = used - options - {"--help", "-"}
    return f"{name} has no {', '.join(sorted(strange))}" if strange else ""


def known(path: str) -> bool:
    """Whether a setting stands at that path, or may."""
    above = path.rpartition(".")[0]
    anything = TYPES.get(above, "").startswith("mapping of names") and above not in rows.PLUGINS
    return path in TYPES or path in OPTIONS_OF_OTHERS or anything


def paths(document: Any, above: str = "") -> Iterator[str]:
    match document:
        case dict():
            for name, inner in document.items():
                yield f"{above}{name}"
                yield from paths(inner, f"{above}{name}.")
        case list():
            for inner in document:
                yield from paths(inner, above)
        case _:
            pass


def settings_in(text: str) -> Iterator[dict[str, Any]]:
    """The blocks that are settings: of the daemon, or below `settings` of the chart's values."""
    for block in pages.fences(text, "yaml"):
        document = yaml.safe_load(block)
        if isinstance(document, dict) and document.keys() & Settings.model_fields.keys():
            yield document
        elif isinstance(document, dict) and "settings" in document:
            yield document["settings"]


@pytest.mark.parametrize("page", BY_HAND)
def test_settings_on_a_page_are_settings(page: str) -> None:
    for document in settings_in(BY_HAND[page]):
        assert [path for path in paths(document) if not known(path)] == []
    for span in pages.spans(BY_HAND[page]):
        path = span.partition(":")[0]
        first, *more = path.split(".")
        if (
            not more
            or not re.fullmatch(r"[a-z_.]+", path)
            or path.endswith((".md", ".db", ".yaml"))
        ):
            continue
        if first in Settings.model_fields:
            assert known(path), path
        elif f"responders.{first}" in TYPES:
            assert known(f"responders.{path}"), path


@pytest.mark.parametrize("page", BY_HAND)
def test_variables_on_a_page_are_variables(page: str) -> None:
    for name in re.findall(rf"\b({PREFIX}[A-Z][A-Z_0-9]*)", BY_HAND[page]):
        path = name.removeprefix(PREFIX).lower().replace("__", ".")
        assert name in VARIABLES or known(path), name


def test_parameters_of_stacks_on_pages_are_parameters() -> None:
    deployed = 0
    for page, text in PAGES.items():
        blocks = "\n".join(pages.fences(text, "sh")).replace("\\\n", " ")
        for template, given in re.findall(
            r"--template-file (deploy/\S+).*?--parameter-overrides ([^\n]*)", blocks
        ):
            known = yaml.load((ROOT / template).read_text(encoding="utf-8"), AnyTag)["Parameters"]
            names = {one.partition("=")[0] for one in shlex.split(given) if "=" in one}
            assert names <= known.keys(), (page, template)
            deployed += 1
    assert deployed >= 6


def test_the_parameters_of_the_config_rule_are_those_that_it_reads() -> None:
    section = PAGES["docs/config-rule.md"].partition("### Parameters\n")[2].partition("\n### ")[0]
    told = re.findall(r"^\| `(\w+)` \| (?:`(\w+)` )?\|", section, re.MULTILINE)
    defaults = {
        str(field.alias): "" if field.default == () else str(field.default).lower()
        for field in RuleParameters.model_fields.values()
    }
    assert dict(told) == defaults


def test_what_looks_for_names_finds_them() -> None:
    text = "`kms-monitor dlq show --json` and\n\n```sh\nx | kms-monitor log \\\n  verify --heads 1\n```\n"
    assert pages.commands(text) == ["log    verify --heads 1", "dlq show --json"]
    assert [wrong_with(one) for one in pages.commands(text)] == [
        "kms-monitor log verify has no --heads",
        "",
    ]
    assert wrong_with("dlq shown") == "kms-monitor dlq has no shown"
    assert not known("limits.repairs_per_keys")
    assert not known("responders.slack.canal")
    assert known("tiers.tags.anything")

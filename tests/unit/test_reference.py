"""What detectors tell about themselves: the committed page, the commands, and the daemon's start.

In scope: `monitor.catalogue`, `monitor.catalogue_command`, `kms-monitor check`, `App.report`.
"""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import monitor
from monitor import catalogue, plugins
from monitor.cli import app
from tests.samples import ACCOUNT, REGION

DOCS = Path(monitor.__file__).parents[1] / "docs"
PAGE = catalogue.page(catalogue.built_in_entries())
SETTINGS = f"""\
mode: observe
accounts: [{{id: "{ACCOUNT}", regions: [{REGION}]}}]
queues: [{{url: "https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/kms", region: {REGION}}}]
"""


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.stdout, result.stderr


def test_the_page_is_up_to_date() -> None:
    """If not: make reference."""
    assert (DOCS / "detectors.md").read_text(encoding="utf-8") == PAGE


def test_the_page_has_every_built_in_detector_and_its_links_lead_somewhere() -> None:
    heads = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert heads == plugins.built_in()
    assert set(re.findall(r"\(#(\w+)\)", PAGE)) == set(heads)
    assert all((DOCS / name).exists() for name in re.findall(r"\]\((\w+\.md)\)", PAGE))


def test_the_command_prints_the_page() -> None:
    assert run("generate", "detectors") == (0, PAGE, "")


def test_all_plugins_are_listed() -> None:
    code, out, _ = run("plugins")
    assert code == 0
    for name in ("key_disabled", "restore_key", "kms-monitor"):
        assert name in out


def test_detectors_are_listed_with_what_they_say() -> None:
    code, out, _ = run("plugins", "--detectors")
    assert code == 0
    assert "restore_key" not in out
    line = next(line for line in out.splitlines() if line.startswith("key_disabled"))
    for word in ("KMS key disabled", "T1485", "by default", "kms-monitor"):
        assert word in line


def test_one_detector_tells_all_about_itself() -> None:
    code, out, _ = run("plugins", "key_deletion_scheduled")
    assert code == 0
    for words in (
        "kms.amazonaws.com: ScheduleKeyDeletion",
        "short_window_days (default: 10)",
        "1. Find out whether",
        "https://docs.aws.amazon.com/kms/",
        "severity: high; critical if",
    ):
        assert words in out
    code, out, _ = run("plugins", "key_deletion_scheduled", "--json")
    assert json.loads(out)["options"][0]["name"] == "short_window_days"
    code, out, _ = run("plugins", "--json")
    assert [one["name"] for one in json.loads(out)] == sorted(plugins.installed("detectors"))


def test_a_name_that_is_none_is_refused() -> None:
    code, _, err = run("plugins", "no_such_thing")
    assert code == 2
    assert "there is no such detector; there are: " in err


def test_what_is_broken_is_said_and_ends_with_1(tmp_path: Path) -> None:
    settings, folder = tmp_path / "settings.yaml", tmp_path / "plugins"
    folder.mkdir(mode=0o755)
    (folder / "bad.py").write_text("raise SystemExit('\x1b[2J')")
    settings.write_text(SETTINGS + f"plugin_folders: [{folder}]\n")
    for words in (("check", "--offline"), ("plugins",), ("plugins", "--detectors")):
        code, out, err = run(*words, "--config", str(settings))
        assert code == 1
        assert f"file bad of {folder}/bad.py: cannot be imported: SystemExit" in err
        assert "\x1b" not in err
        assert ("settings are good" if "check" in words else "key_disabled") in out


@pytest.mark.parametrize(
    ("value", "shown"), [(10, "10"), (["b"], '["b"]'), (frozenset({"b", "a"}), '["a","b"]')]
)
def test_defaults_are_shown_as_yaml_would_say_them(value: object, shown: str) -> None:
    assert catalogue.plain(value) == shown

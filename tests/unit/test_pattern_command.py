"""`kms-monitor generate event-pattern`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from monitor import pattern_command
from monitor.cli import app
from monitor.event import Wanted

KMS = "kms.amazonaws.com"
MINIMAL = """\
mode: observe
accounts:
  - id: "111122223333"
    regions: [eu-west-1]
queues:
  - url: https://sqs.eu-west-1.amazonaws.com/111122223333/kms-monitor
    region: eu-west-1
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["generate", "event-pattern", *arguments])


def wants(monkeypatch: pytest.MonkeyPatch, wanted: Wanted) -> None:
    monkeypatch.setattr(pattern_command, "wanted_by", lambda _config: wanted)


def test_it_prints_one_pattern_a_line() -> None:
    result = run()
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert all(len(line) <= 2048 for line in lines)
    assert "ScheduleKeyDeletion" in lines[0]
    assert run("--json").stdout == json.dumps([json.loads(one) for one in lines], indent=2) + "\n"


def test_a_detector_that_is_off_needs_no_events(tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text(MINIMAL + "detectors:\n  guard_service_off: false\n", encoding="utf-8")
    assert '"DisableMacie"' in run().stdout
    result = run("--config", str(config))
    assert result.exit_code == 0, result.output
    assert "ScheduleKeyDeletion" in result.stdout
    assert '"DisableMacie"' not in result.stdout


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    result = run("--config", str(tmp_path / "none.yaml"))
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr


def test_it_says_what_the_rules_need(monkeypatch: pytest.MonkeyPatch) -> None:
    wants(
        monkeypatch,
        Wanted(
            frozenset({(KMS, "DisableKey"), ("iam.amazonaws.com", "DetachRolePolicy")}),
            frozenset({(KMS, "Decrypt", "DisabledException")}),
        ),
    )
    result = run()
    assert len(result.stdout.splitlines()) == 2
    assert "pattern 2: its rule needs the state ENABLED_WITH_ALL" in result.stderr
    assert "kms.amazonaws.com Decrypt" in result.stderr
    assert "events of iam.amazonaws.com are in us-east-1 only" in result.stderr
    assert "2 patterns" in result.stderr
    wants(monkeypatch, Wanted(frozenset({(KMS, "DisableKey")})))
    assert run().stderr == ""


def test_files_of_a_longer_time_ago_do_not_stay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rules = tmp_path / "rules"
    both = Wanted(frozenset({(KMS, "DisableKey"), ("aws.kms", "KMS CMK Deletion")}))
    wants(monkeypatch, both)
    assert run("--output", str(rules)).exit_code == 0
    (rules / "event-pattern-mine.json").write_text("{}", encoding="utf-8")
    files = [rules / f"event-pattern-{number}.json" for number in (1, 2)]
    assert [json.loads(one.read_text("utf-8"))["source"] for one in files] == [["aws.kms"]] * 2
    wants(monkeypatch, Wanted(frozenset({(KMS, "DisableKey")})))
    result = run("--output", str(rules))
    assert result.stdout == f"{files[0]}\n"
    assert sorted(one.name for one in rules.iterdir()) == [
        "event-pattern-1.json",
        "event-pattern-mine.json",
    ]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = run("--output", str(tmp_path / "file"))
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_the_patterns_in_deploy_are_fresh(tmp_path: Path) -> None:
    """If not: make reference."""
    committed = Path(__file__).parents[2] / "deploy" / "aws"
    assert run("--output", str(tmp_path)).exit_code == 0

    def patterns(folder: Path) -> dict[str, str]:
        return {one.name: one.read_text("utf-8") for one in folder.glob("event-pattern*.json")}

    assert patterns(committed) == patterns(tmp_path)

"""Alert rules, their tests, and their runbooks: that they belong together.

That each alert fires and ends is promtool's to say: tests/real/test_prometheus.py.
"""

import re
from collections import defaultdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.decision import Budget, Outcome, Reason
from monitor.finding import Severity
from tests.promql import faults, grouped_by, selectors

FOLDER = Path("deploy/prometheus")
RULES = yaml.safe_load((FOLDER / "kms-monitor.rules.yaml").read_text(encoding="utf-8"))
ALL = [rule for group in RULES["groups"] for rule in group["rules"]]
ALERTS: dict[str, Any] = {rule["alert"]: rule for rule in ALL if "alert" in rule}
RECORDED = {rule["record"] for rule in ALL if "record" in rule}
TESTS = yaml.safe_load((FOLDER / "kms-monitor.test.yaml").read_text(encoding="utf-8"))["tests"]
RUNBOOKS = {page.stem: page for page in sorted(Path("docs/runbooks").glob("KmsMonitor*.md"))}
SECTIONS = ["Meaning", "Impact", "Verify", "Fix", "Silence"]


def detectors() -> set[str]:
    schema = Path("config/example.yaml").read_text(encoding="utf-8")
    return set(yaml.safe_load(schema)["detectors"])


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    assert faults(rule["expr"], RECORDED) == []


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.get("alert") or rule["record"])
def test_values_of_labels_are_among_those_that_are_given(rule: dict[str, Any]) -> None:
    """An outcome or a detector that was renamed would silence the alert without a word."""
    known = {
        "outcome": {one.value for one in Outcome},
        "reason": {one.value for one in Reason},
        "budget": {one.value for one in Budget},
        "severity": {one.word for one in Severity},
        "detector": detectors(),
        "responder": {one.name for one in entry_points(group="kms_monitor.responders")},
    }
    for _, matchers in selectors(rule["expr"]):
        for label, value in matchers.items():
            if label in known:
                assert set(value.split("|")) <= known[label], (label, value)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_all_that_whoever_is_paged_needs(name: str) -> None:
    alert = ALERTS[name]
    notes = alert["annotations"]
    assert re.fullmatch(r"KmsMonitor[A-Z][A-Za-z]+", name)
    assert alert["labels"]["severity"] in {"critical", "warning", "none"}
    # Phones cut titles off, and a title that changes cannot be grouped by.
    assert len(notes["summary"]) <= 80
    assert "{{" not in notes["summary"]
    assert notes["summary"].endswith(".")
    assert notes["description"].endswith(".")
    assert notes["runbook_url"].endswith(f"/runbooks/{name}/")


@pytest.mark.parametrize("name", sorted(ALERTS.keys() - {"KmsMonitorWatchdog", "KmsMonitorAbsent"}))
def test_several_monitors_in_one_prometheus_are_told_apart(name: str) -> None:
    expression = ALERTS[name]["expr"]
    recorded = {one for one, _ in selectors(expression)} & RECORDED
    assert {"cluster", "job"} <= grouped_by(expression) or recorded


def test_what_an_alert_says_of_a_label_it_has() -> None:
    for name, alert in ALERTS.items():
        used = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["description"]))
        recorded = {"source"} if "message_age" in alert["expr"] else set()
        assert used <= grouped_by(alert["expr"]) | recorded, name


def test_every_alert_stays_away_and_fires_and_ends_in_its_tests() -> None:
    asked: dict[str, list[bool]] = defaultdict(list)
    for test in TESTS:
        for one in test["alert_rule_test"]:
            asked[one["alertname"]].append(bool(one["exp_alerts"]))
    assert asked.keys() == ALERTS.keys()
    assert asked.pop("KmsMonitorWatchdog") == [True]  # always, which is what it is for
    for name, fires in asked.items():
        assert fires[:3] == [False, True, False], name


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert RUNBOOKS.keys() == ALERTS.keys()
    index = Path("docs/runbooks/README.md").read_text(encoding="utf-8")
    for name, alert in ALERTS.items():
        row = f"| [{name}]({name}.md) | {alert['labels']['severity']} | {alert['annotations']['summary']} |"
        assert row in index


@pytest.mark.parametrize("page", RUNBOOKS.values(), ids=lambda page: page.stem)
def test_a_runbook_has_every_part(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    alert = ALERTS[page.stem]
    assert text.startswith(f"# {page.stem}\n\n{alert['annotations']['summary']}")
    assert f"Severity: {alert['labels']['severity']}." in text
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    assert parts[1::2] == SECTIONS
    assert all(len(part.strip()) > 10 for part in parts[2::2])
    assert "```sh\n" in parts[6]  # Verify: exact commands


def test_links_of_runbooks_lead_somewhere() -> None:
    for page in Path("docs/runbooks").glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)
        for target in re.findall(r"\bdocs/\w+\.md", page.read_text(encoding="utf-8")):
            assert Path(target).exists(), (page.name, target)

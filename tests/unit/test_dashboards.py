"""The dashboards keep the rules of the field: what Grafana's dashboard-linter asks for, and more.

That every panel shows something is tests/real/test_dashboards.py's to say.
"""

import json
import re
from typing import Any

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.__main__ import written
from tests.dashboards import BOARDS, FILES, VARIABLES, filled, panels, queries
from tests.promql import declared, faults, selectors
from tests.unit.test_alerts import ALERTS, RECORDED

PANELS = [pytest.param(panel, id=f"{board}: {panel['title']}") for board, panel in panels()]
each_panel = pytest.mark.parametrize("panel", PANELS)
each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())


def test_they_are_as_the_code_makes_them() -> None:
    """python -m deploy.grafana, or make reference"""
    made = written()
    assert {file.name for file in made} == {file.name for file in FILES}
    for file, text in made.items():
        assert file.read_text(encoding="utf-8") == text, f"{file.name} is old: make reference"


@each_board
def test_grafanas_own_types_take_it(board: dict[str, Any]) -> None:
    assert Dashboard.from_json(board).title == board["title"]


@each_board
def test_a_dashboard_is_as_others_are(board: dict[str, Any]) -> None:
    assert board["editable"] is False
    assert board["title"].startswith("kms-monitor / ")
    assert board["description"]
    assert board["tags"] == ["kms-monitor"]  # by which they link to one another
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert variables.keys() == VARIABLES
    assert variables.pop("datasource")["query"] == "prometheus"
    for one in variables.values():
        assert one["datasource"]["uid"] == "${datasource}"
        assert one["multi"]
        assert one["includeAll"]
        assert one["allValue"] == ".*"
        assert one["refresh"] == 2  # whenever the time that is shown changes
        assert re.fullmatch(r"label_values\((.*), \w+\)", one["query"]["query"])
    links = {one["title"]: one for one in board["links"]}
    assert links["kms-monitor"]["keepTime"]
    assert links["kms-monitor"]["includeVars"]
    assert links["Runbooks"]["url"].endswith("/runbooks/")


@each_board
def test_variables_ask_for_what_there_is(board: dict[str, Any]) -> None:
    for one in board["templating"]["list"][1:]:
        expression, label = re.fullmatch(
            r"label_values\((.*), (\w+)\)", one["query"]["query"]
        ).groups()  # type: ignore[union-attr]
        assert faults(f"count by ({label}) ({filled(expression)})", RECORDED) == []


@each_board
def test_what_is_marked_on_every_panel_is_what_there_is(board: dict[str, Any]) -> None:
    marks = {one["name"]: one for one in board["annotations"]["list"]}
    assert {"Critical alerts", "Starts", "Settings taken"} == marks.keys()
    for one in marks.values():
        assert one["datasource"]["uid"] == "${datasource}"
        assert faults(filled(one["expr"]), RECORDED) == []
        for name, matchers in selectors(filled(one["expr"], cluster="C", job="J")):
            assert (matchers["cluster"], matchers["job"]) == ("C", "J"), name


@each_board
def test_no_two_panels_lie_on_one_another(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(ids)


@each_board
def test_no_data_source_is_named(board: dict[str, Any]) -> None:
    for name, uid in re.findall(
        r'"(datasource)": {"type": "prometheus", "uid": "([^"]*)"', json.dumps(board)
    ):
        assert uid == "${datasource}", name


@each_panel
def test_a_panel_says_what_it_is(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["targets"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@each_panel
def test_a_panel_leads_to_runbooks_that_there_are(panel: dict[str, Any]) -> None:
    for link in panel.get("links", []):
        name = re.fullmatch(r"https://[^/]+/runbooks/(\w+)/", link["url"])
        assert name
        assert name[1] in ALERTS
        assert link["title"] == f"Runbook: {name[1]}"


def test_every_critical_alert_is_on_a_panel() -> None:
    linked = {link["url"].split("/")[-2] for _, panel in panels() for link in panel["links"]}
    critical = {n for n, one in ALERTS.items() if one["labels"]["severity"] == "critical"}
    # Seen only where it is too late, in tables that name every alert, or in parts of their own.
    assert critical - linked == {"KmsMonitorSightAttacked"}


@each_panel
def test_a_query_asks_for_what_there_is(panel: dict[str, Any]) -> None:
    for expression in queries(panel):
        assert faults(filled(expression), RECORDED) == []


@each_panel
def test_every_series_is_of_the_cluster_and_job_that_are_chosen(panel: dict[str, Any]) -> None:
    for expression in queries(panel):
        for name, matchers in selectors(filled(expression, cluster="C", job="J")):
            assert matchers.get("cluster") == "C", (name, expression)
            assert matchers.get("job") == "J", (name, expression)
            if {"account", "region"} <= declared().get(name, set()):
                found = filled(expression, account="A", region="R")
                assert 'account=~"A"' in found, name
                assert 'region=~"R"' in found, name


@each_panel
def test_counters_are_shown_by_how_they_grow_over_the_right_time(panel: dict[str, Any]) -> None:
    for expression in queries(panel):
        assert re.findall(r"\[([^\]]+)\]", expression) == [
            span for span in re.findall(r"\[([^\]]+)\]", expression) if span.startswith("$__")
        ]
        for counter in re.finditer(r"\w+_(total|bucket|count)\{", expression):
            before = expression[: counter.start()]
            assert re.search(r"(rate|increase)\($", before), expression


def test_every_metric_is_on_a_panel_or_in_an_alert() -> None:
    shown = {
        name
        for _, panel in panels()
        for one in queries(panel)
        for name, _ in selectors(filled(one))
    }
    shown |= {name for alert in ALERTS.values() for name, _ in selectors(alert["expr"])}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in declared()}
    assert families <= {re.sub("_(bucket|sum|count)$", "", name) for name in shown}


def unit_of(expression: str) -> str:
    """The unit of what it finds, read off its metric's name and what is done with it."""
    if "ratio" in expression or "cpu_seconds_total" in expression:
        return "percentunit"
    if (
        "histogram_quantile" in expression
        or "time()" in expression
        or "seconds_bucket" in expression
    ):
        return "s"
    if re.search(r"rate\(\w+_bytes_total", expression):
        return "Bps"
    if re.search(r"\brate\(", expression):
        return "ops"
    if "_bytes{" in expression:
        return "bytes"
    states = r"^(min|max)( by \(responder\) )?\(kms_monitor_(\w+_up|writes_stopped|consumer_paused|mqtt_connected|settings_last_reload_successful)\{"
    if re.search(states, expression):
        return "bool_yes_no"
    return "short"


@each_panel
def test_a_panel_has_the_unit_of_what_it_shows(panel: dict[str, Any]) -> None:
    units = {unit_of(expression) for expression in queries(panel)}
    assert units == {panel["fieldConfig"]["defaults"]["unit"]}

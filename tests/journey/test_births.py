"""What alerts count is there, at zero, before anything happened: `increase()` sees no first sample."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import promql_parser

from monitor.simulator.server import Simulator
from tests.journey.conftest import daemon, settings_for
from tests.promql import visited
from tests.unit.test_alerts import ALL

ELSEWHERE = {"le"}
"""A bucket's bound is no word of a list."""

SHOWN = [
    *(("kms_monitor_settle_errors_total", {"call": one}) for one in ("delete", "hide")),
    *(("kms_monitor_visibility_extensions_total", {"result": one}) for one in ("ok", "failed")),
]
"""What a dashboard shows the growth of, and no alert."""


def counted() -> Iterator[tuple[str, dict[str, str]]]:
    """Every series that a rule looks at the growth of: its name, and one value for each matcher."""
    for rule in ALL:
        for node in visited(rule["expr"]):
            if not isinstance(node, promql_parser.Call) or node.func.name not in {
                "increase",
                "rate",
            }:
                continue
            for one in node.args:
                assert isinstance(one, promql_parser.MatrixSelector)
                found = one.vector_selector
                matchers = [
                    [(each.name, value) for value in each.value.split("|")]
                    for each in found.matchers.matchers
                    if each.name not in ELSEWHERE and str(each.op) != "MatchOp.NotRe"
                ]
                for chosen in product(*matchers):
                    yield str(found.name), dict(chosen)


async def test_every_counter_of_an_alert_is_born(simulator: Simulator, tmp_path: Path) -> None:
    changes = {
        "responders": {
            "restore_key": {},
            "restore_sight": {},
            "sns": {"topic_arn": "arn:aws:sns:eu-west-1:111122223333:kms-guard"},
        }
    }
    wanted = list(counted())
    assert len(wanted) > 50
    async with daemon(settings_for(simulator, tmp_path, **changes)) as app:
        samples = [one for family in app.metrics.registry.collect() for one in family.samples]
    wanted += SHOWN
    for name, matchers in wanted:
        found = [
            one
            for one in samples
            if one.name == name
            and all(
                re.fullmatch(value, one.labels.get(label, "")) for label, value in matchers.items()
            )
        ]
        assert found, (name, matchers)

"""The dashboards as Grafana reads them: their panels, and their queries with the variables filled in."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path("deploy/grafana")
FILES = sorted(FOLDER.glob("*.json"))
BOARDS: dict[str, Any] = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in FILES}
VARIABLES = {"datasource", "cluster", "job", "account", "region"}


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every panel but the headings of rows, with the dashboard that it is on."""
    for name, board in BOARDS.items():
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield name, panel


def queries(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


def filled(expression: str, *, interval: str = "5m", span: str = "1h", **chosen: str) -> str:
    """As Grafana sends it: everything is chosen, unless said otherwise."""
    text = expression.replace("$__rate_interval", interval).replace("$__range", span)
    return re.sub(r"\$(\w+)", lambda found: chosen.get(found[1], ".*"), text)

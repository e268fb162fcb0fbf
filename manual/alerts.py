"""The reference of the alerts: docs/reference/alerts.md."""

from pathlib import Path
from typing import Any, Final

import yaml

from manual import tables

RULES: Final = Path(__file__).parents[1] / "deploy" / "prometheus" / "kms-monitor.rules.yaml"
HEAD: Final = f"""\
# Alerts

{tables.MADE}

The alerts of [kms-monitor.rules.yaml](../../deploy/prometheus/kms-monitor.rules.yaml), each with its runbook. How they reach people:
[dashboards.md](../dashboards.md#alerts).

"""


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def by_name() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def link(name: str) -> str:
    """To its runbook; all of them begin alike."""
    return f"[{name.removeprefix('KmsMonitor')}](../runbooks/{name}.md)"


def page() -> str:
    lines = [
        (
            f"[{name}](../runbooks/{name}.md)",
            rule["labels"]["severity"],
            rule.get("for", "at once"),
            tables.plain(rule["annotations"]["summary"]),
        )
        for name, rule in by_name().items()
    ]
    heads = ("alert", "severity", "after", "what")
    return HEAD + tables.table(heads, lines) + "\n"

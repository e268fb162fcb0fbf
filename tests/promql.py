"""What PromQL expressions ask for, compared with the metrics that the daemon declares."""

import re
from collections.abc import Callable, Iterator

import promql_parser
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from monitor.metrics import Metrics

TARGET_LABELS = {"cluster", "namespace", "job", "instance", "pod"}
"""Those that Prometheus adds to whatever it scrapes."""
OTHERS = {
    "up": set[str](),
    "ALERTS": {"alertname", "alertstate", "severity"},
    "kube_deployment_spec_replicas": {"deployment"},
    "kube_deployment_status_replicas_available": {"deployment"},
    "process_start_time_seconds": set[str](),
    "process_resident_memory_bytes": set[str](),
    "process_cpu_seconds_total": set[str](),
    "process_open_fds": set[str](),
}
"""Metrics of others than ours, or of the process, with their labels."""
SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "info": ("_info",),
}


def declared(*also: Callable[[CollectorRegistry], object]) -> dict[str, set[str]]:
    """By the name of each series that the daemon may show: its labels; with those that `also` declares."""
    found: dict[str, set[str]] = {}
    registry = Metrics(CollectorRegistry()).registry
    for declare in also:
        declare(registry)
    for metric in list(registry._collector_to_names):
        assert isinstance(metric, MetricWrapperBase)
        for suffix in SUFFIXES[str(metric._type)]:
            labels = {*metric._labelnames, *(("le",) if suffix == "_bucket" else ())}
            found[metric._name + suffix] = labels | (
                {"version", "python"} if suffix == "_info" else set()
            )
    return found


def visited(expression: str) -> list[promql_parser.Expr]:
    """Every node of the expression. Raises `ValueError` where it is none."""
    found: list[promql_parser.Expr] = []
    promql_parser.walk(promql_parser.parse(expression), found.append)
    return found


def selectors(expression: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The name and the matched labels of every series that it asks for."""
    for node in visited(expression):
        if isinstance(node, promql_parser.VectorSelector):
            yield node.name or "", {one.name: one.value for one in node.matchers.matchers}


def grouped_by(expression: str) -> set[str]:
    """Every label by which it groups or joins."""
    return {
        label.strip()
        for names in re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", expression)
        for label in names.split(",")
        if label.strip()
    }


def faults(expression: str, recorded: set[str]) -> list[str]:
    """What of it the daemon does not have: such a query would find nothing, for ever."""
    known = declared() | OTHERS | {name: TARGET_LABELS | {"source"} for name in recorded}
    wrong = []
    labels: set[str] = set(TARGET_LABELS)
    for name, matchers in selectors(expression):
        if name not in known:
            wrong.append(f"no metric {name}")
            continue
        labels |= known[name]
        wrong += [f"{name} has no {one}" for one in matchers.keys() - known[name] - TARGET_LABELS]
    return wrong + [f"nothing has {one}" for one in grouped_by(expression) - labels]

"""The metrics of one call as lines of CloudWatch's embedded metric format. Pure.

A function lives too short to be scraped, so what changed since the call before is printed, and CloudWatch
Logs makes metrics of it ("Specification: Embedded metric format"): at most 100 metrics in a line, each
under the name that it has in Prometheus. Counters and histograms are told by how much they grew,
gauges by what they are. Every combination of a metric and its dimensions costs money: labels that
can have many values are left out, and what they told apart is added up.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

KEPT: Final = frozenset({
    "answer", "budget", "by", "call", "change", "compliance", "deed", "detector", "disposition", "error",
    "escrow", "fate", "form", "found", "kind", "outcome", "part", "problem", "reason", "responder",
    "result", "service", "severity", "source", "state", "trigger",
})  # fmt: skip
"""Labels that become dimensions: their values are closed lists, or a few names of the settings."""
LEFT_OUT: Final = frozenset({
    "account", "event_name", "incident", "key_id", "name", "origin", "region", "rule", "window",
})  # fmt: skip
"""Those that do not. A label that stands in neither list is left out, too."""
MOST_METRICS: Final = 100
"""In one line."""
OURS: Final = "kms_monitor_"
NOT_TOLD: Final = frozenset({OURS + "build", OURS + "plugin_info"})
"""Always 1: they only carry labels."""

Labels = tuple[tuple[str, str], ...]


class Value(msgspec.Struct, frozen=True):
    """One metric with its dimensions, as it is to be told."""

    name: str
    labels: Labels
    value: float
    unit: str


class Changes:
    """What changed in a registry since the last time somebody asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.before: dict[tuple[str, Labels], float] = {}

    def take(self) -> list[Value]:
        """All changes, once."""
        growing: dict[tuple[str, Labels], float] = defaultdict(float)
        standing: dict[tuple[str, Labels], list[float]] = defaultdict(list)
        for family in self.registry.collect():
            if not family.name.startswith(OURS) or family.name in NOT_TOLD:
                continue
            for one in told(family.type, family.samples):
                place = (one.name, kept(one.labels))
                if family.type == "gauge":
                    standing[place].append(one.value)
                else:
                    growing[place] += one.value
        now = growing | {place: together(place[0], all_) for place, all_ in standing.items()}
        changed = [
            Value(name, labels, value - (0 if (name, labels) in standing else before), unit(name))
            for (name, labels), value in now.items()
            if value != (before := self.before.get((name, labels), 0.0)) and math.isfinite(value)
        ]
        self.before = now
        return changed


def told(kind: str, samples: Iterable[Sample]) -> Iterator[Sample]:
    """Of a histogram sum and count: its buckets would be dimensions, and percentiles a guess."""
    endings = {"counter": ("_total",), "histogram": ("_sum", "_count"), "gauge": ("",)}.get(kind)
    for one in samples:
        if endings is not None and one.name.endswith(endings):
            yield one


def kept(labels: dict[str, str]) -> Labels:
    return tuple(sorted((name, value) for name, value in labels.items() if name in KEPT))


def together(name: str, values: list[float]) -> float:
    """Several gauges as one: of moments the latest, of all else the sum."""
    return max(values) if name.endswith("_timestamp_seconds") else sum(values)


def unit(name: str) -> str:
    """CloudWatch's word, by what the name says."""
    if name.endswith(("_total", "_count")):
        return "Bytes" if "_bytes" in name else "Count"
    return "Seconds" if "_seconds" in name else "None"


def lines(values: Iterable[Value], namespace: str, at: float) -> list[str]:
    """One line for each set of dimensions, or more where it has many metrics. `at`: epoch seconds."""
    alike: dict[Labels, list[Value]] = defaultdict(list)
    for one in values:
        alike[one.labels].append(one)
    return [
        line(labels, those[start : start + MOST_METRICS], namespace, at)
        for labels, those in alike.items()
        for start in range(0, len(those), MOST_METRICS)
    ]


def line(labels: Labels, values: list[Value], namespace: str, at: float) -> str:
    directive: dict[str, Any] = {
        "Namespace": namespace,
        "Dimensions": [[name for name, _ in labels]],
        "Metrics": [{"Name": one.name, "Unit": one.unit} for one in values],
    }
    told_at = {"Timestamp": int(at * 1000), "CloudWatchMetrics": [directive]}
    # CloudWatch takes no empty dimension.
    dimensions = {name: value[:1024] or "none" for name, value in labels}
    return json.dumps(
        {"_aws": told_at, **dimensions, **{one.name: one.value for one in values}},
        separators=(",", ":"),
        allow_nan=False,
    )

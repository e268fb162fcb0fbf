"""The reference of the metrics: docs/reference/metrics.md."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from manual import alerts, tables
from monitor.metrics import Metrics
from monitor.serverless.metrics import InvocationMetrics
from tests.promql import SUFFIXES, selectors

HEAD: Final = f"""\
# Metrics

{tables.MADE}

Served at `/metrics`, in Prometheus' format. Counters are born at zero, with every label that the settings name. Label values come from
closed lists or from the settings, never from a message; what a message names beyond them is counted as `other`. Only a key with an open
incident has series of its own, 500 at most.

`kms_monitor_invocation*` and `kms_monitor_function*` only the serverless form has; it writes all of them to CloudWatch, under the same names.
Beside these there are `process_*` and `python_info`, as every Python program has them. With several replicas each shows its own:
counters are added up, gauges about the store are the same for all, so take their maximum. Rules that do it right:
[kms-monitor.rules.yaml](../../deploy/prometheus/kms-monitor.rules.yaml); pictures: [dashboards.md](../dashboards.md).

"""


class Series(NamedTuple):
    name: str
    """As it is scraped; a histogram's without `_bucket`, `_sum` and `_count`."""
    type: str
    labels: tuple[str, ...]
    meaning: str


def all_metrics() -> list[Series]:
    found = []
    registry = Metrics(CollectorRegistry()).registry
    InvocationMetrics(registry)
    for one in set(registry._collector_to_names):  # noqa: SLF001
        assert isinstance(one, MetricWrapperBase)
        suffixes = SUFFIXES[str(one._type)]  # noqa: SLF001
        suffix = suffixes[0] if len(suffixes) == 1 else ""
        labels = tuple(one._labelnames)  # noqa: SLF001
        found.append(Series(one._name + suffix, str(one._type), labels, one._documentation))  # noqa: SLF001
    return sorted(found)


def used_by() -> dict[str, list[str]]:
    """The alerts that ask for a metric, by its name; through recorded series, too."""
    recorded = {rule["record"]: rule["expr"] for rule in alerts.rules() if "record" in rule}
    found: dict[str, set[str]] = defaultdict(set)
    for alert, rule in alerts.by_name().items():
        for name in asked_for(rule["expr"], recorded):
            found[name].add(alert)
    return {name: sorted(names) for name, names in found.items()}


def asked_for(expression: str, recorded: dict[str, str]) -> Iterable[str]:
    for name, _ in selectors(expression):
        if name in recorded:
            yield from asked_for(recorded[name], recorded)
        else:
            yield name


def page() -> str:
    used = used_by()
    lines = []
    for one in all_metrics():
        names = [one.name] + [one.name + suffix for suffix in SUFFIXES["histogram"]]
        labels = " ".join(f"`{label}`" for label in one.labels)
        links = [alerts.link(alert) for name in names for alert in used.get(name, ())]
        asked = f"<br>Alerts: {', '.join(dict.fromkeys(links))}" if links else ""
        kind = f"{one.type} by {labels}" if labels else one.type
        lines.append((f"`{one.name}`<br>{kind}", tables.plain(one.meaning) + asked))
    return HEAD + tables.table(("metric, type and labels", "what it says"), lines) + "\n"

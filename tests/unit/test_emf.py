"""What CloudWatch is told of the metrics."""

import json
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from monitor.metrics import Metrics
from monitor.serverless.emf import KEPT, LEFT_OUT, MOST_METRICS, Changes, Value, lines
from monitor.serverless.metrics import InvocationMetrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def told(changes: Changes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {(one.name, one.labels): one.value for one in changes.take()}


def test_counters_and_histograms_say_how_much_they_grew(registry: CollectorRegistry) -> None:
    count = Counter("kms_monitor_actions", "", ["outcome"], registry=registry)
    seconds = Histogram("kms_monitor_work_seconds", "", registry=registry)
    changes = Changes(registry)
    count.labels("done").inc(2)
    count.labels("failed")  # born at zero, and not worth money
    seconds.observe(3)
    assert told(changes) == {
        ("kms_monitor_actions_total", (("outcome", "done"),)): 2,
        ("kms_monitor_work_seconds_sum", ()): 3,
        ("kms_monitor_work_seconds_count", ()): 1,
    }
    assert told(changes) == {}
    count.labels("done").inc()
    assert told(changes) == {("kms_monitor_actions_total", (("outcome", "done"),)): 1}


def test_gauges_say_what_they_are(registry: CollectorRegistry) -> None:
    gauge = Gauge("kms_monitor_open", "", registry=registry)
    changes = Changes(registry)
    gauge.set(5)
    assert told(changes) == {("kms_monitor_open", ()): 5}
    assert told(changes) == {}
    gauge.set(0)
    assert told(changes) == {("kms_monitor_open", ()): 0}


def test_labels_of_many_values_are_added_up(registry: CollectorRegistry) -> None:
    keys = Gauge("kms_monitor_keys", "", ["account", "region", "state"], registry=registry)
    swept = Gauge("kms_monitor_last_sweep_timestamp_seconds", "", ["account"], registry=registry)
    events = Counter("kms_monitor_events", "", ["event_name", "fate"], registry=registry)
    for number, account in enumerate(("111122223333", "444455556666"), 1):
        keys.labels(account, "eu-west-1", "Enabled").set(number)
        swept.labels(account).set(1000 + number)
        events.labels(f"Call{number}", "inspected").inc(number)
    assert told(Changes(registry)) == {
        ("kms_monitor_keys", (("state", "Enabled"),)): 3,
        ("kms_monitor_last_sweep_timestamp_seconds", ()): 1002,  # the latest, not the sum
        ("kms_monitor_events_total", (("fate", "inspected"),)): 3,
    }


def test_what_is_not_ours_or_no_number_is_not_told(registry: CollectorRegistry) -> None:
    Gauge("process_open_fds", "", registry=registry).set(3)
    Gauge("kms_monitor_odd", "", registry=registry).set(float("nan"))
    Gauge("kms_monitor_endless", "", registry=registry).set(float("inf"))
    assert told(Changes(registry)) == {}


def test_a_line_is_as_cloudwatch_wants_it() -> None:
    values = [
        Value("kms_monitor_actions_total", (("outcome", "done"),), 2.0, "Count"),
        Value("kms_monitor_action_seconds_sum", (("outcome", "done"),), 0.5, "Seconds"),
    ]
    (line,) = lines(values, "kms-monitor", 1_795_166_043.5)
    assert "\n" not in line
    assert json.loads(line) == {
        "_aws": {
            "Timestamp": 1795166043500,
            "CloudWatchMetrics": [
                {
                    "Namespace": "kms-monitor",
                    "Dimensions": [["outcome"]],
                    "Metrics": [
                        {"Name": "kms_monitor_actions_total", "Unit": "Count"},
                        {"Name": "kms_monitor_action_seconds_sum", "Unit": "Seconds"},
                    ],
                }
            ],
        },
        "outcome": "done",
        "kms_monitor_actions_total": 2.0,
        "kms_monitor_action_seconds_sum": 0.5,
    }


def test_no_line_has_more_metrics_than_cloudwatch_takes() -> None:
    values = [Value(f"m{number}", (), number, "None") for number in range(2 * MOST_METRICS + 1)]
    found: list[dict[str, Any]] = [json.loads(one) for one in lines(values, "n", 0)]
    sizes = [len(one["_aws"]["CloudWatchMetrics"][0]["Metrics"]) for one in found]
    assert sizes == [100, 100, 1]
    assert sum(len(one) - 1 for one in found) == len(values)


def test_every_label_of_ours_is_kept_or_left_out_on_purpose() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    InvocationMetrics(registry)
    told_apart = {
        label
        for collector in registry._collector_to_names
        for label in getattr(collector, "_labelnames", ())
    }
    assert told_apart == KEPT | LEFT_OUT
    assert not KEPT & LEFT_OUT


def test_each_metric_has_a_unit_by_its_name() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    changes = Changes(registry)
    metrics.log_bytes.inc(9)
    metrics.event_to_safe.observe(1)
    metrics.incidents.contested.set(2)
    units = {one.name: one.unit for one in changes.take()}
    assert units["kms_monitor_log_unpacked_bytes_total"] == "Bytes"
    assert units["kms_monitor_event_to_safe_seconds_sum"] == "Seconds"
    assert units["kms_monitor_event_to_safe_seconds_count"] == "Count"
    assert units["kms_monitor_contested_keys"] == "None"

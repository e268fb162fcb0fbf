"""The metric of the store's failures: see `monitor.metrics`, which holds it."""

from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter

StoreCall = Literal[
    "approvals",
    "baseline",
    "check",
    "claim",
    "finish",
    "held",
    "incident",
    "keep",
    "leader",
    "log",
    "put_baseline",
    "put_sight_baseline",
    "recall",
    "release",
    "sight_baseline",
    "sight_baselines",
    "spend",
    "spent",
    "thread",
    "use",
]
"""What the store was to do when it failed: a method of it, or whose memory it is."""


class StoreMetrics:
    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self.errors = Counter(
            prefix + "store_errors", "Calls to the store that failed.", ["call"], registry=registry
        )
        for call in get_args(StoreCall):
            self.errors.labels(call)

    def failed(self, call: StoreCall) -> None:
        self.errors.labels(call).inc()

"""The metrics that only the serverless form has, beside all those of the daemon."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from monitor.found_metrics import WORK_BUCKETS
from monitor.serverless.triggers import Trigger

RESULTS: Final = ("done", "given_back", "failed", "refused")
"""Of one call: all of it was done; a part goes back; it raised; nothing of it could be understood."""


class InvocationMetrics:
    """Counted once for each call of the function."""

    def __init__(self, registry: CollectorRegistry, p: str = "kms_monitor_") -> None:
        self.invocations = Counter(
            p + "invocations",
            "Calls of the function, by trigger and by how they ended.",
            ["trigger", "result"],
            registry=registry,
        )
        self.seconds = Histogram(
            p + "invocation_seconds",
            "One call of the function, the set-up included.",
            ["trigger"],
            buckets=WORK_BUCKETS,
            registry=registry,
        )
        self.set_ups = Counter(
            p + "function_set_ups",
            "Set-ups of a function: its first call, and when its settings changed.",
            ["result"],
            registry=registry,
        )
        for trigger in Trigger:
            for result in RESULTS:
                self.invocations.labels(trigger.value, result)
        for outcome in ("done", "failed"):
            self.set_ups.labels(outcome)

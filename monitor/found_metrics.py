"""What the daemon finds by itself: a part of `monitor.metrics.Metrics`."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from monitor.sight_found import SightFound

AGE_BUCKETS: Final = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
"""Seconds. CloudTrail reaches EventBridge after seconds to minutes (aws-facts 4.7)."""
WORK_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class FoundMetrics:
    """By the sweep, the looks at our sight, and the canaries."""

    registry: CollectorRegistry

    def declare_own_finds(self, p: str) -> None:
        """What the daemon finds by itself."""
        r = self.registry
        self.keys = Gauge(
            p + "keys",
            "Customer managed keys by their state at the last look at all of them.",
            ["account", "region", "state"],
            registry=r,
        )
        self.last_sweep = Gauge(
            p + "last_sweep_timestamp_seconds",
            "When all keys of this account and Region were last looked at.",
            ["account", "region"],
            registry=r,
        )
        self.sweep_seconds = Histogram(
            p + "sweep_seconds",
            "One look at all keys of an account and Region.",
            ["account", "region"],
            buckets=WORK_BUCKETS,
            registry=r,
        )
        self.missed_by_stream = Counter(
            p + "missed_by_stream",
            "Keys that the sweep found worse than they should be, though no message told of it in time.",
            ["account", "region"],
            registry=r,
        )
        self.sight = Gauge(
            p + "sight_resources",
            "Trails, rules, queues and topics, by how the last look found them: as they should be, "
            "worse, never yet in order, or not readable. Only with the responder restore_sight.",
            ["found"],
            registry=r,
        )
        for found in SightFound:
            self.sight.labels(found.value)
        self.last_canary = Gauge(
            p + "last_canary_timestamp_seconds",
            "When the last canary of this account and Region came back.",
            ["account", "region"],
            registry=r,
        )
        self.canary_seconds = Histogram(
            p + "canary_seconds",
            "A canary's call -> its event received: the delay of the whole way.",
            buckets=AGE_BUCKETS,
            registry=r,
        )

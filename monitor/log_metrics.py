"""The metrics of the action log: see `monitor.metrics`, which holds them."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from monitor.deeds import Deed


class LogMetrics:
    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self.entries = Counter(
            prefix + "action_log_entries",
            "Entries written to the action log, by what was done.",
            ["deed"],
            registry=registry,
        )
        self.waiting = Gauge(
            prefix + "action_log_waiting_entries",
            "Entries that are kept until the store can be used.",
            registry=registry,
        )
        self.lost = Counter(
            prefix + "action_log_lost_entries",
            "Entries dropped because too many waited for the store.",
            registry=registry,
        )
        self.number = Gauge(
            prefix + "action_log_last_number",
            "The number of the newest entry. It never falls: else somebody cut the log.",
            registry=registry,
        )
        self.faults = Gauge(
            prefix + "action_log_faults",
            "What audits found wrong with the action log since the start; 0 is right.",
            registry=registry,
        )
        for deed in Deed:
            self.entries.labels(deed.value)

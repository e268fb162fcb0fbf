"""The metrics of settings that change while the daemon runs: see `monitor.metrics`, which holds them."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from monitor.clock import Clock

OUTCOMES = ("taken", "refused", "unchanged")
UNCLEAR = "unclear"
"""Which rule decided could not be told: the key's aliases or tags were not known yet."""


class SettingsMetrics:
    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self.reloads = Counter(
            prefix + "settings_reloads",
            "Changed settings files, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self.good = Gauge(
            prefix + "settings_last_reload_successful",
            "1 unless the settings file, as it is now, was refused.",
            registry=registry,
        )
        self.reloaded_at = Gauge(
            prefix + "settings_last_reload_timestamp_seconds",
            "When the settings were last taken, at the start or since.",
            registry=registry,
        )
        self.waiting = Gauge(
            prefix + "settings_waiting_for_restart",
            "Settings that have changed in the file and need a restart.",
            registry=registry,
        )
        self.writes_stopped = Gauge(
            prefix + "writes_stopped",
            "1 while the kill switch is on: nothing is written to any guarded account.",
            registry=registry,
        )
        self.rule_decisions = Counter(
            prefix + "response_rule_decisions",
            "Decisions by the rule for response that decided.",
            ["rule"],
            registry=registry,
        )
        self.maintenance_changes = Counter(
            prefix + "maintenance_changes",
            "Changes that counted as approved for a maintenance window.",
            ["window"],
            registry=registry,
        )
        for outcome in OUTCOMES:
            self.reloads.labels(outcome)
        self.good.set(1)

    def born(self, rules: Iterable[str], windows: Iterable[str]) -> None:
        """Create the children of what the settings name, so that counters start at zero."""
        for rule in rules:
            self.rule_decisions.labels(rule)
        for window in windows:
            self.maintenance_changes.labels(window)

    def decided(self, rules: tuple[str, ...]) -> None:
        """Count a decision by the rules that may have decided, if any."""
        if rules:
            self.rule_decisions.labels(rules[0] if len(rules) == 1 else UNCLEAR).inc()

    def taken(self, clock: Clock) -> None:
        """The settings in the file are those that run."""
        self.good.set(1)
        self.reloaded_at.set(clock.now())

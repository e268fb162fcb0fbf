"""Metrics of AWS Config: verdicts of the custom rule, and what its notifications led to."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter

COMPLIANCE: Final = ("COMPLIANT", "NON_COMPLIANT", "NOT_APPLICABLE")
FAILED: Final = ("refused", "token", "denied", "passing")
"""Not taken for a reason of Config's own; an expired result token; no right; what may pass."""
TRIGGERS: Final = ("change", "oversized", "periodic")
RESULTS: Final = ("judged", "unreadable", "settings", "denied", "passing", "failed")
FATES: Final = ("repaired", "known", "told")
"""A key was put back; nothing was left to do or to tell; people were told."""


class ConfigMetrics:
    """Born at zero, all of them: there are few."""

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self.invocations = Counter(
            prefix + "config_invocations",
            "Questions of AWS Config to the custom rule, by what triggered them and how they ended.",
            ["trigger", "result"],
            registry=registry,
        )
        self.evaluations = Counter(
            prefix + "config_evaluations",
            "Verdicts that were handed to AWS Config.",
            ["compliance"],
            registry=registry,
        )
        self.failed = Counter(
            prefix + "config_evaluations_failed",
            "Verdicts that AWS Config did not take, by the reason.",
            ["reason"],
            registry=registry,
        )
        self.notified = Counter(
            prefix + "config_findings",
            "Findings from AWS Config's notifications, by what became of them.",
            ["fate"],
            registry=registry,
        )
        for trigger in (*TRIGGERS, "unknown"):
            for result in RESULTS:
                self.invocations.labels(trigger, result)
        for compliance in COMPLIANCE:
            self.evaluations.labels(compliance)
        for reason in FAILED:
            self.failed.labels(reason)
        for fate in FATES:
            self.notified.labels(fate)

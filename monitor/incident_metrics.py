"""The metrics of incidents: see `monitor.metrics`, which holds them.

They show what the store knows, so that every replica shows the same.
"""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from monitor.finding import Severity
from monitor.incident import Incident

BUCKETS = (1, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400, 604_800, 2_592_000)
"""Seconds, up to the longest waiting period of a deletion."""
EVIDENCE = ("last_use", "deadline", "grants", "aliases")
"""See `monitor.evidence_gathering`."""
MOST_KEYS: Final = 500
"""Keys that have a series of their own. An attack on more of them is one attack, and no more series."""


class IncidentMetrics:
    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self.open = Gauge(
            prefix + "open_incidents",
            "Keys that are not as they should be, by the highest severity so far.",
            ["severity"],
            registry=registry,
        )
        self.since = Gauge(
            prefix + "key_unsafe_since_timestamp_seconds",
            "When the incident opened; only of keys with an open incident, the first 500 of them.",
            ["account", "region", "key_id", "incident", "severity"],
            registry=registry,
        )
        self.contested = Gauge(
            prefix + "contested_keys",
            "Keys that are put back no more for now: somebody takes them away again and again.",
            registry=registry,
        )
        self.opened = Counter(prefix + "incidents_opened", "Incidents opened.", registry=registry)
        self.closed = Counter(
            prefix + "incidents_closed",
            "Incidents closed, by us or by others.",
            ["by"],
            registry=registry,
        )
        self.seconds = Histogram(
            prefix + "incident_seconds",
            "eventTime of what opened an incident -> closed.",
            buckets=BUCKETS,
            registry=registry,
        )
        self.deadline = Gauge(
            prefix + "key_deletion_deadline_timestamp_seconds",
            "When the waiting period ends; only of keys with an open incident.",
            ["account", "region", "key_id"],
            registry=registry,
        )
        self.evidence = Counter(
            prefix + "evidence_parts",
            "Parts of evidence looked for when an incident opened or became worse.",
            ["part", "result"],
            registry=registry,
        )
        self.reminders = Counter(
            prefix + "deletion_reminders",
            "Reminders told of keys with an open incident, before they are deleted for good.",
            registry=registry,
        )
        for part in EVIDENCE:
            for result in ("found", "missing"):
                self.evidence.labels(part, result)
        for severity in Severity:
            self.open.labels(severity.word)
        for by in ("us", "others"):
            self.closed.labels(by)

    def show_keys(self, found: Iterable[Incident]) -> None:
        """One series for each of these open incidents, and none for any other."""
        self.since.clear()
        for one in sorted(found, key=lambda one: (one.opened_at, one.id))[:MOST_KEYS]:
            place = (one.key.account, one.key.region, one.key.key_id)
            self.since.labels(*place, one.id[:8], one.severity.word).set(one.opened_at)

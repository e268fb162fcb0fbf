"""Which detectors look at an event, and what they saw.

A detector that throws neither stops the others nor loses the message: what it broke on is counted,
and the delivery comes again.
"""

from collections import defaultdict
from collections.abc import Iterable

import msgspec
import structlog

from monitor.detector import OWN, Detector
from monitor.event import Event, Wanted
from monitor.finding import Finding
from monitor.knowledge import Knowledge
from monitor.metrics import Metrics


class Seen(msgspec.Struct, frozen=True):
    """What all detectors together saw in one event, and the names of those that broke on it."""

    findings: tuple[Finding, ...] = ()
    broken: tuple[str, ...] = ()


NOTHING = Seen()


class Detection:
    """The enabled detectors, by the events that they need."""

    def __init__(
        self,
        detectors: Iterable[Detector],
        metrics: Metrics,
        knowledge: Knowledge | None = None,
    ) -> None:
        self.metrics = metrics
        self.knowledge = knowledge or Knowledge()
        self.log = structlog.get_logger("detection")
        by_event: dict[tuple[str, str], list[Detector]] = defaultdict(list)
        by_failure: dict[tuple[str, str, str], list[Detector]] = defaultdict(list)
        for detector in detectors:
            for event in detector.events:
                by_event[event].append(detector)
            for failure in detector.failures:
                if failure[:2] not in detector.events:
                    by_failure[failure].append(detector)
        self.by_event = dict(by_event)
        self.by_failure = dict(by_failure)
        self.wanted = Wanted(
            # Our own events never come from outside: whoever sends one is not us.
            frozenset(call for call in by_event if call[0] != OWN),
            frozenset(by_failure),
        )

    def inspect(self, event: Event) -> Seen:
        call = (event.event_source, event.event_name)
        looking = self.by_event.get(call, [])
        if event.error_code and self.by_failure:
            looking = looking + self.by_failure.get((*call, event.error_code), [])
        if not looking or event.network_copy:
            return NOTHING
        findings: list[Finding] = []
        broken: list[str] = []
        for detector in looking:
            try:
                findings += [checked(one) for one in detector.inspect(event)]
            except Exception:
                self.metrics.detector_errors.labels(detector.name).inc()
                self.log.exception(
                    "detector broke", detector=detector.name, event_id=event.event_id
                )
                broken.append(detector.name)
        for finding in findings:
            self.metrics.findings.labels(finding.detector, finding.severity.word).inc()
        return Seen(tuple(findings), tuple(broken))


def checked(one: object) -> Finding:
    """A plugin may hand back anything at all; only findings go on."""
    if not isinstance(one, Finding):
        raise TypeError("a detector must return findings")
    return one

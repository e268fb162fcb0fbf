"""Which detectors look at an event, and what they saw.

A detector that throws neither stops the others nor loses the message: what it broke on is counted,
and the delivery comes again.
"""

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

import msgspec
import structlog

from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.key import KeyState
from monitor.metrics import Metrics
from monitor.plugins import Detector


class Seen(msgspec.Struct, frozen=True):
    """What all detectors together saw in one event, and the names of those that broke on it."""

    findings: tuple[Finding, ...] = ()
    broken: tuple[str, ...] = ()


class Detection:
    """The enabled detectors, by the events that they need."""

    def __init__(self, detectors: Iterable[Detector], metrics: Metrics) -> None:
        self.metrics = metrics
        self.log = structlog.get_logger("detection")
        by_event: dict[tuple[str, str], list[Detector]] = defaultdict(list)
        for detector in detectors:
            for event in detector.events:
                by_event[event].append(detector)
        self.by_event = dict(by_event)

    @property
    def wanted(self) -> AbstractSet[tuple[str, str]]:
        """The pairs of eventSource and eventName that anybody looks at."""
        return self.by_event.keys()

    def inspect(self, event: Event) -> Seen:
        findings: list[Finding] = []
        broken: list[str] = []
        for detector in self.by_event.get((event.event_source, event.event_name), ()):
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


def finding(
    detector: str,
    event: Event,
    title: str,
    severity: Severity,
    *,
    kind: Kind = Kind.DAMAGE,
    caused: KeyState | None = None,
    details: dict[str, str] | None = None,
) -> Finding:
    """A finding about `event`, with all that the record says filled in. For detectors."""
    return Finding(
        detector=detector,
        title=title,
        kind=kind,
        severity=severity,
        event_id=event.event_id,
        event_name=event.event_name,
        event_time=event.time,
        account=event.recipient_account_id or "",
        region=event.aws_region or "",
        key=event.key,
        caused=caused,
        actor=event.actor,
        error_code=event.error_code or "",
        details=details or {},
    )


def attempt(detector: str, event: Event, what: str) -> Finding:
    """A finding about a call that failed: a signal, not a change.

    Without the right to do it (AccessDenied) somebody tried a door that is not theirs; any other
    error, such as a wrong state, is as often a mistake.
    """
    denied = "AccessDenied" in (event.error_code or "")
    return finding(
        detector,
        event,
        f"{what} was tried and failed ({event.error_code})",
        Severity.MEDIUM if denied else Severity.LOW,
        kind=Kind.ATTEMPT,
        details={"error_message": event.error_message or ""},
    )

"""Which detectors look at an event, and what they saw.

A detector that throws neither stops the others nor loses the message: what it broke on is counted,
and the delivery comes again.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec
import structlog
from msgspec.structs import replace

from monitor.changes import changes_of
from monitor.detector import OWN, Call, Detector
from monitor.event import Event, Wanted
from monitor.finding import Actor, Aspect, Finding, Kind, Severity
from monitor.key import KeyRef, KeyState
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
        *,
        origins: Mapping[str, str] | None = None,
        also: Iterable[Call] = (),
    ) -> None:
        """`origins`: whose each detector is, by its name, for the log.

        `also`: events that are wanted though no detector may ask for them.
        """
        self.metrics = metrics
        self.origins = origins or {}
        self.knowledge = knowledge or Knowledge()
        self.log = structlog.get_logger("detection")
        by_event: dict[tuple[str, str], list[Detector]] = defaultdict(list)
        by_failure: dict[tuple[str, str, str], list[Detector]] = defaultdict(list)
        self.names: list[str] = []
        for detector in detectors:
            self.names.append(detector.name)
            for event in detector.events:
                by_event[event].append(detector)
            for failure in detector.failures:
                if failure[:2] not in detector.events:
                    by_failure[failure].append(detector)
        self.by_event = dict(by_event)
        self.by_failure = dict(by_failure)
        self.wanted = Wanted(
            # Our own events never come from outside: whoever sends one is not us.
            frozenset(call for call in (*by_event, *also) if call[0] != OWN),
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
        changes = changes_of(event)
        broken: list[str] = []
        for detector in looking:
            try:
                findings += [
                    replace(checked(one, detector.name), changes=changes, record_key=event.key)
                    for one in detector.inspect(event)
                ]
            except (Exception, SystemExit):  # a plugin may even call sys.exit
                self.metrics.detector_errors.labels(detector.name).inc()
                self.log.exception(
                    "detector broke",
                    detector=detector.name,
                    origin=self.origins.get(detector.name, ""),
                    event_id=event.event_id,
                )
                broken.append(detector.name)
        for finding in findings:
            self.metrics.findings.labels(finding.detector, finding.severity.word).inc()
        return Seen(tuple(findings), tuple(broken))


TYPES: Mapping[str, type | tuple[type, ...]] = {
    "title": str,
    "kind": Kind,
    "severity": Severity,
    "event_id": str,
    "event_name": str,
    "event_time": (int, float),
    "account": str,
    "region": str,
    "key": (KeyRef, type(None)),
    "caused": (KeyState, type(None)),
    "aspect": Aspect,
    "resource": str,
    "actor": Actor,
    "error_code": str,
    "occasion": str,
    "tags_known": bool,
    "aliases_known": bool,
}


def checked(one: object, detector: str) -> Finding:
    """A plugin may hand back anything at all; only its own sound findings go on."""
    if not isinstance(one, Finding):
        raise TypeError("a detector must return findings")
    if one.detector != detector:
        raise ValueError("a detector must give its findings its own name")
    for member, wanted in TYPES.items():  # a struct does not look at what it is made of
        if not isinstance(getattr(one, member), wanted):
            raise TypeError(f"{member} of a finding is of the wrong type")
    texts = [*one.details, *one.details.values(), *one.tags, *one.tags.values()]
    texts += [*one.aliases, *one.techniques, *one.advice]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("details, tags, aliases, techniques and advice hold texts only")
    return one

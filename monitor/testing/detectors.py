"""Everything that must hold of a detector."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

import msgspec

from monitor import foreign
from monitor.detection import Detection, checked
from monitor.detector import OWN, Detector
from monitor.envelope import open_body
from monitor.event import Event
from monitor.finding import Finding, Kind
from monitor.knowledge import Knowledge
from monitor.metrics import Metrics
from monitor.plugin_contract import faults_of
from monitor.telling import notification
from monitor.testing.fakes import decision, knowledge

Record = Mapping[str, Any]
JUNK: Final[Sequence[Any]] = (None, [], "x", 7, True, {"keyId": 7, "name": {}, "attributes": []})
MEMBERS: Final = (
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "serviceEventDetails",
    "resources",
    "userIdentity",
)
"""What CloudTrail leaves out, or fills in a way that nobody foresaw."""


def check_detector(
    kind: type[Detector],
    *,
    fires: Sequence[Record | Sequence[Record]],
    silent: Sequence[Record | Sequence[Record]] = (),
    options: Mapping[str, Any] | None = None,
    knows: Callable[[], Knowledge] = knowledge,
) -> list[Finding]:
    """Everything that must hold of a detector; the findings about the last record of each in `fires`.

    An entry of `fires` or `silent` is a CloudTrail record, or several in the order of their arrival;
    of those in `fires` the last one has to be noticed. `knows` makes what the detector knows.
    """
    check_contract(kind)
    assert fires, "fires: give at least one record on which it has to fire"

    def fresh() -> Trial:
        return Trial(kind, options or {}, knows())

    found: list[Finding] = []
    for number, entry in enumerate(fires):
        records = as_list(entry)
        where = f"fires[{number}]"
        first = fresh().show_all(records, where)
        assert first, f"{where}: it does not fire"
        assert fresh().show_all(records, where) == first, (
            f"{where}: it says something else each time"
        )
        check_last(fresh, records, where)
        for one in first:
            notification.text(decision(one), "test")
        found += first
    for number, entry in enumerate(silent):
        trial, records = fresh(), as_list(entry)
        for each in records:
            where = f"silent[{number}]"
            assert not trial.show(each, where), f"{where}: it fires"
    return found


def check_contract(kind: type[Detector]) -> None:
    """Shape, and whether it tells all about itself that people need."""
    wrong = faults_of("detectors", str(getattr(kind, "name", "")), kind)
    assert not wrong, f"{kind.__name__}: {'; '.join(wrong)}"
    about = kind.about
    assert about.advice, "about.advice: say what to do now"
    for name in ("description", "advice", "false_positives"):
        texts = getattr(about, name)
        for text in [texts] if isinstance(texts, str) else texts:
            assert text.endswith("."), f"about.{name}: {text!r} is no sentence with a full stop"
    for one in about.techniques:
        assert re.fullmatch(r"T\d{4}(\.\d{3})?", one), f"about.techniques: {one!r} is no ATT&CK id"
    for one in about.references:
        assert one.startswith("https://"), f"about.references: {one!r} is no https address"
    for name, field in kind.Options.model_fields.items():
        assert field.description, f"Options.{name}: has no description"


def check_last(fresh: Callable[[], "Trial"], records: list[Record], where: str) -> None:
    """What must hold whatever becomes of the record on which it fires."""
    trial, last = fresh(), dict(records[-1])
    ids = [one.finding_id for one in trial.show_all(records, where)]
    again = [one.finding_id for one in trial.show(last, where)]
    assert again == ids, f"{where}: a redelivery must give the same findings"
    if "detail-type" in last:  # an EventBridge event of a service's own
        return
    copy = last | {"eventType": "AwsVpceEvent", "eventCategory": "NetworkActivity"}
    assert not after(fresh, records, copy, where), f"{where}: it fires on a VPC endpoint's copy"
    for code in ("AccessDenied", "ValidationException"):
        failed = last | {"errorCode": code, "requestParameters": None, "responseElements": None}
        failed.pop("resources", None)
        for one in after(fresh, records, failed, f"{where} failed with {code}"):
            assert one.kind in {Kind.ATTEMPT, Kind.EVIDENCE}, (
                f"{where}: a call that failed ({code}) changes nothing: it may be an attempt or"
                f" evidence, not {one.kind.value}"
            )
    for junk in JUNK:
        for member in MEMBERS:
            after(fresh, records, last | {member: junk}, f"{where} with {member} = {junk!r}")
        request = last.get("requestParameters")
        for member in request if isinstance(request, dict) else ():
            odd = {**cast("dict[str, Any]", request), member: junk}
            told = f"{where} with requestParameters.{member} = {junk!r}"
            after(fresh, records, last | {"requestParameters": odd}, told)


def after(
    fresh: Callable[[], "Trial"], records: list[Record], last: Record, where: str
) -> list[Finding]:
    """What it says about `last` in place of the last record."""
    return fresh().show_all([*records[:-1], last], where)


def as_list(entry: Record | Sequence[Record]) -> list[Record]:
    return [entry] if isinstance(entry, Mapping) else list(entry)


class Trial:
    """One detector that is shown events as the daemon would show them."""

    def __init__(self, kind: type[Detector], options: Mapping[str, Any], known: Knowledge) -> None:
        make = cast("Callable[[Any, Knowledge], Detector]", kind)
        self.detector = make(kind.Options.model_validate(dict(options)), known)
        self.detection = Detection([self.detector], Metrics(), known)

    def show_all(self, records: list[Record], where: str) -> list[Finding]:
        """What it says about the last one."""
        for one in records[:-1]:
            self.show(one, where)
        return self.show(records[-1], where)

    def show(self, given: Record, where: str) -> list[Finding]:
        body = json.dumps(dict(given))
        if given.get("eventSource") == OWN:
            events: Iterable[Event] = [msgspec.json.decode(body, type=Event)]
        else:
            events = open_body(body, self.detection.wanted).events
        found: list[Finding] = []
        for one in events:
            if one.network_copy:
                continue
            # Not through `Detection`, which keeps what a detector throws to itself.
            ran = foreign.run(partial(self.look, one))
            if ran.error is not None:
                raise AssertionError(
                    f"{where}: it broke: {foreign.text_of(ran.error)}"
                ) from ran.error
            found += ran.value or []
        return found

    def look(self, one: Event) -> list[Finding]:
        return [checked(each, self.detector.name) for each in self.detector.inspect(one)]

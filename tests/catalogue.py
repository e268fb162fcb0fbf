"""The events in `tests/events/<detector>/{fires,silent}/*.json`, and how they are shown to it.

A file is one case:

    why       one sentence: why this must, or must not, be noticed
    options   the detector's options, where they are not the defaults
    watched   fields of `monitor.knowledge.Watched`; `keys` by ARN
    accounts  further accounts that count as ours, beside 111122223333
    keys      how keys should be: fields of `monitor.key.KeySnapshot`, `key` by ARN
    records   CloudTrail records, in the order of their arrival. What a record does not name is as in
              `BASE`; "..." takes a member out. An EventBridge event (it has `detail-type`) stands
              there whole.
    expect    of the finding about the last record: severity, kind, title (a part of it), key (ARN or
              null), resource, caused, aspect, sight, details (some of them), count (of findings; 1)

In `fires` the last record must be noticed, whatever comes before it; in `silent` none may be.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from monitor import plugins
from monitor.detection import Detection
from monitor.detector import OWN, Detector
from monitor.envelope import open_body
from monitor.event import Event
from monitor.finding import Finding
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.knowledge import Knowledge, Watched
from monitor.metrics import Metrics
from tests.samples import ACCOUNT, record

EVENTS = Path(__file__).parent / "events"
BASE = record(requestParameters=None, responseElements=None, resources=...)
METRICS = Metrics()


@dataclass(frozen=True)
class Case:
    detector: str
    path: Path
    given: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.detector}/{self.path.parent.name}/{self.path.stem}"

    @property
    def expect(self) -> dict[str, Any]:
        found: dict[str, Any] = self.given.get("expect", {})
        return found

    def records(self) -> list[dict[str, Any]]:
        """The records, completed; each has an id of its own unless the file gives it one."""
        return [complete(one, number) for number, one in enumerate(self.given["records"], 1)]

    def detection(self) -> Detection:
        """The detector alone, with what the file says that it knows."""
        kind = kind_of(self.detector)
        knowledge = knowledge_of(self.given)
        made: Detector = kind(kind.Options.model_validate(self.given.get("options", {})), knowledge)
        return Detection([made], METRICS, knowledge)


def complete(given: dict[str, Any], number: int) -> dict[str, Any]:
    if "detail-type" in given:
        return given
    fresh = {"eventID": f"22222222-bbbb-4bbb-8bbb-{number:012d}"}
    whole = BASE | fresh | given
    return {name: value for name, value in whole.items() if value != "..."}


def knowledge_of(given: dict[str, Any]) -> Knowledge:
    watched = dict(given.get("watched", {}))
    keys = {must_parse(arn): text for arn, text in watched.pop("keys", {}).items()}
    lists = {name: frozenset(arns) for name, arns in watched.items()}
    knowledge = Knowledge(
        Watched(**lists, keys=keys), [snapshot_of(one) for one in given.get("keys", [])]
    )
    knowledge.accounts = frozenset({ACCOUNT, *given.get("accounts", [])})
    return knowledge


def snapshot_of(given: dict[str, Any]) -> KeySnapshot:
    refs: dict[str, Any] = {"key": must_parse(given["key"])}
    if given.get("primary"):
        refs["primary"] = must_parse(given["primary"])
    refs["replicas"] = tuple(must_parse(arn) for arn in given.get("replicas", ()))
    plain = {name: value for name, value in given.items() if name not in refs}
    shell = KeySnapshot(key=refs["key"], state=KeyState.ENABLED, as_of=0.0)
    typed = msgspec.convert(msgspec.to_builtins(shell) | plain, KeySnapshot)
    return msgspec.structs.replace(typed, **refs)


def must_parse(arn: str) -> KeyRef:
    key = KeyRef.parse(arn)
    assert key is not None, f"{arn} is no key"
    return key


def show(detection: Detection, given: dict[str, Any]) -> list[Finding]:
    """What the detector says about one record that came through the envelope, as all do."""
    if given.get("eventSource") == OWN:
        events: tuple[Event, ...] = (msgspec.json.decode(json.dumps(given), type=Event),)
    else:
        events = open_body(json.dumps(given), detection.wanted).events
    found: list[Finding] = []
    for event in events:
        seen = detection.inspect(event)
        assert not seen.broken, f"{seen.broken} broke"
        found += seen.findings
    return found


@cache
def kind_of(name: str) -> Any:
    return plugins.load("detectors", name)


@cache
def cases(which: str) -> tuple[Case, ...]:
    """All cases in `fires` or in `silent`."""
    return tuple(
        Case(path.parent.parent.name, path, json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(EVENTS.glob(f"*/{which}/*.json"))
    )

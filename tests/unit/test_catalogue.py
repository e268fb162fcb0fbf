"""Every built-in detector against its own events, and what must hold for all of them."""

import re
from typing import Any

import pytest

from monitor import plugins
from monitor.detection import Detection
from monitor.detector import OWN, Detector
from monitor.finding import Finding, Kind
from monitor.knowledge import Knowledge
from tests.catalogue import EVENTS, Case, cases, show

FIRES, SILENT = cases("fires"), cases("silent")
KINDS = {name: plugins.load("detectors", name) for name in plugins.built_in()}
MEMBERS = {"why", "options", "watched", "accounts", "keys", "records", "expect"}
SIGNALS = {Kind.ATTEMPT, Kind.EVIDENCE}


def named(all_of_them: tuple[Case, ...]) -> pytest.MarkDecorator:
    """One test for each of these cases."""
    return pytest.mark.parametrize("case", all_of_them, ids=lambda case: case.name)


@named(FIRES)
def test_it_fires(case: Case) -> None:
    detection, records = case.detection(), case.records()
    for one in records[:-1]:
        show(detection, one)
    found = show(detection, records[-1])
    assert len(found) == case.expect.get("count", 1)
    assert {one.detector for one in found} == {case.detector}
    check(found[0], case.expect)
    again = show(detection, records[-1])
    assert [one.finding_id for one in again] == [one.finding_id for one in found]


def check(found: Finding, expect: dict[str, Any]) -> None:
    plain = {
        "severity": found.severity.word,
        "kind": found.kind.value,
        "key": found.key.arn if found.key else None,
        "resource": found.resource,
        "caused": found.caused.value if found.caused else None,
        "aspect": found.aspect.value,
        "sight": found.sight,
    }
    assert plain | {name: expect[name] for name in plain.keys() & expect.keys()} == plain
    assert expect.get("title", "") in found.title
    assert found.details.items() >= expect.get("details", {}).items()


@named(SILENT)
def test_it_is_silent(case: Case) -> None:
    detection = case.detection()
    for one in case.records():
        assert show(detection, one) == []


@named(FIRES)
def test_it_takes_nothing_for_what_it_is_not(case: Case) -> None:
    """Copies of VPC endpoints, other services' events of the same name, and calls that failed."""
    before, last = case.records()[:-1], case.records()[-1]
    if "detail-type" in last:
        return  # no CloudTrail record
    copy = {"eventType": "AwsVpceEvent", "eventCategory": "NetworkActivity"}
    assert show(case.detection(), last | copy) == []
    assert show(case.detection(), last | {"eventSource": "gamelift.amazonaws.com"}) == []
    if last["eventSource"] == OWN:
        return  # no call
    for code in ("AccessDenied", "KMSInvalidStateException"):
        detection = case.detection()
        for one in before:
            show(detection, one)
        denied = {"errorCode": code, "requestParameters": None, "responseElements": None}
        left = {k: v for k, v in last.items() if k not in {"resources", "additionalEventData"}}
        found = show(detection, left | denied)
        assert {one.kind for one in found} <= SIGNALS, code
        # Some services name what a denied call was about all the same.
        found = show(detection, last | {"errorCode": code})
        assert {one.kind for one in found} <= SIGNALS, code


JUNK: tuple[object, ...] = (None, [], "x", 7, {"keyId": 7, "attributes": [], "name": {}})


@named(FIRES)
def test_members_of_any_shape_break_no_detector(case: Case) -> None:
    detection = case.detection()
    for junk in JUNK:
        show_broken(detection, case, junk)


def show_broken(detection: Detection, case: Case, junk: object) -> None:
    last = case.records()[-1]
    if "detail-type" in last:
        last = {**last, "detail": {**last["detail"], "detail": junk}}
        show(detection, last)
        return
    for member in (
        "requestParameters",
        "responseElements",
        "additionalEventData",
        "serviceEventDetails",
        "resources",
        "userIdentity",
    ):
        show(detection, last | {member: junk})
    for member, value in (last["requestParameters"] or {}).items():
        changed = {**last["requestParameters"], member: junk}
        show(detection, last | {"requestParameters": changed})
        if isinstance(value, str):
            broken = {**last["requestParameters"], member: value[: len(value) // 2]}
            show(detection, last | {"requestParameters": broken})


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_detector_has_events_on_which_it_fires_and_is_silent(name: str) -> None:
    for which, all_of_them in (("fires", FIRES), ("silent", SILENT)):
        assert [one for one in all_of_them if one.detector == name], f"none in {name}/{which}"


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_detector_tells_about_itself(name: str) -> None:
    kind = KINDS[name]
    about = kind.about
    assert isinstance(kind(kind.Options(), Knowledge()), Detector)
    assert kind.name == name
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
    assert kind.title
    assert about.description.endswith(".")
    assert about.severity
    assert all(re.fullmatch(r"T\d{4}(\.\d{3})?", one) for one in about.techniques)
    assert about.advice
    assert all(one.endswith(".") for one in about.advice + about.false_positives)
    assert all(one.startswith("https://") for one in about.references)
    assert kind.events or kind.failures
    assert all(source for source, _ in kind.events)


def test_every_case_says_why_and_belongs_to_a_detector() -> None:
    for case in FIRES + SILENT:
        assert case.detector in KINDS, case.name
        assert case.given.keys() <= MEMBERS, case.name
        assert case.given["why"].endswith("."), case.name
        assert case.given["records"], case.name
        assert ("expect" in case.given) is (case in FIRES), case.name


def test_no_file_lies_elsewhere() -> None:
    known = {case.path for case in FIRES + SILENT}
    assert {path for path in EVENTS.rglob("*") if path.is_file()} == known


def test_every_case_that_fires_says_how_severe_it_is() -> None:
    words = {"info", "low", "medium", "high", "critical"}
    for case in FIRES:
        assert case.expect.get("severity") in words, case.name


@named(tuple(case for case in FIRES if case.expect.get("key") and len(case.records()) == 1))
def test_a_key_is_known_by_its_arn_and_by_its_bare_id(case: Case) -> None:
    """Whatever the caller typed as `keyId`: a control call takes either (aws-facts 2.1)."""
    last = case.records()[-1]
    asked = last.get("requestParameters")
    if "detail-type" in last or not isinstance(asked, dict) or "keyId" not in asked:
        return
    arn = case.expect["key"]
    for typed in (arn, arn.rpartition("/")[2]):
        found = show(case.detection(), last | {"requestParameters": asked | {"keyId": typed}})
        assert [one.key.arn if one.key else None for one in found] == [arn] * len(found)
        assert found, typed

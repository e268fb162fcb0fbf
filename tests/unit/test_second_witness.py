"""What AWS Config tells of: whose incident it belongs to, and whether people hear of it."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from monitor.changes import changes_of
from monitor.decision import Action, Decision, Outcome, Reason, Stage, Verdict
from monitor.event import Event
from monitor.finding import CONFIG_EVENTS, CONFIG_ITEM, Kind, Severity
from monitor.incident import SLOW, Incident, Seen, advance
from monitor.incident_told import told
from monitor.register import ROTATION
from monitor.signs import is_old_news
from tests.samples import EPOCH, decision, finding

ALREADY = Action("restore_key", Outcome.ALREADY, "it is Enabled", finished_at=EPOCH + 60)
DONE = Action("restore_key", Outcome.DONE, "EnableKey", ("EnableKey",), EPOCH + 60)
BUSY = Action("restore_key", Outcome.RETRY, "it is being done elsewhere")
LATER = Action("restore_key", Outcome.RETRY, "throttled", finished_at=EPOCH + 60)


def by_config(*done: Action, **changes: Any) -> Decision:
    given: dict[str, Any] = {"event_name": CONFIG_ITEM, "event_id": "config"}
    found = finding(**(given | changes))
    return replace(decision(found), done=done)


def by_cloudtrail(*done: Action) -> Decision:
    return replace(decision(finding()), done=done)


def after(known: Incident | None, one: Decision, seen: Seen | None, at: float) -> Decision:
    """The decision, with what it did to the incident."""
    advanced = advance(known, one, seen, at)
    if advanced is None:
        return one
    return replace(one, incident=told(*advanced, at))


def closed() -> Incident:
    """CloudTrail told of it, and it was put back."""
    advanced = advance(None, by_cloudtrail(DONE), None, EPOCH + 60)
    assert advanced is not None
    incident, stage = advanced
    assert (stage, incident.open) == (Stage.CLOSED, False)
    return incident


def test_only_the_names_of_configs_messages_make_it_the_witness() -> None:
    assert finding().source == ""
    assert finding(event_name="StopConfigurationRecorder").source == ""
    for name in CONFIG_EVENTS:
        assert finding(event_name=name).source == "config"


def test_what_cloudtrail_told_of_belongs_to_its_incident_and_is_old_news() -> None:
    late = after(closed(), by_config(ALREADY), None, EPOCH + 120)
    assert late.incident is not None
    assert (late.incident.stage, late.incident.findings) == (Stage.REPEATED, 2)
    assert is_old_news(late)


def test_what_only_config_told_of_is_news() -> None:
    fresh = after(None, by_config(DONE), None, EPOCH + 60)
    assert fresh.incident is not None
    assert fresh.incident.stage is Stage.CLOSED
    assert not is_old_news(fresh)
    still_bad = after(None, by_config(LATER), None, EPOCH + 60)
    assert still_bad.incident is not None
    assert still_bad.incident.stage is Stage.OPENED
    assert not is_old_news(still_bad)


def test_a_worse_state_than_cloudtrail_told_of_is_news() -> None:
    worse = by_config(LATER, severity=Severity.CRITICAL)
    told_of = after(closed(), worse, Seen(frozenset({worse.finding.aspect})), EPOCH + 120)
    assert told_of.incident is not None
    assert not is_old_news(told_of)


@pytest.mark.parametrize(("done", "old"), [(ALREADY, True), (LATER, False), (BUSY, True)])
def test_without_an_incident_a_well_key_is_no_news(done: Action, old: bool) -> None:
    assert is_old_news(by_config(done)) is old
    assert not is_old_news(by_cloudtrail(done))


@pytest.mark.parametrize(
    ("at", "knows"),
    [
        (EPOCH - 1, False),
        (EPOCH, True),
        (EPOCH + 60 + SLOW, True),
        (EPOCH + 61 + SLOW, False),
    ],
)
def test_a_verdict_is_old_news_for_an_hour_after_an_incident(at: float, knows: bool) -> None:
    notice = finding(event_name="ComplianceChangeNotification", kind=Kind.NOTICE, event_time=at)
    one = Decision(notice, Verdict.TELL, Reason.NOTICE, ("sns",))
    assert is_old_news(after(closed(), one, None, at + 1)) is knows
    # Others' notices belong to an open incident only.
    other = replace(one, finding=replace(notice, event_name="CreateKey"))
    assert advance(closed(), other, None, at + 1) is None


def test_neither_order_makes_it_an_escalation() -> None:
    first = advance(None, by_config(LATER), None, EPOCH + 60)
    assert first is not None
    second = advance(first[0], by_cloudtrail(LATER), None, EPOCH + 61)
    assert second is not None
    assert (second[0].id, second[1]) == (first[0].id, Stage.REPEATED)


@pytest.mark.parametrize(
    ("status", "changes"),
    [(False, {ROTATION: 0}), ("false", {ROTATION: 0}), (True, {}), (None, {}), ([], {})],
)
def test_an_item_tells_of_rotation_that_is_off(status: object, changes: dict[str, Any]) -> None:
    item = {"configurationItem": {"supplementaryConfiguration": {"KeyRotationStatus": status}}}
    event = Event(
        event_source="config.amazonaws.com",
        event_name=CONFIG_ITEM,
        request_parameters=msgspec.Raw(msgspec.json.encode(item)),
    )
    assert changes_of(event) == changes

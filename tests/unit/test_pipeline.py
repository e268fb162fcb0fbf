"""The journey of one delivery: what becomes of it, and that nothing bad holds up what is good.

In scope: `monitor.pipeline` with its books, the built-in detectors, policy, duplicates, response and
`MemoryStore`. Replaced: responders, the archive, and SNS's trust.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from monitor.books import Books
from monitor.decision import Action, Decision, Outcome
from monitor.delivery import Delivery, Disposition, worst
from monitor.detection import Detection
from monitor.detector import Base, NoOptions
from monitor.detectors.key_changed import KeyChanged
from monitor.detectors.key_deletion_scheduled import DeletionOptions, KeyDeletionScheduled
from monitor.detectors.key_disabled import KeyDisabled
from monitor.detectors.key_restored import KeyEnabled
from monitor.detectors.many_keys import ManyKeys, ManyKeysOptions
from monitor.duplicates import Duplicates
from monitor.errors import NotWorthRetrying, Unreadable, WorthRetrying
from monitor.event import Event
from monitor.ledger import Claim
from monitor.metrics import Metrics
from monitor.own_event import own_event
from monitor.pipeline import Pipeline
from monitor.policy import Mode, Rules
from monitor.response import Response
from monitor.shapes import LogObject
from monitor.stores.memory import MemoryStore
from monitor.testing.fakes import HandClock
from monitor.trust import Trust
from tests.samples import (
    ACCOUNT,
    ARN,
    EPOCH,
    KEY,
    KMS,
    NOBODY,
    OTHER_ACCOUNT,
    REGION,
    body,
    envelope,
    event,
    record,
)

DONE, RETRY, REJECT = Disposition.DONE, Disposition.RETRY, Disposition.REJECT


class Repairer:
    name, repairs, Options = "repair", True, NoOptions

    def __init__(self) -> None:
        self.end: Any = Outcome.DONE
        self.seen: list[Decision] = []

    async def respond(self, decision: Decision) -> Action:
        self.seen.append(decision)
        if isinstance(self.end, Exception):
            raise self.end
        return Action(self.name, self.end)


class BreaksOnce(Base[NoOptions]):
    name, title, about = "breaks", "Breaks", NOBODY
    events = KeyDisabled.events

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.broke = False

    def inspect(self, _: Event) -> list[Any]:
        if not self.broke:
            self.broke = True
            raise RuntimeError
        return []


class BreaksOnPolicies(BreaksOnce):
    name = "breaks_on_policies"
    events = frozenset({(KMS, "PutKeyPolicy")})


class Archive:
    """By the object's key: its events, or what reading it raises after them."""

    def __init__(self, **files: list[Any]) -> None:
        self.files = files

    async def events(self, where: LogObject) -> AsyncIterator[Event]:
        for one in self.files[where.key]:
            if isinstance(one, Exception):
                raise one
            yield one


class SnsTrust:
    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem

    async def check(self, _: Any) -> None:
        if self.problem:
            raise self.problem


class World:
    def __init__(self, *more: Any, sns: Any = None, archive: Any = None, **senders: Any) -> None:
        self.clock, self.metrics, self.repairer = HandClock(), Metrics(), Repairer()
        self.store = MemoryStore(self.clock)
        detectors: Any = [
            KeyDisabled(NoOptions()),
            KeyEnabled(NoOptions()),
            KeyDeletionScheduled(DeletionOptions()),
            *more,
        ]
        responders: Any = {"repair": self.repairer}
        self.pipeline = Pipeline(
            Detection(detectors, self.metrics),
            Rules(Mode.ENFORCE, frozenset({(ACCOUNT, REGION)}), repairers=("repair",)),
            Response(responders, self.store, self.clock, self.metrics),
            Duplicates(self.store, self.clock, self.metrics),
            Books(self.metrics),
            trust=Trust(senders or None, sns),
            archive=archive,
        )

    async def process(self, text: str | bytes, **changes: Any) -> Disposition:
        about: dict[str, Any] = {
            "delivery_id": "1",
            "body": text,
            "source": "queue",
            "received_at": EPOCH + 3,
        }
        return await self.pipeline.process(Delivery(**(about | changes)))

    @property
    def repaired(self) -> list[Any]:
        return [one.finding.key for one in self.repairer.seen]

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            f"kms_monitor_{name}", {"source": "queue"} | labels
        )


def batch(*records: Any) -> str:
    return json.dumps({"Records": list(records)})


def numbered(number: int, **changes: Any) -> dict[str, Any]:
    return record(eventID=f"event-{number}", **changes)


def notice(*keys: str) -> str:
    return json.dumps({"s3Bucket": "logs", "s3ObjectKey": list(keys)})


def wrapped(text: str) -> str:
    return json.dumps({"Type": "Notification", "TopicArn": "arn:t", "Message": text})


async def test_an_event_is_judged_and_acted_upon_and_the_decision_knows_when_it_came() -> None:
    world = World()
    assert await world.process(body()) is DONE
    (made,) = world.repairer.seen
    assert (made.finding.key, made.received_at) == (KEY, EPOCH + 3)
    assert world.sample("events_total", event_name="DisableKey", fate="inspected") == 1
    assert world.sample("event_age_seconds_sum") == 3
    last = {"account": ACCOUNT, "region": REGION}
    value = world.metrics.registry.get_sample_value(
        "kms_monitor_last_event_timestamp_seconds", last
    )
    assert value == EPOCH + 3


@pytest.mark.parametrize(
    "text",
    [
        body(eventName="Decrypt"),
        body(eventName="EnableKey", errorCode="AccessDenied"),
        batch(),
        json.dumps({"Event": "s3:TestEvent"}),
        "CloudTrail validation message.",
    ],
)
async def test_what_concerns_nobody_is_done(text: str) -> None:
    world = World()
    assert await world.process(text) is DONE
    assert not world.repairer.seen


async def test_a_log_file_without_an_archive_is_kept_for_people() -> None:
    world = World()
    assert await world.process(notice("no-archive-is-there")) is Disposition.REJECT


@pytest.mark.parametrize(
    ("end", "disposition"),
    [
        (Outcome.DONE, DONE),
        (Outcome.ALREADY, DONE),
        (Outcome.REFUSED, DONE),
        (Outcome.UNCONFIRMED, DONE),
        (Outcome.WOULD, DONE),
        (Outcome.RETRY, RETRY),
        (Outcome.DENIED, RETRY),
        (WorthRetrying("x"), RETRY),
        (NotWorthRetrying("x"), DONE),
        (RuntimeError("x"), RETRY),
    ],
)
async def test_what_became_of_the_actions_decides_over_the_delivery(
    end: Any, disposition: Disposition
) -> None:
    world = World()
    world.repairer.end = end
    assert await world.process(body()) is disposition
    assert await world.process(body()) is disposition
    assert len(world.repairer.seen) == (1 if disposition is DONE else 2)


async def test_what_is_not_ours_is_dropped_and_done() -> None:
    world = World()
    foreign = [{"ARN": str(KEY).replace(ACCOUNT, OTHER_ACCOUNT)}]
    assert await world.process(body(resources=foreign)) is DONE
    assert not world.repairer.seen
    value = world.metrics.registry.get_sample_value(
        "kms_monitor_decisions_total", {"reason": "account_not_allowed"}
    )
    assert value == 1


async def test_an_unreadable_body_is_rejected_and_counted_each_time() -> None:
    world = World()
    for count in (1, 2):
        assert await world.process("{", receive_count=count) is REJECT
    assert world.sample("unreadable_total", reason="not_json") == 2


async def test_one_bad_record_among_good_ones_costs_only_itself() -> None:
    world = World()
    text = batch(numbered(1), numbered(2, eventTime="x"), 5, numbered(3))
    assert await world.process(text) is REJECT  # for people to see
    assert world.repaired == [KEY, KEY]
    assert await world.process(text) is REJECT
    assert world.repaired == [KEY, KEY]


async def test_what_is_unfinished_comes_again_before_people_see_what_is_damaged() -> None:
    world = World()
    world.repairer.end = Outcome.RETRY
    text = batch(numbered(1), 5)
    assert await world.process(text) is RETRY
    world.repairer.end = Outcome.DONE
    assert await world.process(text) is REJECT


def test_the_worst_of_nothing_is_done() -> None:
    assert worst([]) is DONE
    assert worst([DONE, REJECT]) is REJECT
    assert worst([REJECT, RETRY, DONE]) is RETRY


async def test_a_detector_that_breaks_neither_stops_the_repair_nor_loses_the_message() -> None:
    world = World(BreaksOnce())
    assert await world.process(body()) is RETRY
    assert world.repaired == [KEY]
    assert await world.process(body()) is DONE
    assert world.repaired == [KEY]


async def test_a_change_on_which_a_detector_breaks_is_not_taken_for_one_that_nobody_minds() -> None:
    """Else who finds a policy that breaks the one detector that minds it has it accepted."""
    world = World(BreaksOnPolicies(), KeyChanged(NoOptions()))
    request = {"keyId": ARN, "policyName": "default", "policy": "{}"}
    text = body(eventName="PutKeyPolicy", requestParameters=request)
    assert await world.process(text) is RETRY
    assert world.repaired == []
    assert await world.process(text) is DONE
    assert world.repaired == [KEY]


async def test_a_repair_goes_before_whatever_else_is_told_of_the_event() -> None:
    carried_out = []
    world = World()
    # As the detectors are by name: one that only tells comes first.
    many = ManyKeys(ManyKeysOptions(keys=2))
    detectors: list[Any] = [many, KeyDisabled(NoOptions())]
    world.pipeline.detection = Detection(detectors, world.metrics)
    carry_out = world.pipeline.response.carry_out

    async def noted(decision: Decision) -> Decision:
        carried_out.append(decision.finding.detector)
        return await carry_out(decision)

    world.pipeline.response.carry_out = noted  # type: ignore[method-assign]
    second = KEY.arn.replace("0001", "0002")
    one = record(eventID="1", resources=[{"ARN": second}])
    await world.process(batch(one, record(eventID="2")))
    assert carried_out == ["key_disabled", "key_disabled", "many_keys"]


async def test_the_same_event_by_another_road_is_a_duplicate() -> None:
    world = World()
    await world.process(body())
    assert await world.process(batch(record())) is DONE
    assert world.repaired == [KEY]
    assert world.sample("events_total", event_name="DisableKey", fate="duplicate") == 1


async def test_an_event_that_is_being_judged_just_now_comes_again() -> None:
    world = World()
    async with world.pipeline.duplicates.turn(event()) as turn:
        assert turn.claim is Claim.GRANTED
        assert await world.process(body()) is RETRY
    assert not world.repairer.seen


async def test_only_senders_that_are_named_are_believed() -> None:
    world = World(queue=("AIDA*:bridge",))
    assert await world.process(body(), sender_id="AROAX:mallory") is REJECT
    assert await world.process(body()) is REJECT
    assert not world.repairer.seen
    assert world.sample("unreadable_total", reason="sender_not_allowed") == 2
    assert await world.process(body(), sender_id="AIDAX:bridge") is DONE
    assert world.repaired == [KEY]


@pytest.mark.parametrize(
    ("sns", "disposition"),
    [
        (None, REJECT),
        (SnsTrust(Unreadable("bad_signature")), REJECT),
        (SnsTrust(WorthRetrying("certificate cannot be fetched")), RETRY),
        (SnsTrust(), DONE),
    ],
)
async def test_what_sns_wrapped_is_believed_only_if_it_is_of_sns(
    sns: Any, disposition: Disposition
) -> None:
    world = World(sns=sns)
    assert await world.process(wrapped(body())) is disposition
    assert world.repaired == ([KEY] if disposition is DONE else [])


async def test_one_bad_log_file_does_not_hold_up_the_others() -> None:
    files: dict[str, list[Any]] = {
        "good": [event(eventID="1")],
        "broken": [event(eventID="2"), Unreadable("corrupt")],
        "also": [event(eventID="3")],
    }
    world = World(archive=Archive(**files))
    made_room: list[bool] = []
    delivery = Delivery("1", notice("broken", "good", "also"), "queue", EPOCH + 3)
    assert await world.pipeline.process(delivery, lambda: made_room.append(True)) is REJECT
    assert world.repaired == [KEY] * 3
    assert made_room == [True]


@pytest.mark.parametrize("error", [WorthRetrying("throttled"), NotWorthRetrying("no such bucket")])
async def test_a_log_file_that_cannot_be_had_comes_again(error: Exception) -> None:
    files: dict[str, list[Any]] = {"gone": [error], "good": [event(eventID="1")]}
    world = World(archive=Archive(**files))
    assert await world.process(notice("gone", "good")) is RETRY
    assert world.repaired == [KEY]


async def test_a_delivery_that_is_not_bulk_makes_no_room() -> None:
    made_room: list[bool] = []
    await World().pipeline.process(
        Delivery("1", body(), "queue", EPOCH), lambda: made_room.append(True)
    )
    assert not made_room


async def test_our_own_calls_are_known_from_then_on() -> None:
    world = World()
    enabled = {"eventName": "EnableKey"}
    await world.process(body(**enabled))
    assert len(world.repairer.seen) == 1
    world.pipeline.know_as_own(f"arn:aws:sts::{ACCOUNT}:assumed-role/ops-admin")
    assert await world.process(body(**enabled, eventID="2")) is DONE
    assert len(world.repairer.seen) == 1


@pytest.mark.parametrize(
    "changes",
    [{"eventVersion": "2.0"}, {"eventVersion": ...}, {"eventTime": "2030-01-01T00:00:00Z"}],
)
async def test_odd_versions_and_clocks_are_handled_all_the_same(changes: dict[str, Any]) -> None:
    world = World()
    assert await world.process(json.dumps(envelope(record(**changes)))) is DONE
    assert world.repaired == [KEY]
    assert (world.sample("event_age_seconds_sum") or 0) >= 0


async def test_listeners_hear_every_event_once_and_our_own_are_no_sign_of_life() -> None:
    world = World()
    heard: list[str] = []
    world.pipeline.books.listeners.append(lambda event, *_: heard.append(event.event_name))
    for _ in range(2):
        await world.process(body())
    own = own_event("KeySeenBad", (ACCOUNT, REGION), EPOCH + 99, {}, same=(1,))
    await world.pipeline.judge(own, Delivery("2", "", "sweep", received_at=EPOCH + 99))
    assert heard == ["DisableKey", "KeySeenBad"]
    value = world.metrics.registry.get_sample_value(
        "kms_monitor_last_event_timestamp_seconds", {"account": ACCOUNT, "region": REGION}
    )
    assert value == EPOCH + 3


def test_an_event_can_be_wanted_though_no_detector_asks_for_it() -> None:
    call = ("kms.amazonaws.com", "EnableKey")
    detection = Detection([], Metrics(), also=[call, ("kms-monitor", "KeySeenBad")])
    assert detection.wanted.calls == {call}
    assert detection.inspect(event(eventName="EnableKey")).findings == ()

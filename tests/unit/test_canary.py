"""When a canary is back, late, and back again; and a place gone quiet.

In scope: `monitor.loops.canary` and `monitor.loops.silence`. Replaced: KMS, and the clock.
"""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from monitor.clock import iso
from monitor.delivery import Delivery
from monitor.detector import OWN
from monitor.errors import Denied
from monitor.event import Event
from monitor.loops.canary import MOST_SENT, Canary, Pace
from monitor.loops.silence import Silence
from monitor.metrics import Metrics
from monitor.policy import Mode, Rules
from monitor.testing.fakes import HandClock
from tests.samples import ACCOUNT, ARN, EPOCH, KEY, REGION, LoopClock, event

US = f"arn:aws:sts::{ACCOUNT}:assumed-role/kms-monitor"
RULES = Rules(Mode.ENFORCE, frozenset({(ACCOUNT, REGION)}), own_arns=frozenset({US}))
PLACE = {"account": ACCOUNT, "region": REGION}


class Calling:
    def __init__(self, problem: Exception | None) -> None:
        self.problem = problem

    async def __aenter__(self) -> None:
        if self.problem:
            raise self.problem

    async def __aexit__(self, *_: object) -> None:
        pass


class Aws:
    """KMS that enables the canary's key, or refuses to."""

    def __init__(self) -> None:
        self.problem: Exception | None = None
        self.enabled: list[str] = []

    async def kms(self, *place: str) -> Any:
        assert place == (ACCOUNT, REGION)
        return self

    def calling(self, *call: str) -> Calling:
        assert call == ("kms", "EnableKey")
        return Calling(self.problem)

    async def enable_key(self, KeyId: str) -> None:  # noqa: N803
        self.enabled.append(KeyId)


class Rig:
    def __init__(self, clock: Any = None, **pace: float) -> None:
        self.clock = clock or HandClock()
        self.aws = Aws()
        self.metrics = Metrics()
        self.told: list[Event] = []
        aws: Any = self.aws
        self.canary = Canary(KEY, aws, self.clock, self.metrics, tell=self.tell, pace=Pace(**pace))

    def tell(self, event: Event) -> bool:
        self.told.append(event)
        return True

    def hear(self, at: float, **changes: Any) -> None:
        """An EnableKey event of that moment arrives now."""
        whole: dict[str, Any] = {"eventName": "EnableKey", "userIdentity": {"arn": f"{US}/pod-1"}}
        heard = replace(event(**(whole | changes)), event_time=iso(at))
        delivery = Delivery("1", "", "queue", received_at=self.clock.now())
        self.canary.heard(heard, delivery, RULES)

    def names(self) -> list[str]:
        return [one.event_name for one in self.told]

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels)


async def test_a_canary_comes_back() -> None:
    rig = Rig()
    await rig.canary.send()
    assert rig.aws.enabled == [ARN]
    rig.clock.at += 20
    rig.hear(EPOCH)
    assert rig.canary.sent == []
    assert rig.sample("canary_seconds_sum") == 20
    assert rig.sample("last_canary_timestamp_seconds", **PLACE) == EPOCH + 20
    rig.clock.at += 5000
    rig.canary.check()
    assert rig.told == []
    assert rig.canary.problem() is None


@pytest.mark.parametrize(
    "changes",
    [
        {"eventName": "DisableKey"},
        {"eventSource": "other.amazonaws.com"},
        {"errorCode": "AccessDenied"},
        {"userIdentity": {"arn": f"arn:aws:iam::{ACCOUNT}:user/mallory"}},
        {"userIdentity": None},
        {"resources": [{"ARN": ARN[:-1] + "2"}]},
    ],
)
async def test_what_is_no_canary(changes: dict[str, Any]) -> None:
    rig = Rig()
    await rig.canary.send()
    rig.hear(EPOCH, **changes)
    assert rig.canary.sent == [EPOCH]


async def test_an_event_from_before_it_set_out_is_no_answer() -> None:
    rig = Rig()
    rig.clock.at += 0.9
    await rig.canary.send()
    rig.hear(EPOCH - 1)
    assert len(rig.canary.sent) == 1
    rig.hear(EPOCH)  # CloudTrail's seconds are whole
    assert rig.canary.sent == []


async def test_it_is_lost_once_for_each_outage() -> None:
    rig = Rig()
    for _ in range(5):
        await rig.canary.send()
        rig.canary.check()
        rig.clock.at += 300
    rig.canary.check()
    assert rig.names() == ["CanaryLost"]
    assert rig.told[0].key == KEY
    assert rig.told[0].request()["since"] == EPOCH
    assert rig.canary.problem() == "no canary has come back for 1500 s"
    rig.hear(EPOCH + 1200)
    rig.canary.check()
    assert rig.names() == ["CanaryLost", "CanaryBack"]
    assert rig.canary.problem() is None
    await rig.canary.send()
    rig.clock.at += 900
    rig.canary.check()
    assert rig.names() == ["CanaryLost", "CanaryBack", "CanaryLost"]
    assert rig.told[0].event_id != rig.told[2].event_id


async def test_one_that_is_late_is_not_forgotten_for_the_next_ones() -> None:
    rig = Rig()
    await rig.canary.send()
    rig.clock.at += 300
    await rig.canary.send()
    rig.hear(EPOCH)
    assert rig.canary.sent == [EPOCH + 300]


async def test_one_that_cannot_set_out_is_late_as_well() -> None:
    rig = Rig()
    rig.aws.problem = Denied("kms:EnableKey: AccessDeniedException: no")
    await rig.canary.send()
    assert rig.canary.problem() == "kms:EnableKey: AccessDeniedException: no"
    rig.clock.at += 900
    rig.canary.check()
    assert rig.told[0].request()["obstacle"] == "kms:EnableKey: AccessDeniedException: no"
    rig.aws.problem = None
    await rig.canary.send()
    assert rig.canary.obstacle == ""


async def test_a_long_outage_is_remembered_by_its_beginning() -> None:
    rig = Rig()
    for number in range(200):
        rig.clock.at = EPOCH + number
        await rig.canary.send()
    assert len(rig.canary.sent) == MOST_SENT + 1
    assert rig.canary.sent[0] == EPOCH


@pytest.mark.looptime
async def test_canaries_are_sent_in_turn_and_lateness_is_noticed_when_it_begins() -> None:
    rig = Rig(LoopClock(), every=300.0, late=400.0)
    running = asyncio.create_task(rig.canary.run())
    await asyncio.sleep(401)
    assert len(rig.aws.enabled) == 2
    assert rig.names() == ["CanaryLost"]
    await asyncio.sleep(500)
    assert len(rig.aws.enabled) == 4
    assert rig.names() == ["CanaryLost"]
    running.cancel()


# -- silence


def quiet(clock: Any) -> tuple[Silence, list[Event]]:
    told: list[Event] = []

    def tell(event: Event) -> bool:
        told.append(event)
        return True

    places = [(ACCOUNT, REGION), (ACCOUNT, "us-east-1")]
    return Silence(places, clock, seconds=600, tell=tell), told


def test_a_quiet_place_is_told_twice_with_the_same_ids_each_time() -> None:
    clock = HandClock()
    silence, told = quiet(clock)
    clock.at += 599
    silence.check()
    assert told == []
    clock.at += 1
    delivery = Delivery("1", "", "queue", received_at=clock.at)
    silence.heard(event(), delivery, RULES)
    silence.check()
    silence.check()
    assert {(one.aws_region, one.request()["times"]) for one in told} == {("us-east-1", 1)}
    assert len({one.event_id for one in told}) == 1
    clock.at = EPOCH + 2400
    silence.check()
    ids = {one.event_id for one in told}
    assert len(ids) == 3  # there once and once more, and now in the other place once


def test_our_own_events_and_strange_places_are_no_sign_of_life() -> None:
    clock = HandClock()
    silence, _ = quiet(clock)
    delivery = Delivery("1", "", "queue", received_at=EPOCH + 500)
    silence.heard(replace(event(), event_source=OWN), delivery, RULES)
    silence.heard(event(recipientAccountId="999999999999"), delivery, RULES)
    assert set(silence.last.values()) == {EPOCH}
    assert len(silence.last) == 2


@pytest.mark.looptime
async def test_silence_is_noticed_soon() -> None:
    silence, told = quiet(LoopClock())
    running = asyncio.create_task(silence.run())
    await asyncio.sleep(661)
    assert len({one.event_id for one in told}) == 2
    running.cancel()

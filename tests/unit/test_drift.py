"""Whether all of a key but its state is as it should be: what the sweep makes of differences.

In scope: `monitor.loops.drift` over the simulator's strict KMS, in virtual time. Replaced: the network,
and CloudTrail's event history, by the records of the calls themselves.
"""

from typing import Any

import pytest

from monitor.baselines import Baselines
from monitor.changes import SEEN_OTHERWISE
from monitor.errors import Denied
from monitor.event import Event
from monitor.finding import Aspect
from monitor.key import KeyRef
from monitor.knowledge import Knowledge
from monitor.loops.drift import HISTORY_SECONDS, SEEN_FIRST, Drift
from monitor.repair.live import LiveKeys
from monitor.stores.memory import MemoryStore
from tests.direct_kms import Playground
from tests.samples import ACCOUNT

pytestmark = pytest.mark.looptime
GRACE = 300.0
LONG = HISTORY_SECONDS


class World:
    def __init__(self, *, judge: bool = True) -> None:
        self.ground = Playground()
        self.clock = self.ground.clock
        self.key = self.ground.make(Tags=[{"TagKey": "Owner", "TagValue": "crypto"}])
        self.keys = LiveKeys(self.ground, self.clock)
        self.history: list[Event] | Exception = []
        self.asked = 0
        self.keys.history_of = self.look_up  # type: ignore[method-assign,assignment]
        self.store = MemoryStore(self.clock)
        self.knowledge = Knowledge()
        self.baselines = Baselines(self.store, self.knowledge)
        self.told: list[Event] = []
        self.introduced: list[Event] = []
        self.drift = Drift(
            self.keys,
            self.baselines,
            self.clock,
            tell=self.take,
            grace=GRACE,
            pause=0.0,
            judge=judge,
        )

    def take(self, event: Event) -> bool:
        self.told.append(event)
        return True

    async def look_up(
        self, key: KeyRef, names: frozenset[str], before: float, since: float = 0.0
    ) -> list[Event]:
        assert key == self.key
        assert names
        assert since <= before
        self.asked += 1
        if isinstance(self.history, Exception):
            raise self.history
        return [event for event in self.history if event.event_name in names]

    async def look(self, later: float = 0.0) -> list[str]:
        """One look so much later; the names of the events that it told of."""
        self.clock.start += later
        self.told.clear()
        await self.drift.read(await self.keys.read(self.key))
        self.introduced += [one for one in self.told if one.event_name == SEEN_FIRST]
        self.told = [one for one in self.told if one.event_name != SEEN_FIRST]
        return [event.event_name for event in self.told]

    def change(self, operation: str, **parameters: Any) -> None:
        assert self.ground.does("mallory", operation, KeyId=self.key.arn, **parameters)


TAG = {"Tags": [{"TagKey": "Owner", "TagValue": "mallory"}]}


async def test_what_is_seen_first_is_how_it_should_be() -> None:
    world = World()
    assert await world.look() == []
    known = world.knowledge.key(world.key)
    assert known is not None
    assert known.tags == {"Owner": "crypto"}
    assert await world.look(9 * GRACE) == []
    assert world.asked == 0


async def test_a_key_is_introduced_once_with_whoever_it_lets_in() -> None:
    world = World()
    role = f"arn:aws:iam::{ACCOUNT}:role/app"
    world.change("CreateGrant", GranteePrincipal=role, Operations=["Decrypt"])
    for _ in range(3):
        await world.look(9 * GRACE)
    (event,) = world.introduced
    assert event.key == world.key
    assert event.request()["grantees"] == [role]
    assert f"{ACCOUNT}:root" in event.request()["policy"]


async def test_the_stream_has_its_time_and_then_the_history_explains() -> None:
    world = World()
    await world.look()
    world.change("TagResource", **TAG)
    assert await world.look(1) == []
    assert await world.look(GRACE - 2) == []
    world.history = [world.ground.events[-1], world.ground.events[0]]
    assert await world.look(2) == ["TagResource"]
    # What is told is judged by somebody else: until then nothing more is said.
    assert await world.look(GRACE / 2) == []
    await world.baselines.accept(world.key, {"tag/Owner": "mallory"}, world.clock.now())
    assert await world.look(GRACE) == []
    assert not world.drift.since


async def test_what_nothing_explains_is_told_once() -> None:
    world = World()
    await world.look()
    world.change("TagResource", **TAG)
    world.change("DisableKeyRotation")
    await world.look(1)
    assert await world.look(LONG) == [SEEN_OTHERWISE]
    (event,) = world.told
    assert event.request()["changes"] == {"tag/Owner": "mallory"}
    assert event.key == world.key
    assert await world.look(GRACE) == []
    # Right again, and wrong again, is another time.
    await world.baselines.accept(world.key, {"tag/Owner": "mallory"}, world.clock.now())
    assert await world.look(1) == []
    world.change("UntagResource", TagKeys=["Owner"])
    await world.look(1)
    assert await world.look(LONG) == [SEEN_OTHERWISE]
    assert world.told[0].event_id != event.event_id


async def test_the_history_has_its_time_too() -> None:
    """It follows a call by up to 15 minutes."""
    world = World()
    await world.look()
    world.change("TagResource", **TAG)
    await world.look(1)
    for _ in range(3):
        assert await world.look(GRACE) == []
    assert world.asked == 3
    world.history = [world.ground.events[-1]]
    assert await world.look(GRACE) == ["TagResource"]


async def test_what_the_history_told_and_is_still_other_is_told_then() -> None:
    world = World()
    await world.look()
    world.change("TagResource", **TAG)
    world.history = [world.ground.events[-1]]
    await world.look(1)
    assert await world.look(GRACE) == ["TagResource"]
    assert await world.look(GRACE) == [SEEN_OTHERWISE]


async def test_a_history_that_may_not_be_read_explains_nothing() -> None:
    world = World()
    await world.look()
    world.change("TagResource", **TAG)
    world.history = Denied("cloudtrail:LookupEvents: no")
    await world.look(1)
    assert await world.look(LONG) == [SEEN_OTHERWISE]
    assert world.drift.reported == {"event history"}


async def test_without_the_detector_of_changes_nothing_is_judged() -> None:
    world = World(judge=False)
    await world.look()
    world.change("TagResource", **TAG)
    await world.look(1)
    assert await world.look(9 * GRACE) == []


async def test_grants_of_services_come_and_go() -> None:
    world = World()
    role = f"arn:aws:iam::{ACCOUNT}:role/app"
    asked = {"GranteePrincipal": role, "Operations": ["Decrypt"]}
    world.change("CreateGrant", Name="service", RetiringPrincipal=role.replace("role/", "role/aws-service-role/x/"), **asked)  # fmt: skip
    world.change("CreateGrant", Name="ours", **asked)
    ids = [event.response()["grantId"] for event in world.ground.events[-2:]]
    await world.look()
    world.change("RevokeGrant", GrantId=ids[0])
    await world.look(1)
    assert await world.look(9 * GRACE) == [], "its own service retires it when it is done"
    world.change("RevokeGrant", GrantId=ids[1])
    await world.look(1)
    assert await world.look(LONG) == [SEEN_OTHERWISE]
    # One that nobody knows is told of by messages alone.
    world.change("CreateGrant", Name="new", **asked)
    known = await world.baselines.known(world.key)
    assert known is not None
    assert known.aspects == frozenset(Aspect)


async def test_a_key_in_between_is_not_judged() -> None:
    world = World()
    await world.look()
    world.change("TagResource", **TAG)
    world.ground.kms_itself.force_state(world.key.arn, "Updating")
    await world.look(1)
    assert await world.look(9 * GRACE) == []

"""The repair of our sight, and the looks that lead to it, on a trail that stands still."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from monitor.baseline import Origin
from monitor.decision import Action, Outcome, Verdict
from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.event import Event
from monitor.finding import Finding
from monitor.judgement import sight_repairers
from monitor.knowledge import Knowledge, Watched
from monitor.ledger import SightBaseline, StoreError, sight_lease
from monitor.loops.sight_watch import SightWatch
from monitor.responders.restore_key import RestoreKey
from monitor.responders.restore_sight import RestoreSight, SightOptions
from monitor.responders.sns import Sns
from monitor.sight.mending import MENDING
from monitor.sight_repair.live import METHODS, Sights
from monitor.sight_repair.plan import SightCall
from monitor.sight_repair.resource import Part, Resource, parsed, written
from monitor.stores.memory import MemoryStore
from monitor.testing import decision, finding, services
from monitor.testing.fakes import AT, HandClock

TRAIL = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/main"
QUEUE = "arn:aws:sqs:eu-west-1:111122223333:kms"
RIGHT: dict[Part, Any] = {
    Part.TRAIL_SETTINGS: {"S3BucketName": "logs"},
    Part.TRAIL_SELECTORS: {"EventSelectors": [{"ReadWriteType": "All"}]},
    Part.TRAIL_LOGGING: True,
}
STOPPED = RIGHT | {Part.TRAIL_LOGGING: False}
TURNED = STOPPED | {Part.TRAIL_SETTINGS: {"S3BucketName": "mine"}}
SEEN = SightBaseline(TRAIL, written(RIGHT), Origin.SEEN)
OLD = {"event_time": AT - 3600}


class Trail:
    """Stands in for `Sights`: one trail, and the calls that were sent."""

    def __init__(self, settings: dict[Part, Any]) -> None:
        self.settings = settings
        self.sent: list[str] = []
        self.refuses: dict[str, Exception] = {}
        self.deaf = False
        self.record: Event | None = None

    async def read(self, resource: Resource) -> dict[Part, Any]:
        if "read" in self.refuses:
            raise self.refuses["read"]
        return self.settings

    async def read_until(self, resource: Resource, *_: Any) -> dict[Part, Any]:
        return await self.read(resource)

    async def send(self, resource: Resource, call: SightCall) -> None:
        if call.name in self.refuses:
            raise self.refuses[call.name]
        self.sent.append(call.name)
        if self.deaf:
            return
        given = {name: value for name, value in call.parameters.items() if name != "Name"}
        if call.name == "StartLogging":
            self.settings = self.settings | {Part.TRAIL_LOGGING: True}
        else:
            assert call.name == "UpdateTrail"
            self.settings = self.settings | {Part.TRAIL_SETTINGS: given}

    async def recorded(self, resource: Resource, claim: Finding) -> Event | None:
        return self.record


class Broken(MemoryStore):
    """A store that cannot be used while `down`."""

    down = True

    async def claim(self, *_: Any, **__: Any) -> Any:
        raise StoreError("down")

    async def release(self, *_: Any, **__: Any) -> Any:
        raise StoreError("down")

    async def sight_baseline(self, arn: str) -> SightBaseline | None:
        if self.down:
            raise StoreError("down")
        return await super().sight_baseline(arn)

    async def put_sight_baseline(self, *_: Any, **__: Any) -> bool:
        raise StoreError("down")

    async def spend(self, *_: Any, **__: Any) -> bool:
        raise StoreError("down")


def mender(trail: Trail, store: MemoryStore | None = None, **options: Any) -> RestoreSight:
    given = services()
    if store is not None:
        given = dataclasses.replace(given, store=store)
    made = RestoreSight(SightOptions(**{"doubt_seconds": 0} | options), given)
    made.sights = cast("Sights", trail)
    return made


async def known(made: RestoreSight, baseline: SightBaseline = SEEN) -> RestoreSight:
    await made.store.put_sight_baseline(baseline, expected_version=0)
    return made


def damage(**changes: Any) -> Finding:
    about = {"key": None, "caused": None, "resource": TRAIL, "sight": True}
    return finding(event_name="StopLogging", **about | changes)


async def undo(made: RestoreSight, event_id: str = "e1", **changes: Any) -> Action:
    return await made.respond(decision(damage(**OLD, event_id=event_id), **changes))


async def test_it_is_put_back_and_verified() -> None:
    trail = Trail(TURNED)
    done = await undo(await known(mender(trail)))
    assert (done.outcome, done.calls) == (Outcome.DONE, ("StartLogging", "UpdateTrail"))
    assert trail.settings == RIGHT


async def test_what_does_not_take_effect_is_tried_again() -> None:
    trail = Trail(STOPPED)
    trail.deaf = True
    with pytest.raises(WorthRetrying, match="still not as it should be, after StartLogging"):
        await undo(await known(mender(trail)))


async def test_each_part_stands_alone_and_people_hear_which_half_was_done() -> None:
    trail = Trail(TURNED)
    trail.refuses = {"StartLogging": Denied("cloudtrail:StartLogging: no", code="AccessDenied")}
    with pytest.raises(Denied, match=r"StartLogging: no, after UpdateTrail succeeded") as caught:
        await undo(await known(mender(trail)))
    assert trail.sent == ["UpdateTrail"]
    assert caught.value.calls == ("UpdateTrail",), "the action log and the incident name them"


async def test_what_was_never_seen_in_order_is_left_to_people() -> None:
    trail = Trail(STOPPED)
    done = await undo(mender(trail))
    assert (done.outcome, trail.sent) == (Outcome.REFUSED, [])


@pytest.mark.parametrize("resource", ["", "main", "arn:aws:s3:::logs"])
async def test_what_is_no_resource(resource: str) -> None:
    done = await mender(Trail(STOPPED)).respond(decision(damage(resource=resource)))
    assert done.outcome is Outcome.REFUSED


async def test_without_the_store_it_goes_by_what_it_remembers() -> None:
    trail = Trail(STOPPED)
    store = Broken(HandClock())
    store.sights[TRAIL] = replace(SEEN, version=1)
    made = mender(trail, store)
    with pytest.raises(WorthRetrying, match="store cannot be read"):
        await undo(made)
    store.down = False
    assert (await undo(made)).outcome is Outcome.DONE
    trail.settings, store.down = STOPPED, True
    assert (await undo(made)).outcome is Outcome.DONE
    assert trail.sent == ["StartLogging"] * 2


async def test_one_replica_at_a_time() -> None:
    made = await known(mender(Trail(STOPPED)))
    await made.store.claim(sight_lease(TRAIL), owner="another", seconds=60)
    with pytest.raises(WorthRetrying, match="another replica"):
        await undo(made)


async def test_a_fight_ends_and_goes_on_after_an_hour() -> None:
    trail, clock = Trail(STOPPED), HandClock()
    made = await known(mender(trail, MemoryStore(clock), repairs_per_hour=2))
    for number in (1, 2, 2):  # the same once more is no further round
        trail.settings = STOPPED
        assert (await undo(made, f"e{number}")).outcome is Outcome.DONE
    trail.settings = STOPPED
    refused = await undo(made, "e3")
    assert refused.outcome is Outcome.REFUSED
    assert "2 times within the hour" in refused.detail
    clock.at += 3601
    assert (await undo(made, "e3")).outcome is Outcome.DONE


async def test_a_young_event_is_doubted_while_all_looks_well() -> None:
    trail = Trail(RIGHT)
    made = await known(mender(trail, doubt_seconds=60))
    waiting = asyncio.create_task(made.respond(decision(damage())))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    trail.settings = STOPPED
    assert (await asyncio.wait_for(waiting, 5)).outcome is Outcome.DONE


async def test_an_approval_that_nobody_confirms_is_waited_for_and_then_undone() -> None:
    trail = Trail(STOPPED)
    made = await known(mender(trail))
    young = decision(damage(), verdict=Verdict.ACCEPT)
    with pytest.raises(WorthRetrying, match="does not have the event yet"):
        await made.respond(young)
    assert trail.sent == []
    done = await undo(made, verdict=Verdict.ACCEPT)
    assert (done.outcome, trail.sent) == (Outcome.DONE, ["StartLogging"])
    again = await undo(made, verdict=Verdict.ACCEPT)
    assert again.outcome is Outcome.UNCONFIRMED


async def test_no_look_puts_back_what_may_still_be_confirmed() -> None:
    trail = Trail(RIGHT)
    watch = Watch(trail)
    await watch.look()
    trail.settings = STOPPED
    made = mender(trail, watch.store)
    with pytest.raises(WorthRetrying, match="does not have the event yet"):
        await made.respond(decision(damage(), verdict=Verdict.ACCEPT))
    assert await watch.look() == []
    # Harm that a message tells of is undone all the same.
    assert (await undo(made)).outcome is Outcome.DONE
    trail.settings = STOPPED
    watch.clock.at += 901
    assert [name for name, _ in await watch.look()] == ["SightDrifted"]


async def test_a_baseline_that_another_replica_moved_meanwhile_is_read_again() -> None:
    made = mender(Trail(RIGHT))
    await known(made)
    with pytest.raises(WorthRetrying, match="somebody else"):
        await made.put(replace(SEEN, version=7))
    made.store = Broken(HandClock())
    with pytest.raises(WorthRetrying, match="cannot be written"):
        await made.put(SEEN)


def test_responders_for_keys_and_for_our_sight_are_told_apart() -> None:
    given: Any = {"restore_key": RestoreKey, "restore_sight": RestoreSight, "sns": Sns}
    assert sight_repairers(given) == ("restore_sight",)


def test_the_policy_allows_every_call_and_forbids_what_takes_sight_away() -> None:
    file = Path(__file__).parents[2] / "deploy/aws/restore-sight-policy.json"
    named: dict[str, set[str]] = {"Allow": set(), "Deny": set()}
    for one in json.loads(file.read_text("utf-8"))["Statement"]:
        actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
        named[one["Effect"]] |= {action.partition(":")[2] for action in actions}
    assert METHODS.keys() == MENDING
    assert METHODS.keys() <= named["Allow"]
    assert not named["Allow"] & named["Deny"]


# -- the looks


class Watch:
    """A watch on one trail, with a clock that moves by hand."""

    def __init__(self, trail: Trail, *, grace: float = 0, store: MemoryStore | None = None) -> None:
        self.clock = HandClock()
        self.store = store or MemoryStore(self.clock)
        self.told: list[Event] = []
        given = services()
        ready = asyncio.Event()
        ready.set()
        watched = Watched(
            trails=frozenset({TRAIL, "arn:aws:cloudtrail:eu-west-1:111122223333:trail/*"}),
            queues=frozenset({QUEUE.replace("111122223333", "999988887777")}),
        )
        self.knowledge = Knowledge(watched)
        self.knowledge.places = frozenset({("111122223333", "eu-west-1")})
        self.watch = SightWatch(
            SightOptions(grace_seconds=grace),
            cast("Sights", trail),
            self.store,
            self.clock,
            given.metrics,
            knowledge=self.knowledge,
            ready=ready,
            tell=self.tell,
        )

    def found(self, how: str) -> float | None:
        name = "kms_monitor_sight_resources"
        return self.watch.metrics.registry.get_sample_value(name, {"found": how})

    def tell(self, event: Event) -> bool:
        self.told.append(event)
        return True

    async def look(self) -> list[tuple[str, str]]:
        """One look: names and ids of what it told of."""
        self.told.clear()
        await self.watch.look()
        return [(one.event_name, one.event_id) for one in self.told]


async def test_the_first_sight_is_right() -> None:
    watch = Watch(Trail(RIGHT))
    assert await watch.look() == []
    (baseline,) = await watch.store.sight_baselines()
    assert (baseline.arn, baseline.origin) == (TRAIL, Origin.SEEN)
    assert parsed(baseline.settings) == RIGHT
    assert (watch.found("right"), watch.found("worse")) == (1, 0)


async def test_accounts_that_join_are_looked_at_and_those_that_left_no_more() -> None:
    trail = Trail(RIGHT)
    watch = Watch(trail)
    watch.knowledge.places = frozenset()
    await watch.look()
    assert await watch.store.sight_baselines() == []
    watch.knowledge.places = frozenset({("111122223333", "us-east-1")})
    await watch.look()
    assert watch.found("right") == 1
    trail.settings = STOPPED
    watch.knowledge.places = frozenset()
    await watch.look()
    assert (watch.found("right"), watch.found("worse")) == (0, 0)


async def test_what_is_worse_is_told_after_the_grace_and_each_hour_anew() -> None:
    trail = Trail(RIGHT)
    watch = Watch(trail, grace=100)
    await watch.look()
    trail.settings = STOPPED
    assert await watch.look() == []
    assert (watch.found("right"), watch.found("worse")) == (0, 1)
    watch.clock.at += 101
    (first,) = await watch.look()
    assert first[0] == "SightDrifted"
    assert watch.told[0].request() == {"resource": TRAIL, "missing": "StartLogging"}
    watch.clock.at += 10
    assert await watch.look() == [first]
    watch.clock.at += 3600
    (later,) = await watch.look()
    assert later != first
    trail.settings = RIGHT
    assert await watch.look() == []
    trail.settings = STOPPED
    assert await watch.look() == []


async def test_after_a_repair_the_same_damage_is_another_one() -> None:
    trail = Trail(RIGHT)
    watch = Watch(trail)
    await watch.look()
    trail.settings = STOPPED
    (first,) = await watch.look()
    made = mender(trail, watch.store)
    assert (await undo(made)).outcome is Outcome.DONE
    trail.settings = STOPPED
    watch.clock.at += 5
    (second,) = await watch.look()
    assert second != first


async def test_replicas_tell_of_the_same() -> None:
    trail = Trail(RIGHT)
    watch = Watch(trail, grace=100)
    other = Watch(trail, grace=100, store=watch.store)
    await watch.look()
    trail.settings = STOPPED
    await watch.look()
    other.clock.at += 30
    await other.look()
    watch.clock.at += 200
    other.clock.at += 171
    (told,) = await watch.look()
    assert await other.look() == [told]


async def test_what_somebody_else_mended_and_broke_again_is_another_trouble() -> None:
    trail = Trail(RIGHT)
    watch = Watch(trail)
    await watch.look()
    trail.settings = STOPPED
    (first,) = await watch.look()
    trail.settings = RIGHT
    watch.clock.at += 5
    assert await watch.look() == []
    trail.settings = STOPPED
    (second,) = await watch.look()
    assert second != first


async def test_what_is_bad_at_first_sight_is_told_and_no_baseline() -> None:
    trail = Trail(STOPPED)
    watch = Watch(trail)
    first = await watch.look()
    assert [name for name, _ in first] == ["SightFoundBad"]
    assert await watch.look() == first
    assert watch.found("never_right") == 1
    assert await watch.store.sight_baselines() == []
    trail.settings = RIGHT
    assert await watch.look() == []
    assert await watch.store.sight_baselines() != []


async def test_what_was_taken_down_with_approval_may_be_made_anew() -> None:
    trail = Trail({})
    watch = Watch(trail)
    down = replace(SEEN, settings="{}", origin=Origin.ACCEPTED)
    await watch.store.put_sight_baseline(down, expected_version=0)
    assert await watch.look() == []
    trail.settings = RIGHT
    assert await watch.look() == []
    (baseline,) = await watch.store.sight_baselines()
    assert parsed(baseline.settings) == RIGHT


async def test_what_cannot_be_read_is_reported_once() -> None:
    trail = Trail(RIGHT)
    trail.refuses["read"] = NotWorthRetrying("denied")
    watch = Watch(trail)
    with capture_logs() as lines:
        assert await watch.look() == []
        assert await watch.look() == []
        assert watch.found("unreadable") == 1
        del trail.refuses["read"]
        await watch.look()
        trail.refuses["read"] = NotWorthRetrying("denied")
        await watch.look()
    assert [one["resource"] for one in lines if one["event"] == "cannot be looked at"] == [
        TRAIL
    ] * 2


async def test_without_the_store_nothing_is_said_to_be_worse() -> None:
    class Unreadable(MemoryStore):
        async def sight_baselines(self) -> list[SightBaseline]:
            raise StoreError("down")

    watch = Watch(Trail(STOPPED), store=Unreadable(HandClock()))
    with capture_logs() as lines:
        assert await watch.look() == []
    assert [one["event"] for one in lines] == ["store cannot be used"]

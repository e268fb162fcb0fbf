"""What the sweep learns, what it tells, and when it looks again; in virtual time.

In scope: `monitor.loops.sweep` and the reading half of `monitor.repair.live`. Replaced: KMS, by a
script of many keys in one place.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import stamina
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.approval import Use
from monitor.aws import Aws
from monitor.baseline import Origin, Register
from monitor.detector import NoOptions
from monitor.detectors.sweep_findings import KeyDrifted
from monitor.event import Event
from monitor.key import Grant, KeyRef, KeyState
from monitor.knowledge import Knowledge
from monitor.loops.drift import HISTORY_SECONDS
from monitor.loops.sweep import FOUND, PEEK_SECONDS, WORSE, Pace, Sweep, countdown
from monitor.metrics import Metrics
from monitor.repair.live import MOST_GRANTS, LiveKeys
from monitor.stores.memory import MemoryStore
from tests.samples import ACCOUNT, EPOCH, KEY, REGION, LoopClock, approval, baseline, snapshot

pytestmark = pytest.mark.looptime
START = EPOCH + 3
HOUR, DAY = 3600.0, 86400.0


def refused(code: str) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    return ClientError(answer, "Call")


class Pages:
    def __init__(self, *pages: Any) -> None:
        self.pages = pages

    async def paginate(self, **_: str) -> AsyncIterator[Any]:
        for page in self.pages:
            if isinstance(page, Exception):
                raise page
            yield page


class Kms:
    """Keys by id, each with what DescribeKey says of it; `broken` calls raise."""

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, Any]] = {}
        self.broken: dict[str, Exception] = {}
        self.asked: Counter[str] = Counter()
        self.policy = json.dumps({"Version": "2012-10-17", "Id": "x", "Statement": []})
        self.grants: list[dict[str, Any]] = []

    def put(self, name: str, state: str = "Enabled", **about: Any) -> KeyRef:
        self.keys[name] = {"KeyState": state, "KeyManager": "CUSTOMER", **about}
        return KeyRef(ACCOUNT, REGION, name)

    def check(self, call: str) -> None:
        self.asked[call] += 1
        if call in self.broken:
            raise self.broken[call]

    def get_paginator(self, call: str) -> Pages:
        self.asked[call] += 1
        if call in self.broken:
            return Pages(self.broken[call])
        arns = [{"KeyArn": KeyRef(ACCOUNT, REGION, name).arn} for name in self.keys]
        return {
            "list_keys": Pages({"Keys": arns[:2]}, {"Keys": arns[2:]}),
            "list_aliases": Pages(
                {"Aliases": [{"AliasName": "alias/b"}, {"AliasName": "alias/a"}]}
            ),
            "list_resource_tags": Pages({"Tags": [{"TagKey": "tier", "TagValue": "0"}]}),
            "list_grants": Pages({"Grants": self.grants}),
        }[call]

    async def describe_key(self, KeyId: str) -> dict[str, Any]:  # noqa: N803
        name = KeyId.rpartition("/")[2]
        self.check(f"DescribeKey {name}")
        await asyncio.sleep(0.01)
        if name not in self.keys:
            raise refused("NotFoundException")
        return {"KeyMetadata": self.keys[name]}

    async def get_key_policy(self, **_: str) -> dict[str, Any]:
        self.check("get_key_policy")
        return {"Policy": self.policy}

    async def get_key_rotation_status(self, **_: str) -> dict[str, Any]:
        self.check("get_key_rotation_status")
        return {"KeyRotationEnabled": True}


class World(Aws):
    def __init__(self, **pace: float) -> None:
        super().__init__(Metrics())
        self.script = Kms()
        self.clock = LoopClock()
        self.store = MemoryStore(self.clock)
        self.knowledge = Knowledge()
        self.told: dict[str, Event] = {}
        self.sweep = Sweep(
            (ACCOUNT, REGION),
            self,
            self.store,
            self.clock,
            self.metrics,
            knowledge=self.knowledge,
            tell=self.tell,
            pace=Pace(**pace),
        )

    async def client(self, service: str, region: str, account: str = "") -> Any:
        assert (service, region, account) == ("kms", REGION, ACCOUNT)
        return self.script

    def tell(self, event: Event) -> bool:
        is_new = event.event_id not in self.told
        self.told[event.event_id] = event
        return is_new

    def knows(self, key: KeyRef, state: KeyState) -> None:
        self.store.right[key] = baseline(state, EPOCH - 7200, key=key)

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [one.request() for one in self.told.values()]

    @property
    def overdue(self) -> list[str]:
        return [one.request()["state"] for one in self.told.values() if one.event_name == WORSE]

    def sample(self, name: str, **labels: str) -> float | None:
        place = {"account": ACCOUNT, "region": REGION}
        return self.metrics.registry.get_sample_value(f"kms_monitor_{name}", place | labels)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[None]:
    task = asyncio.create_task(world.sweep.run())
    yield
    assert not task.done()
    task.cancel()


@pytest.fixture(autouse=True)
def _few_tries() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


# -- the first look


async def test_the_first_look_teaches_how_keys_should_be() -> None:
    world = World()
    one, other = world.script.put("one"), world.script.put("other", "Disabled")
    world.script.put("aws", KeyManager="AWS")
    assert await world.sweep.look() == 2
    assert world.store.right[one].state is KeyState.ENABLED
    assert world.store.right[other].state is KeyState.DISABLED
    assert {key.key_id for key in world.knowledge.keys} == {"one", "other"}
    assert world.told == {}
    assert world.sample("known_keys") == 2
    assert world.sample("keys", state="Disabled") == 1
    assert world.sample("keys", state="PendingDeletion") == 0


async def test_what_is_known_about_a_key_stays() -> None:
    world = World()
    key = world.script.put("one")
    known = baseline(KeyState.ENABLED, EPOCH - 7200, key=key)
    described = Register("as it should be", EPOCH - 7200, Origin.SEEN)
    world.store.right[key] = replace(known, registers={**known.registers, "description": described})
    await world.sweep.look()
    assert world.knowledge.keys[key].description == "as it should be"


@pytest.mark.parametrize(
    ("state", "known", "told"),
    [
        ("PendingDeletion", False, True),
        ("PendingReplicaDeletion", False, True),
        ("PendingImport", False, True),
        ("Unavailable", False, True),
        ("Disabled", False, False),
        ("Creating", False, False),
        ("Updating", False, False),
        ("Enabled", True, False),
        ("Updating", True, False),
    ],
)
async def test_what_is_told_at_the_first_look(state: str, known: bool, told: bool) -> None:
    world = World()
    key = world.script.put("one", state)
    if known:
        world.knows(key, KeyState.ENABLED)
    await world.sweep.look()
    assert [one.event_name for one in world.told.values()] == [FOUND] * told
    for one in world.requests:
        assert (one["keyId"], one["state"], one["expected"]) == (key.arn, state, None)
        assert one["firstLook"] is True
        assert world.knowledge.keys[key].state is KeyState.ENABLED


async def test_a_key_that_kms_does_not_know_everywhere_yet_is_no_news() -> None:
    world = World()
    world.script.put("one")
    world.script.broken["DescribeKey one"] = refused("NotFoundException")
    assert await world.sweep.look() == 0
    assert (world.told, world.knowledge.keys, world.sweep.met) == ({}, {}, {})


# -- drift


async def test_a_key_is_overdue_after_the_grace_and_told_once_while_it_stays_so() -> None:
    world = World(grace=300.0)
    key = world.script.put("one")
    async with running(world):
        await asyncio.sleep(1)
        world.script.put("one", "Disabled")
        await asyncio.sleep(HOUR)  # the next look
        assert world.sweep.attention.keys() == {key}
        assert world.told == {}
        await asyncio.sleep(300 + 2 * PEEK_SECONDS)
        assert world.overdue == ["Disabled"]
        await asyncio.sleep(3 * HOUR)
        assert world.overdue == ["Disabled"]
        assert world.sample("missed_by_stream_total") == 1
        (request,) = world.requests
        assert request["expected"] == "Enabled"
        # Whole seconds: the look was within the hour's last moments.
        assert 0 <= request["worseSince"] - START - HOUR <= 1


@pytest.mark.parametrize(
    ("changes", "patient"),
    [
        ({}, True),
        ({"used": (Use("event", EPOCH),)}, True),
        ({"revoked_at": EPOCH}, False),
        ({"until": START - HOUR - 1}, False),
        ({"made_at": START + 1000}, False),
        ({"key": replace(KEY, key_id="other")}, False),
    ],
)
async def test_what_may_be_approved_is_waited_for_longer(changes: Any, patient: bool) -> None:
    """The baseline moves only once CloudTrail's event history has the change, minutes later."""
    world = World(grace=300)
    key = world.script.put(KEY.key_id, "Disabled")
    world.knows(key, KeyState.ENABLED)
    given = approval(**changes)
    world.store.approved[given.id] = given
    async with running(world):
        await asyncio.sleep(400)
        assert world.overdue == ([] if patient else ["Disabled"])
        await asyncio.sleep(HISTORY_SECONDS)
        assert world.overdue == ["Disabled"]


async def test_put_back_in_time_it_is_nothing_and_found_again_it_is_new() -> None:
    world = World(every=600.0, grace=300.0)
    world.script.put("one", "Disabled")
    world.knows(KeyRef(ACCOUNT, REGION, "one"), KeyState.ENABLED)
    async with running(world):
        await asyncio.sleep(200)
        world.script.put("one")
        await asyncio.sleep(500)
        assert (world.told, world.sweep.attention) == ({}, {})
        for _ in range(2):
            world.script.put("one", "Disabled")
            await asyncio.sleep(1200)
            world.script.put("one")
            await asyncio.sleep(700)
        assert world.overdue == ["Disabled", "Disabled"]


@pytest.mark.parametrize(
    ("state", "expected", "worse"),
    [
        ("Enabled", "Disabled", False),
        ("PendingDeletion", "Disabled", True),
        ("PendingDeletion", "PendingDeletion", False),
        ("Disabled", "PendingDeletion", False),
        ("PendingImport", "Enabled", True),
        ("Unavailable", "Enabled", True),
        ("Creating", "Enabled", False),
    ],
)
async def test_what_is_worse_than_it_should_be(state: str, expected: str, worse: bool) -> None:
    world = World(grace=0.0)
    world.knows(world.script.put("one", state), KeyState(expected))
    await world.sweep.look()
    assert world.overdue == [state] * worse


async def test_a_key_that_is_gone_is_told_once_and_forgotten() -> None:
    world = World(grace=300.0)
    world.script.put("one")
    world.script.put("other")
    async with running(world):
        await asyncio.sleep(1)
        del world.script.keys["one"]
        await asyncio.sleep(HOUR + 600)
        assert world.overdue == ["Gone"]
        asked = world.script.asked["DescribeKey one"]
        await asyncio.sleep(5 * HOUR)
        assert world.script.asked["DescribeKey one"] == asked
        assert world.sample("known_keys") == 1


# -- what ends


async def test_the_nearer_the_end_the_more_often_it_is_told() -> None:
    world = World()
    end = 4 * DAY + 6 * HOUR
    key = world.script.put("one", "PendingDeletion", DeletionDate=at(end))
    world.knows(key, KeyState.PENDING_DELETION)
    async with running(world):
        await asyncio.sleep(6 * HOUR - 1)
        assert len(world.told) == 1
        await asyncio.sleep(6 * HOUR)
        assert len(world.told) == 1 + 6
    assert {one["deletionDate"] for one in world.requests} == {START + end}
    assert world.overdue == []


async def test_material_that_expires_is_told_when_it_is_near() -> None:
    world = World()
    world.script.put("far", ValidTo=at(200 * DAY))
    near = world.script.put("near", ValidTo=at(20 * DAY))
    await world.sweep.look()
    (request,) = world.requests
    assert (request["keyId"], request["validTo"]) == (near.arn, START + 20 * DAY)


@given(st.floats(-DAY, 40 * DAY), st.floats(0, HOUR))
def test_the_countdown_only_goes_down(left: float, passed: float) -> None:
    number, unit = countdown(left).split()
    later_number, later_unit = countdown(left - passed).split()
    if unit == later_unit:
        assert int(later_number) <= int(number)
    else:
        assert (unit, later_unit) == ("d", "h")


# -- what cannot be read


async def test_one_key_that_shuts_us_out_does_not_hide_the_others() -> None:
    world = World()
    world.script.put("one")
    world.script.put("other")
    world.script.broken["DescribeKey one"] = refused("AccessDeniedException")
    assert await world.sweep.look() == 1


async def test_a_place_that_cannot_be_read_is_tried_again_and_says_why() -> None:
    world = World()
    world.script.put("one")
    world.script.broken["list_keys"] = refused("AccessDeniedException")
    assert world.sweep.problem() == "not looked at yet"
    async with running(world):
        await asyncio.sleep(1)
        assert world.sweep.answered.is_set()
        assert "AccessDeniedException" in (world.sweep.problem() or "")
        assert not world.sample("last_sweep_timestamp_seconds")
        world.script.broken.clear()
        await asyncio.sleep(120)
        assert world.sweep.problem() is None
        assert world.sample("last_sweep_timestamp_seconds") > START  # type: ignore[operator]


async def test_a_look_again_that_fails_ends_nothing() -> None:
    world = World()
    world.knows(world.script.put("one", "Disabled"), KeyState.ENABLED)
    async with running(world):
        await asyncio.sleep(1)
        world.script.broken["DescribeKey one"] = refused("ThrottlingException")
        await asyncio.sleep(10 * PEEK_SECONDS)
        world.script.broken.clear()
        await asyncio.sleep(2 * PEEK_SECONDS)
        assert world.overdue == ["Disabled"]


# -- the rest of a key


async def test_new_keys_are_read_as_a_whole_without_haste() -> None:
    world = World(calls_per_second=10.0)
    for number in range(10):
        world.script.put(f"key-{number}")
    world.script.grants = [{"GrantId": "b", "Operations": ["Encrypt", "Decrypt"]}, {"GrantId": "a"}]
    await world.sweep.look()
    reading = asyncio.create_task(world.sweep.drift.run())
    await asyncio.sleep(2.1)
    assert world.script.asked["get_key_policy"] == 5
    await asyncio.sleep(10)
    assert world.script.asked["get_key_policy"] == 10
    found = world.knowledge.keys[KeyRef(ACCOUNT, REGION, "key-0")]
    assert found.policy == '{"Id":"x","Statement":[],"Version":"2012-10-17"}'
    assert (found.rotation_days, found.aliases) == (365, ("alias/a", "alias/b"))
    assert found.tags == {"tier": "0"}
    assert found.grants == (Grant("a"), Grant("b", operations=("Decrypt", "Encrypt")))
    assert world.knowledge.target(ACCOUNT, REGION, "alias/a") is not None
    reading.cancel()


async def test_whoever_learned_better_in_the_meantime_knows_better() -> None:
    world = World()
    key = world.script.put("one")
    await world.sweep.look()
    policy = {"policy": "{}"}
    assert await world.sweep.baselines.accept(key, policy, START + 1)
    reading = asyncio.create_task(world.sweep.drift.run())
    await asyncio.sleep(5)
    assert world.knowledge.keys[key].policy == "{}"
    reading.cancel()


async def test_each_part_that_cannot_be_read_is_missing_alone() -> None:
    world = World()
    live = snapshot(KeyState.ENABLED)
    parts = {
        "get_key_policy": ("GetKeyPolicy", "policy"),
        "get_key_rotation_status": ("GetKeyRotationStatus", "rotation_days"),
        "list_aliases": ("ListAliases", "aliases"),
        "list_resource_tags": ("ListResourceTags", "tags"),
        "list_grants": ("ListGrants", "grants"),
    }
    for call, (name, field) in parts.items():
        world.script.broken = {call: refused("AccessDeniedException")}
        whole, problems = await LiveKeys(world, world.clock).read_whole(live)
        assert problems.keys() == {name}
        assert [one for _, one in parts.values() if getattr(whole, one) is None] == [field]


async def test_what_a_key_of_this_kind_does_not_have_is_no_problem() -> None:
    world = World()
    world.script.broken["get_key_rotation_status"] = refused("UnsupportedOperationException")
    world.script.policy = "no JSON"
    world.script.grants = [{"GrantId": str(number)} for number in range(MOST_GRANTS + 1)]
    whole, problems = await LiveKeys(world, world.clock).read_whole(snapshot(KeyState.ENABLED))
    assert problems == {}
    assert (whole.policy, whole.rotation_days, whole.grants) == (None, None, None)


async def test_describe_key_says_more_than_the_state() -> None:
    world = World()
    far = KeyRef(ACCOUNT, "us-east-1", KEY.key_id)
    world.script.put(
        KEY.key_id,
        Description="payments",
        Origin="EXTERNAL",
        MultiRegion=True,
        ValidTo=at(DAY),
        CustomKeyStoreId="cks-1",
        MultiRegionConfiguration={
            "PrimaryKey": {"Arn": KEY.arn},
            "ReplicaKeys": [{"Arn": far.arn}, {"Arn": "nonsense"}],
        },
    )
    found = await LiveKeys(world, world.clock).read(KEY)
    assert (found.description, found.valid_to) == ("payments", START + DAY)
    assert (found.primary, found.replicas, found.custom_key_store) == (KEY, (far,), "cks-1")


async def test_what_was_told_is_told_again_by_other_rules_and_soon() -> None:
    world = World(every=HOUR, grace=120)
    key = world.script.put("a", "Disabled")
    world.knows(key, KeyState.ENABLED)
    async with running(world):
        await asyncio.sleep(600)
        assert len(world.told) == 1
        since = world.requests[0]["worseSince"]
        world.sweep.judge_again()
        await asyncio.sleep(1)
        assert len(world.told) == 2
        assert world.requests[1]["worseSince"] == since
        # Another finding: what was done about the first one is not done again.
        found = [KeyDrifted(NoOptions()).inspect(one) for one in world.told.values()]
        assert len({one.finding_id for ones in found for one in ones}) == 2
        await asyncio.sleep(600)
        assert len(world.told) == 2, "once is enough"
        # what broke in the meantime is found now, and not an hour later
        world.knows(world.script.put("b", "Disabled"), KeyState.ENABLED)
        world.sweep.judge_again()
        await asyncio.sleep(200)
        assert len(world.told) == 4


async def test_a_change_that_a_maintenance_window_may_account_for_has_more_time() -> None:
    world = World(every=HOUR, grace=120)
    key = world.script.put("a", "Disabled")
    world.knows(key, KeyState.ENABLED)
    world.sweep.may_be_meant = lambda of, at, before: (
        (of, before) == (key, HOUR) and START <= at < START + 1
    )
    async with running(world):
        await asyncio.sleep(HISTORY_SECONDS - 10)
        assert not world.told
        await asyncio.sleep(PEEK_SECONDS + 20)
        assert len(world.told) == 1

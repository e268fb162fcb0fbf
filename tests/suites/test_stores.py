"""One suite for every `monitor.ledger.Store`; below it, what holds only for a file."""

import asyncio
import os
import signal
import sqlite3
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import astuple, replace

from monitor.action_log import LogEntry, faults, following, unreadable
from monitor.approval import Approval, Use
from monitor.baseline import Baseline, Origin, Register
from monitor.chain import Chain, signed
from monitor.decision import Action, Outcome, Stage
from monitor.finding import Aspect, Severity
from monitor.incident import Incident, Noted
from monitor.key import KeyRef, KeyState
from monitor.ledger import Claim, SightBaseline, Store, StoreError
from monitor.register import POLICY, STATE
from monitor.stores import log_items
from monitor.stores.approval_table import APPROVAL_TABLE
from monitor.stores.baseline_table import BASELINE_TABLE
from monitor.stores.dynamodb import DynamoDbStore
from monitor.stores.entry_table import CHANGES_TABLE
from monitor.stores.incident_table import INCIDENT_TABLE
from monitor.stores.memory import MemoryStore
from monitor.stores.sqlite import MIGRATIONS, SqliteStore
from monitor.windows import UNJUDGED, Entry
from tests.tables import table_for_one

START = 1_800_000_000.0
KEY = KeyRef("111122223333", "eu-west-1", "1234abcd-12ab-34cd-56ef-1234567890ab")
ACTION = Action(
    "restore_key",
    Outcome.DONE,
    "CancelKeyDeletion, EnableKey; verified Enabled",
    ("CancelKeyDeletion", "EnableKey"),
    finished_at=START + 0.25,
)


class Clock:
    """Wall time that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "dynamodb"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[Store]:
    opened: Store
    async with AsyncExitStack() as stack:
        match request.param:
            case "memory":
                opened = MemoryStore(clock)
            case "sqlite":
                opened = await SqliteStore.open(tmp_path / "state.db", clock)
            case _:
                endpoint_url = request.getfixturevalue("endpoint_url")
                table = await stack.enter_async_context(table_for_one(endpoint_url))
                opened = await table.open(clock)
        yield opened
        await opened.close()


async def forgets(store: Store, before: float, count: int) -> bool:
    """Whether so many things are forgotten; DynamoDB forgets by itself, and does not say."""
    return await store.prune(before) == (0 if isinstance(store, DynamoDbStore) else count)


@pytest.fixture(autouse=True)
async def _threads_end() -> AsyncIterator[None]:
    """After a connect that failed aiosqlite does not wait for its thread, which needs the loop."""
    yield
    async with asyncio.timeout(5):
        while any("_connection_worker" in thread.name for thread in threading.enumerate()):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


# -- what we see by


SIGHT = SightBaseline(
    "arn:aws:cloudtrail:eu-west-1:111122223333:trail/main",
    '{"trail_logging":true,"x":"\' and 🔑"}',
    Origin.ACCEPTED,
    {"trail_logging": START},
    START + 2.5,
    START + 7,
)
OTHER_SIGHT = replace(SIGHT, arn="arn:aws:sqs:eu-west-1:111122223333:kms", origin=Origin.SEEN)


async def test_a_baseline_of_our_sight_comes_back_as_it_was(store: Store) -> None:
    assert await store.sight_baseline(SIGHT.arn) is None
    assert await store.sight_baselines() == []
    assert await store.put_sight_baseline(OTHER_SIGHT, expected_version=0)
    assert await store.put_sight_baseline(SIGHT, expected_version=0)
    assert await store.sight_baseline(SIGHT.arn) == replace(SIGHT, version=1)
    stored = [replace(one, version=1) for one in (SIGHT, OTHER_SIGHT)]
    assert await store.sight_baselines() == stored


async def test_a_baseline_of_our_sight_is_written_by_who_knows_its_version(store: Store) -> None:
    later = replace(SIGHT, settings="{}")
    assert not await store.put_sight_baseline(SIGHT, expected_version=1)
    assert await store.put_sight_baseline(SIGHT, expected_version=0)
    assert not await store.put_sight_baseline(later, expected_version=0)
    assert not await store.put_sight_baseline(later, expected_version=2)
    assert await store.put_sight_baseline(later, expected_version=1)
    assert await store.sight_baseline(SIGHT.arn) == replace(later, version=2)
    wrote = await asyncio.gather(
        *(store.put_sight_baseline(SIGHT, expected_version=2) for _ in range(20))
    )
    assert sum(wrote) == 1


async def test_a_baseline_of_our_sight_is_never_forgotten(store: Store, clock: Clock) -> None:
    await store.put_sight_baseline(SIGHT, expected_version=0)
    clock.time += 10**9
    await store.prune(clock.time)
    assert await store.sight_baseline(SIGHT.arn) is not None


# -- incidents


OTHER_KEY = replace(KEY, key_id="other")
NOTED = Noted(
    "f" * 32, "key_disabled", "disabled ' and 🔑", Severity.HIGH, "event", "DisableKey", START,
    "arn:aws:iam::111122223333:user/mallory", Aspect.STATE, Stage.OPENED, dry_run=True,
)  # fmt: skip


def incident(name: str = "a", **changes: Any) -> Incident:
    given: dict[str, Any] = {
        "id": name,
        "key": KEY,
        "opened_at": START,
        "severity": Severity.HIGH,
        "findings": (NOTED,),
        "count": 1,
        "wrong": frozenset({Aspect.STATE, Aspect.POLICY}),
        "caused": KeyState.DISABLED,
    }
    return Incident(**(given | changes))


async def test_an_incident_comes_back_as_it_was(store: Store) -> None:
    assert await store.incident(KEY) is None
    assert await store.incidents() == []
    assert await store.put_incident(incident(), expected_version=0)
    assert await store.incident(KEY) == incident(version=1)
    assert await store.incidents(open_only=True) == [incident(version=1)]
    assert await store.incident(OTHER_KEY) is None


async def test_an_incident_is_written_by_who_knows_its_version(store: Store) -> None:
    await store.put_incident(incident(), expected_version=0)
    assert not await store.put_incident(incident(count=7), expected_version=0)
    assert await store.put_incident(incident(count=2), expected_version=1)
    assert not await store.put_incident(incident(count=8), expected_version=1)
    assert not await store.put_incident(incident(count=9), expected_version=3)
    assert not await store.put_incident(incident("unknown"), expected_version=1)
    assert await store.incidents() == [incident(count=2, version=2)]


async def test_of_many_at_once_one_writes(store: Store) -> None:
    for version in range(3):
        wrote = await asyncio.gather(
            *(
                store.put_incident(incident(count=count), expected_version=version)
                for count in range(20)
            )
        )
        assert sum(wrote) == 1


async def test_a_key_has_one_open_incident(store: Store) -> None:
    await store.put_incident(incident("a", closed_at=START + 9), expected_version=0)
    await store.put_incident(incident("b"), expected_version=0)
    assert not await store.put_incident(incident("c"), expected_version=0)
    assert not await store.put_incident(incident("a", closed_at=0.0), expected_version=1)
    assert await store.put_incident(incident("c", key=OTHER_KEY), expected_version=0)
    assert (await store.incident(KEY) or incident()).id == "b"
    assert await store.put_incident(incident("b", closed_at=START + 10), expected_version=1)
    assert await store.put_incident(incident("a", closed_at=0.0), expected_version=1)


async def test_the_open_one_else_the_one_that_was_closed_last(store: Store) -> None:
    for name, closed_at in (("a", START + 9), ("b", START + 5), ("c", 0.0)):
        await store.put_incident(incident(name, closed_at=closed_at), expected_version=0)
    assert (await store.incident(KEY) or incident()).id == "c"
    await store.put_incident(incident("c", closed_at=START + 7), expected_version=1)
    assert (await store.incident(KEY) or incident()).id == "a"


async def test_incidents_newest_first(store: Store) -> None:
    for number, name in enumerate("bca"):
        one = incident(name, key=replace(KEY, key_id=name), opened_at=START + number % 2)
        await store.put_incident(replace(one, closed_at=START * (name == "c")), expected_version=0)
    assert [one.id for one in await store.incidents()] == ["c", "b", "a"]
    assert [one.id for one in await store.incidents(open_only=True)] == ["b", "a"]


async def test_closed_incidents_are_forgotten_and_open_ones_are_not(store: Store) -> None:
    await store.put_incident(incident("a", closed_at=START + 9), expected_version=0)
    await store.put_incident(incident("b"), expected_version=0)
    assert await forgets(store, START + 9, 0)
    assert await forgets(store, START + 10, 1)
    assert [one.id for one in await store.incidents()] == ["b"]


# -- leases


async def test_one_owner_at_a_time(store: Store) -> None:
    assert (await store.claim("a", owner="one", seconds=60)).claim is Claim.GRANTED
    grant = await store.claim("a", owner="two", seconds=60)
    assert (grant.claim, grant.until, grant.action) == (Claim.BUSY, START + 60, None)
    assert (await store.claim("b", owner="two", seconds=60)).claim is Claim.GRANTED


async def test_an_owner_does_not_get_twice_what_it_holds(store: Store) -> None:
    await store.claim("a", owner="one", seconds=60)
    assert (await store.claim("a", owner="one", seconds=600)).claim is Claim.BUSY
    assert (await store.claim("a", owner="two", seconds=1)).until == START + 60


async def test_a_lease_runs_out(store: Store, clock: Clock) -> None:
    await store.claim("a", owner="one", seconds=60)
    clock.time += 59.5
    assert (await store.claim("a", owner="two", seconds=60)).claim is Claim.BUSY
    clock.time += 0.5
    assert (await store.claim("a", owner="two", seconds=60)).claim is Claim.GRANTED
    assert (await store.claim("a", owner="one", seconds=60)).until == START + 120


async def test_what_is_given_back_is_free(store: Store) -> None:
    await store.claim("a", owner="one", seconds=60)
    await store.release("a", owner="one")
    assert (await store.claim("a", owner="two", seconds=60)).claim is Claim.GRANTED


async def test_only_the_owner_gives_back(store: Store, clock: Clock) -> None:
    await store.release("a", owner="one")  # nobody's: nothing happens
    await store.claim("a", owner="one", seconds=60)
    await store.release("a", owner="two")
    assert (await store.claim("a", owner="two", seconds=60)).claim is Claim.BUSY
    clock.time += 60
    await store.claim("a", owner="two", seconds=60)
    await store.release("a", owner="one")  # too late: it is another's by now
    assert (await store.claim("a", owner="three", seconds=60)).claim is Claim.BUSY


async def test_what_is_done_stays_done(store: Store, clock: Clock) -> None:
    await store.claim("a", owner="one", seconds=60)
    await store.finish("a", owner="one", action=ACTION)
    await store.release("a", owner="one")
    for wait in (0, 60, 10 * 86400):
        clock.time += wait
        grant = await store.claim("a", owner="two", seconds=60)
        assert (grant.claim, grant.action) == (Claim.DONE, ACTION)


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_every_outcome_comes_back_as_it_was(store: Store, outcome: Outcome) -> None:
    action = Action("sns", outcome, "quotes ' and \" and \u2028 and \x00 and 🔑", (), 0.1 + 0.2)
    await store.finish("a", owner="one", action=action)
    assert (await store.claim("a", owner="two", seconds=60)).action == action


async def test_late_but_done(store: Store, clock: Clock) -> None:
    """The lease ran out under the work, and another took it: the effect is there all the same."""
    await store.claim("a", owner="one", seconds=60)
    clock.time += 61
    await store.claim("a", owner="two", seconds=60)
    await store.finish("a", owner="one", action=ACTION)
    assert (await store.claim("a", owner="three", seconds=60)).claim is Claim.DONE
    await store.release("a", owner="two")
    assert (await store.claim("a", owner="three", seconds=60)).claim is Claim.DONE


async def test_done_without_a_lease(store: Store) -> None:
    await store.finish("a", owner="one", action=ACTION)
    await store.finish("a", owner="two", action=replace(ACTION, detail="again"))
    grant = await store.claim("a", owner="three", seconds=60)
    assert grant.claim is Claim.DONE
    assert grant.action == replace(ACTION, detail="again")


@pytest.mark.parametrize("name", ["", "'; DROP TABLE action; --", "key|arn:aws:kms", "ü" * 500])
async def test_any_name(store: Store, name: str) -> None:
    assert (await store.claim(name, owner="", seconds=60)).claim is Claim.GRANTED
    assert (await store.claim(name, owner="", seconds=60)).claim is Claim.BUSY
    await store.release(name, owner="")
    await store.release(name, owner="")
    assert (await store.claim(name, owner="", seconds=60)).claim is Claim.GRANTED


async def test_many_tasks_ask_at_once(store: Store) -> None:
    grants = await asyncio.gather(
        *(store.claim("a", owner=str(number), seconds=60) for number in range(50))
    )
    assert sorted(grant.claim for grant in grants) == [Claim.BUSY] * 49 + [Claim.GRANTED]


async def test_what_was_finished_long_ago_is_forgotten(store: Store, clock: Clock) -> None:
    await store.finish("old", owner="one", action=ACTION)
    clock.time += 100
    await store.finish("new", owner="one", action=ACTION)
    await store.claim("held", owner="one", seconds=1000)
    await store.put_baseline(baseline(), expected_version=0)
    assert await forgets(store, START, 0)
    assert await forgets(store, START + 100, 1)
    assert (await store.claim("old", owner="two", seconds=60)).claim is Claim.GRANTED
    assert (await store.claim("new", owner="two", seconds=60)).claim is Claim.DONE
    assert (await store.claim("held", owner="two", seconds=60)).claim is Claim.BUSY
    assert await store.baseline(KEY) is not None


async def test_leases_that_nobody_gave_back_are_forgotten(store: Store, clock: Clock) -> None:
    """A process that was killed leaves its leases; they must not pile up for ever."""
    await store.claim("left", owner="one", seconds=60)
    clock.time += 100
    await store.claim("held", owner="one", seconds=60)
    assert await forgets(store, START + 100, 1)
    assert (await store.claim("held", owner="two", seconds=60)).claim is Claim.BUSY


async def test_who_holds_a_lease_may_hold_it_longer(store: Store, clock: Clock) -> None:
    assert not await store.renew("a", owner="one", seconds=60)
    await store.claim("a", owner="one", seconds=60)
    clock.time += 50
    assert not await store.renew("a", owner="two", seconds=60)
    assert await store.renew("a", owner="one", seconds=60)
    clock.time += 59
    assert (await store.claim("a", owner="two", seconds=60)).until == START + 110
    clock.time += 1
    assert not await store.renew("a", owner="one", seconds=60)
    assert (await store.claim("a", owner="two", seconds=60)).claim is Claim.GRANTED
    await store.finish("a", owner="two", action=ACTION)
    assert not await store.renew("a", owner="two", seconds=60)
    assert (await store.claim("a", owner="one", seconds=60)).claim is Claim.DONE


async def test_it_can_be_used(store: Store) -> None:
    await store.check()


# -- baselines


def baseline(key: KeyRef = KEY, state: KeyState = KeyState.ENABLED, **more: Any) -> Baseline:
    registers = {
        STATE: Register(state.value, START + 0.125, Origin.ACCEPTED, START + 0.5),
        POLICY: Register('{"Statement":[]}', START, Origin.SEEN),
        "tag/name": Register(None, START, Origin.PEOPLE),
        "grant/x": Register({"operations": ["Decrypt"]}, START, Origin.HISTORY),
    }
    return replace(Baseline(key, registers, frozenset({Aspect.STATE, Aspect.TAGS})), **more)


async def test_a_baseline_comes_back_as_it_was(store: Store) -> None:
    assert await store.baseline(KEY) is None
    for number, state in enumerate(KeyState):
        key = replace(KEY, key_id=f"mrk-{number}", partition="aws-cn")
        assert await store.put_baseline(baseline(key, state), expected_version=0)
        assert await store.baseline(key) == baseline(key, state, version=1)


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, account="444455556666"),
        replace(KEY, region="us-east-1"),
        replace(KEY, key_id="other"),
        replace(KEY, partition="aws-cn"),
    ],
)
async def test_each_key_has_its_own(store: Store, other: KeyRef) -> None:
    await store.put_baseline(baseline(), expected_version=0)
    assert await store.baseline(other) is None
    assert await store.put_baseline(baseline(other), expected_version=0)
    both = sorted([KEY, other], key=lambda one: one.arn)
    assert await store.baselines() == [baseline(one, version=1) for one in both]


async def test_a_baseline_is_written_only_on_the_one_that_was_read(store: Store) -> None:
    assert not await store.put_baseline(baseline(), expected_version=1)
    assert await store.put_baseline(baseline(), expected_version=0)
    assert not await store.put_baseline(baseline(state=KeyState.DISABLED), expected_version=0)
    assert await store.put_baseline(baseline(state=KeyState.DISABLED), expected_version=1)
    assert not await store.put_baseline(baseline(), expected_version=1)
    assert await store.baseline(KEY) == baseline(state=KeyState.DISABLED, version=2)


async def test_what_moved_since_a_moment(store: Store, clock: Clock) -> None:
    other = replace(KEY, key_id="other")
    await store.put_baseline(baseline(), expected_version=0)
    await store.put_baseline(baseline(other), expected_version=0)
    clock.time += 10
    await store.put_baseline(baseline(), expected_version=1)
    assert await store.baselines(since=START + 10) == [baseline(version=2)]
    assert len(await store.baselines(since=START)) == 2
    assert await store.baselines(since=START + 11) == []


async def test_of_many_who_write_at_once_one_succeeds(store: Store) -> None:
    for version in range(3):
        written = await asyncio.gather(
            *(store.put_baseline(baseline(), expected_version=version) for _ in range(20))
        )
        assert sum(written) == 1


# -- budgets


async def test_a_budget_is_spent_so_often_and_no_more(store: Store, clock: Clock) -> None:
    async def spend(use: str) -> bool:
        return await store.spend("key", use, most=2, seconds=60)

    assert await store.spent("key", seconds=60) == 0
    assert [await spend("a"), await spend("b"), await spend("c")] == [True, True, False]
    assert [await spend("a"), await spend("b")] == [True, True]  # the same use again
    assert await store.spent("key", seconds=60) == 2
    assert await store.spend("other", "c", most=2, seconds=60)
    clock.time += 30
    assert not await spend("c")
    assert await store.spent("key", seconds=20) == 0
    clock.time += 30
    assert [await spend("c"), await spend("a"), await spend("b")] == [True, True, False]
    assert await store.spent("key", seconds=60) == 2


async def test_of_many_who_spend_at_once_no_more_than_that(store: Store) -> None:
    spent = await asyncio.gather(
        *(store.spend("key", str(one), most=3, seconds=60) for one in range(20))
    )
    assert sum(spent) == 3


async def test_uses_that_count_no_more_are_forgotten(store: Store, clock: Clock) -> None:
    await store.spend("key", "a", most=2, seconds=60)
    await store.spend("key", "b", most=2, seconds=600)
    clock.time += 100
    assert await forgets(store, START - 1, 1)
    assert await forgets(store, START - 1, 0)
    assert await store.spent("key", seconds=600) == 1


# -- the action log


async def test_the_log_is_written_one_after_the_other(store: Store) -> None:
    assert await store.last_logged() is None
    assert await store.logged() == []
    last: LogEntry | None = None
    for number in range(5):
        last = following(
            last, START + number, {"key": KEY.arn, "text": f"'; -- {number} \U0001f511"}
        )
        assert await store.append(last)
        assert await store.last_logged() == last
    found = await store.logged()
    assert [one.number for one in found] == [1, 2, 3, 4, 5]
    assert found[-1] == last
    assert await store.logged(after=2, most=2) == found[2:4]
    assert await store.logged(after=5) == []


async def test_a_number_of_the_log_is_taken_once(store: Store) -> None:
    first = [following(None, START, {"by": one}) for one in range(10)]
    assert sum(await asyncio.gather(*(store.append(one) for one in first))) == 1
    assert len(await store.logged()) == 1


UNREADABLE = (
    b"",
    b"\xff",
    b'{"number": 2}',
    msgspec.json.encode(LogEntry(10**9, START, {}, "0" * 64, "1" * 64)),
)
"""Nothing, no JSON, a part of an entry, and an entry that says it stands elsewhere."""


async def overwrite(store: Store, number: int, record: bytes) -> None:
    """Tamper with one entry of the log, as whoever can write there may."""
    match store:
        case SqliteStore():
            statement = "UPDATE action_log SET record = :record WHERE number = :number"
            assert await store.write(statement, {"record": record, "number": number})
        case DynamoDbStore():
            item: dict[str, Any] = {"pk": log_items.PK, "sk": log_items.numbered(number)}
            assert await store.put(item | {"record": record}) is None
        case MemoryStore():
            store.log[number - 1] = unreadable(number)


async def test_who_tampers_with_the_log_is_found_and_stops_nobody(store: Store) -> None:
    for number, record in enumerate(UNREADABLE, 1):
        # Each time by a daemon that knows nothing of the log yet.
        chain = Chain(store)
        assert (await chain.add(START, signed({"deed": "x"}, "us"))).number == 2 * number - 1
        assert (await chain.add(START, signed({"deed": "y"}, "us"))).number == 2 * number
        await overwrite(store, 2 * number, record)
        found = await store.logged()
        assert [one.number for one in found] == list(range(1, 2 * number + 1))
        assert f"entry {2 * number} was changed" in faults(found)


# -- windows


def entry(event_id: str = "a", **changes: Any) -> Entry:
    noted = Entry(START, event_id, "DisableKey", "about", "many_keys|alice", START + 60)
    return replace(noted, **changes)


async def test_what_was_noted_comes_back_as_it_was_oldest_first(store: Store) -> None:
    await store.keep([])
    assert await store.entries() == []
    noted = [
        entry("b", at=START + 0.125, level=3),
        entry("a", about="quotes ' and \" and 🔑", window="x|y|'; DROP TABLE entry; --"),
        entry("a"),
        entry("c", at=START - 5, what="", about="", level=UNJUDGED),
    ]
    await store.keep(noted)
    assert await store.entries() == sorted(noted)


async def test_noted_twice_is_noted_once(store: Store) -> None:
    """And the first stays, but for what may grow."""
    await store.keep([entry()])
    await store.keep([entry(), entry(at=START + 9, what="other", about="other")])
    assert await store.entries() == [entry()]


async def test_a_level_only_rises(store: Store) -> None:
    for given, kept in ((UNJUDGED, UNJUDGED), (0, 0), (2, 2), (1, 2), (UNJUDGED, 2), (3, 3)):
        await store.keep([entry(level=given)])
        assert [one.level for one in await store.entries()] == [kept]


async def test_what_is_remembered_longer_stays_longer(store: Store) -> None:
    await store.keep([entry(level=1)])
    await store.keep([entry(until=START + 90)])
    await store.keep([entry(until=START + 30, level=2)])
    assert await store.entries() == [entry(until=START + 90, level=2)]


async def test_what_has_run_out_is_not_told_and_then_forgotten(store: Store, clock: Clock) -> None:
    await store.keep([entry("a"), entry("b", until=START + 61)])
    clock.time += 60
    assert len(await store.entries()) == 2
    assert await forgets(store, START, 0)
    clock.time += 0.5
    assert [one.event_id for one in await store.entries()] == ["b"]
    assert await forgets(store, START, 1)
    assert await forgets(store, START, 0)
    clock.time = START  # so that it would be shown if it were still there
    assert [one.event_id for one in await store.entries()] == ["b"]


async def test_what_is_new_since_a_moment(store: Store, clock: Clock) -> None:
    await store.keep([entry("a"), entry("b")])
    clock.time += 10
    await store.keep([entry("a", level=2), entry("b"), entry("c")])
    assert await store.entries(since=START + 10) == [entry("a", level=2), entry("c")]
    assert len(await store.entries(since=START)) == 3
    assert await store.entries(since=START + 11) == []


async def test_many_notes_at_once(store: Store) -> None:
    noted = [entry(f"{number:04}", level=number % 3) for number in range(500)]
    await asyncio.gather(*(store.keep(noted[start : start + 50]) for start in range(0, 500, 25)))
    assert await store.entries() == noted


# -- approvals


def approval(name: str = "a", **changes: Any) -> Approval:
    given: dict[str, Any] = {
        "id": name,
        "key": KEY,
        "action": "DisableKey",
        "actor": "arn:aws:iam::111122223333:user/bob",
        "ticket": "CHG-1 ' \u2028 🔑",
        "approver": "alice",
        "made_at": START,
        "until": START + 3600.5,
    }
    return Approval(**(given | changes))


async def test_an_approval_comes_back_as_it_was(store: Store) -> None:
    assert await store.approvals() == []
    other = replace(KEY, key_id="other")
    first = approval("a", reason="end of life", uses=2)
    later, third = approval("b", made_at=START + 1), approval("c", key=other)
    for one in (first, later, third):
        await store.approve(one)
    await store.approve(replace(first, ticket="CHG-2"))
    assert await store.approvals(KEY) == [later, first]
    assert await store.approvals(other) == [third]
    assert await store.approvals() == [later, first, third]
    assert await store.approvals(replace(KEY, region="us-east-1")) == []


async def test_an_approval_is_spent_once(store: Store) -> None:
    await store.approve(approval())
    assert await store.use("a", "one", START + 1)
    assert not await store.use("a", "two", START + 2)
    assert await store.use("a", "one", START + 3)  # redelivered
    (one,) = await store.approvals(KEY)
    assert one == approval(used=(Use("one", START + 1),))


async def test_an_approval_for_several_changes(store: Store) -> None:
    await store.approve(approval(uses=2))
    await store.approve(approval("b"))
    asked = [await store.use("a", name, START + at) for at, name in enumerate("zaz")]
    assert asked == [True, True, True]
    assert not await store.use("a", "c", START + 3)
    assert (await store.approvals())[0].used == (Use("z", START), Use("a", START + 1))
    assert (await store.approvals())[1].used == ()


async def test_many_changes_ask_at_once_for_one_approval(store: Store) -> None:
    await store.approve(approval(uses=3))
    answers = await asyncio.gather(*(store.use("a", str(n), START) for n in range(30)))
    assert sum(answers) == 3
    assert len((await store.approvals())[0].used) == 3


async def test_a_revoked_approval_is_spent_no_more(store: Store, clock: Clock) -> None:
    await store.approve(approval(uses=2))
    assert await store.use("a", "one", START)
    clock.time += 5
    assert await store.revoke("a")
    clock.time += 5
    assert await store.revoke("a")  # as it is already
    assert not await store.use("a", "two", START + 10)
    assert await store.use("a", "one", START + 10)
    (one,) = await store.approvals()
    assert (one.revoked_at, one.used) == (START + 5, (Use("one", START),))


async def test_an_approval_that_nobody_gave(store: Store) -> None:
    assert not await store.revoke("a")
    assert not await store.use("a", "one", START)
    assert await store.approvals() == []


async def test_approvals_that_ran_out_are_forgotten_with_their_uses(store: Store) -> None:
    await store.approve(approval(until=START + 10))
    await store.approve(approval("b"))
    assert await store.use("a", "one", START)
    assert await store.use("b", "one", START)
    assert await forgets(store, START + 10, 0)
    assert await forgets(store, START + 10.5, 1)
    assert await store.approvals() == [approval("b", used=(Use("one", START),))]
    await store.approve(approval())
    assert await store.approvals(KEY) != []
    assert (await store.approvals())[0].used == ()


# -- a file


async def test_two_connections_on_one_file_grant_once(tmp_path: Path, clock: Clock) -> None:
    async with AsyncExitStack() as stack:
        stores = []
        for _ in range(2):
            store = await SqliteStore.open(tmp_path / "state.db", clock)
            stack.push_async_callback(store.close)
            stores.append(store)
        for number in range(200):
            name = f"action {number}"
            grants = await asyncio.gather(
                *(store.claim(name, owner=str(id(store)), seconds=60) for store in stores)
            )
            assert sorted(one.claim for one in grants) == [Claim.BUSY, Claim.GRANTED]
        winner, loser = stores
        await winner.finish("action 0", owner=str(id(winner)), action=ACTION)
        assert (await loser.claim("action 0", owner="x", seconds=60)).action == ACTION


async def test_a_new_file_opened_by_many_at_once(tmp_path: Path, clock: Clock) -> None:
    stores = await asyncio.gather(
        *(SqliteStore.open(tmp_path / "state.db", clock) for _ in range(8))
    )
    for number, store in enumerate(stores):
        await store.finish(str(number), owner="one", action=ACTION)
    for store in stores:
        await store.close()


async def test_what_no_message_brings_again_outlives_a_power_cut(
    tmp_path: Path, clock: Clock
) -> None:
    """Nobody can cut the power here: that SQLite is told to sync has to do."""
    store = await SqliteStore.open(tmp_path / "state.db", clock)
    said: list[str] = []
    await store.database.set_trace_callback(said.append)
    for write in (
        store.put_baseline(baseline(), expected_version=0),
        store.put_baseline(baseline(), expected_version=1),
        store.put_sight_baseline(SIGHT, expected_version=0),
        store.put_sight_baseline(SIGHT, expected_version=1),
        store.append(following(None, START, {})),
    ):
        said.clear()
        await write
        assert said[0] == "PRAGMA synchronous = FULL"
    await store.close()


async def test_it_outlives_the_process(tmp_path: Path, clock: Clock) -> None:
    store = await SqliteStore.open(tmp_path / "state.db", clock)
    await store.finish("done", owner="one", action=ACTION)
    await store.claim("held", owner="one", seconds=60)
    await store.put_baseline(baseline(), expected_version=0)
    await store.spend("key", "a", most=1, seconds=60)
    await store.append(following(None, START, {}))
    await store.keep([entry(level=2)])
    await store.approve(approval())
    await store.use("a", "one", START)
    await store.close()
    store = await SqliteStore.open(tmp_path / "state.db", clock)
    assert await store.approvals() == [approval(used=(Use("one", START),))]
    assert await store.entries() == [entry(level=2)]
    assert (await store.claim("done", owner="two", seconds=60)).action == ACTION
    # Nobody alive holds it.
    assert (await store.claim("held", owner="two", seconds=60)).claim is Claim.GRANTED
    assert await store.baseline(KEY) == baseline(version=1)
    assert not await store.spend("key", "b", most=1, seconds=60)
    assert await store.last_logged() == following(None, START, {})
    await store.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from monitor.clock import SystemClock
from monitor.decision import Action, Outcome, Stage
from monitor.finding import Aspect, Severity
from monitor.incident import Incident, Noted
from monitor.stores.sqlite import MIGRATIONS, SqliteStore

async def write(store, lane):
    number = 0
    while True:
        name = f"{lane}-{number}"
        await store.claim(name, owner="writer", seconds=60)
        await store.finish(name, owner="writer", action=Action("sns", Outcome.DONE, name))
        print(name, flush=True)
        number += 1

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]), SystemClock())
    await asyncio.gather(*(write(store, lane) for lane in range(4)))

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1, 40, 150])
async def test_what_was_finished_outlives_a_kill(tmp_path: Path, clock: Clock, after: int) -> None:
    path = tmp_path / "state.db"
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    said = [await writer.stdout.readline() for _ in range(after)]
    writer.kill()
    said += (await writer.stdout.read()).splitlines(keepends=True)
    assert await writer.wait() == -signal.SIGKILL
    names = [line.decode().strip() for line in said if line.endswith(b"\n")]
    assert len(names) >= after
    store = await SqliteStore.open(path, clock)
    for name in names:
        grant = await store.claim(name, owner="reader", seconds=60)
        assert grant.action == Action("sns", Outcome.DONE, name)
    await store.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def test_for_our_eyes_only(tmp_path: Path, clock: Clock) -> None:
    before = os.umask(0)
    try:
        store = await SqliteStore.open(tmp_path / "state.db", clock)
        await store.finish("a", owner="one", action=ACTION)
        modes = {one.name: one.stat().st_mode & 0o777 for one in files_in(tmp_path)}
        await store.close()
    finally:
        os.umask(before)
    assert set(modes) == {"state.db", "state.db-wal", "state.db-shm", "state.db.users"}
    assert set(modes.values()) == {0o600}


@contextmanager
def no_privileges() -> Iterator[None]:
    """Root may write everywhere: for a while be somebody else."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A directory that everybody may enter, which pytest's are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)
        Path(name).chmod(0o700)


async def test_a_read_only_directory(elsewhere: Path, clock: Clock) -> None:
    os.chmod(elsewhere, 0o555)  # noqa: PTH101
    path = elsewhere / "state.db"
    with no_privileges(), pytest.raises(StoreError, match=r"cannot open the store .*state\.db: "):
        await SqliteStore.open(path, clock)
    assert not path.exists()


async def test_a_directory_that_became_read_only(elsewhere: Path, clock: Clock) -> None:
    path = elsewhere / "state.db"
    with no_privileges():
        await (await SqliteStore.open(path, clock)).close()
    os.chmod(elsewhere, 0o555)  # noqa: PTH101
    with no_privileges(), pytest.raises(StoreError, match=r"cannot use the store .*state\.db: "):
        await SqliteStore.open(path, clock)


async def test_a_missing_directory(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(StoreError, match=r"cannot open the store .*none/state\.db: .*No such file"):
        await SqliteStore.open(tmp_path / "none" / "state.db", clock)


async def test_a_directory_instead_of_a_file(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(StoreError, match="cannot open the store"):
        await SqliteStore.open(tmp_path, clock)


async def test_a_file_of_something_else(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"mode: enforce\n" * 500)
    with pytest.raises(StoreError, match=r"cannot use the store .*state\.db: .*not a database"):
        await SqliteStore.open(path, clock)
    assert path.read_bytes() == b"mode: enforce\n" * 500  # perhaps it is needed by somebody


async def test_a_damaged_file(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path, clock)
    for number in range(200):
        await store.finish(str(number), owner="one", action=ACTION)
    await store.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))

    async def use() -> None:
        store = await SqliteStore.open(path, clock)
        try:
            await store.claim("7", owner="two", seconds=60)
        finally:
            await store.close()

    with pytest.raises(StoreError, match="malformed"):
        await use()


async def test_a_file_of_a_newer_version(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "state.db"
    await (await SqliteStore.open(path, clock)).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"newer kms-monitor \(version 99\)"):
        await SqliteStore.open(path, clock)


async def test_a_file_of_the_version_before_windows(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path, clock)
    await store.finish("a", owner="one", action=ACTION)
    await store.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE noted")
        database.execute("PRAGMA user_version = 1")
        database.commit()
    store = await SqliteStore.open(path, clock)
    await store.keep([entry()])
    assert await store.entries() == [entry()]
    assert (await store.claim("a", owner="two", seconds=60)).claim is Claim.DONE
    await store.close()


async def test_a_file_of_the_version_before_approvals(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path, clock)
    await store.keep([entry()])
    await store.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE approval")
        database.execute("DROP TABLE approval_use")
        database.execute("DROP TABLE incident")
        database.execute(f"PRAGMA user_version = {MIGRATIONS.index(APPROVAL_TABLE)}")
        database.commit()
    store = await SqliteStore.open(path, clock)
    await store.approve(approval())
    assert await store.approvals() == [approval()]
    assert await store.entries() == [entry()]
    await store.close()


async def test_a_file_of_the_version_before_incidents(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path, clock)
    await store.keep([entry()])
    await store.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE incident")
        database.execute(f"PRAGMA user_version = {MIGRATIONS.index(INCIDENT_TABLE)}")
        database.commit()
    store = await SqliteStore.open(path, clock)
    assert await store.put_incident(incident(), expected_version=0)
    assert await store.entries() == [entry()]
    await store.close()


async def test_two_processes_do_not_spend_one_approval_twice(tmp_path: Path, clock: Clock) -> None:
    """The command gives it beside the daemon; two daemons may see two changes at once."""
    path = tmp_path / "state.db"
    stores = [await SqliteStore.open(path, clock) for _ in range(2)]
    for number in range(50):
        await stores[0].approve(approval(str(number)))
        answers = await asyncio.gather(
            *(
                store.use(str(number), event, START)
                for store, event in zip(stores, "ab", strict=True)
            )
        )
        assert sorted(answers) == [False, True]
    for store in stores:
        await store.close()


async def test_a_file_of_the_version_before_whole_baselines(tmp_path: Path, clock: Clock) -> None:
    """What it knew of every key, which was the state alone, is kept."""
    path = tmp_path / "state.db"
    version = MIGRATIONS.index(BASELINE_TABLE)
    other = KeyRef("444455556666", "cn-north-1", "mrk-1", "aws-cn")
    with closing(sqlite3.connect(path)) as database:
        for script in MIGRATIONS[:version]:
            database.executescript(script)
        row = "INSERT INTO baseline (arn, state, as_of, origin, damaged_at) VALUES (?, ?, ?, ?, ?)"
        database.execute(row, (KEY.arn, "Disabled", START + 0.125, "accepted", START + 5))
        database.execute(row, (other.arn, "Enabled", START, "seen", 0))
        database.execute(f"PRAGMA user_version = {version}")
        database.commit()
    for _ in range(2):
        store = await SqliteStore.open(path, clock)
        known = await store.baseline(KEY)
        assert known == Baseline(
            KEY,
            {STATE: Register("Disabled", START + 0.125, Origin.ACCEPTED, START + 5)},
            frozenset({Aspect.STATE}),
            1,
        )
        assert [one.key for one in await store.baselines()] == sorted([KEY, other], key=str)
        await store.close()


async def test_a_file_of_the_version_before_moments_of_change(tmp_path: Path, clock: Clock) -> None:
    """What was noted is kept, and opened twice at once it is moved once."""
    path = tmp_path / "state.db"
    version = MIGRATIONS.index(CHANGES_TABLE)
    with closing(sqlite3.connect(path)) as database:
        for script in MIGRATIONS[:version]:
            database.executescript(script)
        row = (
            "INSERT INTO entry (at, event_id, what, about, window, until, level)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        database.execute(row, astuple(entry(level=2)))
        database.execute(f"PRAGMA user_version = {version}")
        database.commit()
    stores = await asyncio.gather(*(SqliteStore.open(path, clock) for _ in range(3)))
    for store in stores:
        assert await store.entries() == [entry(level=2)]
        assert await store.entries(since=1) == []
        await store.close()


@pytest.mark.parametrize("table", ["incident", "approval", "sight"])
async def test_an_incident_or_approval_that_only_a_newer_version_can_read(
    tmp_path: Path, clock: Clock, table: str
) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path, clock)
    await store.put_incident(incident(), expected_version=0)
    await store.approve(approval())
    await store.put_sight_baseline(SIGHT, expected_version=0)
    with closing(sqlite3.connect(path)) as database:
        database.execute(f'UPDATE {table} SET record = \'{{"wrong": ["new"]}}\'')
        database.commit()
    calls = {
        "incident": (store.incident(KEY), store.incidents()),
        "approval": (store.approvals(), store.approvals(KEY)),
        "sight": (store.sight_baseline(SIGHT.arn), store.sight_baselines()),
    }
    for name, asked in calls.items():
        for call in asked:
            if name == table:
                with pytest.raises(StoreError, match="cannot be read"):
                    await call
            else:
                await call
    await store.close()


async def test_two_processes_do_not_overwrite_an_incident(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "state.db"
    one, other = [await SqliteStore.open(path, clock) for _ in range(2)]
    for version in range(20):
        wrote = await asyncio.gather(
            *(store.put_incident(incident(), expected_version=version) for store in (one, other))
        )
        assert sorted(wrote) == [False, True]
    for store in (one, other):
        await store.close()


async def test_two_processes_share_what_was_noted(tmp_path: Path, clock: Clock) -> None:
    """While a new process takes over from an old one; the higher level is everybody's."""
    path = tmp_path / "state.db"
    old, new = [await SqliteStore.open(path, clock) for _ in range(2)]
    await old.keep([entry("a", level=2), entry("b")])
    await new.keep([entry("a", level=1), entry("c")])
    for store in (old, new):
        found = [(one.event_id, one.level) for one in await store.entries()]
        assert found == [("a", 2), ("b", UNJUDGED), ("c", UNJUDGED)]
        await store.close()


async def test_a_record_that_only_a_newer_version_can_read(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path, clock)
    await store.finish("a", owner="one", action=ACTION)
    with closing(sqlite3.connect(path)) as database:
        database.execute('UPDATE action SET record = \'{"outcome": "new"}\'')
        database.commit()
    with pytest.raises(StoreError):
        await store.claim("a", owner="two", seconds=60)
    await store.close()


async def test_a_store_that_is_closed(tmp_path: Path, clock: Clock) -> None:
    store = await SqliteStore.open(tmp_path / "state.db", clock)
    await store.close()
    for call in (
        store.claim("a", owner="one", seconds=60),
        store.finish("a", owner="one", action=ACTION),
        store.release("a", owner="one"),
        store.baseline(KEY),
        store.baselines(),
        store.put_baseline(baseline(), expected_version=0),
        store.put_baseline(baseline(), expected_version=1),
        store.spend("key", "a", most=1, seconds=60),
        store.spent("key", seconds=60),
        store.append(following(None, START, {})),
        store.logged(),
        store.last_logged(),
        store.keep([entry()]),
        store.entries(),
        store.approve(approval()),
        store.approvals(),
        store.revoke("a"),
        store.use("a", "one", START),
        store.incident(KEY),
        store.incidents(),
        store.put_incident(incident(), expected_version=0),
        store.put_incident(incident(), expected_version=1),
        store.sight_baseline(SIGHT.arn),
        store.sight_baselines(),
        store.put_sight_baseline(SIGHT, expected_version=0),
        store.check(),
        store.prune(START),
    ):
        with pytest.raises(StoreError):
            await call


async def test_a_file_that_somebody_else_locks(tmp_path: Path, clock: Clock) -> None:
    """Waited for, and then an error of ours: a repair goes on without the store."""
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path, clock)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(store.claim("a", owner="one", seconds=60))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        other.execute("COMMIT")
        assert (await waiting).claim is Claim.GRANTED
        await store.database.execute("PRAGMA busy_timeout = 50")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await store.claim("b", owner="one", seconds=60)
        other.execute("ROLLBACK")
    await store.close()

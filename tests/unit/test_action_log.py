"""The action log: one chain, whoever writes, and whatever anybody does to it shows.

In scope: `monitor.action_log`, `chain`, `log_keeper`, `deeds`, over `MemoryStore`. Replaced: time.
"""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from monitor import command_store, deeds
from monitor.action_log import LogEntry, faults, following
from monitor.approval import Use
from monitor.chain import Chain, signed
from monitor.decision import Action, Outcome, Reason, Verdict
from monitor.ledger import StoreError
from monitor.log_keeper import ANNOUNCED, MOST_WAITING, LogKeeper
from monitor.metrics import Metrics
from monitor.stores.memory import MemoryStore
from monitor.testing.fakes import HandClock
from tests.samples import ARN, BOB, EPOCH, KEY, approval, decision, finding

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False,
    allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
WHATS = st.lists(st.dictionaries(st.text(max_size=8), JSON, max_size=4), min_size=2, max_size=8)


def chained(whats: list[dict[str, Any]]) -> list[LogEntry]:
    made: list[LogEntry] = []
    for number, what in enumerate(whats):
        made.append(following(made[-1] if made else None, EPOCH + number, what))
    return made


# -- the chain


@given(WHATS)
def test_a_chain_is_right_also_after_it_was_written_and_read(whats: list[dict[str, Any]]) -> None:
    made = chained(whats)
    assert faults(made) == []
    read = msgspec.json.decode(msgspec.json.encode(made), type=list[LogEntry])
    assert faults(read) == []
    middle = len(made) // 2
    assert faults(made[middle:], made[middle - 1]) == []


@given(WHATS, st.data())
def test_whatever_is_done_to_it_is_found(whats: list[dict[str, Any]], data: st.DataObject) -> None:
    """But for what is cut off at its end, which only a head noted elsewhere shows."""
    made = chained(whats)
    at = data.draw(st.integers(0, len(made) - 1))
    other = data.draw(st.integers(0, len(made) - 1).filter(lambda one: one != at))
    one, changed = made[at], list(made)
    match data.draw(st.sampled_from(["text", "time", "drop", "swap", "insert", "rewrite"])):
        case "text":
            changed[at] = msgspec.structs.replace(one, what=one.what | {"another": "member"})
        case "time":
            changed[at] = msgspec.structs.replace(one, at=one.at + 1)
        case "drop" if at < len(made) - 1:
            del changed[at]
        case "drop":
            del changed[0]
        case "swap":
            changed[at], changed[other] = made[other], made[at]
        case "insert":
            changed.insert(at, following(made[at - 1] if at else None, one.at, {"deed": "none"}))
        case _:
            # With a right hash of its own: then the next does not follow on it.
            new = following(made[at - 1] if at else None, one.at, {"deed": "none"})
            changed[at] = new
            if at == len(made) - 1:
                assert new.hash != one.hash, "the head shows it"
                return
    assert faults(changed) != []


# -- several writers


class Racing(MemoryStore):
    """Every call waits for its turn, so that writers mix as the test says."""

    def __init__(self, turns: list[int]) -> None:
        super().__init__(HandClock(EPOCH))
        self.turns = turns

    async def pause(self) -> None:
        for _ in range(self.turns.pop() if self.turns else 0):
            await asyncio.sleep(0)

    async def append(self, entry: LogEntry) -> bool:
        await self.pause()
        return await super().append(entry)

    async def logged(self, *, after: int = 0, most: int = 1000) -> list[LogEntry]:
        await self.pause()
        return await super().logged(after=after, most=2)

    async def last_logged(self) -> LogEntry | None:
        await self.pause()
        return await super().last_logged()


@given(st.lists(st.integers(0, 4), max_size=60), st.integers(1, 6), st.integers(1, 6))
def test_two_writers_make_one_chain(turns: list[int], mine: int, theirs: int) -> None:
    store = Racing(turns)

    async def write(name: str, count: int) -> None:
        chain = Chain(store)
        for number in range(count):
            await chain.add(EPOCH, signed({"deed": "action", "number": number}, name))

    async def race() -> None:
        await asyncio.gather(write("us", mine), write("them", theirs))

    asyncio.run(race())
    assert faults(store.log) == []
    for name, count in (("us", mine), ("them", theirs)):
        found = [one.what["number"] for one in store.log if one.what["by"] == name]
        assert found == list(range(count)), "each once, in its order"


async def test_an_entry_whose_answer_was_lost_is_not_written_twice() -> None:
    store = MemoryStore(HandClock(EPOCH))
    await Chain(store).add(EPOCH, signed({"deed": "started"}, "them"))
    chain, append = Chain(store), store.append

    async def lose(entry: LogEntry) -> bool:
        await append(entry)
        store.append = append  # type: ignore[method-assign]
        raise StoreError("the answer was lost")

    store.append = lose  # type: ignore[method-assign]
    what = signed({"deed": "action"}, "us")
    with pytest.raises(StoreError):
        await chain.add(EPOCH, what)
    await Chain(store).add(EPOCH, signed({"deed": "stopped"}, "them"))
    assert (await chain.add(EPOCH, what | {"late": True})).number == 2
    assert [one.what["deed"] for one in store.log] == ["started", "action", "stopped"]
    assert (await chain.add(EPOCH, signed({"deed": "action"}, "us"))).number == 4


async def test_nobody_tries_for_ever() -> None:
    store = MemoryStore(HandClock(EPOCH))

    async def never(entry: LogEntry) -> bool:
        return False

    store.append = never  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="without a pause"):
        await Chain(store).add(EPOCH, signed({"deed": "action"}, "us"))


# -- the keeper


class World:
    def __init__(self) -> None:
        self.clock, self.metrics = HandClock(EPOCH), Metrics()
        self.store = MemoryStore(self.clock)
        self.keeper = LogKeeper(self.store, self.clock, self.metrics, "us")

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"kms_monitor_action_log_{name}", labels)

    @property
    def deeds(self) -> list[str]:
        return [one.what["deed"] for one in self.store.log]


@pytest.fixture
def world() -> World:
    return World()


def done(number: int = 0, *calls: str) -> deeds.What:
    return {"deed": "action", "finding": str(number), "calls": list(calls)}


async def test_what_was_done_is_written_at_once(world: World) -> None:
    assert world.sample("entries_total", deed="started") == 0
    await world.keeper.keep(deeds.stopped())
    await world.keeper.keep(None)
    assert world.deeds == ["stopped"]
    assert world.store.log[0].at == EPOCH
    assert world.store.log[0].what["by"] == "us"
    assert world.sample("entries_total", deed="stopped") == 1
    assert world.sample("last_number") == 1


async def test_while_the_store_is_away_it_waits_in_order(world: World) -> None:
    append = world.store.append

    async def fails(entry: LogEntry) -> bool:
        raise StoreError("locked")

    world.store.append = fails  # type: ignore[method-assign]
    for number in (1, 2):
        await world.keeper.keep(done(number, "EnableKey"))
        world.clock.at += 60
    assert world.sample("waiting_entries") == 2
    assert world.metrics.registry.get_sample_value(
        "kms_monitor_store_errors_total", {"call": "log"}
    ) == 2  # fmt: skip
    world.store.append = append  # type: ignore[method-assign]
    await world.keeper.keep(done(3, "EnableKey"))
    assert [one.what["finding"] for one in world.store.log] == ["1", "2", "3"]
    assert [one.what.get("late") for one in world.store.log] == [True, True, None]
    assert [one.at for one in world.store.log] == [EPOCH, EPOCH + 60, EPOCH + 120]
    assert world.sample("waiting_entries") == 0
    assert faults(world.store.log) == []


async def test_a_slow_store_holds_nobody_up(world: World) -> None:
    async def hangs(entry: LogEntry) -> bool:
        await asyncio.sleep(3600)
        return True

    append, world.store.append = world.store.append, hangs  # type: ignore[method-assign]
    world.keeper.note(done(1, "EnableKey"))
    await world.keeper.flush(0.01)
    world.store.append = append  # type: ignore[method-assign]
    await world.keeper.flush()
    assert world.store.log[0].what["late"] is True


async def test_of_too_many_the_oldest_are_lost_and_the_log_says_so(world: World) -> None:
    for number in range(MOST_WAITING + 3):
        world.keeper.note(done(number))
    assert world.sample("lost_entries_total") == 3
    await world.keeper.flush()
    assert world.store.log[0].what["entries"] == 3
    assert world.store.log[1].what["finding"] == "3"
    assert len(world.store.log) == MOST_WAITING + 1


async def test_what_failed_again_as_before_is_not_said_again(world: World) -> None:
    denied = done(1) | {"outcome": "denied", "responder": "restore_key"}
    for what in (
        denied,
        denied,
        denied | {"calls": ["EnableKey"]},
        denied | {"outcome": "refused"},
    ):
        await world.keeper.keep(what)
    assert len(world.store.log) == 3
    for number in range(2, 1100):
        assert not world.keeper.said_before(done(number))
    await world.keeper.keep(denied | {"outcome": "refused"})
    assert len(world.store.log) == 4, "it does not remember for ever"


async def test_an_audit_finds_what_was_tampered_with(world: World) -> None:
    for number in range(5):
        await world.keeper.keep(done(number, "EnableKey"))
    with capture_logs() as lines:
        await world.keeper.audit()
    assert world.sample("faults") == 0
    (line,) = lines
    head = world.store.log[-1]
    assert (line["number"], line["hash"]) == (5, head.hash)
    world.store.log.pop()
    await world.keeper.audit()
    assert world.sample("faults") == 1, "cut off at its end, while we lived"
    world.store.log[1] = msgspec.structs.replace(world.store.log[1], at=0.0)
    await LogKeeper(world.store, world.clock, world.metrics).audit()
    assert world.sample("faults") == 2, "found after a restart, too"


async def test_it_keeps_the_log_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class EnoughError(Exception):
        pass

    rounds = 0

    async def sleep(seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        world.clock.at += ANNOUNCED / 2
        if rounds == 4:
            raise EnoughError

    monkeypatch.setattr("asyncio.sleep", sleep)
    world.keeper.note(deeds.stopped())
    with capture_logs() as lines, pytest.raises(EnoughError):
        await world.keeper.run()
    assert world.deeds == ["stopped"]
    assert [line["event"] for line in lines] == ["action log"] * 2, "not at every round"


async def test_an_audit_without_the_store_is_counted(world: World) -> None:
    async def fails(**_: Any) -> list[LogEntry]:
        raise StoreError("locked")

    world.store.logged = fails  # type: ignore[method-assign]
    await world.keeper.audit()
    assert world.sample("faults") == 0
    labels = {"call": "log"}
    assert world.metrics.registry.get_sample_value("kms_monitor_store_errors_total", labels) == 1


# -- what it says


def test_what_wrote_is_logged_with_its_calls() -> None:
    calls = ("CancelKeyDeletion", "EnableKey")
    acted = Action("restore_key", Outcome.DONE, "verified Enabled", calls, EPOCH + 5)
    what = deeds.action(acted, decision(), repairs=True)
    assert what == {
        "deed": "action",
        "responder": "restore_key",
        "outcome": "done",
        "detail": "verified Enabled",
        "calls": list(calls),
        "finished_at": EPOCH + 5,
        "dry_run": False,
        "key": ARN,
        "finding": finding().finding_id,
        "detector": "key_disabled",
        "event_id": finding().event_id,
        "event_name": "DisableKey",
        "actor": BOB.arn,
        "reason": "enforce",
    }


@pytest.mark.parametrize(
    ("outcome", "repairs", "deed"),
    [
        (Outcome.WOULD, True, "action"),
        (Outcome.DENIED, True, "action"),
        (Outcome.REFUSED, True, "action"),
        (Outcome.FAILED, True, "action"),
        (Outcome.UNCONFIRMED, True, None),
        (Outcome.ALREADY, True, None),
        (Outcome.RETRY, True, None),
        (Outcome.DONE, False, None),
        (Outcome.FAILED, False, None),
    ],
)
def test_what_was_only_looked_at_or_told_is_not(
    outcome: Outcome, repairs: bool, deed: str | None
) -> None:
    what = deeds.action(Action("one", outcome), decision(), repairs=repairs)
    assert (what and what["deed"]) == deed


def test_an_accepted_change_is_with_its_approval() -> None:
    made = decision(verdict=Verdict.ACCEPT, reason=Reason.APPROVED_CHANGE, approval=approval())
    what = deeds.action(Action("restore_key", Outcome.DONE), made, repairs=True)
    assert what is not None
    assert (what["deed"], what["approval"]) == ("change_accepted", "0a1b2c3d4e5f")
    undone = Action("restore_key", Outcome.DONE, "spent for another", ("EnableKey",))
    what = deeds.action(undone, made, repairs=True)
    assert what is not None
    assert what["deed"] == "action"


def test_an_approval_that_nobody_had_to_confirm_is_logged_once() -> None:
    made = decision(verdict=Verdict.TELL, reason=Reason.APPROVED_CHANGE, approval=approval())
    what = deeds.approved(made)
    assert what is not None
    assert (what["deed"], what["approval"]) == ("change_accepted", "0a1b2c3d4e5f")
    again = approval(used=(Use(finding().event_id, EPOCH),))
    assert deeds.approved(decision(verdict=Verdict.TELL, approval=again)) is None
    assert deeds.approved(decision(verdict=Verdict.TELL)) is None


@given(st.text(max_size=1000))
def test_any_text_of_others_can_be_written(text: str) -> None:
    surrogate = text + "\ud800"
    for one in (text, surrogate):
        entry = following(None, EPOCH, {"detail": deeds.plain(one)})
        assert len(entry.what["detail"]) <= deeds.LONGEST
        assert faults([msgspec.json.decode(msgspec.json.encode(entry), type=LogEntry)]) == []


def test_what_people_did_says_to_what() -> None:
    given = deeds.approval_given(approval(ticket="CHG-1", uses=2))
    assert (given["deed"], given["approval"], given["key"]) == (
        "approval_given",
        approval().id,
        ARN,
    )
    assert (given["call"], given["actor"], given["uses"]) == ("DisableKey", BOB.arn, 2)
    assert deeds.approval_revoked("a1")["approval"] == "a1"
    assert deeds.baseline_accepted(KEY, "policy")["detail"] == "policy"
    closed = deeds.incident_closed("i1", KEY, "meant")
    assert (closed["incident"], closed["key"], closed["detail"]) == ("i1", ARN, "meant")


def test_a_start_and_a_reload_say_how_it_runs() -> None:
    how: Any = {
        "mode": "enforce",
        "places": [("111122223333", f"eu-west-{number}") for number in range(deeds.MOST + 5)],
        "responders": ["restore_key", "sns"],
    }
    began, anew = deeds.started(version="1.2", **how), deeds.settings_loaded(**how)
    assert (began["deed"], began["version"], began["mode"]) == ("started", "1.2", "enforce")
    assert began["places"][0] == "111122223333 eu-west-0"
    assert len(began["places"]) == deeds.MOST
    assert anew["deed"] == "settings_loaded"
    assert "version" not in anew


def test_every_deed_is_one_of_the_closed_list() -> None:
    """It is a label of a metric."""
    made = [
        deeds.started(version="", mode="", places=[], responders=[]),
        deeds.settings_loaded(mode="", places=[], responders=[]),
        deeds.stopped(),
        deeds.lost(1),
        deeds.approval_given(approval()),
        deeds.approval_revoked(""),
        deeds.baseline_accepted(KEY, ""),
        deeds.incident_closed("", KEY, ""),
        deeds.incident_resumed("", KEY, ""),
        deeds.containment_released("", []),
        deeds.action(Action("one", Outcome.WOULD), decision(), repairs=True) or {},
        deeds.action(
            Action("one", Outcome.DONE), decision(verdict=Verdict.ACCEPT), repairs=True
        ) or {},
    ]  # fmt: skip
    assert {one["deed"] for one in made} == set(deeds.Deed)


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", fails)
    assert command_store.person().startswith("user ")

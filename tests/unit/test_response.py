"""Carrying out a decision: repair before telling, each finished action once, nothing escapes.

In scope: `monitor.response` over `MemoryStore`. Replaced: the responders; time, where one hangs.
"""

import asyncio
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace
from pydantic import BaseModel

from monitor.action_log import LogEntry
from monitor.decision import Action, Decision, IncidentNote, Outcome, Reason, Stage, Verdict
from monitor.detector import NoOptions
from monitor.errors import Busy, Denied, NotWorthRetrying, WorthRetrying
from monitor.finding import Kind, Severity
from monitor.ledger import Claim, StoreError
from monitor.metrics import Metrics
from monitor.response import Response
from monitor.stores.memory import MemoryStore
from monitor.testing.fakes import HandClock
from tests.samples import LoopClock, approval, decision, finding

DONE = [Outcome.DONE]


class Fake:
    """A responder whose ends are given, one for each time; the last one for ever after."""

    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, name: str, ends: list[Any] | None = None, *, repairs: bool = False) -> None:
        self.name = name
        self.repairs = repairs
        self.ends = ends or DONE
        self.seen: list[Decision] = []

    async def respond(self, decision: Decision) -> Action:
        self.seen.append(decision)
        end = self.ends[min(len(self.seen), len(self.ends)) - 1]
        if isinstance(end, Exception):
            raise end
        if isinstance(end, Action):
            return end
        if callable(end):
            await end()
        return Action(self.name, end if isinstance(end, Outcome) else Outcome.DONE, "as given")

    async def serve(self) -> None:
        return

    def problem(self) -> str | None:
        return None


class World:
    def __init__(self, repair: list[Any] | None = None, tell: list[Any] | None = None) -> None:
        self.repair, self.tell = Fake("repair", repair, repairs=True), Fake("tell", tell)
        self.clock: Any = HandClock()
        self.store = MemoryStore(self.clock)
        self.metrics = Metrics()
        self.response = self.replica(self.store)

    def replica(self, store: MemoryStore) -> Response:
        responders: Any = {"repair": self.repair, "tell": self.tell}
        return Response(responders, store, self.clock, self.metrics)

    async def carry_out(self, **changes: Any) -> list[Outcome]:
        made = decision(**({"responders": ("repair", "tell")} | changes))
        done = (await self.response.carry_out(made)).done
        assert [one.responder for one in done] == list(made.responders)
        return [one.outcome for one in done]

    @property
    def times(self) -> tuple[int, int]:
        return len(self.repair.seen), len(self.tell.seen)

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels)


async def test_repair_comes_first_and_who_tells_knows_what_became_of_it() -> None:
    world = World([Outcome.REFUSED])
    assert await world.carry_out() == [Outcome.REFUSED, Outcome.DONE]
    assert world.repair.seen[0].done == ()
    assert [one.outcome for one in world.tell.seen[0].done] == [Outcome.REFUSED]


@pytest.mark.parametrize("end", [one for one in Outcome if one.settled])
async def test_over_redeliveries_nothing_finished_is_repeated(end: Outcome) -> None:
    world = World([end])
    for _ in range(3):
        assert await world.carry_out() == [end, Outcome.DONE]
    assert world.times == (1, 1)
    assert world.sample("actions_total", responder="repair", outcome="already") == (
        3 if end is Outcome.ALREADY else 2
    )


async def test_another_finding_is_another_occasion() -> None:
    world = World()
    await world.carry_out()
    await world.carry_out(finding=finding(event_id="other"))
    assert world.times == (2, 2)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Denied("no right"), Outcome.DENIED),
        (NotWorthRetrying("gone"), Outcome.REFUSED),
        (WorthRetrying("busy"), Outcome.RETRY),
        (Busy("another replica is working on the key"), Outcome.RETRY),
        (RuntimeError("hunter2"), Outcome.FAILED),
        (TimeoutError(), Outcome.RETRY),
        (StoreError("hunter2"), Outcome.FAILED),
    ],
)
async def test_what_a_responder_throws_becomes_an_outcome_and_the_others_act(
    error: Exception, outcome: Outcome
) -> None:
    world = World([error])
    assert await world.carry_out() == [outcome, Outcome.DONE]
    assert "hunter2" not in world.tell.seen[0].done[0].detail
    await world.carry_out()
    assert world.times == (1 if outcome.settled else 2, 1)
    assert world.sample("responder_up", responder="repair") == outcome.settled


async def test_a_channel_that_has_nothing_to_tell_does_not_show_that_it_could() -> None:
    world = World(tell=[NotWorthRetrying("revoked"), Outcome.ALREADY, Outcome.DONE])
    up = []
    for number in range(3):
        await world.carry_out(finding=finding(event_id=f"e{number}"))
        up.append(world.sample("responder_up", responder="tell"))
    assert up == [0, 0, 1]


@pytest.mark.looptime
@pytest.mark.parametrize("who", ["repair", "tell"])
async def test_a_responder_that_hangs_is_ended_and_comes_again(who: str) -> None:
    hang = [asyncio.Event().wait, Outcome.DONE]
    world = World(**{who: hang})
    world.clock = LoopClock()
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert sorted(await world.carry_out()) == [Outcome.DONE, Outcome.RETRY]
    assert loop.time() - before == pytest.approx(150 if who == "repair" else 30)
    assert await world.carry_out() == [Outcome.DONE, Outcome.DONE]


async def test_telling_is_repeated_only_when_the_repair_came_to_another_end() -> None:
    ends: list[Any] = [WorthRetrying("1"), WorthRetrying("2"), Denied("x"), Outcome.DONE]
    world = World(ends)
    told = []
    for _ in range(6):
        await world.carry_out()
        told.append(len(world.tell.seen))
    assert told == [1, 1, 2, 3, 3, 3]
    assert [one.done[0].outcome for one in world.tell.seen] == [
        Outcome.RETRY,
        Outcome.DENIED,
        Outcome.DONE,
    ]


async def test_a_telling_that_failed_is_repeated_with_the_whole_story() -> None:
    world = World(tell=[WorthRetrying("broker away"), Outcome.DONE])
    assert await world.carry_out() == [Outcome.DONE, Outcome.RETRY]
    assert await world.carry_out() == [Outcome.DONE, Outcome.DONE]
    assert world.times == (1, 2)
    # As it was, not "already": people want to know that it was repaired.
    assert world.tell.seen[1].done[0].outcome is Outcome.DONE


async def test_what_is_being_done_elsewhere_is_not_done_twice() -> None:
    free = asyncio.Event()
    world = World([free.wait])
    first = asyncio.create_task(world.carry_out())
    await asyncio.sleep(0)
    replica = world.replica(world.store)
    (busy,) = (await replica.carry_out(decision(responders=("repair",)))).done
    assert busy.outcome is Outcome.RETRY
    free.set()
    assert await first == DONE * 2
    assert world.times == (1, 1)


async def test_a_lease_outlives_the_longest_action() -> None:
    world = World([asyncio.Event().wait])
    task = asyncio.create_task(world.carry_out())
    await asyncio.sleep(0)
    ((_, until),) = world.store.leases.values()
    assert until - world.clock.now() > 150
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not world.store.leases, "whoever gets the message next would have to wait"


def broken(world: World, call: str) -> MemoryStore:
    store = MemoryStore(world.clock)

    async def fail(*_: object, **__: object) -> Any:
        raise StoreError("disk full")

    setattr(store, call, fail)
    return store


@pytest.mark.parametrize("call", ["claim", "finish", "release"])
async def test_the_work_goes_on_without_the_store(call: str) -> None:
    world = World([WorthRetrying("once"), Outcome.DONE])
    world.response = world.replica(broken(world, call))
    assert await world.carry_out() == [Outcome.RETRY, Outcome.DONE]
    assert (world.sample("store_errors_total", call=call) or 0) >= 1


@pytest.mark.parametrize("call", ["claim", "finish"])
async def test_what_could_not_be_recorded_is_said(call: str) -> None:
    """To whoever tells people, too: it may be done, and told, once more."""
    world = World()
    world.response = world.replica(broken(world, call))
    carried_out = await world.response.carry_out(decision(responders=("repair", "tell")))
    said = {one.detail.partition("; ")[2] for one in carried_out.done}
    assert said == {"unrecorded, for the store cannot be used"}


@pytest.mark.parametrize("call", ["finish", "release"])
async def test_a_lease_that_could_not_be_ended_runs_out(call: str) -> None:
    world = World([WorthRetrying("once") if call == "release" else Outcome.DONE, Outcome.DONE])
    world.response = world.replica(broken(world, call))
    await world.carry_out(responders=("repair",))
    assert await world.carry_out(responders=("repair",)) == [Outcome.RETRY]
    world.clock.at += 181
    assert await world.carry_out(responders=("repair",)) == DONE


async def test_done_without_a_word_of_what_it_became_is_done_again() -> None:
    world = World()

    async def claim(*_: object, **__: object) -> Any:
        return type("Grant", (), {"claim": Claim.DONE, "action": None})()

    world.store.claim = claim  # type: ignore[method-assign]
    assert await world.carry_out() == DONE * 2


# -- the incident


class Incidents:
    """Says of every decision that it did this to an incident."""

    def __init__(self, stage: Stage, *, silent: bool = False) -> None:
        self.note_of = IncidentNote("a", stage, 1, Severity.HIGH, 1, 2, 2, "carol", silent)
        self.seen: list[Decision] = []
        self.ended: list[Decision] = []

    async def note(self, decision: Decision) -> Decision:
        self.seen.append(decision)
        return replace(decision, incident=self.note_of)

    async def carried_out(self, decision: Decision) -> None:
        self.ended.append(decision)


ENABLED = finding(kind=Kind.CHANGE, event_name="EnableKey", severity=Severity.INFO)


async def test_the_incident_is_known_before_people_are_told_and_after_the_repair() -> None:
    world, incidents = World([Outcome.REFUSED]), Incidents(Stage.REPAIR_FAILED)
    world.response.incidents = incidents
    await world.carry_out()
    assert [one.outcome for one in incidents.seen[0].done] == [Outcome.REFUSED]
    assert world.repair.seen[0].incident is None
    assert world.tell.seen[0].incident == incidents.note_of
    assert [one.responder for one in incidents.ended[0].done] == ["repair", "tell"]


@pytest.mark.parametrize(
    ("stage", "changes", "told"),
    [
        (Stage.CLOSED, {}, 1),
        (Stage.UNCHANGED, {}, 0),
        (Stage.CLOSED, {"suppressed": "a drill"}, 0),
        (Stage.CLOSED, {"verdict": Verdict.TELL}, 0),
        (Stage.CLOSED, {"silent": True}, 0),
    ],
)
async def test_an_accepted_change_that_closes_an_incident_is_told(
    stage: Stage, changes: dict[str, Any], told: int
) -> None:
    world = World()
    world.response.incidents = Incidents(stage, silent=changes.pop("silent", False))
    about = {"verdict": Verdict.ACCEPT, "responders": ("repair",)} | changes
    for _ in range(2):
        await world.response.carry_out(decision(ENABLED, **about))
    assert world.times == (1, told)


# -- the action log


async def test_what_was_done_is_logged_before_the_ledger_has_it_as_done() -> None:
    """So that a crash in between repeats the entry, and never leaves it out."""
    world = World([Action("repair", Outcome.DONE, "verified", ("EnableKey",))])
    finish, logged = world.store.finish, list[int]()

    async def watch(name: str, *, owner: str, action: Action) -> None:
        logged.append(len(world.store.log))
        await finish(name, owner=owner, action=action)

    world.store.finish = watch  # type: ignore[method-assign]
    for _ in range(2):
        await world.carry_out()
    assert logged == [1, 1], "the repair, then who told of it; once for both deliveries"
    (entry,) = world.store.log
    assert (entry.what["deed"], entry.what["calls"]) == ("action", ["EnableKey"])


async def test_half_a_repair_is_logged_with_what_it_sent() -> None:
    busy = WorthRetrying("throttled", calls=["CancelKeyDeletion"])
    world = World([busy, Action("repair", Outcome.DONE, "verified", ("EnableKey",))])
    made = decision(responders=("repair",))
    first = await world.response.carry_out(made)
    assert first.done[0].calls == ("CancelKeyDeletion",)
    await world.response.carry_out(made)
    assert [one.what["outcome"] for one in world.store.log] == ["retry", "done"]
    assert [one.what["calls"] for one in world.store.log] == [["CancelKeyDeletion"], ["EnableKey"]]


async def test_a_log_that_cannot_be_written_holds_up_no_repair() -> None:
    world = World([Action("repair", Outcome.DONE, "verified", ("EnableKey",))])

    async def fails(entry: LogEntry) -> bool:
        raise StoreError("locked")

    append, world.store.append = world.store.append, fails  # type: ignore[method-assign]
    assert await world.carry_out() == [Outcome.DONE, Outcome.DONE]
    assert world.sample("action_log_waiting_entries") == 1
    world.store.append = append  # type: ignore[method-assign]
    await world.response.keeper.flush()
    assert world.store.log[0].what["late"] is True


async def test_an_approval_for_what_nobody_undoes_is_logged_when_it_is_used() -> None:
    world = World()
    told = {"verdict": Verdict.TELL, "reason": Reason.APPROVED_CHANGE, "responders": ("tell",)}
    await world.carry_out(**told, approval=approval())
    assert [one.what["deed"] for one in world.store.log] == ["change_accepted"]


@pytest.mark.parametrize(
    ("kind", "changes", "told"),
    [
        (Kind.CHANGE, {"verdict": Verdict.ACCEPT, "listeners": ("tell",)}, 1),
        (Kind.CHANGE, {"verdict": Verdict.ACCEPT, "listeners": ()}, 0),
        # with rules, who is told that damage was taken back may be others than heard of the damage
        (Kind.RECOVERY, {"verdict": Verdict.TELL, "listeners": ("tell",)}, 1),
        (Kind.RECOVERY, {"verdict": Verdict.TELL}, 0),
        (Kind.NOTICE, {"verdict": Verdict.TELL, "listeners": ("tell",)}, 0),
    ],
)
async def test_the_end_of_an_incident_is_told_to_those_who_may_have_heard_of_it(
    kind: Kind, changes: dict[str, Any], told: int
) -> None:
    world = World()
    world.response.incidents = Incidents(Stage.CLOSED)
    made = decision(replace(ENABLED, kind=kind), **({"responders": ()} | changes))
    await world.response.carry_out(made)
    assert len(world.tell.seen) == told


# -- what the settings for response say


@pytest.mark.looptime
@pytest.mark.parametrize(("who", "seconds"), [("repair", 7.0), ("tell", 90.0)])
async def test_a_rule_sets_the_limit_of_an_action(who: str, seconds: float) -> None:
    world = World(**{who: [asyncio.Event().wait]})
    world.clock = LoopClock()
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert sorted(await world.carry_out(limits={who: seconds})) == [Outcome.DONE, Outcome.RETRY]
    assert loop.time() - before == pytest.approx(seconds)


async def test_while_writes_are_stopped_every_repair_is_a_dry_run_and_people_know_why() -> None:
    world, stopped = World(), ["the kill switch is on"]
    world.response.may_write = lambda: stopped[0] if stopped else None
    await world.carry_out()
    for seen in (world.repair.seen[0], world.tell.seen[0]):
        assert (seen.dry_run, seen.reason) == (True, Reason.WRITES_STOPPED)
        assert seen.stopped == "the kill switch is on"
    accepted = decision(finding(event_id="2"), verdict=Verdict.ACCEPT, reason=Reason.APPROVED_ACTOR)
    await world.response.carry_out(replace(accepted, responders=("repair",)))
    assert (world.repair.seen[1].dry_run, world.repair.seen[1].reason) == (
        True,
        Reason.APPROVED_ACTOR,
    )
    stopped.clear()
    await world.carry_out(finding=finding(event_id="3"))
    assert not world.repair.seen[2].dry_run


async def test_the_switch_is_asked_before_each_repairer() -> None:
    asked: list[str | None] = [None, "stopped in the midst of it"]
    world = World()
    second = Fake("second", repairs=True)
    responders: Any = {"repair": world.repair, "second": second, "tell": world.tell}
    world.response = Response(
        responders, world.store, world.clock, world.metrics, may_write=lambda: asked.pop(0)
    )
    await world.carry_out(responders=("repair", "second", "tell"))
    assert [one.seen[0].dry_run for one in (world.repair, second)] == [False, True]


async def test_what_was_written_before_the_switch_came_on_is_not_told_as_a_dry_run() -> None:
    asked: list[str | None] = [None, "stopped in the midst of it"]
    world = World([Action("repair", Outcome.DONE, calls=("EnableKey",))])
    second = Fake("second", repairs=True)
    responders: Any = {"repair": world.repair, "second": second, "tell": world.tell}
    world.response = Response(
        responders, world.store, world.clock, world.metrics, may_write=lambda: asked.pop(0)
    )
    await world.carry_out(responders=("repair", "second", "tell"))
    (told,) = world.tell.seen
    assert (second.seen[0].dry_run, told.dry_run, told.reason) == (True, False, Reason.ENFORCE)
    assert told.stopped == "stopped in the midst of it"


async def test_observing_stays_observing_whatever_the_switch_says() -> None:
    world = World()
    world.response.may_write = lambda: "stopped"
    await world.carry_out(dry_run=True, reason=Reason.OBSERVE)
    assert (world.tell.seen[0].reason, world.tell.seen[0].stopped) == (Reason.OBSERVE, "")


MEANT = {"verdict": Verdict.ACCEPT, "reason": Reason.APPROVED_ACTOR, "window": "patching"}


async def test_a_change_in_a_window_is_told_once_confirmed_and_at_low_noise() -> None:
    world = World([WorthRetrying("not in the history yet"), Outcome.DONE])
    assert [one.outcome for one in (await carried_out(world)).done] == [Outcome.RETRY]
    assert world.times == (1, 0)
    done = await carried_out(world)
    assert world.times == (2, 1)
    assert world.tell.seen[0].finding.severity is Severity.LOW
    assert world.tell.seen[0].finding.finding_id == done.finding.finding_id


async def carried_out(world: World, **changes: Any) -> Decision:
    made = decision(**({"responders": ("repair", "tell")} | MEANT | changes))
    return await world.response.carry_out(made)


@pytest.mark.parametrize(
    "end", [Denied("no right"), RuntimeError("broken"), Outcome.WOULD, Outcome.REFUSED]
)
async def test_a_change_in_a_window_that_comes_to_another_end_is_told_in_full(end: Any) -> None:
    world = World([end])
    await carried_out(world)
    assert [one.finding.severity for one in world.tell.seen] == [Severity.HIGH]


async def test_what_is_long_not_confirmed_is_told_in_full() -> None:
    world = World([WorthRetrying("not in the history")])
    world.clock.at += 901
    await carried_out(world)
    assert [one.finding.severity for one in world.tell.seen] == [Severity.HIGH]


async def test_what_was_undone_though_it_came_in_a_window_is_told_in_full() -> None:
    """No history confirms it: the repairer has put the key back."""
    world = World()

    async def undo(_: Decision) -> Action:
        return Action("repair", Outcome.DONE, "put back", ("EnableKey",))

    world.repair.respond = undo  # type: ignore[method-assign,assignment]
    await carried_out(world)
    assert world.tell.seen[0].finding.severity is Severity.HIGH

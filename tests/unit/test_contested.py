"""A key that is taken away again and again: how often it is put back, and when no more.

In scope: `monitor.contested`, and `monitor.response` with `monitor.budgets` over `MemoryStore`. Replaced:
the key, which is on or off or pending deletion; who repairs it; and time.
"""

import asyncio
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import BaseModel

from monitor import by_hand
from monitor.budgets import Budgets
from monitor.contested import Limits, Spent, parts_of, times, used_up
from monitor.decision import (
    Action,
    Budget,
    Decision,
    IncidentNote,
    Outcome,
    Reason,
    Stage,
    Verdict,
)
from monitor.detector import NoOptions
from monitor.errors import WorthRetrying
from monitor.finding import Actor, Aspect, Kind, Severity
from monitor.incident import Incident, Seen, advance
from monitor.incident_told import told
from monitor.ledger import Store, StoreError
from monitor.metrics import Metrics
from monitor.response import Response
from monitor.stores.memory import MemoryStore
from monitor.testing.fakes import HandClock
from tests.samples import BOB, EPOCH, KEY, decision, finding

LIMITS = Limits(repairs_per_key=3, window=600, repairs_per_hour=1000)
MINUTE = 60.0


class Repairer:
    """Puts the key of the world back, as `restore_key` does: it honours `contested`."""

    name: ClassVar = "repair"
    repairs: ClassVar = True
    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, world: "World") -> None:
        self.world = world

    async def respond(self, decision: Decision) -> Action:
        world, calls = self.world, list[str]()
        await asyncio.sleep(3600 if world.hangs else 0)
        if world.state == "pending" and not decision.dry_run:
            calls.append("CancelKeyDeletion")
            world.cancelled += 1
            world.state = "off"
        if world.state == "on":
            return Action(self.name, Outcome.ALREADY)
        if decision.dry_run:
            return Action(self.name, Outcome.WOULD)
        if decision.contested:
            return Action(self.name, Outcome.REFUSED, "for now", tuple(calls))
        world.state = "off" if world.many_keys else "on"
        world.toggled.append(world.clock.now())
        calls.append("EnableKey")
        if world.unverified:
            raise WorthRetrying("not seen yet", calls=tuple(calls))
        return Action(self.name, Outcome.DONE, calls=tuple(calls))

    async def serve(self) -> None:
        return

    def problem(self) -> str | None:
        return None


class Teller(Repairer):
    name: ClassVar = "tell"
    repairs: ClassVar = False

    async def respond(self, decision: Decision) -> Action:
        self.world.told.append(decision)
        return Action(self.name, Outcome.DONE)


class World:
    def __init__(self, limits: Limits = LIMITS) -> None:
        self.clock = HandClock()
        self.store: Any = MemoryStore(self.clock)
        self.metrics = Metrics()
        self.limits = limits
        self.state = "on"
        self.toggled: list[float] = []
        self.cancelled = 0
        self.unverified = self.hangs = self.many_keys = False
        self.told: list[Decision] = []
        self.events = 0
        self.response = self.replica(self.store)

    def replica(self, store: Store) -> Response:
        responders: Any = {"repair": Repairer(self), "tell": Teller(self)}
        budgets = Budgets(store, self.clock, self.metrics, self.limits)
        return Response(responders, store, self.clock, self.metrics, budgets=budgets)

    def news(self, **changes: Any) -> Decision:
        self.events += 1
        about = finding(event_id=f"event-{self.events}", event_time=self.clock.now())
        return decision(about, **({"responders": ("repair", "tell")} | changes))

    async def attack(self, state: str = "off", **changes: Any) -> Decision:
        self.state = state
        return await self.response.carry_out(self.news(**changes))

    async def fight(self) -> Decision:
        """Until it is contested."""
        for _ in range(self.limits.repairs_per_key):
            assert not (await self.attack()).contested
            self.clock.at += 1
        return await self.attack()

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels)


@pytest.mark.parametrize(
    ("spent", "budget"),
    [
        (Spent(), None),
        (Spent(repairs=2), None),
        (Spent(repairs=3), Budget.KEY),
        (Spent(held=True, on_trial=True), Budget.KEY),
        (Spent(on_trial=True), None),
        (Spent(repairs=1, on_trial=True), Budget.KEY),
        (Spent(in_account=999), None),
        (Spent(in_account=1000), Budget.ACCOUNT),
        (Spent(repairs=3, in_account=1000), Budget.KEY),
    ],
)
def test_which_budget_is_used_up(spent: Spent, budget: Budget | None) -> None:
    assert used_up(spent, LIMITS) is budget


async def test_after_so_many_repairs_the_key_is_left_as_it_is() -> None:
    world = World()
    last = await world.fight()
    assert (last.contested, last.budget) == (True, Budget.KEY)
    assert last.finding.severity is Severity.CRITICAL
    assert (world.state, len(world.toggled)) == ("off", 3)
    assert world.sample("budget_refusals_total", budget="key") == 1
    assert world.told[-1].contested


async def test_what_was_refused_and_is_told_of_again_is_counted_once() -> None:
    world = World()
    await world.fight()
    world.state = "off"
    news = world.news()
    for _ in range(3):
        assert (await world.response.carry_out(news)).contested
        world.clock.at += 1
    assert world.sample("budget_refusals_total", budget="key") == 2


async def test_deletion_is_cancelled_all_the_same() -> None:
    world = World()
    await world.fight()
    for number in range(1, 10):
        assert (await world.attack("pending")).contested
        assert (world.state, world.cancelled, len(world.toggled)) == ("off", number, 3)


async def test_to_cancel_alone_uses_nothing_up() -> None:
    world = World()
    await world.fight()
    for _ in range(20):
        await world.attack("pending")
    world.clock.at += 601
    assert not (await world.attack()).contested
    assert world.state == "on"


async def test_after_the_window_it_is_put_back_once_and_not_a_second_time() -> None:
    world = World()
    await world.fight()
    for repairs in range(4, 8):
        world.clock.at += 601
        assert not (await world.attack()).contested
        assert len(world.toggled) == repairs
        world.clock.at += 1
        assert (await world.attack()).contested


async def test_after_two_quiet_windows_all_is_forgotten() -> None:
    world = World()
    await world.fight()
    world.clock.at += 1201
    await world.fight()
    assert len(world.toggled) == 6


async def test_slow_repairs_are_no_fight() -> None:
    world = World()
    for _ in range(20):
        assert not (await world.attack()).contested
        world.clock.at += 301


def test_parts_of_a_key() -> None:
    tags = finding(aspect=Aspect.TAGS, changes={"tag/b": "1", "tag/a": None, "alias/x": None})
    assert parts_of(tags) == ("tag/a", "tag/b")
    assert parts_of(finding(changes={"expiry": None})) == ("state",)
    assert parts_of(finding(aspect=Aspect.GRANTS, changes={"grant-id/1": None})) == ("grants",)
    assert parts_of(finding(aspect=Aspect.POLICY)) == ("policy",)
    many = finding(aspect=Aspect.TAGS, changes={f"tag/{n:03}": None for n in range(50)})
    assert len(parts_of(many)) == 20


@pytest.mark.parametrize(
    ("calls", "parts", "often"),
    [
        ((), ("state",), 0),
        (("CancelKeyDeletion",), ("state",), 0),
        (("CancelKeyDeletion", "EnableKey"), ("state",), 1),
        (("CancelKeyDeletion", "EnableKey", "CancelKeyDeletion", "EnableKey"), ("state",), 2),
        (("UpdateAlias", "UpdateAlias"), ("alias/a",), 2),
        (("UpdateAlias", "UpdateAlias"), ("alias/a", "alias/b"), 1),
    ],
)
def test_how_often_a_repair_put_a_part_back(
    calls: tuple[str, ...], parts: tuple[str, ...], often: int
) -> None:
    assert times(Action("repair", Outcome.DONE, calls=calls), parts) == often


async def test_damage_to_many_parts_at_once_is_no_fight() -> None:
    world = World()
    for number in range(20):
        world.state = "off"
        news = world.news()
        about = {"aspect": Aspect.ALIASES, "changes": {f"alias/{number}": None}}
        news = replace(news, finding=replace(news.finding, **about))
        assert not (await world.response.carry_out(news)).contested
    assert not (await world.attack()).contested


async def test_late_or_untrue_news_uses_nothing_up_and_is_not_held_back() -> None:
    world = World()
    for _ in range(20):
        assert not (await world.response.carry_out(world.news())).contested
    await world.fight()
    world.state = "on"  # somebody else did it
    quiet = await world.response.carry_out(world.news())
    assert not quiet.contested
    assert quiet.finding.severity is Severity.HIGH
    assert world.sample("budget_refusals_total", budget="key") == 1


async def test_the_same_news_again_is_counted_once() -> None:
    world = World()
    world.state = "off"
    news = world.news()
    for _ in range(5):
        await world.response.carry_out(news)
    assert await world.store.spent(f"repairs|{KEY.arn}|state", seconds=600) == 1


async def test_a_repair_that_nobody_saw_take_effect_counts() -> None:
    world = World()
    world.unverified = True
    await world.fight()
    assert len(world.toggled) == 3


@pytest.mark.looptime
async def test_a_repair_that_was_cut_off_counts_for_nobody_knows_what_it_sent() -> None:
    world = World()
    world.hangs = True
    for _ in range(3):
        assert not (await world.attack()).contested
    world.hangs = False
    assert (await world.attack()).contested
    assert not world.toggled


@pytest.mark.looptime
async def test_what_only_observes_has_sent_nothing_when_it_is_cut_off() -> None:
    world = World()
    world.hangs = True
    for _ in range(3):
        await world.attack(dry_run=True)
    world.hangs = False
    assert not (await world.attack()).contested


async def test_what_only_observes_is_not_limited() -> None:
    world = World()
    await world.fight()
    assert not (await world.attack(dry_run=True)).contested


async def test_an_account_has_its_budget_and_another_account_its_own() -> None:
    world = World(Limits(repairs_per_key=100, window=600, repairs_per_hour=4))
    for _ in range(4):
        assert (await world.attack()).budget is None
    fifth = await world.attack("pending")
    assert (fifth.contested, fifth.budget, world.cancelled) == (True, Budget.ACCOUNT, 1)
    elsewhere = finding(key=replace(KEY, account="444455556666"), account="444455556666")
    assert not (await world.response.carry_out(replace(world.news(), finding=elsewhere))).contested
    world.clock.at += 3601
    assert (await world.attack()).budget is None


async def test_an_account_is_not_overdrawn_by_many_at_once() -> None:
    world = World(Limits(repairs_per_key=100, window=600, repairs_per_hour=4))

    async def one(number: int) -> Decision:
        key = replace(KEY, key_id=f"{number:08}-0000-4000-8000-000000000001")
        return await world.response.carry_out(
            decision(finding(key=key, event_id=f"e{number}"), responders=("repair",))
        )

    world.state, world.many_keys = "off", True
    done = await asyncio.gather(*(one(number) for number in range(10)))
    assert len(world.toggled) == 4
    assert sum(one.budget is Budget.ACCOUNT for one in done) == 6
    assert not world.response.budgets.under_way.total()


async def test_without_the_store_the_repair_goes_on() -> None:
    world = World()

    async def fail(*_: object, **__: object) -> Any:
        raise StoreError("disk full")

    world.store.spent = world.store.spend = fail
    for _ in range(10):
        assert not (await world.attack()).contested
    assert len(world.toggled) == 10
    assert world.sample("store_errors_total", call="spent") == 10
    assert world.sample("store_errors_total", call="spend") == 10


async def test_a_person_may_let_it_be_put_back_at_once() -> None:
    world = World()
    await world.fight()
    world.clock.at += 1
    told = Incident("i", KEY, world.clock.now(), Severity.HIGH, resumed_at=world.clock.now())
    await world.store.put_incident(told, expected_version=0)
    world.clock.at += 1
    last = await world.fight()
    assert last.contested
    assert len(world.toggled) == 6


class Incidents:
    def __init__(self, stage: Stage) -> None:
        self.note_of = IncidentNote("a", stage, 1, Severity.CRITICAL, 9, 2, contested=True)

    async def note(self, decision: Decision) -> Decision:
        return replace(decision, incident=self.note_of)

    async def carried_out(self, decision: Decision) -> None:
        return


@pytest.mark.parametrize(
    ("stage", "told"),
    [(Stage.CONTESTED, 1), (Stage.REPEATED, 0), (Stage.ESCALATED, 1), (Stage.CLOSED, 1)],
)
async def test_not_every_blow_of_a_fight_is_told(stage: Stage, told: int) -> None:
    world = World()
    await world.fight()
    before = len(world.told)
    world.response.incidents = Incidents(stage)
    await world.attack()
    assert len(world.told) - before == told


async def test_what_was_put_back_before_the_fight_is_told_in_spite_of_it() -> None:
    """Such as news whose first telling failed."""
    world = World()
    world.response.incidents = Incidents(Stage.REPEATED)
    world.state = "off"
    await world.response.carry_out(world.news())
    assert len(world.told) == 1


async def test_of_two_who_have_other_ideas_of_what_is_right_neither_goes_on_for_ever() -> None:
    """Two of us, of two teams: what one puts back is damage for the other."""
    ours, theirs = World(), World()
    theirs.clock = ours.clock  # one world, one time; each has a store and a role of its own
    theirs.store.clock = ours.clock
    theirs.response = theirs.replica(theirs.store)
    for _ in range(100):
        before = len(ours.toggled) + len(theirs.toggled)
        for team in (ours, theirs):
            await team.attack()
            ours.clock.at += 1
        if len(ours.toggled) + len(theirs.toggled) == before:
            break
    assert (len(ours.toggled), len(theirs.toggled)) == (3, 3)


Blow = tuple[str, float, int]
BLOWS = st.lists(
    st.tuples(
        st.sampled_from(["off", "pending"]),
        st.sampled_from([0.0, 0.5, 1.0, 60.0, 299.0, 599.0, 600.0, 601.0, 1300.0]),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=24,
)


@settings(deadline=None)  # up to a hundred repairs, each through the store
@given(BLOWS, st.randoms(use_true_random=False))
def test_never_more_than_so_many_repairs_in_any_window(blows: list[Blow], dice: Any) -> None:
    """Whatever comes how often and in which order, also of two replicas in turn."""
    world = World()
    replicas = [world.response, world.replica(world.store)]

    async def play() -> None:
        for state, pause, copies in blows:
            world.clock.at += pause
            world.state = state
            news = [world.news()] * copies + [world.news()]
            dice.shuffle(news)
            await asyncio.gather(*(replicas[0].carry_out(one) for one in news[:2]))
            for one in news[2:]:
                await dice.choice(replicas).carry_out(one)
            assert world.state != "pending"

    asyncio.run(play())
    for first in world.toggled:
        within = [at for at in world.toggled if first <= at < first + LIMITS.window]
        assert len(within) <= LIMITS.repairs_per_key


async def test_of_much_news_at_once_only_the_first_repairs_count() -> None:
    world = World()
    await world.attack()
    await world.attack()
    world.state = "off"
    news = [world.news() for _ in range(20)]
    done = await asyncio.gather(*(world.response.carry_out(one) for one in news))
    assert len(world.toggled) == 3
    assert not any(one.contested for one in done)


async def test_who_waits_too_long_comes_again() -> None:
    world = World()
    key = world.news().finding.key
    assert key is not None
    async with world.response.budgets.turn(key, 1):
        with pytest.raises(WorthRetrying):
            async with world.response.budgets.turn(key, 0.01):
                pass
    assert not world.response.budgets.under_way[KEY.account]


async def test_it_is_known_who_fights() -> None:
    world = World()
    last = await world.fight()
    assert last.finding.actor == BOB


# -- the incident


def blow(number: int = 1, **changes: Any) -> Decision:
    """Damage that was not put back, for the budget of the key was used up."""
    about = finding(
        event_id=f"e{number}", event_time=EPOCH + number, severity=Severity.CRITICAL,
        **changes.pop("finds", {}),
    )  # fmt: skip
    done = (Action("repair", Outcome.REFUSED, "for now", finished_at=EPOCH + number),)
    given = {"contested": True, "budget": Budget.KEY, "done": done}
    return decision(about, **(given | changes))


def test_that_a_key_is_contested_is_news_once() -> None:
    first, stage = advance(None, blow(), None, EPOCH + 2) or pytest.fail("nothing")
    assert stage is Stage.CONTESTED
    assert (first.contested_at, first.held_at, first.severity) == (EPOCH + 2, EPOCH + 2, 5)
    second, stage = advance(first, blow(2), None, EPOCH + 3) or pytest.fail("nothing")
    assert stage is Stage.REPEATED
    assert second.contested_at == EPOCH + 2
    worse = blow(3, finds={"event_name": "ScheduleKeyDeletion"})
    _, stage = advance(second, worse, None, EPOCH + 4) or pytest.fail("nothing")
    assert stage is Stage.ESCALATED


def test_who_has_not_heard_of_it_yet_hears_of_it_again() -> None:
    first, _ = advance(None, blow(), None, EPOCH + 2) or pytest.fail("nothing")
    second, _ = advance(first, blow(2), None, EPOCH + 3) or pytest.fail("nothing")
    again, stage = advance(second, blow(), None, EPOCH + 4) or pytest.fail("nothing")
    assert (again, stage) == (second, Stage.CONTESTED)


def test_what_an_account_may_not_do_any_more_is_no_fight() -> None:
    held = blow(budget=Budget.ACCOUNT)
    incident, stage = advance(None, held, None, EPOCH + 2) or pytest.fail("nothing")
    assert (stage, incident.contested_at, incident.held_at) == (
        Stage.REPAIR_FAILED,
        0,
        EPOCH + 2,
    )


def test_the_note_says_who_fights_the_latest_first() -> None:
    incident = None
    for number, name in enumerate(["a", "b", "a", "c"], 1):
        made = blow(number, finds={"actor": Actor(arn=name)})
        incident, stage = advance(incident, made, None, EPOCH + 9) or pytest.fail("nothing")
    assert incident is not None
    note = told(incident, Stage.REPEATED, EPOCH + 9)
    assert note.contested
    assert note.actors == ("c", "a", "b")
    seen = blow(9, finds={"event_name": "KeySeenWorse", "actor": Actor()})
    incident, stage = advance(incident, seen, None, EPOCH + 9) or pytest.fail("nothing")
    assert told(incident, stage, EPOCH + 9).actors == ("c", "a", "b")


def test_when_the_key_is_right_nothing_waits_any_more() -> None:
    incident, _ = advance(None, blow(), None, EPOCH + 2) or pytest.fail("nothing")
    enabled = decision(
        finding(kind=Kind.CHANGE, event_name="EnableKey", event_time=EPOCH + 5),
        verdict=Verdict.ACCEPT,
        reason=Reason.ACCEPTED_CHANGE,
    )
    ended, stage = advance(incident, enabled, Seen(), EPOCH + 6) or pytest.fail("nothing")
    assert (stage, ended.contested_at, ended.held_at) == (Stage.CLOSED, 0, 0)
    assert told(ended, stage, EPOCH + 6).actors == ()


def test_who_hears_of_severe_things_only_hears_of_a_fight() -> None:
    note = IncidentNote("a", Stage.CONTESTED, 1, Severity.CRITICAL, 9, 2, contested=True)
    assert replace(blow(), incident=note).weight is Severity.CRITICAL
    mild = decision(finding(severity=Severity.LOW), incident=note)
    assert mild.weight is Severity.CRITICAL


def test_by_hand() -> None:
    incident, _ = advance(None, blow(), None, EPOCH + 2) or pytest.fail("nothing")
    assert by_hand.resumed(incident, "carol", "over", EPOCH + 9).resumed_at == EPOCH + 9
    free = by_hand.let_go(incident, ["state"])
    assert (free.contested_at, free.contested_with, free.held_at) == (0, "", 0)
    assert free.open
    assert by_hand.closed(incident, "carol", "meant", EPOCH + 9).held_at == 0

"""Putting keys back: whatever KMS, CloudTrail, the store and other people do meanwhile.

In scope: `monitor.responders.restore_key` and `monitor.repair`, over the real error translation of
`monitor.aws`. Replaced: KMS and CloudTrail, by scripts; time, by the loop's virtual time.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import stamina
import structlog
from botocore.exceptions import ClientError
from msgspec.structs import replace

from monitor.approval import Use
from monitor.aws import Aws
from monitor.baseline import Origin, Register
from monitor.changes import changes_of
from monitor.decision import Decision, Outcome, Reason, Verdict
from monitor.errors import Denied, MonitorError, NotWorthRetrying, WorthRetrying
from monitor.event import actor_of
from monitor.finding import Actor, Aspect, Kind
from monitor.key import Grant, KeyRef, KeyState
from monitor.ledger import StoreError, key_lease
from monitor.metrics import Metrics
from monitor.plugins import Services
from monitor.register import POLICY, STATE, grant_register
from monitor.repair.history import state_before
from monitor.repair.live import MOST_GRANTS, confirms
from monitor.responders.restore_key import RestoreKey, RestoreOptions
from monitor.stores.memory import MemoryStore
from tests.samples import (
    ACCOUNT,
    ARN,
    EPOCH,
    KEY,
    REGION,
    LoopClock,
    approval,
    baseline,
    decision,
    event,
    finding,
    record,
)

pytestmark = pytest.mark.looptime
S = KeyState
BOTH = ["CancelKeyDeletion", "EnableKey"]
ALICE = actor_of(event())
DELETION = finding(
    detector="key_deletion_scheduled",
    event_name="ScheduleKeyDeletion",
    caused=S.PENDING_DELETION,
    actor=ALICE,
)
OLD = replace(DELETION, event_time=EPOCH - 3600)
ENABLED = finding(
    detector="key_enabled",
    event_name="EnableKey",
    kind=Kind.CHANGE,
    caused=S.ENABLED,
    actor=ALICE,
)


def refused(code: str, status: int = 400) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "Call")


class Kms:
    """KMS as aws-facts 3.1 and 3.2 describe it, for one key; `script` interferes with its calls."""

    def __init__(self, state: str) -> None:
        self.state: str = state
        self.manager = "CUSTOMER"
        self.stale: list[str] = []
        """What the next reads show instead of the state."""
        self.script: dict[str, list[Exception | Callable[[], None] | None]] = defaultdict(list)
        """By call: what happens at the next ones, before KMS does anything."""
        self.calls: list[str] = []
        """The writing calls that succeeded."""
        self.tried: list[str] = []
        self.at_once = self.most_at_once = 0
        self.grants = 0

    async def asked(self, call: str) -> None:
        self.tried.append(call)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if self.script[call]:
            happens = self.script[call].pop(0)
            if isinstance(happens, Exception):
                raise happens
            if happens is not None:
                happens()

    async def get_key_policy(self, KeyId: str, PolicyName: str) -> dict[str, Any]:  # noqa: N803
        await self.asked("GetKeyPolicy")
        return {"Policy": "{}"}

    async def get_key_rotation_status(self, KeyId: str) -> dict[str, Any]:  # noqa: N803
        await self.asked("GetKeyRotationStatus")
        return {"KeyRotationEnabled": False}

    def get_paginator(self, call: str) -> "Pages":
        return Pages(self.grants)

    async def describe_key(self, KeyId: str) -> dict[str, Any]:  # noqa: N803
        await self.asked("DescribeKey")
        state = self.stale.pop(0) if self.stale else self.state
        if state == "Gone":
            raise refused("NotFoundException")
        about = {"KeyState": state, "KeyManager": self.manager, "Arn": KeyId}
        if state == "PendingDeletion":
            about["DeletionDate"] = datetime(2026, 12, 1, tzinfo=UTC)  # type: ignore[assignment]
        return {"KeyMetadata": about}

    async def cancel_key_deletion(self, KeyId: str) -> None:  # noqa: N803
        await self.asked("CancelKeyDeletion")
        if self.state not in {"PendingDeletion", "PendingReplicaDeletion"}:
            raise refused("KMSInvalidStateException")
        self.state = "Disabled"
        self.calls.append("CancelKeyDeletion")

    async def enable_key(self, KeyId: str) -> None:  # noqa: N803
        await self.asked("EnableKey")
        if self.state not in {"Enabled", "Disabled"}:
            raise refused("KMSInvalidStateException")
        self.state = "Enabled"
        self.calls.append("EnableKey")

    def becomes(self, state: str) -> Callable[[], None]:
        """Somebody else makes it so."""

        def change() -> None:
            self.state = state

        return change


class Pages:
    def __init__(self, grants: int) -> None:
        self.grants = grants

    async def paginate(self, **_: str) -> AsyncIterator[dict[str, Any]]:
        yield {
            "Aliases": [],
            "Tags": [],
            "Grants": [{"GrantId": str(number)} for number in range(self.grants)],
        }


class History:
    """CloudTrail's event history."""

    def __init__(self) -> None:
        self.records: list[str] = []
        self.asked: list[dict[str, Any]] = []

    async def lookup_events(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return {"Events": [{}, *({"CloudTrailEvent": one} for one in self.records)]}


class World(Aws):
    """The one door to AWS, with the scripts behind it, and a responder that uses it."""

    def __init__(self, state: str, **options: float) -> None:
        super().__init__(Metrics())
        self.key, self.history = Kms(state), History()
        self.clock = LoopClock()
        self.store = MemoryStore(self.clock)
        self.responder = self.replica(self.store, **options)

    def replica(self, store: Any, **options: float) -> RestoreKey:
        log: Any = structlog.get_logger("test")
        services = Services(self, self.clock, store, self.metrics, log, "test")
        return RestoreKey(RestoreOptions(**options), services)

    async def client(self, service: str, region: str, account: str = "") -> Any:
        assert (region, account) == (REGION, ACCOUNT)
        return {"kms": self.key, "cloudtrail": self.history}[service]

    def knows(self, state: KeyState, as_of: float = EPOCH - 7200, **more: Any) -> None:
        origin = more.pop("origin", Origin.ACCEPTED)
        self.store.right[KEY] = baseline(state, as_of, origin, **more)

    async def repair(self, **changes: Any) -> tuple[Outcome, list[str]]:
        """The outcome of a decision about a deletion, and what was written."""
        done = await self.responder.respond(decision(**({"finding": DELETION} | changes)))
        assert list(done.calls) == self.key.calls or done.outcome is Outcome.ALREADY
        assert not self.store.leases, "a lease was not given back"
        return done.outcome, self.key.calls


@pytest.fixture(autouse=True)
def _few_tries() -> Iterator[None]:
    # Stamina looks at the machine's own clock, which does not run in virtual time.
    with stamina.set_testing(True, attempts=3):
        yield


# -- undo


@pytest.mark.parametrize(
    ("state", "known", "calls", "end"),
    [
        ("PendingDeletion", None, BOTH, "Enabled"),
        ("PendingReplicaDeletion", None, BOTH, "Enabled"),
        ("Disabled", None, ["EnableKey"], "Enabled"),
        ("PendingDeletion", S.ENABLED, BOTH, "Enabled"),
        ("PendingDeletion", S.DISABLED, ["CancelKeyDeletion"], "Disabled"),
        ("PendingReplicaDeletion", S.DISABLED, ["CancelKeyDeletion"], "Disabled"),
        # an approved deletion that was cancelled, then scheduled anew by somebody else
        ("PendingDeletion", S.PENDING_DELETION, ["CancelKeyDeletion"], "Disabled"),
    ],
)
async def test_the_key_goes_back_to_its_prior_state(
    state: str, known: KeyState | None, calls: list[str], end: str
) -> None:
    world = World(state)
    if known:
        world.knows(known)
    assert await world.repair() == (Outcome.DONE, calls)
    assert world.key.state == end
    if known:
        assert world.store.right[KEY].registers[STATE].damaged_at == DELETION.event_time


@pytest.mark.parametrize("state", ["Enabled", "Disabled"])
async def test_a_key_as_it_should_be_is_read_and_not_written(state: str) -> None:
    world = World(state)
    world.knows(S(state), origin=Origin.SEEN)
    found = await world.responder.respond(decision(OLD))
    assert found.outcome is Outcome.ALREADY
    assert world.key.tried == ["DescribeKey"]
    assert ("as it was when first seen" in found.detail) is (state == "Disabled")


async def test_a_key_that_is_said_to_be_gone_and_is_gone_is_not_waited_for() -> None:
    world = World("Gone")
    gone = replace(DELETION, event_name="DeleteKey", caused=S.GONE)
    assert await world.repair(finding=gone) == (Outcome.REFUSED, [])
    assert set(world.key.tried) == {"DescribeKey"}


async def test_a_key_whose_deletion_was_approved_is_gone_as_it_should_be() -> None:
    world = World("Gone")
    world.knows(S.PENDING_DELETION)
    gone = replace(DELETION, event_name="DeleteKey", caused=S.GONE)
    assert await world.repair(finding=gone) == (Outcome.ALREADY, [])


async def test_while_the_event_is_young_a_good_state_is_believed_only_if_it_stays() -> None:
    world = World("PendingDeletion")
    world.key.stale = ["Enabled"] * 4
    assert await world.repair() == (Outcome.DONE, BOTH)
    assert world.clock.now() < EPOCH + 13

    world = World("Enabled")
    assert await world.repair() == (Outcome.ALREADY, [])
    assert world.clock.now() >= EPOCH + 10


async def test_an_event_of_the_future_is_doubted_no_longer_than_a_fresh_one() -> None:
    world = World("Enabled")
    far = replace(DELETION, event_time=EPOCH + 1e9)
    assert await world.repair(finding=far) == (Outcome.ALREADY, [])
    assert world.clock.now() < EPOCH + 20


async def test_stale_reads_after_the_calls_are_waited_out_without_calling_again() -> None:
    world = World("PendingDeletion")
    world.key.script["EnableKey"] = [
        lambda: world.key.stale.extend(["PendingDeletion", "PendingDeletion", "Disabled"])
    ]
    assert await world.repair() == (Outcome.DONE, BOTH)
    assert world.key.tried.count("EnableKey") == 1


async def test_reads_that_stay_stale_beyond_patience_do_no_harm() -> None:
    world = World("PendingDeletion", settle_seconds=0.2)
    world.key.script["EnableKey"] = [lambda: world.key.stale.extend(["PendingDeletion"] * 8)]
    assert await world.repair() == (Outcome.DONE, BOTH)
    assert world.key.tried.count("CancelKeyDeletion") > 1  # refused by KMS, and understood


@pytest.mark.parametrize("call", ["DescribeKey", *BOTH])
@pytest.mark.parametrize(
    "error",
    [
        refused("ThrottlingException"),
        refused("KMSInternalException", 500),
        refused("DependencyTimeoutException"),
        ConnectionError(),
    ],
)
async def test_what_passes_is_tried_again_at_once(call: str, error: Exception) -> None:
    world = World("PendingDeletion")
    world.key.script[call] = [error, error]
    assert await world.repair() == (Outcome.DONE, BOTH)


@pytest.mark.parametrize("call", ["DescribeKey", *BOTH])
async def test_what_does_not_pass_in_time_is_worth_another_delivery(call: str) -> None:
    world = World("PendingDeletion")
    world.key.script[call] = [refused("ThrottlingException")] * 3
    with pytest.raises(WorthRetrying) as caught:
        await world.repair()
    assert ("after CancelKeyDeletion succeeded" in str(caught.value)) is (call == "EnableKey")
    before, world.key.calls = world.key.calls, []
    outcome, after = await world.repair()  # redelivered
    assert (outcome, before + after) == (Outcome.DONE, BOTH)


@pytest.mark.parametrize(
    ("call", "meanwhile", "outcome", "calls"),
    [
        # somebody else repairs, wholly or by half
        ("CancelKeyDeletion", "Enabled", Outcome.ALREADY, []),
        ("CancelKeyDeletion", "Disabled", Outcome.DONE, ["EnableKey"]),
        ("EnableKey", "Enabled", Outcome.DONE, BOTH),
        # somebody else attacks again
        ("EnableKey", "PendingDeletion", Outcome.DONE, ["CancelKeyDeletion", *BOTH]),
        ("EnableKey", "Disabled", Outcome.DONE, BOTH),
    ],
)
async def test_somebody_changes_the_key_in_the_middle(
    call: str, meanwhile: str, outcome: Outcome, calls: list[str]
) -> None:
    world = World("PendingDeletion")
    world.key.script[call] = [world.key.becomes(meanwhile)]
    assert await world.repair() == (outcome, calls)
    assert world.key.state == "Enabled"


@pytest.mark.parametrize("call", BOTH)
async def test_an_invalid_state_that_is_only_kms_being_behind_is_tried_again(call: str) -> None:
    world = World("PendingDeletion")
    world.key.script[call] = [refused("KMSInvalidStateException")] * 3
    assert await world.repair() == (Outcome.DONE, BOTH)


async def test_against_somebody_who_never_tires_we_stop_and_come_back() -> None:
    world = World("PendingDeletion")
    world.key.script["EnableKey"] = [world.key.becomes("PendingDeletion")] * 50
    with pytest.raises(WorthRetrying, match="still PendingDeletion"):
        await world.repair()
    assert len(world.key.tried) < 40
    assert not world.store.leases


async def test_denied_after_half_a_repair_tells_which_half() -> None:
    world = World("PendingDeletion")
    world.key.script["EnableKey"] = [refused("AccessDeniedException")] * 2
    with pytest.raises(Denied, match="after CancelKeyDeletion succeeded") as caught:
        await world.repair()
    assert caught.value.code == "AccessDeniedException"
    assert world.key.state == "Disabled"
    assert not world.store.leases
    written = world.metrics.registry.get_sample_value(
        "kms_monitor_repair_calls_total", {"call": "CancelKeyDeletion"}
    )
    assert written == 1


@pytest.mark.parametrize("call", ["DescribeKey", "CancelKeyDeletion"])
async def test_denied_before_anything_was_done(call: str) -> None:
    world = World("PendingDeletion")
    world.key.script[call] = [refused("AccessDeniedException")]
    with pytest.raises(Denied) as caught:
        await world.repair()
    assert "succeeded" not in str(caught.value)


@pytest.mark.parametrize("state", ["Gone", "PendingImport", "Unavailable"])
async def test_what_only_people_can_mend_is_refused_with_words(state: str) -> None:
    world = World(state)
    found = await world.responder.respond(decision(OLD))
    assert (found.outcome, world.key.calls) == (Outcome.REFUSED, [])
    assert found.detail


async def test_a_key_that_kms_does_not_know_yet_is_not_given_up() -> None:
    """Right after its creation KMS may say that there is none (aws-facts 3.7)."""
    world = World("Gone")
    with pytest.raises(WorthRetrying, match="does not know the key"):
        await world.responder.respond(decision(DELETION))


async def test_of_a_key_that_does_not_exist_the_history_is_not_asked() -> None:
    """Messages about made-up keys would use up LookupEvents' quota, which approvals need."""
    world = World("Gone")
    with pytest.raises(WorthRetrying):
        await world.repair()
    assert (world.history.asked, set(world.key.tried)) == ([], {"DescribeKey"})


async def test_a_key_that_vanishes_in_the_middle_says_what_was_done() -> None:
    world = World("PendingDeletion")
    world.key.script["EnableKey"] = [refused("NotFoundException")]
    with pytest.raises(NotWorthRetrying, match="after CancelKeyDeletion succeeded"):
        await world.repair()

    world = World("PendingDeletion")
    world.key.script["EnableKey"] = [refused("KMSInvalidStateException")]
    world.key.script["DescribeKey"] = [None, None, world.key.becomes("Gone")]
    assert await world.repair() == (Outcome.REFUSED, ["CancelKeyDeletion"])


@pytest.mark.parametrize("state", ["Creating", "Updating"])
async def test_a_state_in_between_is_waited_for(state: str) -> None:
    world = World(state)
    with pytest.raises(WorthRetrying):
        await world.repair()
    assert not world.key.calls


async def test_a_state_that_nobody_knew_and_a_key_of_aws_are_left_alone() -> None:
    world = World("Hibernating")
    with pytest.raises(NotWorthRetrying, match="Hibernating"):
        await world.repair()
    world = World("PendingDeletion")
    world.key.manager = "AWS"
    assert await world.repair() == (Outcome.REFUSED, [])


@pytest.mark.parametrize("state", ["PendingDeletion", "Disabled"])
async def test_dry_run_writes_nothing_and_says_what_it_would(state: str) -> None:
    world = World(state)
    found = await world.responder.respond(decision(DELETION, dry_run=True))
    assert found.outcome is Outcome.WOULD
    assert "EnableKey" in found.detail
    assert set(world.key.tried) == {"DescribeKey"}


async def test_without_a_key_there_is_nothing_to_do() -> None:
    world = World("Enabled")
    assert await world.repair(finding=replace(DELETION, key=None)) == (Outcome.REFUSED, [])
    assert not world.key.tried
    assert await world.responder.serve() is None  # type: ignore[func-returns-value]
    assert world.responder.problem() is None


# -- accept


def accept(found: Any = ENABLED, reason: Reason = Reason.ACCEPTED_CHANGE, **more: Any) -> Decision:
    return decision(found, verdict=Verdict.ACCEPT, reason=reason, **more)


def written(found: Any, **changes: Any) -> str:
    """The record of the history that confirms a finding, with `changes`."""
    return json.dumps(record(**({"eventName": found.event_name} | changes)))


async def test_a_change_that_the_live_key_shows_moves_the_baseline() -> None:
    world = World("Enabled")
    world.knows(S.DISABLED)
    assert (await world.responder.respond(accept())).outcome is Outcome.DONE
    known = world.store.right[KEY].registers[STATE]
    assert (known.value, known.as_of, known.origin) == (S.ENABLED, EPOCH, Origin.ACCEPTED)
    assert not world.history.asked
    # redelivered
    assert (await world.responder.respond(accept())).outcome is Outcome.DONE
    assert not world.key.calls


async def test_a_change_that_only_the_history_has_moves_it_too() -> None:
    world = World("Disabled")
    world.history.records = ["{}", "not json", written(ENABLED)]
    assert (await world.responder.respond(accept())).outcome is Outcome.DONE
    assert world.store.right[KEY].state is S.ENABLED
    asked = world.history.asked[0]
    assert asked["LookupAttributes"][0]["AttributeValue"] == ENABLED.event_id
    assert asked["StartTime"] < datetime.fromtimestamp(EPOCH, UTC) < asked["EndTime"]
    assert not world.key.calls  # no damage is known that would have to be undone


async def test_while_the_history_lags_the_change_comes_again_then_it_is_unconfirmed() -> None:
    world = World("Disabled")
    world.knows(S.DISABLED)
    with pytest.raises(WorthRetrying):
        await world.responder.respond(accept())
    await asyncio.sleep(900)
    assert (await world.responder.respond(accept())).outcome is Outcome.UNCONFIRMED
    assert world.store.right[KEY].state is S.DISABLED
    assert not world.key.calls


@pytest.mark.parametrize(
    "changes",
    [
        {"eventID": "22222222-bbbb-4bbb-8bbb-000000000009"},
        {"eventName": "DisableKey"},
        {"eventTime": "2026-11-20T09:14:04Z"},
        {"errorCode": "AccessDenied"},
        {"resources": [{"ARN": str(replace(KEY, key_id="other"))}]},
        {"userIdentity": {"type": "Root", "arn": f"arn:aws:iam::{ACCOUNT}:root"}},
        {"userIdentity": None},
    ],
)
async def test_a_forged_change_is_confirmed_by_no_record_of_another(
    changes: dict[str, Any],
) -> None:
    world = World("Disabled", history_seconds=0)
    world.history.records = [written(ENABLED, **changes)]
    assert (await world.responder.respond(accept())).outcome is Outcome.UNCONFIRMED
    assert KEY not in world.store.right


async def test_a_change_from_the_far_future_is_not_waited_for() -> None:
    world = World("Disabled")
    far = replace(ENABLED, event_time=EPOCH + 1e9)
    assert (await world.responder.respond(accept(far))).outcome is Outcome.UNCONFIRMED


async def test_a_later_accepted_change_stands() -> None:
    world = World("Disabled")
    world.knows(S.DISABLED, as_of=EPOCH + 1)
    world.history.records = [written(ENABLED)]
    assert (await world.responder.respond(accept())).outcome is Outcome.ALREADY
    assert world.store.right[KEY].state is S.DISABLED


async def test_of_two_changes_in_one_second_the_live_key_decides() -> None:
    for state, wins in (("Enabled", True), ("Disabled", False)):
        world = World(state)
        world.knows(S.DISABLED, as_of=EPOCH)
        world.history.records = [written(ENABLED)]
        await world.responder.respond(accept())
        assert (world.store.right[KEY].state is S.ENABLED) is wins


async def test_a_late_change_after_which_damage_was_seen_repairs_it() -> None:
    world = World("Disabled")
    world.knows(S.DISABLED, damaged_at=EPOCH + 2)
    world.history.records = [written(ENABLED)]
    assert (await world.responder.respond(accept())).outcome is Outcome.DONE
    assert world.key.calls == ["EnableKey"]


async def test_damage_from_the_future_makes_no_change_before_it_look_damaged() -> None:
    """A forged message costs no write, at once or later: here of two changes the older would win."""
    world = World("Enabled")
    world.knows(S.ENABLED)
    forged = replace(DELETION, event_id="forged", event_time=EPOCH + 1e9)
    assert (await world.responder.respond(decision(forged))).outcome is Outcome.ALREADY
    await asyncio.sleep(60)
    world.key.state = "Disabled"  # by somebody who may, after he had enabled it
    now = world.clock.now()
    older = replace(ENABLED, event_time=now - 1)
    world.history.records = [
        written(older, eventTime=datetime.fromtimestamp(now - 1, UTC).isoformat())
    ]
    await world.responder.respond(accept(older, received_at=now))
    assert world.key.calls == []


async def test_a_late_change_in_dry_run_would_repair() -> None:
    world = World("Disabled")
    world.knows(S.DISABLED, damaged_at=EPOCH + 2)
    world.history.records = [written(ENABLED)]
    found = await world.responder.respond(accept(dry_run=True))
    assert (found.outcome, world.key.calls) == (Outcome.WOULD, [])


async def test_a_change_that_leads_to_no_state_moves_nothing() -> None:
    world = World("Enabled")
    world.history.records = [written(ENABLED)]
    found = await world.responder.respond(accept(replace(ENABLED, caused=None)))
    assert found.outcome is Outcome.ALREADY
    assert not world.store.right


@pytest.mark.parametrize("caused", [S.DISABLED, S.PENDING_DELETION])
async def test_a_real_change_by_an_approved_actor_is_left_as_it_is(caused: KeyState) -> None:
    approved = replace(DELETION, caused=caused)
    world = World(caused)
    world.knows(S.ENABLED)
    decided = accept(approved, Reason.APPROVED_ACTOR)
    with pytest.raises(WorthRetrying):  # the live key proves nothing about who left it
        await world.responder.respond(decided)
    world.history.records = [written(approved)]
    assert (await world.responder.respond(decided)).outcome is Outcome.DONE
    assert world.store.right[KEY].state is caused
    assert not world.key.calls
    # whatever of the same is seen now is as it should be
    assert (await world.repair(finding=approved))[0] is Outcome.ALREADY


async def test_a_forged_approval_is_undone_like_any_damage() -> None:
    world = World("PendingDeletion", history_seconds=0)
    forged = replace(DELETION, actor=Actor(arn=f"arn:aws:iam::{ACCOUNT}:user/approved"))
    world.history.records = [written(DELETION)]
    found = await world.responder.respond(accept(forged, Reason.APPROVED_ACTOR))
    assert (found.outcome, world.key.calls) == (Outcome.DONE, BOTH)
    assert KEY not in world.store.right


# -- accept what an approval covers


def approved_world(**used: Any) -> tuple[World, Decision]:
    world = World("Disabled")
    world.knows(S.ENABLED)
    given = approval(actor=f"arn:aws:iam::{ACCOUNT}:role/path/ops-admin", **used)
    world.store.approved[given.id] = given
    found = replace(DELETION, event_name="DisableKey", caused=S.DISABLED, details={})
    return world, accept(found, Reason.APPROVED_CHANGE, approval=given)


def spent(world: World) -> list[str]:
    return [use.event_id for one in world.store.approved.values() for use in one.used]


async def test_an_approval_is_spent_once_the_history_has_the_change() -> None:
    world, decided = approved_world()
    with pytest.raises(WorthRetrying):
        await world.responder.respond(decided)
    assert spent(world) == []
    world.history.records = [written(decided.finding)]
    for _ in range(2):  # redelivered
        assert (await world.responder.respond(decided)).outcome is Outcome.DONE
    assert spent(world) == [decided.finding.event_id]
    assert (world.store.right[KEY].state, world.key.calls) == (S.DISABLED, [])


async def test_a_forged_change_spends_no_approval_and_is_undone() -> None:
    world, decided = approved_world()
    await asyncio.sleep(900)
    found = await world.responder.respond(decided)
    assert (found.outcome, world.key.calls, spent(world)) == (Outcome.DONE, ["EnableKey"], [])


async def test_a_second_change_that_was_judged_at_the_same_time_is_undone() -> None:
    world, decided = approved_world(used=(Use("another", EPOCH),))
    world.history.records = [written(decided.finding)]
    found = await world.responder.respond(decided)
    assert (found.outcome, world.key.calls) == (Outcome.DONE, ["EnableKey"])
    assert found.detail.startswith("its approval was spent for another; EnableKey")


async def test_without_the_store_an_approval_cannot_be_spent_and_the_change_comes_again() -> None:
    world, decided = approved_world()
    world.history.records = [written(decided.finding)]

    async def use(*_: Any) -> bool:
        raise StoreError("disk full")

    world.store.use = use  # type: ignore[method-assign,assignment]
    with pytest.raises(WorthRetrying, match="disk full"):
        await world.responder.respond(decided)


@pytest.mark.parametrize(
    ("claimed", "confirmed"), [("30", True), ("7", False), (None, True), ("8", False)]
)
async def test_a_deletion_is_confirmed_with_its_waiting_period(
    claimed: str | None, confirmed: bool
) -> None:
    details = {"window_days": claimed} if claimed else {}
    found = replace(DELETION, details=details)
    assert confirms(written(found, requestParameters={"keyId": ARN}), found) is confirmed
    other = written(found, responseElements={"keyId": ARN, "pendingWindowInDays": 8})
    assert confirms(other, found) is (claimed in {"8", None})


@pytest.mark.parametrize("claimed", ["arn:aws:iam::222222222222:root", "*"])
async def test_a_real_change_is_not_confirmed_with_other_values_than_it_had(claimed: str) -> None:
    """Who may write into the queue and knows a real change of an approved actor's, names its id."""
    real = {"keyId": ARN, "policyName": "default", "policy": '{"Statement":[]}'}
    policy = json.dumps({"Statement": [{"Effect": "Allow", "Principal": {"AWS": claimed}}]})
    forged = event(eventName="PutKeyPolicy", requestParameters={**real, "policy": policy})
    found = finding(
        detector="key_policy_changed",
        event_name="PutKeyPolicy",
        aspect=Aspect.POLICY,
        actor=ALICE,
        changes=changes_of(forged),
    )
    recorded = written(found, requestParameters=real)
    assert not confirms(recorded, found)
    true = replace(
        found, changes=changes_of(event(eventName="PutKeyPolicy", requestParameters=real))
    )
    assert confirms(recorded, true)

    world = World("Enabled", history_seconds=0)
    world.history.records = [recorded]
    action = await world.responder.respond(accept(found, Reason.APPROVED_ACTOR))
    known = world.store.right.get(KEY)
    assert known is None or known.value(POLICY) is None, "the forged policy is now right"
    assert action.outcome is not Outcome.DONE


# -- one at a time


async def test_two_tasks_on_one_key_never_overlap_and_on_two_keys_do() -> None:
    world = World("PendingDeletion")
    found = await asyncio.gather(*(world.responder.respond(decision(OLD)) for _ in range(3)))
    assert [one.outcome for one in found] == [Outcome.DONE, Outcome.ALREADY, Outcome.ALREADY]
    assert (world.key.most_at_once, world.key.calls) == (1, BOTH)
    assert not world.responder.leases.locks, "the locks of idle keys are kept"

    world = World("Enabled")
    others = [replace(OLD, key=KeyRef(ACCOUNT, REGION, f"k{number}")) for number in range(3)]
    await asyncio.gather(*(world.responder.respond(decision(one)) for one in others))
    assert world.key.most_at_once == 3


async def test_another_replica_that_works_on_the_key_is_not_disturbed() -> None:
    world = World("PendingDeletion")
    await world.store.claim(key_lease(KEY), owner="other", seconds=100)
    with pytest.raises(WorthRetrying, match="another replica"):
        await world.responder.respond(decision(DELETION))
    assert not world.key.tried
    assert world.store.leases[key_lease(KEY)][0] == "other"
    await asyncio.sleep(100)  # it crashed
    assert await world.repair() == (Outcome.DONE, BOTH)


async def test_a_repair_that_is_cancelled_gives_the_key_back() -> None:
    world = World("Enabled")
    task = asyncio.create_task(world.responder.respond(decision(DELETION)))
    await asyncio.sleep(1)
    assert world.store.leases
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not world.store.leases


# -- without the store


class Broken(MemoryStore):
    """A store of which one call fails."""

    def __init__(self, call: str) -> None:
        super().__init__(LoopClock())

        async def fail(*_: object, **__: object) -> Any:
            raise StoreError("disk full")

        setattr(self, call, fail)


STORE_CALLS = ["claim", "release", "baseline", "put_baseline"]


@pytest.mark.parametrize("call", STORE_CALLS)
async def test_a_repair_goes_on_without_the_store(call: str) -> None:
    world = World("PendingDeletion")
    store = Broken(call)
    store.right[KEY] = baseline(S.ENABLED, EPOCH - 9)
    found = await world.replica(store).respond(decision(DELETION))
    assert (found.outcome, world.key.calls) == (Outcome.DONE, BOTH)
    errors = world.metrics.registry.get_sample_value(
        "kms_monitor_store_errors_total", {"call": call}
    )
    assert errors is not None
    assert errors >= 1


@pytest.mark.parametrize("call", STORE_CALLS)
async def test_a_change_is_accepted_only_if_it_can_be_remembered(call: str) -> None:
    world = World("Enabled")
    responder = world.replica(Broken(call))
    try:
        found: Any = (await responder.respond(accept())).outcome
    except MonitorError as error:
        found = type(error)
    forgotten = call in {"baseline", "put_baseline"}
    assert found is (WorthRetrying if forgotten else Outcome.DONE)
    assert not world.key.calls


@pytest.mark.parametrize("order", [["CreateKey", "DisableKey"], ["DisableKey", "CreateKey"]])
def test_what_happens_in_the_second_in_which_a_key_is_made_happens_after_it(
    order: list[str],
) -> None:
    events = [event(eventName=name) for name in order]
    assert state_before(events, EPOCH + 1) is S.DISABLED
    assert state_before(events, EPOCH) is None


# -- parts that cannot be read


def lost(aspect: Aspect, name: str, **more: Any) -> Decision:
    found = finding(aspect=aspect, changes={name: None}, caused=None, event_time=EPOCH - 3600)
    return decision(found, **more)


def knows_part(world: World, name: str, value: Any) -> None:
    world.knows(S.ENABLED)
    known = world.store.right[KEY]
    register = Register(value, EPOCH - 7200, Origin.SEEN)
    world.store.right[KEY] = replace(known, registers={**known.registers, name: register})


async def test_what_cannot_be_read_as_a_whole_is_not_called_right() -> None:
    """Of a key with more grants than we read nobody knows whether one is missing."""
    world = World("Enabled")
    name, grant = grant_register(Grant("lost", "arn:aws:iam::111122223333:role/app"))
    knows_part(world, name, grant)
    world.key.grants = MOST_GRANTS + 1
    with pytest.raises(NotWorthRetrying, match="its grants cannot be read as a whole"):
        await world.responder.respond(lost(Aspect.GRANTS, name))
    assert not world.key.calls


@pytest.mark.parametrize(
    ("code", "kind"),
    [("ThrottlingException", WorthRetrying), ("AccessDeniedException", Denied)],
)
async def test_a_part_that_cannot_be_read_now_is_not_denied(
    code: str, kind: type[MonitorError]
) -> None:
    world = World("Enabled")
    knows_part(world, "policy", "{1}")
    world.key.script["GetKeyPolicy"] = [refused(code)] * 9
    with pytest.raises(MonitorError) as caught:
        await world.responder.respond(lost(Aspect.POLICY, "policy"))
    assert type(caught.value) is kind

"""The way back, for every state and every wish: legal, never harmful, and it arrives."""

import itertools

import pytest

from monitor.key import KeyState
from monitor.ledger import Baseline, Origin
from monitor.repair.baseline import prior_state, worth_keeping
from monitor.repair.plan import Call, RepairPlan, plan
from tests.samples import KEY, snapshot

CANCEL, ENABLE = Call.CANCEL_KEY_DELETION, Call.ENABLE_KEY
S = KeyState
LEGAL: dict[Call, dict[KeyState, KeyState]] = {
    # aws-facts 3.2, by hand: where a call is allowed, and the state it leads to (3.1)
    CANCEL: {S.PENDING_DELETION: S.DISABLED, S.PENDING_REPLICA_DELETION: S.DISABLED},
    ENABLE: {S.ENABLED: S.ENABLED, S.DISABLED: S.ENABLED, S.UNAVAILABLE: S.UNAVAILABLE},
}
WISHES = [S.ENABLED, S.DISABLED, S.PENDING_DELETION, S.PENDING_REPLICA_DELETION]
EXPECTED: dict[tuple[KeyState, KeyState], tuple[Call, ...]] = {
    (S.PENDING_DELETION, S.ENABLED): (CANCEL, ENABLE),
    (S.PENDING_REPLICA_DELETION, S.ENABLED): (CANCEL, ENABLE),
    (S.PENDING_DELETION, S.DISABLED): (CANCEL,),
    (S.PENDING_REPLICA_DELETION, S.DISABLED): (CANCEL,),
    (S.DISABLED, S.ENABLED): (ENABLE,),
}
EVERY = list(itertools.product(S, WISHES))


@pytest.mark.parametrize(("state", "wanted"), EVERY)
def test_the_calls_for_every_state_and_wish(state: KeyState, wanted: KeyState) -> None:
    steps = plan(snapshot(state), wanted)
    assert steps.calls == EXPECTED.get((state, wanted), ())
    assert sum(map(bool, (steps.calls, steps.wait, steps.impossible))) <= 1


@pytest.mark.parametrize(("state", "wanted"), EVERY)
def test_every_call_is_legal_where_it_is_made_and_the_plan_arrives(
    state: KeyState, wanted: KeyState
) -> None:
    steps = plan(snapshot(state), wanted)
    for call in steps.calls:
        assert state in LEGAL[call], f"{call} is refused in {state}"
        state = LEGAL[call][state]
    if steps.calls:
        assert state is wanted
        assert plan(snapshot(state), wanted).nothing_to_do


@pytest.mark.parametrize("wanted", [S.ENABLED, S.DISABLED])
@pytest.mark.parametrize(
    ("state", "wait", "impossible"),
    [
        (S.CREATING, True, False),
        (S.UPDATING, True, False),
        (S.GONE, False, True),
        (S.PENDING_IMPORT, False, True),
        (S.UNAVAILABLE, False, True),
        (S.ENABLED, False, False),
    ],
)
def test_what_no_call_can_mend_is_waited_for_or_handed_to_people(
    state: KeyState, wait: bool, impossible: bool, wanted: KeyState
) -> None:
    steps = plan(snapshot(state), wanted)
    assert (bool(steps.wait), bool(steps.impossible)) == (wait, impossible)
    assert steps.nothing_to_do is not (wait or impossible)


@pytest.mark.parametrize("wanted", [S.PENDING_DELETION, S.PENDING_REPLICA_DELETION])
def test_an_approved_deletion_is_never_helped_along(wanted: KeyState) -> None:
    for state in S:
        assert plan(snapshot(state), wanted) == RepairPlan()


def test_aws_managed_keys_are_left_to_aws() -> None:
    for state in S:
        steps = plan(snapshot(state, customer_managed=False), S.ENABLED)
        assert steps.impossible
        assert not steps.calls


def test_no_call_takes_a_key_away() -> None:
    assert {call.value for call in Call} == {"CancelKeyDeletion", "EnableKey"}


def baseline(state: KeyState, as_of: float = 100.0) -> Baseline:
    return Baseline(KEY, state, as_of, Origin.ACCEPTED)


@pytest.mark.parametrize(
    ("known", "damaged_at", "wanted"),
    [
        (None, 100.0, S.ENABLED),
        (baseline(S.ENABLED), 200.0, S.ENABLED),
        (baseline(S.DISABLED), 200.0, S.DISABLED),
        (baseline(S.DISABLED), 50.0, S.DISABLED),
        # an approved deletion that somebody cancelled since left the key Disabled
        (baseline(S.PENDING_DELETION), 200.0, S.DISABLED),
        (baseline(S.PENDING_REPLICA_DELETION), 200.0, S.DISABLED),
        (baseline(S.PENDING_DELETION), 100.0, S.PENDING_DELETION),
        (baseline(S.PENDING_DELETION), 50.0, S.PENDING_DELETION),
    ],
)
def test_the_prior_state_is_what_was_accepted_last(
    known: Baseline | None, damaged_at: float, wanted: KeyState
) -> None:
    assert prior_state(known, damaged_at) is wanted


def test_an_approved_deletion_ends_with_the_key_gone() -> None:
    known = baseline(S.PENDING_DELETION)
    assert prior_state(known, 200.0, S.GONE) is S.PENDING_DELETION
    assert prior_state(baseline(S.ENABLED), 200.0, S.GONE) is S.ENABLED


def test_only_settled_states_are_kept_as_first_seen() -> None:
    assert {state for state in S if worth_keeping(state)} == {S.ENABLED, S.DISABLED}

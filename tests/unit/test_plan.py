"""The way back, for every state and every wish: legal, never harmful, and it arrives."""

import itertools

import pytest
from msgspec.structs import replace

from monitor.baseline import Baseline, right_state, worth_keeping
from monitor.key import Grant, KeyState
from monitor.register import STATE, registers_of
from monitor.repair.plan import Call, Limits, RepairPlan, Step, plan
from tests.samples import KEY, baseline, snapshot

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
    steps = plan(snapshot(state), {STATE: wanted.value})
    assert steps.calls == EXPECTED.get((state, wanted), ())
    assert sum(map(bool, (steps.calls, steps.wait, steps.impossible))) <= 1


@pytest.mark.parametrize(("state", "wanted"), EVERY)
def test_every_call_is_legal_where_it_is_made_and_the_plan_arrives(
    state: KeyState, wanted: KeyState
) -> None:
    steps = plan(snapshot(state), {STATE: wanted.value})
    for call in steps.calls:
        assert state in LEGAL[call], f"{call} is refused in {state}"
        state = LEGAL[call][state]
    if steps.calls:
        assert state is wanted
        assert plan(snapshot(state), {STATE: wanted.value}).nothing_to_do


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
    steps = plan(snapshot(state), {STATE: wanted.value})
    assert (bool(steps.wait), bool(steps.impossible)) == (wait, impossible)
    assert steps.nothing_to_do is not (wait or impossible)


@pytest.mark.parametrize("wanted", [S.PENDING_DELETION, S.PENDING_REPLICA_DELETION])
def test_an_approved_deletion_is_never_helped_along(wanted: KeyState) -> None:
    for state in S:
        assert plan(snapshot(state), {STATE: wanted.value}) == RepairPlan()


def test_aws_managed_keys_are_left_to_aws() -> None:
    for state in set(S) - {S.ENABLED}:
        steps = plan(snapshot(state, customer_managed=False), {STATE: "Enabled"})
        assert steps.impossible
        assert not steps.calls


def test_no_call_takes_a_key_away() -> None:
    names = {call.value for call in Call}
    assert not [one for one in names if one.startswith(("Disable", "Schedule", "Delete"))]


GRANT = Grant("id-1", "arn:aws:iam::111122223333:role/app", "", ("Decrypt",), "app")
NAME, VALUE = next(
    (one, two)
    for one, two in registers_of(snapshot(S.ENABLED, grants=(GRANT,)))[0].items()
    if one.startswith("grant/")
)
WHOLE = snapshot(
    S.ENABLED,
    policy='{"Statement":[]}',
    rotation_days=365,
    aliases=("alias/a",),
    tags={"Owner": "crypto", "Stage": "prod"},
    grants=(GRANT,),
    description="payments",
)
DAMAGED = replace(
    WHOLE, policy="{}", rotation_days=0, aliases=(), tags={"Owner": "mallory", "x": "y"}, grants=()
)
STRAY = Grant("id-2", "arn:aws:iam::999999999999:root", "", ("Decrypt",))
STRAY_NAME = next(
    one for one in registers_of(replace(WHOLE, grants=(STRAY,)))[0] if one.startswith("grant/")
)
ALL = {
    STATE: "Enabled",
    "policy": '{"Statement":[]}',
    "rotation": 365,
    "alias/a": True,
    "tag/Owner": "crypto",
    "tag/Stage": "prod",
    "tag/x": None,
    NAME: VALUE,
    STRAY_NAME: None,
    "description": "payments",
}


def test_all_parts_in_the_order_in_which_they_can_be_put_back() -> None:
    live = replace(DAMAGED, state=S.PENDING_DELETION, description="", grants=(STRAY,))
    assert plan(live, ALL).steps == (
        Step(Call.CANCEL_KEY_DELETION),
        Step(Call.PUT_KEY_POLICY, '{"Statement":[]}'),
        Step(Call.ENABLE_KEY),
        Step(Call.TAG_RESOURCE, {"Owner": "crypto", "Stage": "prod"}),
        Step(Call.UNTAG_RESOURCE, ["x"]),
        Step(Call.UPDATE_ALIAS, "alias/a"),
        Step(Call.CREATE_GRANT, VALUE),
        Step(Call.REVOKE_GRANT, "id-2"),
        Step(Call.ENABLE_KEY_ROTATION, 365),
        Step(Call.UPDATE_KEY_DESCRIPTION, "payments"),
    )
    assert plan(WHOLE, ALL).nothing_to_do


@pytest.mark.parametrize("name", ALL)
def test_nothing_but_what_is_asked_for_is_touched(name: str) -> None:
    state = S.DISABLED if name == STATE else S.ENABLED
    live = replace(DAMAGED, state=state, description="", grants=(STRAY,))
    assert len(plan(live, {name: ALL[name]}).steps) == 1


def test_what_was_not_read_is_not_written() -> None:
    live = snapshot(S.ENABLED)
    assert plan(live, {name: ALL[name] for name in ALL if name != "description"}).nothing_to_do


def test_what_somebody_made_better_stays() -> None:
    assert plan(WHOLE, {STATE: "Disabled"}).nothing_to_do
    assert plan(WHOLE, {"rotation": 0}).nothing_to_do
    assert plan(WHOLE, {"alias/a": None}).nothing_to_do


@pytest.mark.parametrize("state", [S.DISABLED, S.PENDING_IMPORT, S.UNAVAILABLE])
def test_what_needs_an_enabled_key_is_impossible_while_it_should_be_otherwise(
    state: KeyState,
) -> None:
    wanted = {STATE: state.value, NAME: VALUE, "rotation": 365, "tag/Stage": "prod"}
    if state is not S.DISABLED:
        del wanted[STATE]
    left = plan(replace(DAMAGED, state=state), wanted)
    assert left.calls == (Call.TAG_RESOURCE,)
    assert len(left.impossible) == 2
    assert all("while the key is" in why for why in left.impossible)


def test_while_a_deletion_is_approved_only_the_policy_and_grants_can_be_mended() -> None:
    live = replace(DAMAGED, state=S.PENDING_DELETION, grants=(STRAY,))
    wanted = {name: value for name, value in ALL.items() if name != STATE}
    left = plan(live, wanted)
    assert left.calls == (Call.PUT_KEY_POLICY, Call.REVOKE_GRANT)
    assert len(left.impossible) == 4


def test_a_contested_key_is_saved_from_deletion_and_no_more() -> None:
    limits = Limits(only_deletion=True)
    live = replace(DAMAGED, state=S.PENDING_DELETION)
    assert plan(live, ALL, limits).calls == (Call.CANCEL_KEY_DELETION,)
    left = plan(replace(DAMAGED, state=S.DISABLED), ALL, limits)
    assert not left.steps
    assert left.impossible


def test_a_key_store_is_connected_again_but_not_one_that_is_no_key_store() -> None:
    lost = replace(WHOLE, state=S.UNAVAILABLE)
    assert plan(lost, {STATE: "Enabled"}).impossible
    stored = replace(lost, custom_key_store="cks-1")
    steps = plan(stored, {STATE: "Enabled"}).steps
    assert steps == (Step(Call.CONNECT_CUSTOM_KEY_STORE, "cks-1"),)


def test_material_is_imported_where_there_is_an_escrow() -> None:
    empty = replace(WHOLE, state=S.PENDING_IMPORT)
    wanted = {STATE: "Enabled", "expiry": 5.0}
    assert plan(empty, wanted).impossible
    assert plan(empty, wanted, Limits(escrow=True)).steps == (Step(Call.IMPORT_KEY_MATERIAL, 5.0),)
    assert plan(empty, {STATE: "Enabled"}, Limits(escrow=True)).impossible


def test_the_primary_region_is_moved_back_and_replicas_are_left_to_people() -> None:
    other = replace(KEY, region="us-east-1")
    live = replace(WHOLE, primary=other, replicas=(KEY,))
    assert plan(live, {"primary": KEY.region}).steps == (
        Step(Call.UPDATE_PRIMARY_REGION, KEY.region),
    )
    here = Limits(places=frozenset({(KEY.account, KEY.region)}))
    for name in ("primary", "rotation"):
        left = plan(
            replace(live, rotation_days=0), {name: {"primary": KEY.region}.get(name, 90)}, here
        )
        assert not left.steps
        assert "us-east-1, which is not guarded" in left.impossible[0]
    for value, region in ((True, "ap-south-1"), (None, KEY.region)):
        left = plan(live, {f"replica/{region}": value})
        assert not left.steps
        assert region in left.impossible[0]


@pytest.mark.parametrize(
    ("known", "damaged_at", "wanted"),
    [
        (None, 100.0, S.ENABLED),
        (baseline(S.ENABLED, 100.0), 200.0, S.ENABLED),
        (baseline(S.DISABLED, 100.0), 200.0, S.DISABLED),
        (baseline(S.DISABLED, 100.0), 50.0, S.DISABLED),
        # an approved deletion that somebody cancelled since left the key Disabled
        (baseline(S.PENDING_DELETION, 100.0), 200.0, S.DISABLED),
        (baseline(S.PENDING_REPLICA_DELETION, 100.0), 200.0, S.DISABLED),
        (baseline(S.PENDING_DELETION, 100.0), 100.0, S.PENDING_DELETION),
        (baseline(S.PENDING_DELETION, 100.0), 50.0, S.PENDING_DELETION),
    ],
)
def test_the_prior_state_is_what_was_accepted_last(
    known: Baseline | None, damaged_at: float, wanted: KeyState
) -> None:
    assert (right_state(known, damaged_at) or S.ENABLED) is wanted


def test_an_approved_deletion_ends_with_the_key_gone() -> None:
    known = baseline(S.PENDING_DELETION, 100.0)
    assert right_state(known, 200.0, S.GONE) is S.PENDING_DELETION
    assert right_state(baseline(S.ENABLED, 100.0), 200.0, S.GONE) is S.ENABLED


def test_only_settled_states_are_kept_as_first_seen() -> None:
    assert {state for state in S if worth_keeping(state)} == {S.ENABLED, S.DISABLED}

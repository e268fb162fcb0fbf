"""How a key should be, whatever the order in which changes and damage are told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.baseline import (
    MANY,
    MOST_MANY,
    Baseline,
    Origin,
    Register,
    accepted,
    damaged,
    exact,
    renewed,
    resolved,
    right_state,
    shows,
    sighted,
)
from monitor.finding import Aspect
from monitor.key import Grant, KeyState
from monitor.register import STATE, aspect_of, grant_register, registers_of
from tests.samples import EPOCH, KEY, snapshot

S = KeyState
GRANT = Grant("g-1", "arn:aws:iam::111122223333:role/app", "", ("Encrypt", "Decrypt"), "app")
WHOLE = snapshot(
    S.ENABLED,
    policy="{}",
    rotation_days=365,
    aliases=("alias/a",),
    tags={"Owner": "crypto"},
    grants=(GRANT,),
    description="payments",
    primary=KEY,
    replicas=(replace(KEY, region="us-east-1"),),
    valid_to=EPOCH + 99,
)
GRANT_NAME = next(one for one in registers_of(WHOLE)[0] if one.startswith("grant/"))


def test_what_was_seen_comes_back() -> None:
    known = sighted(None, WHOLE)
    assert known.aspects == frozenset(Aspect)
    found = known.snapshot(like=WHOLE)
    # Operations have no order of their own.
    expected = replace(GRANT, operations=("Decrypt", "Encrypt"))
    assert found == replace(WHOLE, as_of=EPOCH, grants=(expected,), multi_region=True)


def test_only_what_was_read_is_taken_over() -> None:
    known = sighted(None, snapshot(S.ENABLED))
    assert known.aspects == {Aspect.STATE, Aspect.DESCRIPTION, Aspect.REPLICATION}
    assert known.snapshot().tags is None
    later = sighted(known, replace(WHOLE, state=S.DISABLED, description="other"))
    assert (later.state, later.value("description")) == (S.ENABLED, "")
    assert later.value("tag/Owner") == "crypto"
    assert sighted(later, replace(WHOLE, tags={"Owner": "mallory"})) == later


@pytest.mark.parametrize("state", sorted(set(S) - {S.ENABLED, S.DISABLED}))
def test_a_bad_state_at_first_sight_is_not_right(state: KeyState) -> None:
    known = sighted(None, replace(WHOLE, state=state))
    assert known.state is None
    assert known.value("tag/Owner") == "crypto"
    assert sighted(known, WHOLE).state is S.ENABLED


CHANGES: list[dict[str, Any]] = [
    {STATE: "Disabled"},
    {STATE: "Enabled"},
    {"policy": "{1}"},
    {"tag/Owner": None},
    {"tag/Owner": "x", "tag/New": "y"},
    {"alias/a": None},
    {"rotation": 0},
]


@given(
    order=st.permutations(range(len(CHANGES) * 2)), again=st.lists(st.integers(0, 13), max_size=6)
)
def test_any_order_of_changes_and_damage_ends_the_same(order: list[int], again: list[int]) -> None:
    def happen(known: Baseline | None, number: int) -> Baseline | None:
        changes, at = CHANGES[number % len(CHANGES)], EPOCH + 10 + number
        if number < len(CHANGES):
            return accepted(known, KEY, changes, at)
        return damaged(known, changes, at)

    def end(numbers: list[int]) -> Baseline:
        known: Baseline | None = sighted(None, WHOLE)
        for number in numbers:
            known = happen(known, number)
        assert known is not None
        return known

    expected = end(list(range(len(CHANGES) * 2)))
    got = end([*order, *again])
    assert got == expected


def test_the_later_change_stands_and_of_two_at_once_the_one_that_is_seen() -> None:
    known = accepted(None, KEY, {"policy": "1"}, 10)
    assert accepted(known, KEY, {"policy": "2"}, 9) is known
    assert accepted(known, KEY, {"policy": "2"}, 10) is known
    assert accepted(known, KEY, {"policy": "2"}, 10, tie=True).value("policy") == "2"
    assert accepted(known, KEY, {"policy": "2"}, 11).value("policy") == "2"
    seen = accepted(known, KEY, {"policy": "3"}, 12, origin=Origin.HISTORY)
    assert seen is known, "what is only learned never replaces"


def test_damage_is_remembered_and_what_it_brought_should_not_be() -> None:
    known = sighted(None, WHOLE)
    hurt = damaged(known, {"tag/Owner": "mallory", "tag/New": "y", GRANT_NAME: None}, EPOCH + 5)
    assert hurt is not None
    assert hurt.value("tag/Owner") == "crypto"
    assert hurt.registers["tag/New"] == Register(None, 0.0, Origin.DAMAGE, EPOCH + 5)
    assert hurt.registers[GRANT_NAME].damaged_at == EPOCH + 5
    assert damaged(hurt, {"tag/Owner": "z"}, EPOCH + 4) == hurt
    # An accepted change of the same, earlier or later, says what is right.
    right = accepted(hurt, KEY, {"tag/New": "y"}, EPOCH + 1)
    assert (right.value("tag/New"), right.registers["tag/New"].damaged_at) == ("y", EPOCH + 5)
    # Of an aspect that was never read nobody knows whether it was there before.
    little = sighted(None, snapshot(S.ENABLED))
    assert damaged(little, {"tag/New": "y"}, EPOCH) == little
    assert damaged(None, {"tag/New": "y"}, EPOCH) is None


def test_a_grant_is_found_by_its_id() -> None:
    known = sighted(None, WHOLE)
    assert resolved(known, {"grant-id/g-1": None, "grant-id/g-9": None}) == {GRANT_NAME: None}
    anew = replace(WHOLE, grants=(replace(GRANT, grant_id="g-2"),))
    later = renewed(known, anew)
    assert later is not None
    assert resolved(later, {"grant-id/g-2": None}) == {GRANT_NAME: None}
    assert renewed(later, anew) == later
    assert renewed(known, snapshot(S.ENABLED)) == known


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({STATE: "Enabled"}, True),
        ({STATE: "Disabled"}, False),
        ({"tag/Owner": "crypto"}, True),
        ({"tag/Owner": None}, False),
        ({"tag/Other": None}, True),
        ({"grant-id/g-1": None}, False),
        ({"grant-id/g-2": None}, True),
        ({GRANT_NAME: {"any": "thing"}}, True),
        ({GRANT_NAME: None}, False),
        ({"expiry": EPOCH + 3600}, True),
        ({"expiry": EPOCH + 30 * 3600}, False),
        ({"expiry": None}, False),
    ],
)
def test_whether_the_key_shows_a_change(changes: dict[str, Any], *, shown: bool) -> None:
    assert shows(WHOLE, changes) is shown


def test_what_was_not_read_shows_nothing() -> None:
    assert not shows(snapshot(S.ENABLED), {"policy": "{}"})
    assert exact(WHOLE, {"expiry": EPOCH, "policy": "{}"}) == {"expiry": EPOCH + 99, "policy": "{}"}


def test_what_is_not_known_has_no_right_state() -> None:
    assert right_state(None, EPOCH) is None
    assert right_state(accepted(None, KEY, {"policy": "{}"}, 1), EPOCH) is None


def test_every_register_belongs_to_an_aspect() -> None:
    assert {aspect_of(name) for name in registers_of(WHOLE)[0]} == set(Aspect)


def test_a_baseline_does_not_grow_for_ever() -> None:
    """A program that makes a grant for each of its jobs, and retires it, must not fill the store."""
    known = sighted(None, WHOLE)
    for number in range(MOST_MANY):
        job = Grant(
            f"job-{number}", "arn:aws:iam::111122223333:role/app", "", ("Decrypt",), str(number)
        )
        name, value = grant_register(job)
        known = accepted(known, KEY, {name: value}, EPOCH + number)
        known = accepted(known, KEY, {f"grant-id/job-{number}": None}, EPOCH + number + 0.5)
    for number in range(100):
        known = damaged(known, {f"tag/{number}": "x"}, EPOCH + number) or known
    assert sum(one.startswith(MANY) for one in known.registers) == MOST_MANY
    kept = set(registers_of(WHOLE)[0])
    assert kept <= known.registers.keys(), "something that should be there is forgotten"


def test_of_too_many_grants_the_oldest_are_forgotten_and_no_tag_or_alias() -> None:
    known = sighted(None, WHOLE)
    grants = [
        grant_register(Grant(f"g-{number}", "arn:aws:iam::111122223333:root", "", (), str(number)))
        for number in range(MOST_MANY)
    ]
    for number, (name, value) in enumerate(grants):
        known = accepted(known, KEY, {name: value}, EPOCH + 1 + number)
    assert sum(one.startswith(MANY) for one in known.registers) == MOST_MANY
    assert {"tag/Owner", "alias/a", grants[-1][0]} <= known.registers.keys()
    assert GRANT_NAME not in known.registers

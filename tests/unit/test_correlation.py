"""What the detectors share that look at several events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.correlation import (
    HARMFUL,
    HARMLESS,
    STEPS,
    TAKES_AWAY,
    for_a_service,
    is_person,
    level_of,
    listed,
    story,
    when,
)
from monitor.windows import Entry
from tests.samples import ALICE_IDENTITY, EPOCH, event


@pytest.mark.parametrize(
    ("count", "first", "level"),
    [
        (2, 3, 0),
        (3, 3, 1),
        (9, 3, 1),
        (10, 3, 2),
        (30, 3, 3),
        (300, 3, 5),
        (10_000, 3, 5),
        (10, 10, 1),
        (11, 20, 0),
        (30, 20, 2),
    ],
)
def test_levels(count: int, first: int, level: int) -> None:
    assert level_of(count, first) == level


@given(st.integers(0, 1000), st.integers(1, 400))
def test_more_is_never_a_lower_level(count: int, first: int) -> None:
    level, more = level_of(count, first), level_of(count + 1, first)
    assert level <= more <= level + 1
    assert (level > 0) == (count >= first)
    assert (more > level) == (count + 1 == first or (count + 1 in STEPS and count + 1 > first))


def test_every_call_is_harmful_or_harmless() -> None:
    assert TAKES_AWAY < HARMFUL
    assert not HARMFUL & HARMLESS


@pytest.mark.parametrize(
    ("identity", "person"),
    [
        (ALICE_IDENTITY, True),
        ({"type": "Root", "arn": "arn:aws:iam::111122223333:root"}, True),
        (ALICE_IDENTITY | {"invokedBy": "cloudformation.amazonaws.com"}, True),
        ({"type": "AWSService", "invokedBy": "rds.amazonaws.com"}, False),
        ({"accountId": "111122223333", "invokedBy": "AWS Internal"}, False),
        ({"type": "AWSAccount", "accountId": "444455556666"}, False),
        (None, False),
        ("x", False),
    ],
)
def test_who_is_a_person(identity: object, person: bool) -> None:
    assert is_person(event(userIdentity=identity)) is person


def test_only_grants_are_asked_for_by_services() -> None:
    by_ec2 = ALICE_IDENTITY | {"invokedBy": "ec2.amazonaws.com"}
    assert for_a_service(event(eventName="CreateGrant", userIdentity=by_ec2))
    assert not for_a_service(event(eventName="CreateGrant"))
    assert not for_a_service(event(eventName="DisableKey", userIdentity=by_ec2))


@given(st.lists(st.text(max_size=300), max_size=30))
def test_a_list_is_short_whatever_is_in_it(texts: list[str]) -> None:
    assert len(listed(texts)) <= 5 * 122 + 20


def test_lists_tell_each_once_and_how_many_more() -> None:
    assert listed([]) == ""
    assert listed(["b", "a", "b"]) == "b, a"
    assert listed(str(number) for number in range(7)) == "0, 1, 2, 3, 4, and 2 more"


def test_a_story_is_told_by_time_and_ends_with_the_latest() -> None:
    steps = [Entry(EPOCH + at, str(at), f"Call{at}", "bob") for at in (5, 0)]
    assert story(steps) == (
        "2026-11-20 09:14:03 UTC Call0 by bob; 2026-11-20 09:14:08 UTC Call5 by bob"
    )
    assert story(steps, joint="of", most=1) == "2026-11-20 09:14:08 UTC Call5 of bob"
    assert story([]) == ""
    assert when(EPOCH) == "2026-11-20 09:14:03 UTC"

"""Members of a record, however a service spells them, and texts that may be shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.parameters import (
    LONGEST,
    key_owner,
    member,
    named_resource,
    noun_and_resource,
    number,
    several,
    short,
    switched_off,
    text,
    texts,
    unwrapped,
)

KEY = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000001"
USER = "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: "
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_a_member_is_found_in_small_and_in_large_letters() -> None:
    assert member({"StandardsSubscriptionArns": 1}, "standardsSubscriptionArns") == 1
    assert member({"Name": "other", "name": "exact"}, "name") == "exact"
    assert member({"a": None, "b": 2}, "a", "b") == 2
    assert member({"a": 0}, "a") == 0
    assert member(None, "a") is None
    assert text({"a": 5}, "a") == ""


def test_a_list_is_a_list_however_it_is_written() -> None:
    one = {"instanceId": "i-1"}
    assert several([one]) == several(one) == several({"items": [one]}) == [one]
    assert several(None) == []
    assert texts(["a", 5, None, "b"]) == ["a", "b"]
    assert texts("a") == ["a"]


@given(VALUES, st.text(max_size=5))
def test_nothing_throws_and_texts_are_texts(value: Any, name: str) -> None:
    assert isinstance(text(value, name), str)
    assert all(isinstance(one, str) for one in texts(value))
    assert isinstance(several(value), list)
    assert number(value) is None or isinstance(number(value), float)
    assert switched_off(value) in {True, False}
    if isinstance(value, dict):
        assert isinstance(unwrapped(value, name), dict)


@given(st.text(max_size=300))
def test_what_is_shown_is_short_and_on_one_line(value: str) -> None:
    shown = short(value)
    assert len(shown) <= LONGEST
    assert shown.isprintable()
    if value.isprintable() and len(value) <= LONGEST:
        assert shown == value


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (7, 7.0),
        ("12", 12.0),
        (0, 0.0),
        (True, None),
        ("seven", None),
        ("\uff17", None),
        (None, None),
    ],
)
def test_numbers_may_be_texts_of_digits(value: object, found: float | None) -> None:
    assert number(value) == found


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (f"{USER}iam:DeleteRole on resource: role app because no", ("role", "app")),
        (f"{USER}iam:X on resource: policy arn:aws:iam::1:policy/x with an", ("policy", "arn:aws:iam::1:policy/x")),
        (f'{USER}s3:DeleteBucket on resource: "arn:aws:s3:::logs" because', ("", "arn:aws:s3:::logs")),
        (f'{USER}s3:DeleteBucket on resource: \\"arn:aws:s3:::logs\\"', ("", "arn:aws:s3:::logs")),
        (f"{USER}dynamodb:DeleteTable on resource: arn:aws:dynamodb:eu:1:table/t", ("", "arn:aws:dynamodb:eu:1:table/t")),
        (f"{USER}organizations:LeaveOrganization", ("", "")),
        ("Access Denied", ("", "")),
        (None, ("", "")),
    ],
)  # fmt: skip
def test_a_denied_call_names_its_resource_never_the_caller(
    message: str | None, found: tuple[str, str]
) -> None:
    assert noun_and_resource(message) == found
    assert named_resource(message) == found[1]


@pytest.mark.parametrize(
    ("key", "owner"),
    [
        (KEY, "111122223333"),
        (KEY.replace("arn:aws:", "arn:aws-us-gov:"), "111122223333"),
        ("arn:aws:kms:eu-west-1:444455556666:alias/theirs", "444455556666"),
        ("0a1b2c3d-0000-4000-8000-000000000001", ""),
        ("alias/mine", ""),
        ("arn:aws:s3:::kms:1:444455556666:key/x", ""),
        ("", ""),
    ],
)
def test_only_an_arn_tells_whose_a_key_is(key: str, owner: str) -> None:
    assert key_owner(key) == owner

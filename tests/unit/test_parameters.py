"""Members of a record, however a service spells them, and texts that may be shown."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.parameters import (
    LONGEST,
    alias_arn_in,
    alias_name,
    few,
    key_owner,
    member,
    named_resource,
    noun_and_resource,
    number,
    region_name,
    said,
    several,
    short,
    switched_off,
    tags_of,
    text,
    texts,
    unwrapped,
    whole,
)

KEY = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000001"
ARN = "arn:aws:kms:eu-west-1:111122223333:alias/payments"
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
        assert shown == value.strip()


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


@given(VALUES)
def test_a_whole_number_and_tags_are_read_with_care(value: Any) -> None:
    number = whole({"m": value}, "m")
    assert number is None or (number == value and type(number) is int)
    for name, found in tags_of({"m": value}, "m").items():
        assert name
        assert isinstance(found, str)


def test_true_is_no_whole_number() -> None:
    assert whole({"m": True}, "m") is None
    assert whole({"m": 1}, "m") == 1


def test_tags_are_those_with_a_name() -> None:
    found: list[Any] = [
        {"tagKey": "team", "tagValue": "payments"},
        {"tagKey": "bare"},
        {"tagKey": "number", "tagValue": 7},
        {"tagValue": "nameless"},
        "no tag",
        None,
    ]
    tags = {"team": "payments", "bare": "", "number": ""}
    assert tags_of({"tags": found}, "tags") == tags


@given(st.lists(st.text("ab", min_size=1, max_size=3)))
def test_a_list_says_how_many_it_leaves_out(texts: list[str]) -> None:
    shown = few(texts, 2)
    if len(texts) <= 2:
        assert shown == ", ".join(texts)
    else:
        assert shown == f"{texts[0]}, {texts[1]} and {len(texts) - 2} more"


@given(st.text("abcXYZ019/_-", min_size=1, max_size=250))
def test_an_alias_is_found_in_its_name_its_arn_and_a_message(rest: str) -> None:
    name = f"alias/{rest}"
    arn = f"arn:aws-us-gov:kms:us-gov-west-1:111122223333:{name}"
    assert alias_name(name) == name
    assert alias_name(arn) == name
    assert alias_arn_in(f"not authorized on resource: {arn} because") == arn


@given(st.text())
def test_whatever_counts_as_an_alias_has_the_form_of_one(given_text: str) -> None:
    for tried in (given_text, f"alias/{given_text}", f"{ARN}{given_text}"):
        found = alias_name(tried)
        assert found == "" or re.fullmatch(r"alias/[A-Za-z0-9/_-]+", found)


@pytest.mark.parametrize(
    "given_text",
    [
        "",
        "payments",
        "alias/",
        "alias/a b",
        "alias/<b>",
        "alias/a\n",
        "x" + ARN,
        "alias/" + "x" * 251,
    ],
)
def test_what_is_no_alias(given_text: str) -> None:
    assert alias_name(given_text) == ""


def test_a_message_about_a_key_has_no_alias() -> None:
    message = "on resource: arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d because"
    assert alias_arn_in(message) == ""


@pytest.mark.parametrize("name", ["eu-west-1", "us-gov-east-1", "us-iso-east-1", "ap-southeast-3"])
def test_a_region(name: str) -> None:
    assert region_name(name) == name


@pytest.mark.parametrize("name", ["", "eu-west", "EU-WEST-1", "eu-west-1 ", "<b>", "eu-west-1\n"])
def test_no_region(name: str) -> None:
    assert region_name(name) == ""


def test_switches() -> None:
    given = {"a": True, "b": False, "c": "true", "d": "false", "e": 1, "f": None, "g": []}
    assert [said(given, name) for name in "abcdefgh"] == [True, False, True, False, *[None] * 4]


@given(value=VALUES | st.text())
def test_any_value_makes_a_short_line(value: object) -> None:
    assert len(short(value)) <= 80
    assert "\n" not in short(value)

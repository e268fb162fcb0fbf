"""What a caller typed, of any type, length and alphabet."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import parameters

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ARN = "arn:aws:kms:eu-west-1:111122223333:alias/payments"


@given(JSON)
def test_any_member_is_read_as_what_it_should_be_or_as_nothing(value: Any) -> None:
    members = {"m": value}
    assert parameters.text_of(members, "m") == (value if isinstance(value, str) else "")
    assert all(isinstance(one, str) for one in parameters.texts_of(members, "m"))
    number = parameters.number_of(members, "m")
    assert number is None or (number == value and type(number) is int)
    for name, text in parameters.tags_of(members, "m").items():
        assert name
        assert isinstance(text, str)


def test_a_missing_member_is_nothing() -> None:
    assert parameters.text_of({}, "m") == ""
    assert parameters.texts_of({}, "m") == []
    assert parameters.number_of({}, "m") is None
    assert parameters.tags_of({}, "m") == {}


def test_true_is_no_number() -> None:
    assert parameters.number_of({"m": True}, "m") is None
    assert parameters.number_of({"m": 1}, "m") == 1


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
    assert parameters.tags_of({"tags": found}, "tags") == tags


@given(st.text(max_size=200), st.integers(min_value=4, max_value=100))
def test_a_cut_text_is_short_and_begins_as_before(text: str, most: int) -> None:
    short = parameters.cut(text, most)
    assert len(short) <= most
    assert short == text or (short.endswith("...") and text.startswith(short[:-3]))


@given(st.lists(st.text("ab", min_size=1, max_size=3)))
def test_a_list_says_how_many_it_leaves_out(texts: list[str]) -> None:
    shown = parameters.listed(texts, 2)
    if len(texts) <= 2:
        assert shown == ", ".join(texts)
    else:
        assert shown == f"{texts[0]}, {texts[1]} and {len(texts) - 2} more"


@given(st.text("abcXYZ019/_-", min_size=1, max_size=250))
def test_an_alias_is_found_in_its_name_its_arn_and_a_message(rest: str) -> None:
    name = f"alias/{rest}"
    arn = f"arn:aws-us-gov:kms:us-gov-west-1:111122223333:{name}"
    assert parameters.alias_name(name) == name
    assert parameters.alias_name(arn) == name
    assert parameters.alias_arn_in(f"not authorized on resource: {arn} because") == arn


@given(st.text())
def test_whatever_counts_as_an_alias_has_the_form_of_one(text: str) -> None:
    for tried in (text, f"alias/{text}", f"{ARN}{text}"):
        found = parameters.alias_name(tried)
        assert found == "" or re.fullmatch(r"alias/[A-Za-z0-9/_-]+", found)


@pytest.mark.parametrize(
    "text",
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
def test_what_is_no_alias(text: str) -> None:
    assert parameters.alias_name(text) == ""


def test_a_message_about_a_key_has_no_alias() -> None:
    message = "on resource: arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d because"
    assert parameters.alias_arn_in(message) == ""


@pytest.mark.parametrize("name", ["eu-west-1", "us-gov-east-1", "us-iso-east-1", "ap-southeast-3"])
def test_a_region(name: str) -> None:
    assert parameters.region_name(name) == name


@pytest.mark.parametrize("name", ["", "eu-west", "EU-WEST-1", "eu-west-1 ", "<b>", "eu-west-1\n"])
def test_no_region(name: str) -> None:
    assert parameters.region_name(name) == ""

"""Taking what fits and leaving out what does not: `monitor.decoding`, over any JSON at all."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.decoding import explain, part, with_whole_characters
from monitor.event import Resource, UserIdentity

FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = ["type", "arn", "accountId", "sessionContext", "sessionIssuer", "attributes", "userName"]
IDENTITIES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=5) | st.lists(inner, max_size=2)
    ),
    max_leaves=12,
)
KINDS: list[tuple[Any, Any]] = [
    (UserIdentity, UserIdentity()),
    (Resource, Resource()),
    (list[Resource], []),
    (list[str], []),
    (dict[str, Any], {}),
    (str, ""),
    (int, 0),
]


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


@pytest.mark.parametrize(("kind", "otherwise"), KINDS)
@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_the_answer_is_of_the_kind(kind: Any, otherwise: Any, text: bytes) -> None:
    found = part(msgspec.Raw(text), kind, otherwise)
    assert msgspec.convert(msgspec.to_builtins(found), kind) == found


@given(JSON)
def test_what_fits_is_taken_whole(value: Any) -> None:
    assert part(raw({"a": value}), dict[str, Any], {}) == {"a": value}


@given(IDENTITIES)
def test_every_member_that_fits_is_kept_and_no_other(value: Any) -> None:
    found = part(raw(value), UserIdentity, UserIdentity())
    given_ = value if isinstance(value, dict) else {}
    for member, name in (("type", "type"), ("arn", "arn"), ("accountId", "account_id")):
        text = given_.get(member)
        assert getattr(found, name) == (text if isinstance(text, str) else None)


@given(st.lists(JSON, max_size=5), st.integers(0, 5))
def test_odd_elements_do_not_hide_the_one_that_is_right(odd: list[Any], where: int) -> None:
    elements = [*odd[:where], {"ARN": "arn:right", "accountId": 4}, *odd[where:]]
    found = part(raw(elements), list[Resource], [])
    assert Resource("arn:right") in found


def test_of_a_list_of_texts_the_texts_are_kept() -> None:
    assert part(raw([5, "a", None, ["b"], "c"]), list[str], []) == ["a", "c"]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[" * 5000, b'{"arn": ' + b"[" * 5000, b'"\xff"', b'"\\ud800"', b"NaN"]
)
def test_what_cannot_be_read_is_otherwise(text: bytes) -> None:
    assert part(msgspec.Raw(text), UserIdentity, UserIdentity(arn="x")) == UserIdentity(arn="x")
    assert part(msgspec.Raw(text), str, "x") == "x"


@given(JSON)
def test_whole_characters_stay_as_they_are(value: Any) -> None:
    text = json.dumps(value)
    for body in (text, text.encode()):
        assert json.loads(with_whole_characters(body)) == value


def test_half_a_character_becomes_a_question_mark() -> None:
    assert json.loads(with_whole_characters(rb'{"a": "x\ud83dy"}')) == {"a": "x?y"}
    assert json.loads(with_whole_characters(r'{"a": "\ud83d\ude00"}')) == {"a": "\U0001f600"}
    assert with_whole_characters(r'{"a": "\u12"') == r'{"a": "\u12"'
    deep = r'{"\u0041": ' + "[" * 200_000
    assert with_whole_characters(deep) == deep


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (msgspec.ValidationError("Expected `object`, got `array`"), "unknown_shape"),
        (
            msgspec.ValidationError("Object missing required field `detail` - at `$.x`"),
            "unknown_shape",
        ),
        (msgspec.ValidationError("Expected `str`, got `int` - at `$.detail`"), "wrong_type"),
        (msgspec.DecodeError("truncated"), "not_json"),
        (RecursionError(), "too_deep"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "no"), "bad_text"),
    ],
)
def test_reasons_are_bounded_words(error: Exception, reason: str) -> None:
    assert explain(error).reason == reason

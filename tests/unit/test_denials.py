"""What policies deny: against an oracle that tries every action, and however they are written."""

import json
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.denials import (
    GUARDED,
    LARGEST,
    NEEDED,
    Denied,
    allows,
    denied,
    is_public,
    matches,
    statements,
)

ROLE = "arn:aws:iam::111122223333:role/security/kms-monitor"
OTHER = "arn:aws:iam::444455556666:role/app"

ACTIONS = st.sampled_from(
    ["*", "kms:*", "KMS:enablekey", "kms:*Key*", "sqs:Receive?essage", "sts:AssumeRole", "ec2:*"]
)
STATEMENT = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Resource": st.sampled_from(["*", ["*"], "arn:aws:kms:*:*:key/x", []]),
    },
    optional={
        "Sid": st.sampled_from(["", "a", "b"]),
        "Condition": st.just({"Bool": {"aws:MultiFactorAuthPresent": "false"}}),
    },
)
WHAT = st.one_of(
    st.tuples(st.sampled_from(["Action", "NotAction"]), ACTIONS),
    st.tuples(st.sampled_from(["Action", "NotAction"]), st.lists(ACTIONS, max_size=3)),
)
WHOLE = st.builds(lambda one, what: one | dict([what]), STATEMENT, WHAT)
DOCUMENT = st.fixed_dictionaries(
    {"Version": st.just("2012-10-17"), "Statement": st.lists(WHOLE, max_size=4)}
)


def oracle(document: dict[str, Any]) -> Denied:
    """The same question, asked of one action and one statement at a time."""
    found: dict[str, set[str]] = {"everywhere": set(), "somewhere": set(), "conditionally": set()}
    for action in NEEDED:
        for one in document["Statement"]:
            inverted = "NotAction" in one
            given_ = one["NotAction"] if inverted else one["Action"]
            patterns = [given_] if isinstance(given_, str) else given_
            hit = any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)
            if one["Effect"] == "Deny" and hit is not inverted:
                if one.get("Condition"):
                    found["conditionally"].add(action)
                elif one["Resource"] in ("*", ["*"]):
                    found["everywhere"].add(action)
                else:
                    found["somewhere"].add(action)
    return Denied(**{name: frozenset(actions) for name, actions in found.items()})


@given(DOCUMENT)
def test_it_says_what_the_oracle_says(document: dict[str, Any]) -> None:
    assert denied(document, NEEDED) == oracle(document)


@given(DOCUMENT)
def test_a_document_says_the_same_however_it_is_written(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    forms = [text, json.dumps(document, indent=4), quote(text), quote(text, safe="")]
    if len(document["Statement"]) == 1:
        forms.append(json.dumps(document | {"Statement": document["Statement"][0]}))
    assert {denied(one, NEEDED) for one in forms} == {denied(document, NEEDED)}


@given(DOCUMENT, WHOLE)
def test_one_statement_more_denies_no_less(document: dict[str, Any], more: dict[str, Any]) -> None:
    longer = document | {"Statement": [*document["Statement"], more]}
    assert denied(longer, NEEDED).any >= denied(document, NEEDED).any


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Effect", "Action", "NotAction", "Condition", "Principal", "AWS"])
            | st.sampled_from(["Resource", "Statement", "ArnNotLike", "aws:PrincipalArn"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON | st.text() | st.builds(lambda one: {"Statement": [one]}, JSON))
def test_no_document_of_any_shape_throws(document: object) -> None:
    denied(document, NEEDED, [ROLE], [ROLE])
    denied({"Statement": [document]}, NEEDED, [ROLE], [ROLE])
    allows(document, "kms:EnableKey")
    is_public(document)


@pytest.mark.parametrize(
    "document", [None, "", "{", "[" * 100_000, "x" * (LARGEST + 1), 5, {}, {"Statement": 5}]
)
def test_what_is_no_document_has_no_statements(document: object) -> None:
    assert statements(document) is None
    assert denied(document, NEEDED) == Denied()


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_patterns_match_as_those_of_a_shell_do(pattern: str, text: str) -> None:
    assert matches(pattern, text) is fnmatchcase(text, pattern)


def test_brackets_are_no_pattern_and_case_does_not_count() -> None:
    assert matches("kms:[E]nable", "kms:[e]NABLE")
    assert not matches("kms:[E]nable", "kms:Enable")
    assert not matches("kms.Enable", "kms:Enable")


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    assert not matches("a*" * 500 + "b", "a" * 2000)


def deny(**more: Any) -> dict[str, Any]:
    return {"Statement": {"Effect": "Deny", "Action": "kms:EnableKey", "Resource": "*"} | more}


@pytest.mark.parametrize("operator", ["ArnNotLike", "StringNotEqualsIfExists", "arnnotequals"])
def test_a_condition_that_leaves_all_of_ours_alone_spares_them(operator: str) -> None:
    document = deny(Condition={operator: {"aws:PrincipalARN": [OTHER, ROLE]}})
    assert denied(document, NEEDED, [ROLE]) == Denied()
    assert denied(document, NEEDED).conditionally == {"kms:EnableKey"}
    assert denied(document, NEEDED, [ROLE, f"{ROLE}-2"]).any == {"kms:EnableKey"}


def test_a_condition_that_means_us_spares_nobody() -> None:
    document = deny(Condition={"ArnLike": {"aws:PrincipalArn": ROLE}})
    assert denied(document, NEEDED, [ROLE]).any == {"kms:EnableKey"}


@pytest.mark.parametrize(
    ("principal", "hit"),
    [
        ("*", True),
        ({"AWS": "*"}, True),
        ({"AWS": ROLE}, True),
        ({"AWS": [OTHER, "arn:aws:iam::111122223333:root"]}, True),
        ({"AWS": "111122223333"}, True),
        ({"AWS": OTHER}, False),
        ({"AWS": "444455556666"}, False),
        ({"Service": "cloudtrail.amazonaws.com"}, False),
        (None, False),
    ],
)
def test_a_denial_counts_for_those_whom_it_names(principal: object, *, hit: bool) -> None:
    document = deny(Principal=principal)
    assert bool(denied(document, NEEDED, principals=[ROLE]).any) is hit


def test_not_principal_may_be_anybody_else() -> None:
    assert denied(deny(NotPrincipal={"AWS": OTHER}), NEEDED, principals=[ROLE]).any


def test_not_resource_is_not_everywhere() -> None:
    document = deny(NotResource="arn:aws:kms:*:*:key/x")
    assert denied(document, NEEDED).somewhere == {"kms:EnableKey"}


def test_public_is_an_allowance_for_everybody_without_a_condition() -> None:
    everybody = {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": "s3:GetObject"}
    assert is_public({"Statement": everybody})
    assert not is_public({"Statement": everybody | {"Condition": {"Bool": {}, "x": {}}}})
    assert not is_public({"Statement": everybody | {"Principal": {"AWS": ROLE}}})
    assert not is_public({"Statement": everybody | {"Effect": "Deny"}})


def test_guards_do_not_deny_what_the_daemon_needs() -> None:
    guard = {"Statement": {"Effect": "Deny", "Action": ["kms:ScheduleKeyDeletion", "kms:Dis*"]}}
    assert denied(guard, NEEDED) == Denied()
    assert denied(guard, GUARDED).everywhere == {"kms:ScheduleKeyDeletion", "kms:DisableKey"}

"""What is plain to see in a policy: against an oracle that tries every action, however written."""

import json
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.iam_policy.document import LONGEST, matches
from monitor.iam_policy.plain import GUARDED, NEEDED, Denied, allows, denied, is_public, read

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
                elif one["Resource"] in ("*", ["*"], []):
                    found["everywhere"].add(action)
                else:
                    found["somewhere"].add(action)
    return Denied(**{name: frozenset(actions) for name, actions in found.items()})


@given(DOCUMENT)
def test_it_says_what_the_oracle_says(document: dict[str, Any]) -> None:
    assert denied(read(document), NEEDED) == oracle(document)


@given(DOCUMENT)
def test_a_document_says_the_same_however_it_is_written(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    forms = [text, json.dumps(document, indent=4), quote(text), quote(text, safe="")]
    if len(document["Statement"]) == 1:
        forms.append(json.dumps(document | {"Statement": document["Statement"][0]}))
    assert {denied(read(one), NEEDED) for one in forms} == {denied(read(document), NEEDED)}


@given(DOCUMENT, WHOLE)
def test_one_statement_more_denies_no_less(document: dict[str, Any], more: dict[str, Any]) -> None:
    longer = document | {"Statement": [*document["Statement"], more]}
    assert denied(read(longer), NEEDED).any >= denied(read(document), NEEDED).any


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
    denied(read(document), NEEDED, [ROLE])
    denied(read({"Statement": [document]}), NEEDED, [ROLE])
    allows(read(document), "kms:EnableKey")
    is_public(read(document))


@pytest.mark.parametrize(
    "document",
    [None, "", "{", "[" * 100_000, "x" * (LONGEST + 1), 5, {}, {"Statement": 5}, {"Statement": []}],
)
def test_what_is_no_document_is_not_read(document: object) -> None:
    assert read(document) is None
    assert denied(None, NEEDED) == Denied()
    assert not allows(None, "kms:EnableKey")
    assert not is_public(None)


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_patterns_match_as_those_of_a_shell_do(pattern: str, text: str) -> None:
    assert matches(pattern, text) is fnmatchcase(text, pattern)


def test_brackets_are_no_pattern() -> None:
    assert matches("kms:[E]nable", "kms:[E]nable")
    assert not matches("kms:[E]nable", "kms:Enable")
    assert not matches("kms.Enable", "kms:Enable")


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    assert not matches("a*" * 500 + "b", "a" * 2000)


def deny(**more: Any) -> dict[str, Any]:
    return {"Statement": {"Effect": "Deny", "Action": "kms:EnableKey", "Resource": "*"} | more}


@pytest.mark.parametrize("operator", ["ArnNotLike", "StringNotEqualsIfExists", "arnnotequals"])
def test_a_condition_that_leaves_all_of_ours_alone_spares_them(operator: str) -> None:
    document = deny(Condition={operator: {"aws:PrincipalARN": [OTHER, ROLE]}})
    assert denied(read(document), NEEDED, [ROLE]) == Denied()
    assert denied(read(document), NEEDED).conditionally == {"kms:EnableKey"}
    assert denied(read(document), NEEDED, [ROLE, f"{ROLE}-2"]).any == {"kms:EnableKey"}


def test_a_condition_that_means_us_spares_nobody() -> None:
    document = deny(Condition={"ArnLike": {"aws:PrincipalArn": ROLE}})
    assert denied(read(document), NEEDED, [ROLE]).any == {"kms:EnableKey"}


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
        (None, True),  # an organization's is about all whom it reaches
    ],
)
def test_a_denial_counts_for_those_whom_it_names(principal: object, *, hit: bool) -> None:
    document = deny(Principal=principal)
    assert bool(denied(read(document), NEEDED, [ROLE]).any) is hit


def test_not_principal_may_be_anybody_else() -> None:
    assert denied(read(deny(NotPrincipal={"AWS": OTHER})), NEEDED, [ROLE]).any


def test_not_resource_is_not_everywhere() -> None:
    document = deny(NotResource="arn:aws:kms:*:*:key/x")
    assert denied(read(document), NEEDED).somewhere == {"kms:EnableKey"}


def test_public_is_an_allowance_for_everybody_without_a_condition() -> None:
    everybody = {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": "s3:GetObject"}
    assert is_public(read({"Statement": everybody}))
    assert not is_public(
        read(
            {
                "Statement": everybody
                | {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}
            }
        )
    )
    assert not is_public(read({"Statement": everybody | {"Principal": {"AWS": ROLE}}}))
    assert not is_public(read({"Statement": everybody | {"Effect": "Deny"}}))


def test_guards_do_not_deny_what_the_daemon_needs() -> None:
    guard = {"Statement": {"Effect": "Deny", "Action": ["kms:ScheduleKeyDeletion", "kms:Dis*"]}}
    assert denied(read(guard), NEEDED) == Denied()
    assert denied(read(guard), GUARDED).everywhere == {"kms:ScheduleKeyDeletion", "kms:DisableKey"}


def sending(**more: Any) -> dict[str, Any]:
    service = {"Service": "events.amazonaws.com"}
    whole = {"Effect": "Allow", "Principal": service, "Action": "sqs:SendMessage", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [whole | more]}


@pytest.mark.parametrize(
    "action",
    ["sqs:SendMessage", "SQS:sendmessage", "sqs:*", "*", "sqs:Send*", ["sqs:x", "sqs:S?n*"]],
)
def test_actions_of_a_queue(action: Any) -> None:
    assert allows(read(sending(Action=action)), "sqs:SendMessage")
    forbidding = read(sending(Action=action, Effect="Deny"))
    assert denied(forbidding, ["sqs:SendMessage"]).everywhere == {"sqs:SendMessage"}
    assert not allows(forbidding, "sqs:SendMessage")


@pytest.mark.parametrize("action", ["sqs:ReceiveMessage", "sns:*", "sqs:[S]endMessage", None, {}])
def test_other_actions(action: Any) -> None:
    assert not allows(read(sending(Action=action)), "sqs:SendMessage")


@pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, {"AWS": ["arn:aws:iam::1:root", "*"]}])
def test_a_queue_open_to_all(principal: Any) -> None:
    assert is_public(read(sending(Principal=principal)))
    assert not is_public(read(sending(Principal=principal, Effect="Deny")))
    condition = {"ArnEquals": {"aws:SourceArn": "arn:aws:x"}}
    assert not is_public(read(sending(Principal=principal, Condition=condition)))
    assert not is_public(read(sending()))


def test_a_deny_for_calls_without_tls_is_good_custom() -> None:
    send = "sqs:SendMessage"
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    good = read(sending(Effect="Deny", Action="sqs:*", Condition=condition))
    assert not denied(good, [send]).any
    assert not denied(good, [send], [ROLE]).any
    more = condition | {"Bool": {"aws:SecureTransport": "true"}}
    assert denied(read(sending(Effect="Deny", Condition=more)), [send]).everywhere == {send}
    others = {"StringNotEquals": {"aws:PrincipalAccount": "1"}}
    assert denied(read(sending(Effect="Deny", Condition=others)), [send]).conditionally == {send}


@pytest.mark.parametrize(
    ("members", "hit"),
    [
        ({"Principal": "*"}, True),
        ({"Principal": {"Service": "events.amazonaws.com"}}, True),
        ({"Principal": {"Service": "sns.amazonaws.com"}}, False),
        ({"Principal": {"AWS": ROLE}}, False),
        ({"Principal": None, "NotPrincipal": {"Service": "events.amazonaws.com"}}, False),
        ({"Principal": None, "NotPrincipal": {"Service": "sns.amazonaws.com"}}, True),
    ],
)
def test_a_denial_for_a_service(members: dict[str, Any], *, hit: bool) -> None:
    policy = read(sending(Effect="Deny", **members))
    assert bool(denied(policy, ["sqs:SendMessage"], ["events.amazonaws.com"]).any) is hit


def test_a_denial_for_all_roles_but_one_surely_means_the_others() -> None:
    document = deny(Condition={"ArnNotLike": {"aws:PrincipalArn": OTHER}})
    assert denied(read(document), NEEDED, [ROLE]).everywhere == {"kms:EnableKey"}

"""What a policy on a queue, a topic or a bus lets others do."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.resource_policy import ResourcePolicy

BRIDGE = {"Service": "events.amazonaws.com"}


def policy(**statement: Any) -> ResourcePolicy:
    whole = {"Effect": "Allow", "Principal": BRIDGE, "Action": "sqs:SendMessage", "Resource": "*"}
    return ResourcePolicy(json.dumps({"Version": "2012-10-17", "Statement": [whole | statement]}))


@pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, {"AWS": ["arn:aws:iam::1:root", "*"]}])
def test_open_to_all(principal: Any) -> None:
    assert policy(Principal=principal).open_to_all()
    assert not policy(Principal=principal, Effect="Deny").open_to_all()
    condition = {"ArnEquals": {"aws:SourceArn": "arn:aws:x"}}
    assert not policy(Principal=principal, Condition=condition).open_to_all()


def test_closed() -> None:
    assert not policy().open_to_all()
    assert not policy(Principal=7).open_to_all()


@pytest.mark.parametrize(
    "action",
    ["sqs:SendMessage", "SQS:sendmessage", "sqs:*", "*", "sqs:Send*", ["sqs:x", "sqs:S?n*"]],
)
def test_actions(action: Any) -> None:
    assert policy(Action=action).admits("sqs:SendMessage")
    assert policy(Action=action, Effect="Deny").denies("sqs:SendMessage")
    assert not policy(Action=action, Effect="Deny").admits("sqs:SendMessage")


@pytest.mark.parametrize("action", ["sqs:ReceiveMessage", "sns:*", "sqs:[S]endMessage", None, {}])
def test_other_actions(action: Any) -> None:
    assert not policy(Action=action).admits("sqs:SendMessage")


def test_what_is_not_named_is_meant() -> None:
    statement = {"Effect": "Deny", "Principal": "*", "NotAction": ["sqs:GetQueueUrl"]}
    given = ResourcePolicy({"Statement": statement})
    assert given.denies("sqs:ReceiveMessage")
    assert not given.denies("sqs:GetQueueUrl")


def test_a_deny_for_calls_without_tls_is_good_custom() -> None:
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    assert not policy(Effect="Deny", Action="sqs:*", Condition=condition).denies("sqs:SendMessage")
    more = condition | {"StringNotEquals": {"aws:PrincipalAccount": "1"}}
    assert policy(Effect="Deny", Action="sqs:*", Condition=more).denies("sqs:SendMessage")


def test_what_is_no_policy() -> None:
    assert not ResourcePolicy("").readable
    assert not ResourcePolicy("[" * 5000).readable
    assert ResourcePolicy("{}").readable


@given(
    statement=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["Statement", "Effect", "Action", "NotAction", "Principal", "Condition", "AWS"]
                ),
                inner | st.just("Deny"),
            )
        ),
    )
)
def test_any_shape_is_judged(statement: Any) -> None:
    for one in (ResourcePolicy({"Statement": statement}), ResourcePolicy(statement)):
        one.open_to_all()
        one.denies("sqs:SendMessage")
        one.admits("sqs:SendMessage")

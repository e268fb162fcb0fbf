"""What new attributes do to a queue."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.finding import Severity
from monitor.sight.queues import Judged, Limits, judge

DLQ = "arn:aws:sqs:eu-west-1:111122223333:kms-guard-dead"
NAMES = [
    "DelaySeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "Policy",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
]


def judged(attributes: Any) -> Judged:
    return judge(attributes, frozenset({DLQ}), Limits())


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("MessageRetentionPeriod", 86400, 86399),
        ("VisibilityTimeout", 10, 9),
        ("MaximumMessageSize", 262144, 262143),
        ("DelaySeconds", 10, 11),
    ],
)
def test_limits(name: str, good: int, bad: int) -> None:
    assert judged({name: str(good)}) == Judged()
    assert name in judged({name: str(bad)}).details


def test_the_worst_counts() -> None:
    both = judged({"SqsManagedSseEnabled": "false", "Policy": "", "VisibilityTimeout": "0"})
    assert both.severity is Severity.CRITICAL
    assert list(both.details) == ["SqsManagedSseEnabled", "Policy", "VisibilityTimeout"]


@pytest.mark.parametrize("text", ["", "{}", "null", "[" * 2000, '{"deadLetterTargetArn": 7}'])
def test_without_a_dead_letter_queue(text: str) -> None:
    assert "no dead-letter queue" in judged({"RedrivePolicy": text}).details["RedrivePolicy"]


def test_with_ours() -> None:
    policy = json.dumps({"deadLetterTargetArn": DLQ, "maxReceiveCount": 5})
    assert judged({"RedrivePolicy": policy}) == Judged()


@given(
    attributes=st.dictionaries(
        st.sampled_from(NAMES),
        st.none() | st.text() | st.integers() | st.text("0123456789", max_size=15) | st.booleans(),
    )
)
def test_any_value_is_judged_in_short_texts(attributes: dict[str, Any]) -> None:
    found = judged(attributes)
    assert found.details.keys() <= attributes.keys()
    assert all(0 < len(text) <= 300 for text in found.details.values())


@pytest.mark.parametrize("attributes", [None, [], "x", 7, {"": "x"}, {"Unknown": "0"}])
def test_what_are_no_attributes(attributes: Any) -> None:
    assert judged(attributes) == Judged()

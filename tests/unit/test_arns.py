"""The ARN of what a call names, in whatever way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.arns import (
    account_of,
    arn_in,
    arn_of,
    bucket_arn,
    built,
    bus_arn,
    log_group_arn,
    queue_arn,
    rule_arn,
    topic_of,
    trail_arn,
)
from tests.samples import ACCOUNT, event

EVENT = event()
HERE = f"eu-west-1:{ACCOUNT}"
anything = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())


@pytest.mark.parametrize(
    "url",
    [
        f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/kms-guard",
        f"https://eu-west-1.queue.amazonaws.com/{ACCOUNT}/kms-guard",
        f"https://queue.amazonaws.com/{ACCOUNT}/kms-guard",
        f"https://vpce-1-2.sqs.eu-west-1.vpce.amazonaws.com/{ACCOUNT}/kms-guard",
        f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/kms-guard/",
        f"http://127.0.0.1:4566/queue/eu-west-1/{ACCOUNT}/kms-guard?x=y",
        f"arn:aws:sqs:{HERE}:kms-guard",
    ],
)
def test_a_queue_by_all_its_urls(url: str) -> None:
    assert queue_arn(EVENT, url) == f"arn:aws:sqs:{HERE}:kms-guard"


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "",
        "kms-guard",
        "https://sqs/1/kms-guard",
        f"https://x/{ACCOUNT}/a b",
        "http://[",
        [],
    ],
)
def test_what_names_no_queue(url: object) -> None:
    assert queue_arn(EVENT, url) == ""


def test_rules_and_buses() -> None:
    assert rule_arn(EVENT, "r", None) == f"arn:aws:events:{HERE}:rule/r"
    assert rule_arn(EVENT, "r", "default") == f"arn:aws:events:{HERE}:rule/r"
    assert rule_arn(EVENT, "r", f"arn:aws:events:{HERE}:event-bus/default").endswith(":rule/r")
    assert rule_arn(EVENT, "r", f"arn:aws:events:{HERE}:event-bus/sec").endswith(":rule/sec/r")
    assert rule_arn(EVENT, "r", "sec") == f"arn:aws:events:{HERE}:rule/sec/r"
    assert rule_arn(EVENT, None, "sec") == ""
    assert bus_arn(EVENT, None) == f"arn:aws:events:{HERE}:event-bus/default"
    assert bus_arn(EVENT, f"arn:aws:events:{HERE}:event-bus/sec").endswith("event-bus/sec")


def test_buckets() -> None:
    assert bucket_arn("eu-west-1", "logs") == "arn:aws:s3:::logs"
    assert bucket_arn("cn-north-1", "logs") == "arn:aws-cn:s3:::logs"
    assert bucket_arn("eu-west-1", "a b") == bucket_arn(None, None) == bucket_arn(None, "") == ""


@pytest.mark.parametrize(
    "name", ["/app", "/app:*", "/app:", f"arn:aws:logs:{HERE}:log-group:/app:log-stream:x"]
)
def test_a_log_group_however_it_is_written(name: str) -> None:
    assert log_group_arn(EVENT, name) == f"arn:aws:logs:{HERE}:log-group:/app"


def test_no_log_group() -> None:
    assert (
        log_group_arn(EVENT, None) == log_group_arn(EVENT, "") == log_group_arn(EVENT, ":*") == ""
    )


def test_names_and_arns() -> None:
    assert trail_arn(EVENT, "main") == f"arn:aws:cloudtrail:{HERE}:trail/main"
    assert trail_arn(EVENT, f"arn:aws:cloudtrail:{HERE}:trail/main").endswith("trail/main")
    assert trail_arn(EVENT, "arn:nonsense") == ""
    assert (
        trail_arn(EVENT, "two\nlines") == trail_arn(EVENT, " ") == trail_arn(EVENT, "x" * 600) == ""
    )
    assert trail_arn(event(recipientAccountId=...), "main") == ""
    assert trail_arn(event(awsRegion="cn-north-1"), "main").startswith("arn:aws-cn:cloudtrail")
    assert built("eu-west-1", "sqs", "no account", "x") == ""
    subscription = f"arn:aws:sns:{HERE}:topic:55555555-eeee"
    assert topic_of(subscription) == f"arn:aws:sns:{HERE}:topic"
    assert topic_of(f"arn:aws:sns:{HERE}:topic") == ""


def test_the_arn_of_a_denied_call_stands_in_the_errors_text() -> None:
    text = (
        f"User: arn:aws:iam::{ACCOUNT}:user/bob is not authorized to perform: sqs:purgequeue on "
        f"resource: arn:aws:sqs:{HERE}:kms-guard because no identity-based policy allows it"
    )
    assert arn_in(text, "sqs") == f"arn:aws:sqs:{HERE}:kms-guard"
    assert arn_in(text, "sns") == ""
    assert arn_in(f'"arn:aws:sqs:{HERE}:q".', "sqs") == f"arn:aws:sqs:{HERE}:q"
    assert arn_in(None, "sqs") == ""


@given(value=anything)
def test_any_value_names_nothing_or_one_thing(value: object) -> None:
    for arn in (
        arn_of(EVENT, "sns", value),
        trail_arn(EVENT, value),
        rule_arn(EVENT, value, value),
        bus_arn(EVENT, value),
        queue_arn(EVENT, value),
    ):
        assert arn == "" or (arn.startswith("arn:") and not set(arn) & set("\n\t"))


@pytest.mark.parametrize(
    ("name", "account"),
    [
        (ACCOUNT, ACCOUNT),
        (f"arn:aws:iam::{ACCOUNT}:role/a:b", ACCOUNT),
        (f"arn:aws:iam::{ACCOUNT}", ""),
        (f"urn:aws:iam::{ACCOUNT}:root", ""),
        ("arn:aws:s3:::bucket", ""),
        ("\u0661" * 12, ""),
        ("*", ""),
        (None, ""),
    ],
)
def test_the_account_of_a_name(name: object, account: str) -> None:
    assert account_of(name) == account

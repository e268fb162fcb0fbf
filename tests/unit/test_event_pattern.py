"""Event patterns: which events they match and which texts are none."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.sight import event_pattern
from monitor.simulator.world import RULE_PATTERN

EVENT: dict[str, Any] = {
    "source": "aws.kms",
    "account": "111122223333",
    "resources": ["arn:one", "arn:two"],
    "detail": {
        "eventName": "DisableKey",
        "errorCode": "AccessDenied",
        "requestParameters": None,
        "readOnly": False,
        "sourceIPAddress": "203.0.113.7",
        "count": 3,
        "resources": [{"ARN": "arn:a", "type": "AWS::KMS::Key"}, {"ARN": "arn:b"}],
        "path": "a*b\\c",
    },
}


def verdict(pattern: dict[str, Any]) -> bool:
    return event_pattern.matches(event_pattern.parse(json.dumps(pattern)), EVENT)


@pytest.mark.parametrize(
    "detail",
    [
        {"eventName": ["EnableKey", "DisableKey"]},
        {"eventName": [{"prefix": "Disable"}]},
        {"eventName": [{"prefix": {"equals-ignore-case": "DISABLE"}}]},
        {"eventName": [{"suffix": "Key"}]},
        {"eventName": [{"suffix": {"equals-ignore-case": "KEY"}}]},
        {"eventName": [{"equals-ignore-case": "disablekey"}]},
        {"eventName": [{"wildcard": "Dis*K*y"}]},
        {"eventName": [{"wildcard": "**"}]},
        {"eventName": [{"wildcard": "DisableKey*"}]},
        {"path": [{"wildcard": "a\\*b\\\\c"}]},
        {"eventName": [{"anything-but": "EnableKey"}]},
        {"eventName": [{"anything-but": ["EnableKey", "Encrypt"]}]},
        {"eventName": [{"anything-but": {"prefix": "Enable"}}]},
        {"eventName": [{"anything-but": {"suffix": ["Alias", "Grant"]}}]},
        {"eventName": [{"anything-but": {"wildcard": "*Alias*"}}]},
        {"errorCode": [{"exists": True}]},
        {"nothing": [{"exists": False}]},
        {"nothing": {"deeper": [{"exists": False}]}},
        {"requestParameters": [None]},
        {"readOnly": [False]},
        {"count": [3]},
        {"count": [{"numeric": [">", 2, "<=", 3]}]},
        {"count": [{"numeric": ["=", 3]}]},
        {"sourceIPAddress": [{"cidr": "203.0.113.0/24"}]},
        {"resources": {"ARN": ["arn:b"]}},
        {"$or": [{"eventName": ["Encrypt"]}, {"errorCode": ["AccessDenied"]}]},
        {"eventName": ["DisableKey"], "errorCode": [{"prefix": "Access"}]},
    ],
)
def test_what_matches(detail: dict[str, Any]) -> None:
    assert verdict({"detail": detail})


@pytest.mark.parametrize(
    "detail",
    [
        {"eventName": ["disableKey"]},
        {"eventName": ["EnableKey"], "errorCode": ["AccessDenied"]},
        {"eventName": [{"prefix": "disable"}]},
        {"eventName": [{"wildcard": "Disable"}]},
        {"eventName": [{"anything-but": "DisableKey"}]},
        {"eventName": [{"anything-but": {"prefix": "Dis"}}]},
        {"eventName": [{"exists": False}]},
        {"nothing": [{"exists": True}]},
        {"nothing": [{"anything-but": "x"}]},
        {"resources": [{"exists": True}]},
        {"readOnly": [0]},
        {"count": ["3"]},
        {"path": [{"wildcard": "a\\*b\\*c"}]},
        {"eventName": [{"wildcard": "Disable*leKey"}]},
        {"eventName": [{"wildcard": "*Key*Key"}]},
        {"eventName": [{"wildcard": "*y*K*"}]},
        {"readOnly": [{"wildcard": "*"}]},
        {"count": [{"numeric": [">", 3]}]},
        {"eventName": [{"numeric": [">", 3]}]},
        {"sourceIPAddress": [{"cidr": "198.51.100.0/24"}]},
        {"eventName": [{"cidr": "10.0.0.0/8"}]},
        {"$or": [{"eventName": ["Encrypt"]}, {"errorCode": ["Throttling"]}]},
    ],
)
def test_what_does_not_match(detail: dict[str, Any]) -> None:
    assert not verdict({"detail": detail})


def test_one_element_of_an_array_is_enough() -> None:
    assert verdict({"resources": ["arn:two"]})
    assert not verdict({"resources": ["arn:three"]})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not a valid JSON"),
        ("[]", "not an object"),
        ("{}", "Empty objects"),
        ('{"source": "aws.kms"}', "must be an object or an array"),
        ('{"source": []}', "Empty arrays"),
        ('{"source": [["aws.kms"]]}', "Arrays in the array"),
        ('{"source": [{"prefix": "a", "suffix": "b"}]}', "Only one key"),
        ('{"source": [{"starts": "a"}]}', "Unrecognized match type starts"),
        ('{"source": [{"exists": "yes"}]}', "Wrong value for match type exists"),
        ('{"source": [{"numeric": [">"]}]}', "Wrong value for match type numeric"),
        ('{"source": [{"numeric": [">", "x"]}]}', "Wrong value for match type numeric"),
        ('{"source": [{"anything-but": {"numeric": "x"}}]}', "Wrong value"),
        ('{"source": [{"anything-but": []}]}', "Wrong value"),
        ('{"source": [{"prefix": 3}]}', "Wrong value for match type prefix"),
        ('{"detail": {"$or": {"a": ["b"]}}}', "must be an array of objects"),
        ('{"a": ' * 100 + '["b"]' + "}" * 100, "nested more than 40 deep"),
        ("[" * 2000, "not a valid JSON"),
        ('{"a": ["' + "x" * 2048 + '"]}', "longer than 2048"),
    ],
)
def test_texts_that_are_no_patterns(text: str, reason: str) -> None:
    with pytest.raises(event_pattern.InvalidPatternError, match=reason):
        event_pattern.parse(text)


def test_a_wildcard_takes_no_time_whatever_it_asks_for() -> None:
    hostile = "*a" * 500 + "*b"
    assert not verdict({"path": [{"wildcard": hostile}]})
    long = EVENT | {"detail": {"path": "a" * 100_000}}
    pattern = event_pattern.parse(json.dumps({"detail": {"path": [{"wildcard": hostile}]}}))
    assert not event_pattern.matches(pattern, long)


@given(
    text=st.text("ab*\\", max_size=8),
    pieces=st.lists(st.text("ab", max_size=3), min_size=1, max_size=4),
)
def test_a_wildcard_means_what_a_regular_expression_would(text: str, pieces: list[str]) -> None:
    pattern = event_pattern.parse(json.dumps({"x": [{"wildcard": "*".join(pieces)}]}))
    expected = re.fullmatch(".*".join(pieces), text, re.DOTALL) is not None
    assert event_pattern.matches(pattern, {"x": text}) is expected


def test_the_default_rule_fits_the_quota_and_takes_key_changes() -> None:
    pattern = event_pattern.parse(json.dumps(RULE_PATTERN, separators=(",", ":")))
    event = {
        "source": "aws.kms",
        "detail-type": "AWS API Call via CloudTrail",
        "detail": {"eventSource": "kms.amazonaws.com", "eventName": "ScheduleKeyDeletion"},
    }
    assert event_pattern.matches(pattern, event)
    event["detail"] = {"eventSource": "kms.amazonaws.com", "eventName": "Encrypt"}
    assert not event_pattern.matches(pattern, event)

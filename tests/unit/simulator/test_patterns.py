"""Event patterns: which events they match and which texts are none."""

import json
from typing import Any

import pytest

from monitor.simulator import patterns
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
    return patterns.matches(patterns.parse(json.dumps(pattern)), EVENT)


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
        ('{"a": ["' + "x" * 2048 + '"]}', "longer than 2048"),
    ],
)
def test_texts_that_are_no_patterns(text: str, reason: str) -> None:
    with pytest.raises(patterns.InvalidPatternError, match=reason):
        patterns.parse(text)


def test_the_default_rule_fits_the_quota_and_takes_key_changes() -> None:
    pattern = patterns.parse(json.dumps(RULE_PATTERN, separators=(",", ":")))
    event = {
        "source": "aws.kms",
        "detail-type": "AWS API Call via CloudTrail",
        "detail": {"eventSource": "kms.amazonaws.com", "eventName": "ScheduleKeyDeletion"},
    }
    assert patterns.matches(pattern, event)
    event["detail"] = {"eventSource": "kms.amazonaws.com", "eventName": "Encrypt"}
    assert not patterns.matches(pattern, event)

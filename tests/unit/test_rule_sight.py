"""Which events a rule lets through, by its pattern."""

from typing import Any

import pytest

from monitor.sight.rules import bridge_source, lost, only_reads, samples

KMS = "kms.amazonaws.com"
DISABLE, DELETED, ENABLE = (KMS, "DisableKey"), (KMS, "DeleteKey"), (KMS, "EnableKey")
NATIVE = ("aws.kms", "KMS CMK Deletion")
ALL = [DISABLE, DELETED, ENABLE]
EVERYTHING: dict[str, Any] = {"source": ["aws.kms"]}


def detail(**fields: Any) -> dict[str, Any]:
    return {"source": ["aws.kms"], "detail": fields}


@pytest.mark.parametrize(
    "pattern",
    [
        EVERYTHING,
        {"source": [{"prefix": "aws."}]},
        {"account": ["111122223333"], "region": ["eu-west-1"]},
        {"detail-type": ["AWS API Call via CloudTrail", "AWS Service Event via CloudTrail"]},
        detail(eventSource=[KMS], eventName=["DisableKey", "EnableKey", "DeleteKey"]),
        detail(eventName=[{"suffix": "Key"}]),
        detail(readOnly=[False]),
        detail(eventType=["AwsApiCall", "AwsServiceEvent"]),
        detail(errorCode=[{"exists": False}]),
    ],
)
def test_nothing_is_lost(pattern: dict[str, Any]) -> None:
    assert lost(pattern, ALL, account="111122223333", region="eu-west-1") == []


@pytest.mark.parametrize(
    ("pattern", "missing"),
    [
        ({"source": ["aws.ec2"]}, ALL),
        ({"account": ["444455556666"]}, ALL),
        ({"detail-type": ["AWS API Call via CloudTrail"]}, [DELETED]),
        (detail(eventName=["DisableKey", "DeleteKey"]), [ENABLE]),
        (detail(eventName=[{"anything-but": "DisableKey"}]), [DISABLE]),
        (detail(eventType=["AwsApiCall"]), [DELETED]),
        (detail(errorCode=["AccessDenied"]), ALL),
        # Each of these hides somebody's call.
        (detail(userIdentity={"arn": [{"anything-but": "arn:aws:iam::1:user/mallory"}]}), ALL),
        (detail(userIdentity={"type": [{"anything-but": "Root"}], "arn": [{"exists": True}]}), ALL),
        (detail(sourceIPAddress=[{"cidr": "203.0.113.0/24"}]), ALL),
        (detail(requestParameters={"keyId": ["1"]}), ALL),
        (detail(sessionCredentialFromConsole=[{"exists": False}]), [DISABLE, ENABLE]),
    ],
)
def test_what_is_lost(pattern: dict[str, Any], missing: list[Any]) -> None:
    assert lost(pattern, ALL, account="111122223333", region="eu-west-1") == missing


def test_only_what_was_there_before_can_be_lost() -> None:
    before = detail(eventName=["DisableKey", "EnableKey"])
    assert lost({"source": ["aws.ec2"]}, ALL, before) == [DISABLE, ENABLE]
    assert lost(before, ALL, before) == []


def test_attempts_are_lost_by_themselves() -> None:
    changes_only = detail(errorCode=[{"exists": False}])
    assert lost(changes_only, ALL) == []
    assert lost(changes_only, ALL, failed=True) == [DISABLE, ENABLE]
    assert lost(EVERYTHING, ALL, failed=True) == []


def test_native_events_have_no_record_inside() -> None:
    assert lost(EVERYTHING, [NATIVE]) == []
    assert lost({"detail-type": ["KMS CMK Deletion"]}, [NATIVE]) == []
    assert lost(detail(eventName=["DeleteKey"]), [NATIVE]) == [NATIVE]
    assert samples(NATIVE, failed=True) == []


@pytest.mark.parametrize(
    ("call", "reads"),
    [
        ((KMS, "Decrypt"), True),
        ((KMS, "GetParametersForImport"), True),
        ((KMS, "DescribeKey"), True),
        ((KMS, "DisableKey"), False),
        (("signer.amazonaws.com", "Sign"), False),
        (("ec2.amazonaws.com", "DescribeVolumes"), True),
        (("aws.kms", "List of something"), False),
    ],
)
def test_what_only_reads(call: tuple[str, str], reads: bool) -> None:
    assert only_reads(call) is reads


def test_the_bridges_names_of_services() -> None:
    assert bridge_source("kms.amazonaws.com") == "aws.kms"
    assert bridge_source("access-analyzer.amazonaws.com") == "aws.access-analyzer"
    assert bridge_source("aws.kms") == "aws.kms"

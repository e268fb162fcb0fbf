"""CloudTrail's calls, asked without a wire."""

from typing import Any

import pytest

from monitor.simulator.cloudtrail import CloudTrail
from monitor.simulator.words import Caller, Refusal

ACCOUNT = "111122223333"
ADMIN = Caller(account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:user/admin", user="admin")
ARN = f"arn:aws:cloudtrail:eu-west-1:{ACCOUNT}:trail/main"


@pytest.fixture
def trails() -> CloudTrail:
    made = CloudTrail(now=lambda: 1000.0)
    ask(made, "CreateTrail", Name="main", S3BucketName="bucket")
    return made


def ask(
    trails: CloudTrail, operation: str, /, region: str = "eu-west-1", **parameters: Any
) -> dict[str, Any]:
    return trails.call(operation, parameters, caller=ADMIN, account=ACCOUNT, region=region).body


def test_a_new_trail_is_of_one_region_and_does_not_log(trails: CloudTrail) -> None:
    assert trails.watching(ACCOUNT, "eu-west-1") == ()
    ask(trails, "StartLogging", Name=ARN)
    assert len(trails.watching(ACCOUNT, "eu-west-1")) == 1
    assert trails.watching(ACCOUNT, "us-east-1") == ()
    assert trails.watching("444455556666", "eu-west-1") == ()
    ask(trails, "UpdateTrail", Name="main", IsMultiRegionTrail=True)
    assert len(trails.watching(ACCOUNT, "us-east-1")) == 1


def test_what_is_shown(trails: CloudTrail) -> None:
    assert ask(trails, "GetTrail", Name="main")["Trail"]["TrailARN"] == ARN
    assert ask(trails, "GetTrailStatus", Name="main") == {"IsLogging": False}
    ask(trails, "StartLogging", Name="main")
    ask(trails, "StopLogging", Name="main")
    assert ask(trails, "GetTrailStatus", Name="main") == {
        "IsLogging": False,
        "StartLoggingTime": 1000.0,
        "StopLoggingTime": 1000.0,
    }
    assert ask(trails, "ListTrails") == {
        "Trails": [{"TrailARN": ARN, "Name": "main", "HomeRegion": "eu-west-1"}]
    }
    assert ask(trails, "DescribeTrails", trailNameList=["other"]) == {"trailList": []}
    ask(trails, "PutEventSelectors", TrailName="main", EventSelectors=[{"ReadWriteType": "All"}])
    assert ask(trails, "GetEventSelectors", TrailName=ARN)["EventSelectors"]


def test_insights(trails: CloudTrail) -> None:
    with pytest.raises(Refusal, match="InsightNotEnabledException"):
        ask(trails, "GetInsightSelectors", TrailName="main")
    wanted = [{"InsightType": "ApiCallRateInsight"}]
    ask(trails, "PutInsightSelectors", TrailName="main", InsightSelectors=wanted)
    shown = ask(trails, "GetInsightSelectors", TrailName="main")
    assert shown == {"TrailARN": ARN, "InsightSelectors": wanted}
    ask(trails, "PutInsightSelectors", TrailName="main", InsightSelectors=[])
    with pytest.raises(Refusal, match="InsightNotEnabledException"):
        ask(trails, "GetInsightSelectors", TrailName="main")


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("CreateTrail", {"Name": "-", "S3BucketName": "b"}, "InvalidTrailNameException"),
        ("CreateTrail", {"Name": "good"}, "InvalidS3BucketNameException"),
        ("CreateTrail", {"Name": "main", "S3BucketName": "b"}, "TrailAlreadyExistsException"),
        ("StopLogging", {"Name": "other"}, "TrailNotFoundException"),
        ("LookupEvents", {"MaxResults": 51}, "InvalidMaxResultsException"),
        ("LookupEvents", {"StartTime": 2, "EndTime": 1}, "InvalidTimeRangeException"),
        ("LookupEvents", {"NextToken": "x"}, "InvalidNextTokenException"),
        (
            "LookupEvents",
            {"LookupAttributes": [{"AttributeKey": "Color", "AttributeValue": "red"}]},
            "InvalidLookupAttributesException",
        ),
    ],
)
def test_refusals(
    trails: CloudTrail, operation: str, parameters: dict[str, Any], code: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        ask(trails, operation, **parameters)
    assert refusal.value.code == code

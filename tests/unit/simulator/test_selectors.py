"""Event selectors: which records a trail logs."""

from typing import Any

import pytest

from monitor.simulator.selectors import EVERYTHING, selectors_from
from monitor.simulator.words import Refusal

WRITE: dict[str, Any] = {
    "eventSource": "kms.amazonaws.com",
    "eventName": "DisableKey",
    "eventType": "AwsApiCall",
    "readOnly": False,
    "eventCategory": "Management",
    "userIdentity": {"arn": "arn:aws:iam::111122223333:user/mallory"},
    "resources": [{"ARN": "arn:aws:kms:eu-west-1:111122223333:key/1", "type": "AWS::KMS::Key"}],
}
READ = WRITE | {"eventName": "Decrypt", "readOnly": True}


def advanced(*fields: dict[str, Any], category: str = "Management") -> dict[str, Any]:
    first = {"Field": "eventCategory", "Equals": [category]}
    return {"AdvancedEventSelectors": [{"Name": "x", "FieldSelectors": [first, *fields]}]}


def test_a_new_trail_logs_every_management_event() -> None:
    assert EVERYTHING.include(WRITE)
    assert EVERYTHING.include(READ)


@pytest.mark.parametrize(
    ("selector", "write", "read"),
    [
        ({}, True, True),
        ({"ReadWriteType": "WriteOnly"}, True, False),
        ({"ReadWriteType": "ReadOnly"}, False, True),
        ({"IncludeManagementEvents": False}, False, False),
        ({"ExcludeManagementEventSources": ["kms.amazonaws.com"]}, False, False),
        ({"ExcludeManagementEventSources": ["rdsdata.amazonaws.com"]}, True, True),
    ],
)
def test_classic(selector: dict[str, Any], write: bool, read: bool) -> None:
    selectors = selectors_from({"EventSelectors": [selector]})
    assert selectors.include(WRITE) is write
    assert selectors.include(READ) is read


@pytest.mark.parametrize(
    ("parameters", "write", "read"),
    [
        (advanced(), True, True),
        (advanced(category="Data"), False, False),
        (advanced({"Field": "readOnly", "Equals": ["true"]}), False, True),
        (advanced({"Field": "eventSource", "NotEquals": ["kms.amazonaws.com"]}), False, False),
        (advanced({"Field": "eventName", "StartsWith": ["Dis", "En"]}), True, False),
        (advanced({"Field": "eventName", "NotStartsWith": ["Dis"]}), False, True),
        (advanced({"Field": "eventName", "EndsWith": ["crypt"]}), False, True),
        (advanced({"Field": "eventName", "NotEndsWith": ["Key", "x"]}), False, True),
        (advanced({"Field": "userIdentity.arn", "EndsWith": ["user/mallory"]}), True, True),
        (advanced({"Field": "resources.ARN", "StartsWith": ["arn:aws:s3"]}), False, False),
        (
            advanced({"Field": "eventName", "StartsWith": ["D"], "NotEquals": ["Decrypt"]}),
            True,
            False,
        ),
        (advanced({"Field": "vpcEndpointId", "Equals": ["vpce-1"]}), False, False),
    ],
)
def test_advanced(parameters: dict[str, Any], write: bool, read: bool) -> None:
    selectors = selectors_from(parameters)
    assert selectors.include(WRITE) is write
    assert selectors.include(READ) is read


def test_one_of_several_selectors_is_enough() -> None:
    parameters = {"EventSelectors": [{"ReadWriteType": "ReadOnly"}, {"ReadWriteType": "WriteOnly"}]}
    assert selectors_from(parameters).include(WRITE)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"EventSelectors": [{}], **advanced()},
        {"EventSelectors": [{"ReadWriteType": "Some"}]},
        {"EventSelectors": [{"ExcludeManagementEventSources": ["iam.amazonaws.com"]}]},
        {
            "AdvancedEventSelectors": [
                {"FieldSelectors": [{"Field": "readOnly", "Equals": ["true"]}]}
            ]
        },
        advanced({"Field": "eventName"}),
    ],
)
def test_selectors_that_aws_refuses(parameters: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refusal:
        selectors_from(parameters)
    assert refusal.value.code == "InvalidEventSelectorsException"

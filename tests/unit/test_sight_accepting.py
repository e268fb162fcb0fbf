"""How an approved change moves the baseline of what we see by."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.baseline import Origin
from monitor.ledger import SightBaseline
from monitor.sight.touching import CHANGES
from monitor.sight_repair.accepting import moved
from monitor.sight_repair.live import confirming
from monitor.sight_repair.resource import Part, parsed, written
from tests.samples import ACCOUNT, REGION, event, finding, record

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:kms"
TRAIL: dict[Part, Any] = {
    Part.TRAIL_SETTINGS: {
        "S3BucketName": "logs",
        "KmsKeyId": "",
        "SnsTopicName": "",
        "IsMultiRegionTrail": True,
    },
    Part.TRAIL_SELECTORS: {"EventSelectors": [{"ReadWriteType": "All"}]},
    Part.TRAIL_LOGGING: True,
}
RULE: dict[Part, Any] = {
    Part.RULE_PATTERN: {"EventPattern": {"source": ["aws.kms"]}, "Description": "keys"},
    Part.RULE_STATE: "ENABLED",
    Part.RULE_TARGETS: {"queue": {"Id": "queue", "Arn": QUEUE}},
}
ATTRIBUTES: dict[Part, Any] = {
    Part.QUEUE_POLICY: {"Statement": []},
    Part.QUEUE_ATTRIBUTES: {
        "VisibilityTimeout": "60",
        "RedrivePolicy": {"maxReceiveCount": 5},
        "SqsManagedSseEnabled": "true",
    },
}
TOPIC: dict[Part, Any] = {Part.TOPIC_POLICY: {"Statement": []}, Part.TOPIC_KEY: ""}
KMS_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"


def after(
    right: dict[Part, Any],
    name: str,
    request: dict[str, Any],
    *,
    live: dict[Part, Any] | None = None,
    response: dict[str, Any] | None = None,
) -> dict[Part, Any]:
    """The parts that are others after the change."""
    found = moved(
        SightBaseline("arn", written(right), Origin.SEEN),
        right if live is None else live,
        event(eventName=name, requestParameters=request, responseElements=response),
    )
    if found is None:
        return {}
    assert found.origin is Origin.ACCEPTED
    changed = {
        part: value for part, value in parsed(found.settings).items() if value != right[part]
    }
    assert set(found.as_of) >= set(changed)
    return changed


@pytest.mark.parametrize(
    ("right", "name", "request_", "changed"),
    [
        (TRAIL, "StopLogging", {"name": "main"}, {Part.TRAIL_LOGGING: False}),
        (TRAIL, "StartLogging", {"name": "main"}, {}),
        (
            TRAIL,
            "PutEventSelectors",
            {"trailName": "main", "eventSelectors": [{"readWriteType": "WriteOnly"}]},
            {Part.TRAIL_SELECTORS: {"EventSelectors": [{"ReadWriteType": "WriteOnly"}]}},
        ),
        (
            TRAIL,
            "PutEventSelectors",
            {"advancedEventSelectors": [{"fieldSelectors": [{"field": "x", "equals": ["y"]}]}]},
            {
                Part.TRAIL_SELECTORS: {
                    "AdvancedEventSelectors": [
                        {"FieldSelectors": [{"Field": "x", "Equals": ["y"]}]}
                    ]
                }
            },
        ),
        (
            TRAIL,
            "UpdateTrail",
            {"name": "main", "s3BucketName": "new", "isMultiRegionTrail": "false"},
            {
                Part.TRAIL_SETTINGS: TRAIL[Part.TRAIL_SETTINGS]
                | {"S3BucketName": "new", "IsMultiRegionTrail": False}
            },
        ),
        (RULE, "DisableRule", {"name": "kms"}, {Part.RULE_STATE: "DISABLED"}),
        (RULE, "EnableRule", {"name": "kms"}, {}),
        (
            RULE,
            "PutRule",
            {"name": "kms", "eventPattern": '{"source": ["aws.s3"]}', "state": "DISABLED"},
            {
                Part.RULE_PATTERN: {"EventPattern": {"source": ["aws.s3"]}},
                Part.RULE_STATE: "DISABLED",
            },
        ),
        (
            RULE,
            "PutTargets",
            {"rule": "kms", "targets": [{"id": "x", "arn": "arn:x", "inputPath": "$.detail"}]},
            {
                Part.RULE_TARGETS: RULE[Part.RULE_TARGETS]
                | {"x": {"Id": "x", "Arn": "arn:x", "InputPath": "$.detail"}}
            },
        ),
        (
            RULE,
            "PutTargets",
            {
                "targets": [
                    {"id": "x", "inputTransformer": {"inputPathsMap": {"whoIsIt": "$.detail"}}}
                ]
            },
            {
                Part.RULE_TARGETS: RULE[Part.RULE_TARGETS]
                | {"x": {"Id": "x", "InputTransformer": {"InputPathsMap": {"whoIsIt": "$.detail"}}}}
            },
        ),
        (RULE, "RemoveTargets", {"rule": "kms", "ids": ["queue", "x"]}, {Part.RULE_TARGETS: {}}),
        (
            ATTRIBUTES,
            "SetQueueAttributes",
            {"attributes": {"Policy": "", "VisibilityTimeout": "90"}},
            {
                Part.QUEUE_POLICY: None,
                Part.QUEUE_ATTRIBUTES: ATTRIBUTES[Part.QUEUE_ATTRIBUTES]
                | {"VisibilityTimeout": "90"},
            },
        ),
        (
            ATTRIBUTES,
            "SetQueueAttributes",
            {"attributes": {"KmsMasterKeyId": "alias/q", "RedrivePolicy": ""}},
            {
                Part.QUEUE_ATTRIBUTES: {
                    "VisibilityTimeout": "60",
                    "KmsMasterKeyId": "alias/q",
                    "SqsManagedSseEnabled": "false",
                }
            },
        ),
        (
            TOPIC,
            "SetTopicAttributes",
            {"attributeName": "Policy", "attributeValue": '{"Statement": [1]}'},
            {Part.TOPIC_POLICY: {"Statement": [1]}},
        ),
        (
            TOPIC,
            "SetTopicAttributes",
            {"attributeName": "KmsMasterKeyId", "attributeValue": KMS_KEY},
            {Part.TOPIC_KEY: KMS_KEY},
        ),
        (TOPIC, "SetTopicAttributes", {"attributeName": "DisplayName"}, {}),
        (TOPIC, "Publish", {}, {}),
    ],
)
def test_each_call(
    right: dict[Part, Any], name: str, request_: dict[str, Any], changed: dict[Part, Any]
) -> None:
    assert after(right, name, request_) == changed


def test_what_somebody_else_did_since_is_not_taken_for_right() -> None:
    live = RULE | {Part.RULE_TARGETS: {}, Part.RULE_PATTERN: {}}
    assert after(RULE, "DisableRule", {"name": "kms"}, live=live) == {Part.RULE_STATE: "DISABLED"}


def test_the_live_value_is_taken_where_it_is_the_same_in_awss_own_words() -> None:
    whole = {"ReadWriteType": "WriteOnly", "DataResources": [], "IncludeManagementEvents": True}
    live = TRAIL | {Part.TRAIL_SELECTORS: {"EventSelectors": [whole]}}
    asked = {"eventSelectors": [{"readWriteType": "WriteOnly", "includeManagementEvents": True}]}
    found = after(TRAIL, "PutEventSelectors", asked, live=live)
    assert found == {Part.TRAIL_SELECTORS: {"EventSelectors": [whole]}}


def test_a_key_by_its_alias_is_its_arn_by_then() -> None:
    settings = TRAIL[Part.TRAIL_SETTINGS] | {"KmsKeyId": KMS_KEY}
    live = TRAIL | {Part.TRAIL_SETTINGS: settings}
    found = after(TRAIL, "UpdateTrail", {"name": "main", "kmsKeyId": "alias/t"}, live=live)
    assert found == {Part.TRAIL_SETTINGS: settings}


def test_what_became_of_a_policy_only_aws_can_say() -> None:
    live = ATTRIBUTES | {Part.QUEUE_POLICY: {"Statement": ["new"]}}
    found = after(ATTRIBUTES, "AddPermission", {"label": "x"}, live=live)
    assert found == {Part.QUEUE_POLICY: {"Statement": ["new"]}}


def test_a_target_that_was_refused_is_as_before() -> None:
    asked = {"targets": [{"id": "x", "arn": "arn:x"}]}
    refused = {"failedEntries": [{"targetId": "x"}]}
    assert after(RULE, "PutTargets", asked, response=refused) == {}


def test_what_was_taken_down_stays_down() -> None:
    baseline = SightBaseline("arn", written(RULE), Origin.SEEN)
    down = moved(baseline, {}, event(eventName="DeleteRule", requestParameters={"name": "kms"}))
    assert down is not None
    assert parsed(down.settings) == {}
    enabled = event(eventName="EnableRule", requestParameters={"name": "kms"})
    assert moved(down, RULE, enabled) is None


def test_an_older_change_does_not_undo_a_later_one() -> None:
    baseline = SightBaseline("arn", written(RULE), Origin.SEEN)
    disable = event(
        eventName="DisableRule",
        requestParameters={"name": "kms"},
        eventTime="2026-11-20T09:15:00Z",
    )
    later = moved(baseline, RULE, disable)
    assert later is not None
    older = event(eventName="EnableRule", requestParameters={"name": "kms"})
    assert moved(later, RULE, older) is None
    # It says nothing about another part.
    targets = event(eventName="RemoveTargets", requestParameters={"ids": ["queue"]})
    both = moved(later, RULE, targets)
    assert both is not None
    assert parsed(both.settings)[Part.RULE_TARGETS] == {}
    assert both.as_of == later.as_of | {"rule_targets": targets.time}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
MEMBERS = (
    "advancedEventSelectors",
    "attributeName",
    "attributeValue",
    "attributes",
    "eventPattern",
    "eventSelectors",
    "ids",
    "isMultiRegionTrail",
    "kmsKeyId",
    "state",
    "targets",
)


@given(
    st.sampled_from(sorted({name for _, name in CHANGES})),
    st.fixed_dictionaries({}, optional=dict.fromkeys(MEMBERS, JSON)),
    st.fixed_dictionaries({}, optional={"failedEntries": JSON}),
)
def test_members_of_any_shape_break_nothing(
    name: str, request: dict[str, Any], response: dict[str, Any]
) -> None:
    resources = (
        ("Trail", TRAIL),
        ("Logging", TRAIL),
        ("Selectors", TRAIL),
        ("Rule", RULE),
        ("Targets", RULE),
        ("Topic", TOPIC),
    )
    right = next((settings for part, settings in resources if part in name), ATTRIBUTES)
    change = event(eventName=name, requestParameters=request, responseElements=response)
    found = moved(SightBaseline("arn", written(right), Origin.SEEN), right, change)
    if found is not None:
        assert written(parsed(found.settings)) == found.settings


STOP = record(
    eventSource="cloudtrail.amazonaws.com",
    eventName="StopLogging",
    requestParameters={"name": "main"},
    resources=...,
)
ARN = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/main"
CLAIM = finding(
    event_name="StopLogging",
    key=None,
    caused=None,
    resource=ARN,
    event_id=STOP["eventID"],
    actor=event().actor,
    event_time=event().time,
)


def test_a_record_that_confirms_a_claim() -> None:
    assert confirming(json.dumps(STOP), CLAIM) is not None


@pytest.mark.parametrize(
    "other",
    [
        {"eventID": "another"},
        {"eventName": "StartLogging"},
        {"eventTime": "2026-11-20T09:14:04Z"},
        {"requestParameters": {"name": "another"}},
        {"errorCode": "AccessDenied"},
        {"userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/eve"}},
    ],
)
def test_a_record_that_says_otherwise(other: dict[str, Any]) -> None:
    assert confirming(json.dumps(STOP | other), CLAIM) is None


@pytest.mark.parametrize("text", ["", "{}", "null", "[", '{"eventName": 7}'])
def test_a_record_that_cannot_be_read(text: str) -> None:
    assert confirming(text, CLAIM) is None

"""Which calls blind the daemon, and whether what they touch is ours."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.knowledge import Watched
from monitor.sight.blinding import CALLS, RECORDERS, ROLES, blinds
from tests.samples import ACCOUNT, OTHER_ACCOUNT, REGION, event

TRAIL = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/main"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:kms-monitor"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/kms-monitor"
ON_A_BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/security/kms-monitor"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/security"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:kms"
URL = f"https://sqs.x.com/{ACCOUNT}/kms-monitor"
ALL_IS_SEEN = {"trailName": "main", "eventSelectors": [{"readWriteType": "All"}]}
KMS_LEFT_OUT = {
    "trailName": "main",
    "eventSelectors": [{"excludeManagementEventSources": ["kms.amazonaws.com"]}],
}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/security/kms-monitor"
OURS = Watched(
    trails=frozenset({TRAIL}),
    rules=frozenset({RULE, ON_A_BUS}),
    buses=frozenset({BUS}),
    queues=frozenset({QUEUE}),
    topics=frozenset({TOPIC}),
    subscriptions=frozenset({f"{TOPIC}:1"}),
    roles=frozenset({ROLE}),
)


def asked(
    service: str, name: str, request: Any, watched: Watched = OURS, **more: Any
) -> tuple[bool, str] | None:
    source = f"{service}.amazonaws.com"
    return blinds(
        event(eventSource=source, eventName=name, requestParameters=request, **more), watched
    )


@pytest.mark.parametrize(
    ("service", "name", "request_", "arn"),
    [
        ("cloudtrail", "StopLogging", {"name": "main"}, TRAIL),
        ("cloudtrail", "DeleteTrail", {"name": TRAIL}, TRAIL),
        ("cloudtrail", "PutEventSelectors", {"trailName": "main"}, TRAIL),
        ("cloudtrail", "PutEventSelectors", KMS_LEFT_OUT, TRAIL),
        ("cloudtrail", "UpdateTrail", {"name": "main", "isMultiRegionTrail": False}, TRAIL),
        ("cloudtrail", "UpdateTrail", {"name": TRAIL, "isOrganizationTrail": "false"}, TRAIL),
        ("events", "PutRule", {"name": "kms-monitor", "state": "DISABLED"}, RULE),
        ("events", "DisableRule", {"name": "kms-monitor"}, RULE),
        ("events", "DeleteRule", {"name": "kms-monitor", "eventBusName": "default"}, RULE),
        ("events", "RemoveTargets", {"rule": "kms-monitor", "eventBusName": None}, RULE),
        ("events", "DisableRule", {"name": "kms-monitor", "eventBusName": "security"}, ON_A_BUS),
        ("events", "RemoveTargets", {"rule": "kms-monitor", "eventBusName": BUS}, ON_A_BUS),
        ("events", "DeleteEventBus", {"name": "security"}, BUS),
        ("sns", "DeleteTopic", {"topicArn": TOPIC}, TOPIC),
        ("sns", "Unsubscribe", {"subscriptionArn": f"{TOPIC}:1"}, f"{TOPIC}:1"),
        ("sqs", "PurgeQueue", {"queueUrl": f"https://sqs.x.com/{ACCOUNT}/kms-monitor"}, QUEUE),
        ("sqs", "SetQueueAttributes", {"queueUrl": f"https://x/{ACCOUNT}/kms-monitor"}, QUEUE),
        ("sqs", "SetQueueAttributes", {"queueUrl": URL, "attributes": {"Policy": ""}}, QUEUE),
        ("sqs", "DeleteQueue", {"queueUrl": f"http://127.0.0.1:1/{ACCOUNT}/kms-monitor/"}, QUEUE),
        ("iam", "DetachRolePolicy", {"roleName": "kms-monitor"}, ROLE),
        ("iam", "DeleteRole", {"roleName": "kms-monitor"}, ROLE),
        ("iam", "DeleteRole", {"roleName": "KMS-Monitor"}, ROLE),
    ],
)
def test_ours_is_recognised_however_it_is_named(
    service: str, name: str, request_: dict[str, Any], arn: str
) -> None:
    assert asked(service, name, request_) == (True, arn)


@pytest.mark.parametrize(
    ("service", "name", "request_"),
    [
        ("cloudtrail", "PutEventSelectors", ALL_IS_SEEN),
        ("cloudtrail", "UpdateTrail", {"name": "main", "isMultiRegionTrail": True}),
        ("events", "PutRule", {"name": "kms-monitor", "state": "ENABLED"}),
        ("sqs", "SetQueueAttributes", {"queueUrl": URL, "attributes": {"VisibilityTimeout": "9"}}),
        ("events", "DisableRule", {"name": "other"}),
        ("events", "DisableRule", {"name": "kms-monitor", "eventBusName": "other"}),
        ("sqs", "PurgeQueue", {"queueUrl": f"https://sqs.x.com/{OTHER_ACCOUNT}/kms-monitor"}),
        ("iam", "DeleteRole", {"roleName": "security/kms-monitor"}),
        ("iam", "DeleteRole", {"roleName": ""}),
        ("s3", "DeleteBucket", {"bucketName": "x"}),
        ("gamelift", "StopLogging", {"name": "main"}),
    ],
)
def test_what_is_not_ours_does_not_blind(service: str, name: str, request_: dict[str, Any]) -> None:
    assert asked(service, name, request_) is None


def test_a_role_of_that_name_in_another_account_is_not_ours() -> None:
    request = {"roleName": "kms-monitor"}
    assert asked("iam", "DeleteRole", request, recipientAccountId=OTHER_ACCOUNT) is None


def test_a_trail_counts_whoever_it_belongs_to() -> None:
    other = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/other"
    assert asked("cloudtrail", "StopLogging", {"name": "other"}) == (False, other)
    assert asked("cloudtrail", "StopLogging", {"name": "other"}, Watched()) == (True, other)


def test_what_is_not_known_may_be_ours_but_for_roles() -> None:
    request = {"queueUrl": f"https://sqs.x.com/{ACCOUNT}/kms-monitor"}
    assert asked("sqs", "PurgeQueue", request, Watched()) == (False, QUEUE)
    assert asked("iam", "DeleteRole", {"roleName": "kms-monitor"}, Watched()) is None
    assert asked("config", "StopConfigurationRecorder", None) == (False, "")


@given(
    st.sampled_from(sorted([*CALLS, *ROLES, *RECORDERS])),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        *("name", "rule", "queueUrl", "roleName", "eventBusName", "trailName"),
                        *("state", "attributes", "eventSelectors", "isMultiRegionTrail"),
                    ]
                ),
                inner,
            )
        ),
    ),
)
def test_parameters_of_any_shape_are_never_surely_ours(call: tuple[str, str], request: Any) -> None:
    made = event(eventSource=call[0], eventName=call[1], requestParameters=request)
    found = blinds(made, OURS)
    assert found is None or not found[0]

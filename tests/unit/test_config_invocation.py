"""What AWS Config asks, decoded; and the parameters of its rule."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config_rule.invocation import Trigger, decode, is_invocation
from monitor.config_rule.parameters import RuleParameters, read_parameters
from monitor.errors import SettingsError, Unreadable
from tests.samples import ACCOUNT, ARN, KEY, KEY_ID, OTHER_ACCOUNT, REGION

ITEM: dict[str, Any] = {
    "configurationItemStatus": "OK",
    "resourceType": "AWS::KMS::Key",
    "resourceId": KEY_ID,
    "configurationItemCaptureTime": "2026-11-20T09:20:00.000Z",
}
"""As little as aws-facts 4.6 shows."""


def invocation(inner: dict[str, Any] | str | None = None, **changes: Any) -> dict[str, Any]:
    inner = inner if inner is not None else changed(ITEM)
    event = {
        "version": "1.0",
        "invokingEvent": inner if isinstance(inner, str) else json.dumps(inner),
        "ruleParameters": '{"materialExpiringDays":"30"}',
        "resultToken": "opaque",
        "eventLeftScope": False,
        "executionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/config",
        "configRuleArn": f"arn:aws:config:{REGION}:{ACCOUNT}:config-rule/config-rule-abc123",
        "configRuleName": "kms-keys-safe",
        "configRuleId": "config-rule-abc123",
        "accountId": ACCOUNT,
    } | changes
    return {name: value for name, value in event.items() if value is not ...}


def changed(item: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "configurationItem": item,
        "notificationCreationTime": "2026-11-20T09:20:02.000Z",
        "messageType": "ConfigurationItemChangeNotification",
        "recordVersion": "1.3",
    } | changes


def test_an_item_that_says_little_is_completed_by_its_rule() -> None:
    asked = decode(invocation())
    assert asked.item is not None
    assert (asked.trigger, asked.rule, asked.item.key) == (Trigger.CHANGE, "kms-keys-safe", KEY)
    assert (asked.item.captured_at, asked.at) == (1795166400.0, 1795166402.0)
    assert asked.parameters == {"materialExpiringDays": "30"}
    assert (asked.test, asked.left_scope, asked.item.deleted) == (False, False, False)


@pytest.mark.parametrize(
    "names", [("ARN", "awsAccountId"), ("arn", "accountId")], ids=["message", "history"]
)
def test_names_differ_by_path(names: tuple[str, str]) -> None:
    item = ITEM | {names[0]: ARN, names[1]: ACCOUNT, "awsRegion": REGION}
    asked = decode(invocation(changed(item), accountId=...))
    assert asked.item is not None
    assert (asked.account, asked.region, asked.item.key) == (ACCOUNT, REGION, KEY)


@pytest.mark.parametrize(
    "kind",
    [
        "OversizedConfigurationItemChangeNotification",
        "OversizedConfigurationItemChangeDeliveryFailed",
    ],
)
def test_an_oversized_item_has_a_summary_and_a_place(kind: str) -> None:
    inner = {
        "configurationItemSummary": ITEM | {"ARN": ARN, "awsAccountId": ACCOUNT},
        "s3DeliverySummary": {"s3BucketLocation": "bucket/AWSLogs/x.json.gz"},
        "notificationCreationTime": "2026-11-20T09:20:02.000Z",
        "messageType": kind,
    }
    asked = decode(invocation(inner))
    assert asked.item is not None
    assert asked.trigger is Trigger.OVERSIZED
    assert asked.item.delivered_to == "bucket/AWSLogs/x.json.gz"


@pytest.mark.parametrize(
    "kind", ["ScheduledNotification", "ConfigurationSnapshotDeliveryCompleted"]
)
def test_asked_on_time_there_is_no_item(kind: str) -> None:
    inner = {
        "awsAccountId": ACCOUNT,
        "notificationCreationTime": "2026-11-20T09:20:02.000Z",
        "messageType": kind,
        "recordVersion": "1.0",
    }
    asked = decode(invocation(inner, ruleParameters=...))
    assert (asked.trigger, asked.item, asked.account, asked.region) == (
        Trigger.PERIODIC,
        None,
        ACCOUNT,
        REGION,
    )
    assert asked.parameters == {}


@pytest.mark.parametrize("status", ["ResourceDeleted", "ResourceDeletedNotRecorded"])
def test_what_is_deleted_says_so(status: str) -> None:
    item = decode(invocation(changed(ITEM | {"configurationItemStatus": status}))).item
    assert item is not None
    assert item.deleted


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (invocation(resultToken=...), "missing_field"),
        (invocation(resultToken=""), "missing_field"),
        (invocation(resultToken=7), "wrong_type"),
        (invocation("{"), "not_json"),
        (invocation(""), "not_json"),
        (invocation("[]"), "unknown_shape"),
        (invocation(invokingEvent=...), "not_json"),
        (invocation(ruleParameters="30"), "unknown_shape"),
        (invocation({"messageType": "ConfigurationHistoryDeliveryCompleted"}), "unknown_shape"),
        (invocation(changed(ITEM, configurationItem=None)), "missing_field"),
        (invocation(changed(ITEM | {"resourceId": ""})), "missing_field"),
        (invocation(changed(ITEM | {"configurationItemCaptureTime": "soon"})), "missing_field"),
        (invocation(changed(ITEM | {"ARN": "arn:aws:s3:::bucket"})), "wrong_type"),
        (invocation(changed(ITEM | {"ARN": ARN, "awsRegion": "us-east-1"})), "wrong_type"),
        (invocation(changed(ITEM | {"ARN": ARN, "resourceId": "another"})), "wrong_type"),
        (invocation(changed(ITEM | {"awsAccountId": OTHER_ACCOUNT})), "wrong_type"),
        (invocation({"messageType": "ScheduledNotification"}), "missing_field"),
    ],
)
def test_what_is_damaged_gets_no_verdict(event: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unreadable) as found:
        decode(event)
    assert found.value.reason == reason


def test_an_invocation_is_known_by_its_outline() -> None:
    assert is_invocation(invocation())
    assert not is_invocation({"detail-type": "Config Rules Compliance Change"})


words = st.text('ab1:/{}[]"\\é', max_size=8)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(sorted(invocation())), anything),
    st.dictionaries(st.sampled_from(sorted(changed(ITEM))), anything),
    st.dictionaries(st.sampled_from(sorted(ITEM | {"ARN": "", "configuration": ""})), anything),
)
def test_whatever_comes_is_read_or_unreadable(
    outer: dict[str, Any], inner: dict[str, Any], item: dict[str, Any]
) -> None:
    whole = invocation(json.dumps(changed(ITEM | item) | inner)) | outer
    try:
        asked = decode(whole)
    except Unreadable:
        return
    assert asked.token
    assert asked.item is None or asked.item.resource_id


def test_parameters_are_texts() -> None:
    given = {
        "disabled": "false",
        "rotationOff": "true",
        "materialExpiringDays": "7",
        "trustedAccounts": f"{ACCOUNT}, {OTHER_ACCOUNT}",
        "trustedOrganizations": "o-exampleorgid",
        "pendingDeletion": "",
    }
    found = read_parameters(given)
    assert (found.disabled, found.rotation_off, found.material_expiring_days) == (False, "true", 7)
    assert found.trusted_accounts == (ACCOUNT, OTHER_ACCOUNT)
    assert found.trusted_organizations == ("o-exampleorgid",)
    assert found.pending_deletion  # empty: as if it were not there
    assert read_parameters({}) == RuleParameters()


@pytest.mark.parametrize(
    "given",
    [
        {"Disabled": "true"},
        {"disabled": "perhaps"},
        {"rotationOff": "sometimes"},
        {"materialExpiringDays": "-1"},
        {"trustedAccounts": "me"},
        {"trustedOrganizations": "exampleorgid"},
        {"disabled": None},
    ],
)
def test_wrong_parameters_are_refused_by_their_names(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as found:
        read_parameters(given)
    assert found.value.faults[0].startswith(f"ruleParameters.{next(iter(given))}")

"""Ways to take a key, or our sight of it, away that are meant to be overlooked: none may be.

What each detector does in plain cases its own files in `tests/events` say. Here everything that is
on by default looks, knowing the ordinary organisation of `tests.ordinary`.
"""

from typing import Any

import pytest

from monitor.finding import Severity
from monitor.windows import MOST_ENTRIES
from tests.catalogue import BASE, show
from tests.ordinary import (
    CLOUDFORMATION,
    KEYS,
    POLICY,
    QUEUE,
    TERRAFORM,
    TOPIC,
    TRAIL,
    VENDOR,
    Record,
    all_detectors,
    cases,
    grant,
    of,
    on,
    retired,
    revoked,
    role,
    said,
    service,
    worst,
)
from tests.samples import ACCOUNT, REGION

KEY = KEYS[0]
URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/kms-monitor"
MALLORY = {"userIdentity": role("admin", "mallory")}


def selectors(*fields: Any, **more: Any) -> Record:
    management = {"field": "eventCategory", "equals": ["Management"]}
    given = [{"name": "all", "fieldSelectors": [management, *fields]}]
    return of(
        "cloudtrail", "PutEventSelectors", {"trailName": TRAIL, "advancedEventSelectors": given}
    )


GRANTED: dict[str, Record] = {
    "to a role called as a service": grant(KEY, f"arn:aws:iam::{VENDOR}:role/backup.amazonaws.com"),
    "to a session called as a service": grant(
        KEY, f"arn:aws:sts::{VENDOR}:assumed-role/x/ec2.amazonaws.com"
    ),
    "to an instance of a vendor": grant(KEY, f"{VENDOR}:aws:ec2-infrastructure:i-0123"),
    "through a service": grant(KEY, f"arn:aws:iam::{VENDOR}:role/x", **service("ec2", role("a"))),
    "through CloudFormation": grant(KEY, f"arn:aws:iam::{VENDOR}:role/x", **CLOUDFORMATION),
    "in another partition": grant(KEY, f"arn:aws-us-gov:iam::{VENDOR}:root"),
    "to be retired by a vendor": grant(KEY, f"arn:aws:iam::{ACCOUNT}:role/x")
    | {
        "requestParameters": {
            "keyId": KEY.arn,
            "granteePrincipal": f"arn:aws:iam::{ACCOUNT}:role/x",
            "retiringPrincipal": f"arn:aws:iam::{VENDOR}:role/x",
            "operations": ["Decrypt"],
        }
    },
}
"""Grants to outsiders."""
ALL_WRITES = {"field": "eventName", "notEquals": ["Nothing"]}
BLINDED: dict[str, Record] = {
    "KMS is left out by its beginning": selectors(
        {"field": "eventSource", "notStartsWith": ["kms"]}
    ),
    "KMS is left out by its end": selectors(
        {"field": "eventSource", "notEndsWith": ["ms.amazonaws.com"]}
    ),
    "other sources only": selectors({"field": "eventSource", "startsWith": ["s3", "iam"]}),
    "only what reads": selectors({"field": "readOnly", "equals": ["true"]}),
    "one name is missing": selectors({"field": "eventName", "notEquals": ["DisableKey"]}),
    "the attacker is left out": selectors(
        {"field": "userIdentity.arn", "notEquals": ["arn:aws:iam::111122223333:role/admin"]}
    ),
    "sessions are left out": selectors(
        {"field": "sessionCredentialFromConsole", "equals": ["true"]}
    ),
    "by the trail's name": of(
        "cloudtrail",
        "PutEventSelectors",
        {
            "trailName": "organisation",
            "eventSelectors": [{"excludeManagementEventSources": ["kms.amazonaws.com"]}],
        },
    ),
    "as the API spells it": of(
        "cloudtrail",
        "PutEventSelectors",
        {"TrailName": TRAIL, "EventSelectors": [{"IncludeManagementEvents": False}]},
    ),
    "no selector at all": of(
        "cloudtrail", "PutEventSelectors", {"trailName": TRAIL, "eventSelectors": []}
    ),
    "logging stops": of("cloudtrail", "StopLogging", {"name": "organisation"}),
    "logging stops, from another account": of(
        "cloudtrail", "StopLogging", {"name": TRAIL}, recipientAccountId="222233334444"
    ),
    "one Region is left": of(
        "cloudtrail", "UpdateTrail", {"name": "organisation", "isMultiRegionTrail": False}
    ),
    "an organisation's trail by its ARN": of(
        "cloudtrail",
        "UpdateTrail",
        {"name": TRAIL, "isOrganizationTrail": False},
        recipientAccountId="222233334444",
    ),
    "the rule by its bus's ARN": of(
        "events",
        "DisableRule",
        {
            "name": "kms-monitor",
            "eventBusName": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default",
        },
    ),
    "the rule is forced away": of("events", "DeleteRule", {"name": "kms-monitor", "force": True}),
    "the rule takes failures only": of(
        "events",
        "PutRule",
        {
            "name": "kms-monitor",
            "state": "ENABLED",
            "eventPattern": '{"source":["aws.kms"],"detail":{"errorCode":[{"exists":true}]}}',
        },
    ),
    "the rule takes one caller not": of(
        "events",
        "PutRule",
        {
            "name": "kms-monitor",
            "state": "ENABLED",
            "eventPattern": '{"source":["aws.kms"],"detail":{"userIdentity":{"arn":[{"anything-but":'
            '{"suffix":"/mallory"}}]}}}',
        },
    ),
    "the target gets something else": of(
        "events",
        "PutTargets",
        {"rule": "kms-monitor", "targets": [{"id": "1", "arn": QUEUE, "input": "{}"}]},
    ),
    "the target is gone": of("events", "RemoveTargets", {"rule": "kms-monitor", "ids": ["1"]}),
    "the queue by its old address": of(
        "sqs",
        "PurgeQueue",
        {"queueUrl": f"https://{REGION}.queue.amazonaws.com/{ACCOUNT}/kms-monitor"},
    ),
    "the queue by its oldest address": of(
        "sqs", "DeleteQueue", {"queueUrl": f"https://queue.amazonaws.com/{ACCOUNT}/kms-monitor/"}
    ),
    "the queue by a VPC endpoint": of(
        "sqs",
        "DeleteQueue",
        {"queueUrl": f"https://vpce-1.sqs.{REGION}.vpce.amazonaws.com/{ACCOUNT}/kms-monitor"},
    ),
    "nobody may send": of(
        "sqs", "SetQueueAttributes", {"queueUrl": URL, "attributes": {"Policy": ""}}
    ),
    "messages come late": of(
        "sqs", "SetQueueAttributes", {"queueUrl": URL, "attributes": {"DelaySeconds": "900"}}
    ),
    "messages are short-lived": of(
        "sqs",
        "SetQueueAttributes",
        {"queueUrl": URL, "attributes": {"MessageRetentionPeriod": "60"}},
    ),
    "a key of the attacker's": of(
        "sqs",
        "SetQueueAttributes",
        {"queueUrl": URL, "attributes": {"KmsMasterKeyId": f"arn:aws:kms:x:{VENDOR}:key/1"}},
    ),
    "the topic filters": of(
        "sns",
        "SetSubscriptionAttributes",
        {
            "subscriptionArn": f"{TOPIC}:00000000-0000-4000-8000-000000000001",
            "attributeName": "FilterPolicy",
            "attributeValue": '{"nothing":["matches"]}',
        },
    ),
    "our role in capitals": of("iam", "DeleteRole", {"roleName": "KMS-MONITOR"}),
    "a policy of the attacker's": of(
        "iam",
        "AttachRolePolicy",
        {"roleName": "kms-monitor", "policyArn": f"arn:aws:iam::{ACCOUNT}:policy/denies"},
    ),
    "a boundary": of(
        "iam",
        "PutRolePermissionsBoundary",
        {
            "roleName": "kms-monitor",
            "permissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess",
        },
    ),
}
"""What takes our sight, or our rights, away."""
LOST: dict[str, Record] = {
    "as Terraform": on(KEY, "DisableKey", {"keyId": KEY.key_id}, **TERRAFORM),
    "through CloudFormation": on(KEY, "DisableKey", {"keyId": KEY.key_id}, **CLOUDFORMATION),
    "through Step Functions": on(
        KEY, "DisableKey", {"keyId": KEY.key_id}, **service("states", role("machine"))
    ),
    "as a service would": on(
        KEY, "ScheduleKeyDeletion", {"keyId": KEY.key_id}, **service("backup")
    ),
    "as if we did it": on(
        KEY, "DisableKey", {"keyId": KEY.key_id}, userIdentity=role("kms-monitor", "kms-monitor-1")
    ),
    "a session called as we are": on(
        KEY,
        "DisableKey",
        {"keyId": KEY.key_id},
        userIdentity=role("admin", "arn:aws:iam::111122223333:role@kms-monitor"),
    ),
    "of another partition": {
        "eventName": "DisableKey",
        "awsRegion": "cn-north-1",
        "requestParameters": {"keyId": KEY.key_id},
    },
    "without anything but a name": {"eventName": "DisableKey", "requestParameters": None},
    "as root": on(
        KEY,
        "ScheduleKeyDeletion",
        {"keyId": KEY.arn},
        userIdentity={"type": "Root", "arn": f"arn:aws:iam::{ACCOUNT}:root", "accountId": ACCOUNT},
    ),
    "by an unknown kind of caller": on(KEY, "DisableKey", userIdentity={"type": "Unknown"}),
    "a copy in the other account": on(
        KEY, "DeleteImportedKeyMaterial", sharedEventID="44444444-dddd-4ddd-8ddd-000000000001"
    ),
}
"""Keys that are taken away, whoever it seems to be."""
TAKEN: dict[str, Record] = {
    "by Step Functions": revoked(KEY, **service("states", role("machine"))),
    "by Scheduler": revoked(KEY, **service("scheduler", role("machine"))),
    "by Systems Manager": revoked(KEY, **service("ssm", role("machine"))),
    "by API Gateway": retired(KEY, **service("apigateway", role("machine"))),
    "by CloudFormation": revoked(KEY, **CLOUDFORMATION),
    "by a role called as AWS's": revoked(KEY, userIdentity=role("x/aws-service-role/y")),
    "from EC2's own": revoked(
        KEY, userAgent="ec2.amazonaws.com", sourceIPAddress="ec2.amazonaws.com"
    ),
}
"""Grants that are taken away through a service that calls what it is told."""


@cases(GRANTED)
def test_a_grant_to_an_outsider_is_severe(record: Record) -> None:
    assert said(record) >= Severity.HIGH


@cases(LOST)
def test_a_key_that_is_taken_away_is_severe_whoever_did_it(record: Record) -> None:
    assert said(record) >= Severity.HIGH


@cases(TAKEN)
def test_a_grant_that_is_taken_away_through_an_obedient_service_is_told(record: Record) -> None:
    assert said(record) >= Severity.MEDIUM


@cases(BLINDED)
def test_what_blinds_us_is_told(record: Record) -> None:
    assert said(record) >= Severity.MEDIUM


def disabled(number: int, at: str) -> Record:
    key = KEYS[number]
    return on(key, "DisableKey", {"keyId": key.key_id}, eventTime=at, **MALLORY)


@pytest.mark.parametrize(
    "when", ["2026-11-20T09:14:03Z", "2999-01-01T00:00:00Z"], ids=["now", "far away"]
)
def test_many_keys_are_seen_through_hundreds_of_calls_on_one(when: str) -> None:
    """The calls on a key of their own would crowd out what the window knows of the others."""
    own = KEYS[40]
    request = {"keyId": own.key_id, "policyName": "default", "policy": POLICY % own.account}
    junk = [on(own, "PutKeyPolicy", request, eventTime=when, **MALLORY)] * (MOST_ENTRIES + 1)
    records = []
    for number in range(3):
        records += [disabled(number, f"2026-11-20T09:1{number}:00Z"), *junk]
    assert worst(records) == Severity.CRITICAL


@pytest.mark.parametrize("when", ["2000-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
def test_a_forged_time_hides_nothing(when: str) -> None:
    detection = all_detectors()
    forged = on(KEY, "DisableKey", {"keyId": KEY.key_id}, eventTime=when)
    real = on(KEY, "DisableKey", {"keyId": KEY.key_id})
    for number, record in enumerate([forged, real]):
        found = show(detection, BASE | {"eventID": f"forged-{number}"} | record)
        assert max(one.severity for one in found) >= Severity.HIGH

"""Bodies of every shape that the daemon recognises, by hand from aws-facts 4; all names are made up.

Whole messages as AWS's documentation shows them. `interesting` of each is about the call or change
that a detector of these tests wants.
"""

import copy
import json
from collections.abc import Callable
from typing import Any

from monitor.event import Wanted
from tests import samples
from tests.samples import ACCOUNT, ARN, AT, KEY_ID, REGION

TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:kms-events"
BUCKET = "org-trail-bucket"
LOG = (
    f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/11/20/"
    f"{ACCOUNT}_CloudTrail_{REGION}_20261120T0915Z_AbCdEf0123456789.json.gz"
)
WANTED_CALLS = frozenset(
    {
        ("kms.amazonaws.com", "DisableKey"),
        ("kms.amazonaws.com", "DeleteKey"),
        ("aws.kms", "KMS CMK Deletion"),
        ("aws.kms", "KMS Imported Key Material Expiration"),
        ("aws.kms", "KMS CMK Rotation"),
        ("aws.ec2", "EBS Volume Notification"),
        ("aws.rds", "RDS DB Instance Event"),
        ("config.amazonaws.com", "ConfigurationItemChangeNotification"),
        ("config.amazonaws.com", "ComplianceChangeNotification"),
        ("config.amazonaws.com", "OversizedConfigurationItemChangeNotification"),
    }
)
WANTED = Wanted(WANTED_CALLS)

Json = dict[str, Any]


def merged(whole: Json, changes: Json) -> Json:
    """`whole` with `changes`; `...` takes a member out."""
    return {name: value for name, value in (whole | changes).items() if value is not ...}


def record(**changes: Any) -> Json:
    """A CloudTrail record of DisableKey, with no more in it than each has."""
    bob = {
        "type": "IAMUser",
        "principalId": "AIDAEXAMPLE",
        "arn": f"arn:aws:iam::{ACCOUNT}:user/bob",
        "accountId": ACCOUNT,
        "userName": "bob",
    }
    bare = {"userIdentity": bob, "tlsDetails": ..., "sessionCredentialFromConsole": ...}
    return samples.record(**(bare | changes))


def service_record(**changes: Any) -> Json:
    """KMS itself deletes a key: no caller, no request."""
    return merged(
        record(
            userIdentity={"accountId": ACCOUNT, "invokedBy": "AWS Internal"},
            eventName="DeleteKey",
            sourceIPAddress="AWS Internal",
            userAgent="AWS Internal",
            requestParameters=None,
            requestID=...,
            eventType="AwsServiceEvent",
            eventID="22222222-bbbb-4bbb-8bbb-000000000006",
        ),
        changes,
    )


def insight() -> Json:
    """A statistic of CloudTrail's: it has no eventName of its own."""
    return {
        "eventVersion": "1.09",
        "eventTime": AT,
        "awsRegion": REGION,
        "eventID": "22222222-bbbb-4bbb-8bbb-000000000009",
        "eventType": "AwsCloudTrailInsight",
        "recipientAccountId": ACCOUNT,
        "insightDetails": {"state": "Start", "eventSource": "kms.amazonaws.com"},
        "eventCategory": "Insight",
    }


def bridge(
    detail: Any, detail_type: str = "AWS API Call via CloudTrail", /, **changes: Any
) -> Json:
    """An EventBridge event around `detail`."""
    return merged(
        {
            "version": "0",
            "id": "33333333-cccc-4ccc-8ccc-000000000002",
            "detail-type": detail_type,
            "source": "aws.kms",
            "account": ACCOUNT,
            "time": AT,
            "region": REGION,
            "resources": [],
            "detail": detail,
        },
        changes,
    )


def native(detail_type: str = "KMS CMK Deletion", **changes: Any) -> Json:
    """KMS's own event, which needs no trail."""
    detail = {"key-id": KEY_ID}
    return bridge(detail, detail_type, **({"resources": [ARN]} | changes))


def volume_failed(**changes: Any) -> Json:
    """EBS tells that a volume could not be attached, as in AWS's own sample."""
    detail = {"event": "attachVolume", "result": "failed", "cause": f"{ARN} is pending deletion."}
    volume = f"arn:aws:ec2:{REGION}:{ACCOUNT}:volume/vol-01234567"
    given = {"source": "aws.ec2", "resources": [volume]} | changes
    return bridge(detail, "EBS Volume Notification", **given)


def database_failing(**changes: Any) -> Json:
    """RDS tells that it cannot reach a database's key; it does not say which."""
    database = f"arn:aws:rds:{REGION}:{ACCOUNT}:db:orders"
    detail = {"SourceArn": database, "EventID": "RDS-EVENT-0418", "Message": "unable to access"}
    given = {"source": "aws.rds", "resources": [database]} | changes
    return bridge(detail, "RDS DB Instance Event", **given)


def records(*each: Any) -> Json:
    """What stands in a log file of CloudTrail."""
    return {"Records": list(each)}


def sns(message: Any, **changes: Any) -> Json:
    """A message as SNS wraps it for a subscription without raw delivery."""
    text = message if isinstance(message, str) else json.dumps(message)
    return merged(
        {
            "Type": "Notification",
            "MessageId": "44444444-dddd-4ddd-8ddd-000000000001",
            "TopicArn": TOPIC,
            "Subject": "optional",
            "Message": text,
            "Timestamp": "2026-11-20T09:14:05.123Z",
            "SignatureVersion": "1",
            "Signature": "QkFTRTY0",
            "SigningCertURL": f"https://sns.{REGION}.amazonaws.com/SimpleNotificationService-0000.pem",
            "UnsubscribeURL": f"https://sns.{REGION}.amazonaws.com/?Action=Unsubscribe",
            "MessageAttributes": {"team": {"Type": "String", "Value": "sec"}},
        },
        changes,
    )


def confirmation() -> Json:
    """What SNS sends before somebody has agreed to a subscription."""
    return sns(
        "You have chosen to subscribe ...",
        Type="SubscriptionConfirmation",
        Token="2336412f37",
        SubscribeURL=f"https://sns.{REGION}.amazonaws.com/?Action=ConfirmSubscription",
        Subject=...,
        UnsubscribeURL=...,
    )


def new_logs(**changes: Any) -> Json:
    """CloudTrail's own notification; its keys are not URL-encoded."""
    return merged({"s3Bucket": BUCKET, "s3ObjectKey": [LOG, f"a+b/{LOG}"]}, changes)


def s3_record(key: str = f"my+prefix/a%2Bb/{LOG}", **changes: Any) -> Json:
    """One record of S3's own notification; its key is encoded like a form."""
    return merged(
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": REGION,
            "eventTime": "2026-11-20T09:19:30.000Z",
            "eventName": "ObjectCreated:Put",
            "userIdentity": {"principalId": "AWS:AROAEXAMPLE:session"},
            "requestParameters": {"sourceIPAddress": "192.0.2.1"},
            "responseElements": {"x-amz-request-id": "EXAMPLE", "x-amz-id-2": "EXAMPLE"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "new-logs",
                "bucket": {"name": BUCKET, "arn": f"arn:aws:s3:::{BUCKET}"},
                "object": {
                    "key": key,
                    "size": 4096,
                    "eTag": "00000000000000000000000000000000",
                    "versionId": "EXAMPLE",
                    "sequencer": "0055AED6DCD90281E5",
                },
            },
        },
        changes,
    )


def s3_test() -> Json:
    """What S3 sends when notifications are configured."""
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2026-11-20T09:00:00.000Z",
        "Bucket": BUCKET,
        "RequestId": "EXAMPLE",
        "HostId": "EXAMPLE",
    }


def object_created(**changes: Any) -> Json:
    """S3's event on EventBridge; its key is not encoded."""
    detail = {
        "version": "0",
        "bucket": {"name": BUCKET},
        "object": {
            "key": f"my prefix/a+b/{LOG}",
            "size": 4096,
            "etag": "00000000000000000000000000000000",
            "version-id": "EXAMPLE",
            "sequencer": "0055AED6DCD90281E5",
        },
        "request-id": "EXAMPLE",
        "requester": "cloudtrail.amazonaws.com",
        "reason": "PutObject",
    }
    return bridge(
        merged(detail, changes),
        "Object Created",
        source="aws.s3",
        resources=[f"arn:aws:s3:::{BUCKET}"],
    )


def config_item(**changes: Any) -> Json:
    """AWS Config saw a key change."""
    item = {
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": "2026-11-20T09:20:00.000Z",
        "configurationItemStatus": "OK",
        "configurationStateId": 1700000000000,
        "awsAccountId": ACCOUNT,
        "resourceType": "AWS::KMS::Key",
        "resourceId": KEY_ID,
        "ARN": ARN,
        "awsRegion": REGION,
        "configuration": {"arn": ARN, "keyId": KEY_ID, "keyState": "PendingDeletion"},
        "supplementaryConfiguration": {"KeyRotationStatus": False},
    }
    return {
        "configurationItemDiff": {
            "changedProperties": {
                "Configuration.KeyState": {
                    "previousValue": "Enabled",
                    "updatedValue": "PendingDeletion",
                    "changeType": "UPDATE",
                }
            },
            "changeType": "UPDATE",
        },
        "configurationItem": merged(item, changes),
        "notificationCreationTime": "2026-11-20T09:20:02.000Z",
        "messageType": "ConfigurationItemChangeNotification",
        "recordVersion": "1.3",
    }


def config_compliance(**changes: Any) -> Json:
    """A rule of AWS Config says that a key does not comply."""
    return merged(
        {
            "awsAccountId": ACCOUNT,
            "configRuleName": "kms-keys-safe",
            "configRuleARN": f"arn:aws:config:{REGION}:{ACCOUNT}:config-rule/config-rule-abc123",
            "resourceType": "AWS::KMS::Key",
            "resourceId": KEY_ID,
            "awsRegion": REGION,
            "newEvaluationResult": {
                "evaluationResultIdentifier": {
                    "evaluationResultQualifier": {
                        "configRuleName": "kms-keys-safe",
                        "resourceType": "AWS::KMS::Key",
                        "resourceId": KEY_ID,
                    },
                    "orderingTimestamp": "2026-11-20T09:19:00.000Z",
                },
                "complianceType": "NON_COMPLIANT",
                "resultRecordedTime": "2026-11-20T09:20:00.000Z",
                "configRuleInvokedTime": "2026-11-20T09:19:58.000Z",
            },
            "oldEvaluationResult": None,
            "notificationCreationTime": "2026-11-20T09:20:02.000Z",
            "messageType": "ComplianceChangeNotification",
            "recordVersion": "1.0",
        },
        changes,
    )


def config_oversized(**changes: Any) -> Json:
    """An item too large for a message: a summary, and where the whole lies."""
    summary = {
        "changeType": "UPDATE",
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": "2026-11-20T09:20:00.000Z",
        "configurationStateId": 1700000000000,
        "awsAccountId": ACCOUNT,
        "configurationItemStatus": "OK",
        "resourceType": "AWS::KMS::Key",
        "resourceId": KEY_ID,
        "resourceName": None,
        "ARN": ARN,
        "awsRegion": REGION,
    }
    return {
        "configurationItemSummary": merged(summary, changes),
        "s3DeliverySummary": {
            "s3BucketLocation": f"config-bucket/AWSLogs/{ACCOUNT}/Config/{REGION}/x.json.gz",
            "errorCode": None,
            "errorMessage": None,
        },
        "notificationCreationTime": "2026-11-20T09:20:02.000Z",
        "messageType": "OversizedConfigurationItemChangeNotification",
        "recordVersion": "1.0",
    }


def config_on_bridge(notification: Json) -> Json:
    """The same on EventBridge."""
    compliance = "newEvaluationResult" in notification
    kind = "Config Rules Compliance Change" if compliance else "Config Configuration Item Change"
    about = [] if compliance else [ARN]
    return bridge(notification, kind, source="aws.config", resources=about)


def config_lambda(notification: Json) -> Json:
    """What a custom rule's Lambda function is called with."""
    return {
        "version": "1.0",
        "invokingEvent": json.dumps(notification),
        "ruleParameters": "{}",
        "resultToken": "opaque",
        "eventLeftScope": False,
        "configRuleName": "kms-keys-safe",
        "accountId": ACCOUNT,
    }


SKELETONS: dict[str, Json] = {
    "eventbridge, API call": bridge(record()),
    "eventbridge, service event": bridge(service_record(), "AWS Service Event via CloudTrail"),
    "eventbridge, native": native(),
    "eventbridge, volume": volume_failed(),
    "eventbridge, database": database_failing(),
    "input transformer, detail only": {"detail": record()},
    "bare record": record(),
    "records": records(record(), service_record()),
    "sns, eventbridge": sns(bridge(record())),
    "sns, records": sns(records(record())),
    "sns in sns": sns(sns(bridge(record()))),
    "sns confirmation": confirmation(),
    "cloudtrail's notification": new_logs(),
    "sns, cloudtrail's notification": sns(new_logs()),
    "s3": records(s3_record(), s3_record()),
    "sns, s3": sns(records(s3_record())),
    "s3 test": s3_test(),
    "eventbridge, s3": object_created(),
    "config item": config_item(),
    "config compliance": config_compliance(),
    "config oversized": config_oversized(),
    "sns, config item": sns(config_item()),
    "eventbridge, config item": config_on_bridge(config_item()),
    "eventbridge, config compliance": config_on_bridge(config_compliance()),
    "config's lambda event": config_lambda(config_item()),
}
"""One valid body of each shape."""


def changed(skeleton: Json, change: Callable[[Json], None]) -> Json:
    """A copy of `skeleton`, changed in place."""
    copied = copy.deepcopy(skeleton)
    change(copied)
    return copied

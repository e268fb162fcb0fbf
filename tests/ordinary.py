"""An ordinary, busy organisation: its keys, what the daemon lives by, who calls, and how that is shown.

Shapes of the records: aws-facts 1.3 and 2.2, and AWS's own samples of how services use KMS.
"""

from typing import Any

import pytest

from monitor import plugins
from monitor.detection import Detection
from monitor.detector import Detector
from monitor.key import Grant, KeyRef, KeySnapshot, KeyState
from monitor.knowledge import Knowledge, Watched
from tests.catalogue import BASE, METRICS, show
from tests.samples import ACCOUNT, EPOCH, REGION

STAGING, VENDOR, AUDIT = "222233334444", "999900001111", "333344445555"
DAY = 86_400.0
POLICY = (
    '{"Version":"2012-10-17","Statement":[{"Sid":"Root","Effect":"Allow","Principal":{"AWS":'
    '"arn:aws:iam::%s:root"},"Action":"kms:*","Resource":"*"}]}'
)
KEYS = [
    KeyRef(account, REGION, f"0a1b2c3d-0000-4000-8000-{number:012d}")
    for account in (ACCOUNT, STAGING)
    for number in range(1, 31)
]
EBS, DATABASE, SECRET, BUCKET, TABLE, QUEUE_KEY = KEYS[:6]
TRAIL = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/organisation"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/kms-monitor"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:kms-monitor"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:kms-monitor"
OUR_ROLE = f"arn:aws:iam::{ACCOUNT}:role/kms-monitor"
TEAM = {"owner": "payments", "environment": "production"}


def week() -> Knowledge:
    """What the daemon knows: the keys as they should be, and what our sight rests on."""
    grants = (Grant("g-volume", f"arn:aws:iam::{ACCOUNT}:role/nodes", operations=("Decrypt",)),)
    keys = [
        KeySnapshot(
            key=key,
            state=KeyState.ENABLED,
            as_of=EPOCH - DAY,
            description="What it is for",
            policy=POLICY % key.account,
            rotation_days=365,
            aliases=(f"alias/{key.key_id[-4:]}",),
            tags=dict(TEAM),
            grants=grants,
        )
        for key in KEYS
    ]
    watched = Watched(
        trails=frozenset({TRAIL}),
        rules=frozenset({RULE}),
        buses=frozenset({f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"}),
        queues=frozenset({QUEUE, f"{QUEUE}-dead"}),
        topics=frozenset({TOPIC}),
        subscriptions=frozenset({f"{TOPIC}:00000000-0000-4000-8000-000000000001"}),
        roles=frozenset({OUR_ROLE}),
        policies=frozenset({f"arn:aws:iam::{ACCOUNT}:policy/kms-monitor"}),
        buckets=frozenset({"arn:aws:s3:::trail-logs"}),
        log_groups=frozenset({f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:trail"}),
        tables=frozenset({f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/kms-monitor"}),
        deployments=frozenset({f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/main/kms-monitor"}),
        keys={QUEUE_KEY: "the queue"},
    )
    knowledge = Knowledge(watched, keys)
    knowledge.accounts = frozenset({ACCOUNT, STAGING, AUDIT})
    return knowledge


def role(name: str, session: str = "session", account: str = ACCOUNT) -> dict[str, Any]:
    return {
        "type": "AssumedRole",
        "principalId": f"AROAEXAMPLE:{session}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{name.rpartition('/')[2]}/{session}",
        "accountId": account,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "arn": f"arn:aws:iam::{account}:role/{name}",
                "accountId": account,
                "userName": name.rpartition("/")[2],
            }
        },
    }


def service(name: str, inside: dict[str, Any] | None = None) -> dict[str, Any]:
    """A call by an AWS service: of its own, or in the name of whoever asked it."""
    host = f"{name}.amazonaws.com"
    who = {"type": "AWSService"} if inside is None else inside
    return {
        "userIdentity": who | {"invokedBy": host},
        "sourceIPAddress": host,
        "userAgent": host,
    }


INTERNAL = {
    "userIdentity": {"accountId": ACCOUNT, "invokedBy": "AWS Internal"},
    "sourceIPAddress": "AWS Internal",
    "userAgent": "AWS Internal",
}
TERRAFORM = {
    "userIdentity": role("ci/terraform", "GitHubActions"),
    "userAgent": "APN/1.0 HashiCorp/1.0 Terraform/1.9.0 terraform-provider-aws/5.60.0 aws-sdk-go-v2",
}
CLOUDFORMATION = service("cloudformation", role("cfn-execution", "AWSCloudFormation"))
AUTO_SCALING = role("aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling")
KARPENTER = role("karpenter", "1720000000000000000")
PERSON = {"userIdentity": role("aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_1", "alice")}
GRANT_ID = "ab" * 32


def on(key: KeyRef, name: str, request: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "eventName": name,
        "requestParameters": request,
        "resources": [{"accountId": key.account, "type": "AWS::KMS::Key", "ARN": key.arn}],
        "recipientAccountId": key.account,
        **more,
    }


def grant(key: KeyRef, grantee: str, **more: Any) -> dict[str, Any]:
    request = {
        "keyId": key.arn,
        "granteePrincipal": grantee,
        "operations": ["Decrypt", "GenerateDataKeyWithoutPlaintext", "CreateGrant", "RetireGrant"],
        "constraints": {"encryptionContextSubset": {"aws:ebs:id": "vol-0123"}},
    }
    made = {"grantId": GRANT_ID, "keyId": key.arn}
    return on(key, "CreateGrant", request, responseElements=made) | more


def retired(key: KeyRef, **more: Any) -> dict[str, Any]:
    return on(key, "RetireGrant", additionalEventData={"grantId": GRANT_ID}) | more


def revoked(key: KeyRef, **more: Any) -> dict[str, Any]:
    return on(key, "RevokeGrant", {"keyId": key.arn, "grantId": GRANT_ID}) | more


def of(source: str, name: str, request: Any = None, **more: Any) -> dict[str, Any]:
    host = f"{source}.amazonaws.com"
    return {"eventSource": host, "eventName": name, "requestParameters": request, **more}


def denied(action: str, key: KeyRef, **more: Any) -> dict[str, Any]:
    """A call without the right to it: no parameters, no resources, an ARN in the text."""
    who = "arn:aws:sts::111122223333:assumed-role/app/i-0123"
    return {
        "eventName": action,
        "errorCode": "AccessDenied",
        "errorMessage": f"User: {who} is not authorized to perform: kms:{action} on resource: "
        f"{key.arn} because no identity-based policy allows the kms:{action} action",
        "userIdentity": role("app", "i-0123"),
    }


Record = dict[str, Any]
KINDS = [plugins.load("detectors", name) for name in plugins.built_in()]


def all_detectors() -> Detection:
    knowledge = week()
    detectors: list[Detector] = [
        kind(kind.Options(), knowledge) for kind in KINDS if not kind.about.quiet
    ]
    return Detection(detectors, METRICS, knowledge)


def said(record: Record) -> int:
    """The most severe finding about it; 0 where there is none."""
    return worst([record])


def worst(records: list[Record]) -> int:
    detection = all_detectors()
    found = [
        one.severity
        for number, record in enumerate(records)
        for one in show(detection, BASE | {"eventID": f"shown-{number}"} | record)
    ]
    return max(found, default=0)


def cases(which: dict[str, Record]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("record", which.values(), ids=which)

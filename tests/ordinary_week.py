"""What a week in the ordinary organisation of `tests.ordinary` holds, in the order of its days.

Services that make and retire grants all day, pipelines that apply the same again, callers that lack
a right, people who look at things.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

from monitor.key import KeyRef
from tests.catalogue import BASE
from tests.ordinary import (
    AUTO_SCALING,
    BUCKET,
    CLOUDFORMATION,
    DATABASE,
    DAY,
    EBS,
    INTERNAL,
    KARPENTER,
    KEYS,
    PERSON,
    POLICY,
    QUEUE,
    RULE,
    SECRET,
    STAGING,
    TABLE,
    TEAM,
    TERRAFORM,
    TOPIC,
    TRAIL,
    denied,
    grant,
    of,
    on,
    retired,
    revoked,
    role,
    service,
)
from tests.samples import ACCOUNT, EPOCH, REGION

ROUTINE = 150
"""So many times a week each of the commonest things happens."""


def services() -> Iterator[dict[str, Any]]:
    """AWS services at work with keys of ours."""
    volume = role("aws:ec2-infrastructure", "i-0123")["arn"]
    yield grant(EBS, volume, **service("autoscaling", AUTO_SCALING))
    yield grant(EBS, f"{ACCOUNT}:aws:ec2-infrastructure:i-0123", **service("ec2", KARPENTER))
    yield grant(EBS, volume, **service("ec2-frontend-api", KARPENTER))
    yield grant(EBS, "AWS Internal", **service("apigateway", KARPENTER))
    yield retired(EBS, **INTERNAL)
    yield retired(
        EBS, userIdentity=role("aws:ec2-infrastructure", "i-0123"), userAgent="AWS Internal"
    )
    yield grant(DATABASE, f"rds.{REGION}.amazonaws.com", **service("rds", KARPENTER))
    yield revoked(DATABASE, **service("rds"))
    yield retired(DATABASE, **service("rds"))
    yield grant(TABLE, f"dynamodb.{REGION}.amazonaws.com", **service("dynamodb", KARPENTER))
    yield grant(BUCKET, role("backup", "AWSBackup")["arn"], **service("backup"))
    yield grant(SECRET, f"arn:aws:iam::{ACCOUNT}:role/lambda-x", **service("lambda", KARPENTER))
    yield revoked(SECRET, **service("lambda"))
    yield grant(BUCKET, f"arn:aws:iam::{STAGING}:role/backup", **service("backup"))
    yield grant(EBS, volume, userIdentity=AUTO_SCALING)
    yield denied("CreateGrant", EBS) | service("autoscaling", AUTO_SCALING)
    yield denied("CreateGrant", EBS) | service("ec2", KARPENTER)
    yield on(KEYS[7], "SynchronizeMultiRegionKey", **INTERNAL)
    yield on(KEYS[8], "RotateKey", eventType="AwsServiceEvent", **INTERNAL)


def uses() -> Iterator[dict[str, Any]]:
    """What keys are for; and those who have no right to it, or are refused for other reasons."""
    context = {"encryptionContext": {"aws:s3:arn": "arn:aws:s3:::data"}, "keyId": BUCKET.arn}
    yield on(BUCKET, "Decrypt", context, readOnly=True, **service("s3", role("app", "i-0123")))
    yield on(BUCKET, "GenerateDataKey", context, readOnly=True, userIdentity=role("app", "i-0123"))
    yield on(SECRET, "Decrypt", readOnly=True, **service("secretsmanager", role("app", "i-1")))
    yield denied("Decrypt", SECRET)
    yield denied("GenerateDataKey", BUCKET)
    yield denied("DescribeKey", BUCKET)
    yield {**denied("Decrypt", SECRET), "errorCode": "ThrottlingException", "errorMessage": "Rate"}
    yield {**denied("Decrypt", SECRET), "errorCode": "InvalidCiphertextException"}
    yield {**denied("DescribeKey", SECRET), "errorCode": "NotFoundException"}
    yield of("s3", "PutObject", {"bucketName": "data", "key": "x"}, eventCategory="Data")
    yield of("s3", "CopyObject", {"bucketName": "data", "key": "x"}, eventCategory="Data")


def around() -> Iterator[dict[str, Any]]:
    """Other things of the names that we ask for, which are nothing of ours."""
    queue = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/orders"
    scaling = service("autoscaling", AUTO_SCALING)
    yield of(
        "events", "PutRule", {"name": "AutoScalingManagedRule", "eventPattern": "{}"}, **scaling
    )
    yield of("events", "PutPermission", {"eventBusName": "partners", "statementId": "a"})
    yield of("iam", "CreatePolicyVersion", {"policyArn": f"arn:aws:iam::{ACCOUNT}:policy/app"})
    yield of("iam", "UpdateAccessKey", {"userName": "bob", "status": "Inactive"})
    yield of("iam", "DeleteAccessKey", {"userName": "bob", "accessKeyId": "AKIAEXAMPLE"})
    yield of("iam", "RemoveUserFromGroup", {"userName": "bob", "groupName": "staff"})
    yield refused("iam", "DeleteRole", "role app")
    yield refused("iam", "PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/app")
    yield refused("events", "DisableRule", f"{RULE}-else")
    yield refused("sqs", "PurgeQueue", f"{QUEUE}-else")
    yield refused("sns", "DeleteTopic", f"{TOPIC}-else")
    yield refused("s3", "PutBucketPolicy", '"arn:aws:s3:::data"')
    yield refused("lambda", "UpdateFunctionCode20150331v2", f"arn:aws:lambda:{REGION}:{ACCOUNT}:x")
    yield of("s3", "PutBucketEncryption", {"bucketName": "data", **own_encryption()})
    yield of("securityhub", "UpdateStandardsControl", {"controlStatus": "DISABLED"})
    yield of("config", "DeleteConfigRule", {"configRuleName": "securityhub-s3-x"})
    yield of("config", "PutEvaluations", {"evaluations": []})
    yield of("lambda", "CreateAlias20150331", {"functionName": "orders", "name": "live"})
    yield of("lambda", "UpdateFunctionCode20150331v2", {"functionName": "orders"})
    yield of("lambda", "UpdateFunctionConfiguration20150331v2", {"functionName": "orders"})
    yield of("lambda", "TagResource", {"resource": "orders", "tags": {"a": "b"}})
    yield of("events", "PutRule", {"name": "nightly", "scheduleExpression": "rate(1 day)"})
    yield of(
        "events", "PutTargets", {"rule": "nightly", "targets": [{"id": "1", "arn": QUEUE[:-3]}]}
    )
    yield of("events", "DisableRule", {"name": "nightly"})
    yield of("events", "DeleteRule", {"name": "preview-17"})
    yield of("events", "RemoveTargets", {"rule": "preview-17", "ids": ["1"]})
    yield of("sqs", "SetQueueAttributes", {"queueUrl": queue, "attributes": {"Policy": ""}})
    yield of("sqs", "PurgeQueue", {"queueUrl": queue})
    yield of("sqs", "DeleteQueue", {"queueUrl": queue})
    yield of("sns", "Subscribe", {"topicArn": f"{TOPIC}-else", "protocol": "email"})
    yield of("sns", "Unsubscribe", {"subscriptionArn": f"{TOPIC}-else:1"})
    yield of("sns", "DeleteTopic", {"topicArn": f"{TOPIC}-else"})
    yield of(
        "iam", "AttachRolePolicy", {"roleName": "app", "policyArn": "arn:aws:iam::aws:policy/A"}
    )
    yield of("iam", "PutRolePolicy", {"roleName": "app", "policyName": "x", "policyDocument": "{}"})
    yield of("iam", "DeleteRolePolicy", {"roleName": "app", "policyName": "x"})
    yield of("iam", "UpdateAssumeRolePolicy", {"roleName": "app", "policyDocument": "{}"})
    yield of("iam", "DeleteRole", {"roleName": "preview-17"})
    yield of("s3", "PutBucketPolicy", {"bucketName": "data", "bucketPolicy": {"Statement": []}})
    yield of("s3", "PutBucketLifecycle", {"bucketName": "data", "LifecycleConfiguration": {}})
    yield of("s3", "DeleteBucket", {"bucketName": "preview-17"})
    yield of("logs", "PutRetentionPolicy", {"logGroupName": "/aws/lambda/x", "retentionInDays": 3})
    yield of("logs", "DeleteLogGroup", {"logGroupName": "/aws/lambda/preview-17"})
    yield of("logs", "DeleteLogStream", {"logGroupName": "/aws/lambda/x", "logStreamName": "y"})
    yield of("monitoring", "DeleteAlarms", {"alarmNames": ["preview-17"]})
    yield of("monitoring", "PutMetricAlarm", {"alarmName": "TargetTracking-x", "threshold": 1})
    yield of("monitoring", "DisableAlarmActions", {"alarmNames": ["deploy-x"]})
    yield of("cloudformation", "DeleteStack", {"stackName": "preview-17"})
    yield of("cloudformation", "UpdateStack", {"stackName": "orders"})
    yield of("cloudformation", "ExecuteChangeSet", {"stackName": "orders", "changeSetName": "x"})
    yield of("ecs", "UpdateService", {"cluster": "main", "service": "orders", "desiredCount": 0})
    yield of("ecs", "StopTask", {"cluster": "main", "task": "abc"})
    yield of("eks", "DeleteNodegroup", {"name": "main", "nodegroupName": "spot"})
    yield of("ec2", "TerminateInstances", {"instancesSet": {"items": [{"instanceId": "i-0123"}]}})
    yield of("ec2", "RunInstances", {"instanceType": "m7g.large"}, **KARPENTER_CALLS)
    yield of("ec2", "StopInstances", {"instancesSet": {"items": [{"instanceId": "i-0123"}]}})
    yield of("ec2", "StartInstances", {"instancesSet": {"items": [{"instanceId": "i-0123"}]}})
    yield of("dynamodb", "DeleteTable", {"tableName": "preview-17"})
    yield of("dynamodb", "UpdateTable", {"tableName": "orders"})
    yield of("rds", "CreateDBInstance", {"dBInstanceIdentifier": "orders"})
    yield of("config", "PutEvaluations", {"resultToken": "x"}, **service("lambda", KARPENTER))
    yield of("ssm", "UpdateInstanceInformation", {"instanceId": "i-0123"})
    yield of("ram", "AssociateResourceShare", {"resourceShareArn": "x", "resourceArns": ["subnet"]})
    yield of("securityhub", "BatchImportFindings", {"findings": []})
    yield of("guardduty", "UpdateDetector", {"detectorId": "d", "enable": True})
    yield of("organizations", "TagResource", {"resourceId": STAGING, "tags": []})
    yield of("payment-cryptography", "DeleteKey", {"keyIdentifier": "x"})


def refused(source: str, name: str, what: str) -> dict[str, Any]:
    """A call to another service without the right to it."""
    text = f"User: X is not authorized to perform: {source}:{name} on resource: {what} because"
    return of(source, name, errorCode="AccessDenied", errorMessage=text)


def own_encryption() -> dict[str, Any]:
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": BUCKET.arn}
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
    return {"ServerSideEncryptionConfiguration": {"Rule": rule}}


KARPENTER_CALLS = {"userIdentity": KARPENTER, "userAgent": "karpenter.sh-1.0"}


def pipelines() -> Iterator[dict[str, Any]]:
    """Infrastructure as code that applies what is there already."""
    key = KEYS[9]
    policy = {"keyId": key.key_id, "policyName": "default", "policy": POLICY % ACCOUNT}
    tags = [{"tagKey": name, "tagValue": value} for name, value in TEAM.items()]
    alias = {"aliasName": "alias/0010", "targetKeyId": key.key_id}
    yield on(key, "PutKeyPolicy", policy, **TERRAFORM)
    yield on(key, "PutKeyPolicy", policy, **CLOUDFORMATION)
    yield on(key, "TagResource", {"keyId": key.key_id, "tags": tags}, **TERRAFORM)
    yield on(
        key, "EnableKeyRotation", {"keyId": key.key_id, "rotationPeriodInDays": 365}, **TERRAFORM
    )
    yield on(key, "EnableKeyRotation", {"keyId": key.key_id}, **CLOUDFORMATION)
    about = {"keyId": key.key_id, "description": "What it is for"}
    yield on(key, "UpdateKeyDescription", about, **TERRAFORM)
    yield on(key, "CreateAlias", alias, **CLOUDFORMATION, errorCode="AlreadyExistsException")
    yield on(key, "EnableKey", {"keyId": key.key_id}, **CLOUDFORMATION)
    yield of("sqs", "SetQueueAttributes", OUR_QUEUE_AGAIN, **TERRAFORM)
    yield of("cloudtrail", "UpdateTrail", {"name": TRAIL, "isMultiRegionTrail": True}, **TERRAFORM)
    yield of("cloudtrail", "StartLogging", {"name": TRAIL}, **TERRAFORM)
    all_events = [{"readWriteType": "All", "includeManagementEvents": True}]
    selectors = {"trailName": TRAIL, "eventSelectors": all_events}
    yield of("cloudtrail", "PutEventSelectors", selectors, **TERRAFORM)
    yield of("iam", "TagRole", {"roleName": "kms-monitor", "tags": []}, **TERRAFORM)


OUR_QUEUE_AGAIN = {
    "queueUrl": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/kms-monitor",
    "attributes": {"VisibilityTimeout": "120", "MessageRetentionPeriod": "1209600"},
}


FOR_LOGS = (
    '{"Effect":"Allow","Principal":{"Service":"logs.eu-west-1.amazonaws.com"},"Action":["kms:Encrypt*",'
    '"kms:Decrypt*","kms:Describe*"],"Resource":"*"}'
)
FOR_SECRETS = (
    '{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["kms:Decrypt","kms:GenerateDataKey*",'
    '"kms:CreateGrant"],"Resource":"*","Condition":{"StringEquals":{"kms:CallerAccount":"%s",'
    '"kms:ViaService":"secretsmanager.eu-west-1.amazonaws.com"}}}'
)
"""As AWS's own key for Secrets Manager has it: everybody, but only in this account."""


def with_also(statement: str) -> str:
    return (POLICY % ACCOUNT).replace("[", f"[{statement},", 1)


def previews() -> Iterator[dict[str, Any]]:
    """Keys that pipelines make for a while."""
    policies = [POLICY % ACCOUNT, with_also(FOR_LOGS), with_also(FOR_SECRETS % ACCOUNT)]
    for number in range(3):
        key = KeyRef(ACCOUNT, REGION, f"0a1b2c3d-0000-4000-9000-{number:012d}")
        made = {"keyMetadata": {"arn": key.arn, "keyId": key.key_id, "origin": "AWS_KMS"}}
        policy = {"policy": policies[number], "tags": [], "multiRegion": False}
        yield on(key, "CreateKey", policy, responseElements=made, **CLOUDFORMATION)
        alias = {"aliasName": f"alias/preview-{number}", "targetKeyId": key.key_id}
        yield on(key, "CreateAlias", alias, **CLOUDFORMATION)
        yield on(key, "EnableKeyRotation", {"keyId": key.key_id}, **CLOUDFORMATION)
        yield on(key, "TagResource", {"keyId": key.key_id, "tags": []}, **CLOUDFORMATION)


def seldom() -> Iterator[dict[str, Any]]:
    """What people and governance do now and then."""
    yield on(KEYS[10], "RotateKeyOnDemand", {"keyId": KEYS[10].key_id}, **PERSON)
    yield of("config", "StartConfigurationRecorder", {"configurationRecorderName": "default"})
    yield of("config", "PutDeliveryChannel", {"deliveryChannel": {"s3BucketName": "trail-logs"}})
    yield on(KEYS[11], "PutKeyPolicy", ANOTHER, errorCode="MalformedPolicyDocumentException")
    control_tower = service("controltower", role("AWSControlTowerExecution"))
    yield of("cloudtrail", "CreateTrail", {"name": "aws-controltower-x"}, **control_tower)
    yield of(
        "organizations", "CreatePolicy", {"name": "guard", "type": "TAG_POLICY", "content": "{}"}
    )


ANOTHER = {"keyId": KEYS[11].key_id, "policyName": "default", "policy": "{}"}
TIMES = {services: ROUTINE, uses: ROUTINE, around: 30, pipelines: 14, previews: 10, seldom: 1}


def stream(begins: float = EPOCH) -> list[dict[str, Any]]:
    """The week, in the order in which it came; always the same."""
    chance = random.Random(4)
    moments = []
    for kind, times in TIMES.items():
        for _ in range(times):
            start = begins + chance.uniform(0, 7 * DAY)
            moments += [(start + 20.0 * place, one) for place, one in enumerate(kind())]
    moments.sort(key=lambda one: one[0])
    numbers = count(1)
    return [
        BASE
        | {"eventID": f"{begins:.0f}-{next(numbers)}"}
        | one
        | {"eventTime": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        for at, one in moments
    ]

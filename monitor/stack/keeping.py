"""What a stack keeps and tells by: topic, table, and the canary's key. Pure."""

from typing import Any

from monitor.rights import policies
from monitor.stack.words import (
    Value,
    ref,
    resource,
    text,
)
from monitor.stores.table_shape import INDEX, INDEX_KEYS, KEYS, TTL


def topic() -> Value:
    """Where people are told, by the daemon and by the alarms. Nobody else may publish."""
    role = "arn:aws:iam::111122223333:role/kms-monitor"
    made = policies.topic_policy("topic", role)
    names = {
        "topic": ref("Topic"),
        role: text("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${Name}"),
        "arn:aws:iam::111122223333:root": text("arn:${AWS::Partition}:iam::${AWS::AccountId}:root"),
    }
    alarm = {
        "Sid": "Alarms",
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": ref("Topic"),
        "Condition": {
            "StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")},
            "ArnLike": {
                "aws:SourceArn": text(
                    "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:${Name}-*"
                )
            },
        },
    }
    statements = [*replaced(made["Statement"], names), alarm]
    return {
        "Topic": resource("SNS::Topic", {"TopicName": ref("Name")}),
        "TopicPolicy": resource(
            "SNS::TopicPolicy",
            {"Topics": [ref("Topic")], "PolicyDocument": policies.document(statements)},
        ),
        "Mail": resource(
            "SNS::Subscription",
            {"TopicArn": ref("Topic"), "Protocol": "email", "Endpoint": ref("Email")},
            Condition="HasMail",
        ),
    }


def replaced(value: Any, names: dict[str, Value]) -> Value:
    if isinstance(value, dict):
        return {name: replaced(one, names) for name, one in value.items()}
    if isinstance(value, list):
        return [replaced(one, names) for one in value]
    return names.get(value, value) if isinstance(value, str) else value


def table(**more: Value) -> Value:
    """As `monitor.stores.table_shape` wants it. Baselines and the action log are nowhere else.

    `more`: further members, such as Condition.
    """
    types = {name: kind for name, _, kind in (*KEYS, *INDEX_KEYS)}

    def schema(keys: list[tuple[str, str, str]]) -> Value:
        return [{"AttributeName": name, "KeyType": kind} for name, kind, _ in keys]

    properties = {
        "TableName": ref("Name"),
        "BillingMode": "PAY_PER_REQUEST",
        "DeletionProtectionEnabled": True,
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind} for name, kind in types.items()
        ],
        "KeySchema": schema(KEYS),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": INDEX,
                "KeySchema": schema(INDEX_KEYS),
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        "TimeToLiveSpecification": {"AttributeName": TTL, "Enabled": True},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        # AWS's own key, and none of this account.
        "SSESpecification": {"SSEEnabled": False},
    }
    kept = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    return {"Table": resource("DynamoDB::Table", properties, **more, **kept)}


def canary() -> Value:
    """A key that is only enabled again and again, by the daemon itself."""
    root = text("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")
    owner = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}
    properties = {
        "Description": text("The canary of ${Name}; nothing is encrypted with it"),
        "KeyPolicy": policies.document([{"Sid": "Account", **owner}]),
        "Tags": [{"Key": "kms-monitor", "Value": "canary"}],
    }
    return {
        "CanaryKey": resource(
            "KMS::Key",
            properties,
            Condition="HasCanary",
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
        ),
        "CanaryAlias": resource(
            "KMS::Alias",
            {"AliasName": text("alias/${Name}-canary"), "TargetKeyId": ref("CanaryKey")},
            Condition="HasCanary",
        ),
    }

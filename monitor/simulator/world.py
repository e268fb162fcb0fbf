"""What exists in the simulator when it is ready: trails, rules, queues, a topic.

Every account and Region has a rule that sends straight into the one central queue. In AWS the
events of other accounts and Regions take a detour over the central bus; the queue's messages are
the same either way, because `account` and `region` stay the sender's.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from monitor.simulator.borrowed import Borrowed
from monitor.simulator.cloudtrail import CloudTrail
from monitor.simulator.config import PERMISSION, Config
from monitor.simulator.events import EventBridge
from monitor.simulator.functions import Function, Functions, Handler
from monitor.simulator.words import Caller

NAME = "kms-monitor"
"""The name of the trail, the rule, the queue and the topic."""
RULE_PATTERN: Mapping[str, Any] = {
    "source": ["aws.kms"],
    "detail-type": ["AWS API Call via CloudTrail", "AWS Service Event via CloudTrail"],
    "detail": {
        "eventSource": ["kms.amazonaws.com"],
        "eventName": [
            "DisableKey",
            "EnableKey",
            "ScheduleKeyDeletion",
            "CancelKeyDeletion",
            "DeleteImportedKeyMaterial",
            "ImportKeyMaterial",
            "PutKeyPolicy",
            "CreateGrant",
            "RevokeGrant",
            "RetireGrant",
            "DisableKeyRotation",
            "EnableKeyRotation",
            "CreateAlias",
            "UpdateAlias",
            "DeleteAlias",
            "UpdatePrimaryRegion",
            "ReplicateKey",
            "TagResource",
            "UntagResource",
            "UpdateKeyDescription",
            "DeleteKey",
            "DeleteExpiredKeyMaterial",
            "DisconnectCustomKeyStore",
            "UpdateCustomKeyStore",
            "DeleteCustomKeyStore",
        ],
    },
}
"""The default rule's pattern: the calls that change a key."""

_TWO_WEEKS = str(14 * 24 * 3600)
_MAX_RECEIVES = 5


class World(msgspec.Struct, frozen=True):
    """ARNs of what was made."""

    queue_arn: str
    dlq_arn: str
    topic_arn: str
    topic_queue_arn: str


async def build(
    lent: Borrowed,
    cloudtrail: CloudTrail,
    bridge: EventBridge,
    *,
    accounts: Sequence[str],
    regions: Sequence[str],
) -> World:
    """Make everything, the queues and the topic in the first account and Region, unrecorded."""
    account, region = accounts[0], regions[0]
    dlq_arn = await lent.create_queue(
        account,
        region,
        f"{NAME}-dlq",
        MessageRetentionPeriod=_TWO_WEEKS,
        SqsManagedSseEnabled="true",
    )
    queue_arn = await lent.create_queue(
        account,
        region,
        NAME,
        VisibilityTimeout="30",
        MessageRetentionPeriod=_TWO_WEEKS,
        SqsManagedSseEnabled="true",
        RedrivePolicy=json.dumps(
            {"deadLetterTargetArn": dlq_arn, "maxReceiveCount": _MAX_RECEIVES}
        ),
    )
    topic_queue_arn = await lent.create_queue(account, region, f"{NAME}-topic-reader")
    topic_arn = await lent.create_topic(account, region, NAME, queue_arn=topic_queue_arn)
    for owner in accounts:
        _trail(cloudtrail, owner, region)
        for place in regions:
            _rule(bridge, owner, place, queue_arn)
    return World(queue_arn, dlq_arn, topic_arn, topic_queue_arn)


def deploy(
    functions: Functions, bridge: EventBridge, *handlers: Handler, account: str, region: str
) -> Function:
    """Put a function behind the rule of one place, beside the queue, and let the rule call it."""
    function = functions.add(NAME, *handlers, account=account, region=region)
    rule = f"arn:aws:events:{region}:{account}:rule/{NAME}"
    function.permitted |= {("events.amazonaws.com", rule), PERMISSION}
    root = Caller(account=account, arn=f"arn:aws:iam::{account}:root")
    targets = {"Rule": NAME, "Targets": [{"Id": "function", "Arn": function.arn}]}
    bridge.call("PutTargets", targets, caller=root, account=account, region=region)
    return function


async def record(lent: Borrowed, config: Config, *, account: str, region: str) -> None:
    """Have AWS Config record the keys of one place, and tell it by a topic of its own.

    A queue is subscribed to the topic, to read what it delivered.
    """
    reader = await lent.create_queue(account, region, f"{NAME}-config-reader")
    topic = await lent.create_topic(account, region, f"{NAME}-config", queue_arn=reader)
    root = Caller(account=account, arn=f"arn:aws:iam::{account}:root")
    name = "default"
    recorder = {"name": name, "roleARN": f"arn:aws:iam::{account}:role/config"}
    channel = {"name": name, "s3BucketName": f"{NAME}-config-{account}", "snsTopicARN": topic}
    for operation, parameters in (
        ("PutConfigurationRecorder", {"ConfigurationRecorder": recorder}),
        ("PutDeliveryChannel", {"DeliveryChannel": channel}),
        ("StartConfigurationRecorder", {"ConfigurationRecorderName": name}),
    ):
        config.call(operation, parameters, caller=root, account=account, region=region)


def _trail(cloudtrail: CloudTrail, account: str, region: str) -> None:
    root = Caller(account=account, arn=f"arn:aws:iam::{account}:root")
    trail = {"Name": NAME, "S3BucketName": f"{NAME}-trail-{account}", "IsMultiRegionTrail": True}
    cloudtrail.call("CreateTrail", trail, caller=root, account=account, region=region)
    cloudtrail.call("StartLogging", {"Name": NAME}, caller=root, account=account, region=region)


def _rule(bridge: EventBridge, account: str, region: str, queue_arn: str) -> None:
    root = Caller(account=account, arn=f"arn:aws:iam::{account}:root")
    rule = {"Name": NAME, "EventPattern": json.dumps(RULE_PATTERN, separators=(",", ":"))}
    bridge.call("PutRule", rule, caller=root, account=account, region=region)
    targets = {"Rule": NAME, "Targets": [{"Id": NAME, "Arn": queue_arn}]}
    bridge.call("PutTargets", targets, caller=root, account=account, region=region)

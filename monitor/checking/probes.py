"""Harmless calls that show whether a right is there, for where IAM's simulator may not be asked.

Reading calls are simply made. The two writing calls that put a key back are made on a key that does not
exist: who has the right is told so, who lacks it is refused. All other writing calls stay unknown.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from monitor.account_metrics import Service
from monitor.aws import Aws
from monitor.checking.rows import Answer, Said
from monitor.errors import Denied, MonitorError, NotWorthRetrying
from monitor.key import partition_of

NOBODYS_KEY: Final = "00000000-0000-4000-8000-000000000000"
NOT_A_RECEIPT: Final = "none"
AMBIGUOUS: Final = "does not exist in this Region"
"""Of a denial that AWS words so nobody can tell which of its reasons holds."""


class Probe(msgspec.Struct, frozen=True):
    """One call: the client's method, and what it is given. `{key}` and the like are filled in."""

    method: str
    given: Mapping[str, Any] = {}


KEY: Final = {"KeyId": "{key}"}
PROBES: Final[Mapping[str, Probe]] = {
    "kms:ListKeys": Probe("list_keys", {"Limit": 1}),
    "kms:ListAliases": Probe("list_aliases", {"Limit": 1}),
    "kms:DescribeKey": Probe("describe_key", KEY),
    "kms:GetKeyPolicy": Probe("get_key_policy", KEY | {"PolicyName": "default"}),
    "kms:GetKeyRotationStatus": Probe("get_key_rotation_status", KEY),
    "kms:ListGrants": Probe("list_grants", KEY),
    "kms:ListResourceTags": Probe("list_resource_tags", KEY),
    "kms:CancelKeyDeletion": Probe("cancel_key_deletion", KEY),
    "kms:EnableKey": Probe("enable_key", KEY),
    "cloudtrail:LookupEvents": Probe("lookup_events", {"MaxResults": 1}),
    "cloudtrail:DescribeTrails": Probe("describe_trails"),
    "events:ListEventBuses": Probe("list_event_buses", {"Limit": 1}),
    "events:ListRuleNamesByTarget": Probe("list_rule_names_by_target", {"TargetArn": "{queue}"}),
    "sqs:GetQueueAttributes": Probe(
        "get_queue_attributes", {"QueueUrl": "{url}", "AttributeNames": ["QueueArn"]}
    ),
    "sqs:DeleteMessage": Probe(
        "delete_message", {"QueueUrl": "{url}", "ReceiptHandle": NOT_A_RECEIPT}
    ),
    "sqs:ChangeMessageVisibility": Probe(
        "change_message_visibility",
        {"QueueUrl": "{url}", "ReceiptHandle": NOT_A_RECEIPT, "VisibilityTimeout": 0},
    ),
}


class Target(msgspec.Struct, frozen=True):
    """What a probe is made on."""

    account: str
    region: str
    entry: str
    queue: str
    url: str

    @property
    def words(self) -> dict[str, str]:
        key = f"arn:{partition_of(self.region)}:kms:{self.region}:{self.account}:key/{NOBODYS_KEY}"
        return {"{key}": key, "{queue}": self.queue, "{url}": self.url}


async def probe(aws: Aws, call: str, target: Target) -> Said:
    """Try one call."""
    known = PROBES.get(call)
    if known is None:
        return Said(Answer.UNKNOWN, "IAM may not be asked, and there is no harmless way to try")
    service, name = call.split(":")
    given = {key: target.words.get(str(value), value) for key, value in known.given.items()}
    client = await aws.client(service, target.region, target.entry)
    try:
        async with aws.calling(cast("Service", service), name):
            await getattr(client, known.method)(**given)
    except Denied as error:
        if AMBIGUOUS in str(error):
            return Said(Answer.UNKNOWN, f"refused, but only a key that exists can tell: {error}")
        return Said(Answer.DENIED, f"tried: {error}")
    except NotWorthRetrying as error:
        return Said(Answer.ALLOWED, f"tried on what does not exist: {error.code}")
    except MonitorError as error:
        return Said(Answer.UNKNOWN, f"tried: {error}")
    return Said(Answer.ALLOWED, "tried")

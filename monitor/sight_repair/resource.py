"""A watched resource, and the parts of its settings that may be put back. Pure.

Settings are a mapping by part, with the members that AWS's API references name: see `Settings`. A
resource that does not exist has none. Documents in a text, such as policies, are kept parsed, so
that blanks and the order of members make no difference.
"""

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from monitor.arns import ACCOUNT, ARN, DEFAULT_BUS
from monitor.iam_policy.plain import allows, read
from monitor.sight.queues import SEND
from monitor.sight.trails import sight


class Kind(StrEnum):
    TRAIL = "trail"
    RULE = "rule"
    QUEUE = "queue"
    TOPIC = "topic"


class Part(StrEnum):
    """What of a resource may be put back, each with the shape of its settings."""

    TRAIL_SETTINGS = "trail_settings"
    """What UpdateTrail takes beside the name, such as S3BucketName."""
    TRAIL_SELECTORS = "trail_selectors"
    """EventSelectors or AdvancedEventSelectors, as GetEventSelectors answers them."""
    TRAIL_LOGGING = "trail_logging"
    """Whether it logs."""
    RULE_PATTERN = "rule_pattern"
    """EventPattern (parsed), ScheduleExpression, Description and RoleArn."""
    RULE_STATE = "rule_state"
    """ENABLED and its like, as DescribeRule answers."""
    RULE_TARGETS = "rule_targets"
    """By id, as ListTargetsByRule answers them."""
    QUEUE_POLICY = "queue_policy"
    """The parsed policy; None where there is none."""
    QUEUE_ATTRIBUTES = "queue_attributes"
    """The other attributes that SetQueueAttributes takes: texts, but for the redrive policies."""
    TOPIC_POLICY = "topic_policy"
    """The parsed policy."""
    TOPIC_KEY = "topic_key"
    """The key that encrypts it; "" for none."""


Settings = Mapping[Part, Any]


class Resource(msgspec.Struct, frozen=True):
    """One trail, rule, queue or topic, taken apart."""

    arn: str
    kind: Kind
    account: str
    region: str
    name: str
    bus: str = DEFAULT_BUS
    """Only of a rule."""

    @classmethod
    def parse(cls, arn: str) -> "Resource | None":
        """None where the ARN is not one of a single resource of these kinds."""
        if ARN.fullmatch(arn) is None or "*" in arn:
            return None
        service, region, account, rest = arn.split(":", 5)[2:]
        head, _, name = rest.partition("/")
        if not (region and ACCOUNT.fullmatch(account)):
            return None
        match service, head:
            case "cloudtrail", "trail" if name:
                return cls(arn, Kind.TRAIL, account, region, name)
            case "events", "rule" if name:
                bus, _, rule = name.rpartition("/")
                return cls(arn, Kind.RULE, account, region, rule, bus or DEFAULT_BUS)
            case "sqs", _ if not name and ":" not in rest:
                return cls(arn, Kind.QUEUE, account, region, rest)
            case "sns", _ if not name and ":" not in rest:
                return cls(arn, Kind.TOPIC, account, region, rest)
            case _:
                return None


def bad(resource: Resource, settings: Settings) -> str:
    """Why settings, seen for the first time, cannot be how it should be; "" where they can.

    A queue without a policy may be one that only its own account's roles send to.
    """
    if not settings:
        return "it does not exist"
    if resource.kind is Kind.TRAIL:
        if not settings[Part.TRAIL_LOGGING]:
            return "it does not log"
        if not sight(settings[Part.TRAIL_SELECTORS]).sees:
            return "its selectors leave out changes of keys"
    if resource.kind is Kind.RULE:
        if settings[Part.RULE_STATE] == "DISABLED":
            return "it is disabled"
        if not settings[Part.RULE_TARGETS]:
            return "it has no target"
    policy = settings.get(Part.QUEUE_POLICY)
    if policy is not None and not allows(read(json.dumps(policy)), SEND):
        return "its policy lets nobody send to it"
    return ""


def written(settings: Settings) -> str:
    """The text of settings in the store: the same for the same settings."""
    return json.dumps({str(part): settings[part] for part in settings}, sort_keys=True)


def parsed(text: str) -> Settings:
    """Settings that `written` made a text of. Parts that are not known here are left out."""
    known: Iterable[str] = set(Part)
    return {Part(name): value for name, value in json.loads(text).items() if name in known}

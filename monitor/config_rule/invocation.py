"""What AWS Config asks of a custom rule: the event of its Lambda function, decoded. Pure.

Shapes: aws-facts 4.6, and AWS Config developer guide, "Example Events for AWS Config Rules". Every
nested document is a JSON string. Only what tells which key is meant is needed of a configuration item:
the key itself is read, for an item may be old, and has no policy. What else it says is a hint.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from monitor.decoding import explain, part
from monitor.errors import Unreadable
from monitor.event import parse_time
from monitor.key import KeyRef, partition_of

KEY: Final = "AWS::KMS::Key"
TEST: Final = "TESTMODE"
"""The result token of whoever tries a rule out without AWS Config, as AWS's Rule Development Kit does."""
CHANGED: Final = "ConfigurationItemChangeNotification"
OVERSIZED: Final = frozenset(
    {
        "OversizedConfigurationItemChangeNotification",
        "OversizedConfigurationItemChangeDeliveryFailed",
    }
)
ON_TIME: Final = frozenset({"ScheduledNotification", "ConfigurationSnapshotDeliveryCompleted"})
"""Both ask about all there is (AWS Config API reference, "SourceDetail")."""
LONGEST: Final = 512
"""Characters of a name that are believed to be one."""


class Trigger(StrEnum):
    """Why Config asks. A closed list, fit for a metric label."""

    CHANGE = "change"
    OVERSIZED = "oversized"
    """The item was too large for the message: only a summary of it is there."""
    PERIODIC = "periodic"


class Item(msgspec.Struct, frozen=True):
    """One resource, as Config recorded it. What the message does not say is empty."""

    resource_type: str
    resource_id: str
    account: str
    region: str
    status: str
    captured_at: float
    arn: str = ""
    configuration: dict[str, Any] = {}
    delivered_to: str = ""
    """Where in S3 an oversized one lies: `bucket/key`."""

    @property
    def deleted(self) -> bool:
        """`ResourceDeleted`, and `ResourceDeletedNotRecorded`."""
        return self.status.startswith("ResourceDeleted")

    @property
    def key(self) -> KeyRef | None:
        """The key that it is about, by account and Region of the item; None where that is none."""
        arn = self.arn or (
            f"arn:{partition_of(self.region)}:kms:{self.region}:{self.account}"
            f":key/{self.resource_id}"
        )
        return KeyRef.parse(arn) if self.resource_type == KEY else None


class Invocation(msgspec.Struct, frozen=True):
    """One question of AWS Config. Times are epoch seconds."""

    trigger: Trigger
    rule: str
    account: str
    region: str
    """Where the rule is."""
    token: str
    parameters: dict[str, Any]
    """As the rule has them: texts by their names."""
    at: float
    """When Config sent it."""
    left_scope: bool = False
    """The resource is no more among those that the rule is about."""
    item: Item | None = None
    """None where it asks about all keys."""

    @property
    def test(self) -> bool:
        """Whether nobody but the caller is to hear the verdict."""
        return self.token == TEST


class Outer(msgspec.Struct, frozen=True, rename="camel"):
    invoking_event: str = ""
    rule_parameters: str = ""
    result_token: str = ""
    event_left_scope: bool = False
    config_rule_arn: str = ""
    config_rule_name: str = ""
    account_id: str = ""


class Inner(msgspec.Struct, frozen=True, rename="camel"):
    message_type: str = ""
    notification_creation_time: str = ""
    aws_account_id: str = ""
    configuration_item: dict[str, Any] | None = None
    configuration_item_summary: dict[str, Any] | None = None
    s3_delivery_summary: dict[str, Any] | None = None


def is_invocation(event: Mapping[str, Any]) -> bool:
    """Whether it is the event of a custom rule's function, by its outline."""
    return "invokingEvent" in event and "resultToken" in event


def decode(event: Mapping[str, Any]) -> Invocation:
    """The question. Raises `Unreadable`: without a verdict AWS Config keeps the one that it has."""
    outer = typed(event, Outer)
    if not outer.result_token:
        raise Unreadable("missing_field", "an invocation of AWS Config without resultToken")
    inner = nested(outer.invoking_event, Inner, "invokingEvent")
    account = outer.account_id or inner.aws_account_id
    region = at_place(outer.config_rule_arn.split(":"), 3)
    at = moment(inner.notification_creation_time)
    about: dict[str, Any] = {
        "rule": (outer.config_rule_name or outer.config_rule_arn)[:LONGEST],
        "account": account,
        "token": outer.result_token,
        "parameters": nested(outer.rule_parameters or "{}", dict[str, Any], "ruleParameters"),
        "left_scope": outer.event_left_scope,
    }
    kind = inner.message_type
    if kind in ON_TIME:
        if not (account and region and at):
            raise Unreadable("missing_field", f"a {kind} without account, rule's ARN or time")
        return Invocation(trigger=Trigger.PERIODIC, region=region, at=at, **about)
    given = inner.configuration_item if kind == CHANGED else inner.configuration_item_summary
    if kind != CHANGED and kind not in OVERSIZED:
        raise Unreadable("unknown_shape", "an invocation of AWS Config with an unknown messageType")
    if given is None:
        raise Unreadable("missing_field", f"a {kind} without its configuration item")
    item = item_of(given, account=account, region=region)
    if account and item.account != account:
        raise Unreadable("wrong_type", "the configuration item is of another account than its rule")
    if kind in OVERSIZED:
        item = msgspec.structs.replace(
            item, delivered_to=text(inner.s3_delivery_summary or {}, "s3BucketLocation")
        )
    trigger = Trigger.CHANGE if kind == CHANGED else Trigger.OVERSIZED
    about["account"] = item.account
    return Invocation(
        trigger=trigger, region=region or item.region, at=at or item.captured_at, item=item, **about
    )


def item_of(given: Mapping[str, Any], *, account: str = "", region: str = "") -> Item:
    """A configuration item, or its summary, by either way's names. Raises `Unreadable`.

    Account and Region of whoever asks, where the item does not say its own.
    """
    resource_type, resource_id = text(given, "resourceType"), text(given, "resourceId")
    captured = moment(text(given, "configurationItemCaptureTime"))
    if not (resource_type and resource_id and captured):
        raise Unreadable("missing_field", "a configuration item without type, id or capture time")
    item = Item(
        resource_type=resource_type,
        resource_id=resource_id,
        account=text(given, "awsAccountId", "accountId") or account,
        region=text(given, "awsRegion") or region,
        status=text(given, "configurationItemStatus"),
        captured_at=captured,
        arn=text(given, "ARN", "arn"),
        configuration=configuration_of(given.get("configuration")),
    )
    if resource_type != KEY:
        return item
    key = item.key
    if key is None:
        raise Unreadable("wrong_type", "a configuration item of a key that names none")
    if (key.account, key.region, key.key_id) != (item.account, item.region, resource_id):
        raise Unreadable("wrong_type", "a configuration item whose ARN and members disagree")
    return item


def configuration_of(given: object) -> dict[str, Any]:
    """An object in a message, a JSON text from the history of a resource; else nothing."""
    if isinstance(given, dict):
        return given
    if not isinstance(given, str):
        return {}
    try:
        return part(msgspec.Raw(given.encode()), dict[str, Any], {})
    except UnicodeError:
        return {}


def typed(given: Mapping[str, Any], kind: type[Outer]) -> Outer:
    try:
        return msgspec.convert(dict(given), kind)
    except msgspec.ValidationError as error:
        raise Unreadable("wrong_type", f"an invocation of AWS Config: {error}") from error


def nested(given: str, kind: type[Any], name: str) -> Any:
    """What a JSON text inside the event holds. Raises `Unreadable`."""
    try:
        return msgspec.json.decode(given, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        reason = explain(error)
        raise Unreadable(reason.reason, f"{name} of an invocation: {reason}") from error


def text(members: Mapping[str, Any], *names: str) -> str:
    """The first of these members that is a text; else nothing."""
    found = (members.get(name) for name in names)
    return next((one for one in found if isinstance(one, str) and one), "")[:LONGEST]


def moment(written: str) -> float:
    """Epoch seconds; 0 where it is no time."""
    try:
        return parse_time(written)
    except (ValueError, OverflowError):
        return 0.0


def at_place(parts: list[str], number: int) -> str:
    return parts[number] if len(parts) > number else ""

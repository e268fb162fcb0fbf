"""What AWS Config keeps, and what it says: items of keys, and the messages about them. Pure.

aws-facts 4.6; AWS Config developer guide, "Example notifications" and "Example Events for AWS Config
Rules". Of keys an item has what the public schema of AWS::KMS::Key lists: no policy.
"""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

KEY = "AWS::KMS::Key"
Place = tuple[str, str]
"""Account and Region."""


class Item(msgspec.Struct, frozen=True):
    """One configuration item. Times are epoch seconds."""

    arn: str
    status: str
    captured_at: float
    state_id: int
    configuration: dict[str, Any] | None
    """None for a key that is gone."""
    tags: dict[str, str]
    rotates: bool

    @property
    def place(self) -> Place:
        _, _, _, region, account, _ = self.arn.split(":", 5)
        return account, region

    @property
    def resource_id(self) -> str:
        return self.arn.rpartition("/")[2]

    def summary(self) -> dict[str, Any]:
        """What the summary of an oversized item has, too."""
        account, region = self.place
        return {
            "configurationItemVersion": "1.3",
            "configurationItemCaptureTime": stamp(self.captured_at),
            "configurationItemStatus": self.status,
            "configurationStateId": self.state_id,
            "awsAccountId": account,
            "resourceType": KEY,
            "resourceId": self.resource_id,
            "resourceName": self.resource_id,
            "ARN": self.arn,
            "awsRegion": region,
        }

    def body(self) -> dict[str, Any]:
        """As messages have it."""
        return self.summary() | {
            "availabilityZone": "Regional",
            "tags": self.tags,
            "relatedEvents": [],
            "relationships": [],
            "configuration": self.configuration,
            "supplementaryConfiguration": {"KeyRotationStatus": self.rotates},
        }

    def recorded(self) -> dict[str, Any]:
        """As the history of a resource has it: other names, and JSON inside texts."""
        account, region = self.place
        return {
            "version": "1.3",
            "accountId": account,
            "configurationItemCaptureTime": self.captured_at,
            "configurationItemStatus": self.status,
            "configurationStateId": str(self.state_id),
            "arn": self.arn,
            "resourceType": KEY,
            "resourceId": self.resource_id,
            "resourceName": self.resource_id,
            "awsRegion": region,
            "availabilityZone": "Regional",
            "tags": self.tags,
            "relatedEvents": [],
            "relationships": [],
            "configuration": json.dumps(self.configuration) if self.configuration else "null",
            "supplementaryConfiguration": {"KeyRotationStatus": json.dumps(self.rotates)},
        }

    def same(self, other: "Item | None") -> bool:
        """Whether it says the same, so that nothing is worth an item of its own."""
        return other is not None and (self.configuration, self.tags, self.rotates) == (
            other.configuration,
            other.tags,
            other.rotates,
        )


def configuration_of(metadata: dict[str, Any]) -> dict[str, Any]:
    """KeyMetadata as an item spells it."""
    found = {
        name[:1].lower() + name[1:]: stamp(value) if name.endswith(("Date", "ValidTo")) else value
        for name, value in metadata.items()
        if name not in {"AWSAccountId", "Arn", "CurrentKeyMaterialId", "XksKeyConfiguration"}
    }
    return {"arn": metadata["Arn"], "awsaccountId": metadata["AWSAccountId"]} | found


def changed(item: Item, before: Item | None) -> dict[str, Any]:
    """`configurationItemDiff`."""
    if before is None or before.configuration is None:
        return {"changedProperties": {}, "changeType": "CREATE"}
    if item.configuration is None:
        return {"changedProperties": {}, "changeType": "DELETE"}
    old, new = before.configuration, item.configuration
    properties = {
        f"Configuration.{name[:1].upper()}{name[1:]}": {
            "previousValue": old.get(name),
            "updatedValue": new.get(name),
            "changeType": "UPDATE",
        }
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }
    if before.rotates is not item.rotates:
        properties["SupplementaryConfiguration.KeyRotationStatus"] = {
            "previousValue": before.rotates,
            "updatedValue": item.rotates,
            "changeType": "UPDATE",
        }
    return {"changedProperties": properties, "changeType": "UPDATE"}


def item_message(item: Item, before: Item | None, now: float, *, oversized: str) -> dict[str, Any]:
    """A changed item; `oversized`: where in S3 it lies instead, else empty."""
    sent = {"notificationCreationTime": stamp(now), "recordVersion": "1.3"}
    if oversized:
        return {
            "configurationItemSummary": item.summary()
            | {"changeType": changed(item, before)["changeType"]},
            "s3DeliverySummary": {
                "s3BucketLocation": oversized,
                "errorCode": None,
                "errorMessage": None,
            },
            "messageType": "OversizedConfigurationItemChangeNotification",
        } | sent
    return {
        "configurationItemDiff": changed(item, before),
        "configurationItem": item.body(),
        "messageType": "ConfigurationItemChangeNotification",
    } | sent


def bridge_event(
    detail_type: str, place: Place, detail: dict[str, Any], *, name: str, resources: list[str]
) -> dict[str, Any]:
    """The same on EventBridge, `name` being its id."""
    return {
        "version": "0",
        "id": name,
        "detail-type": detail_type,
        "source": "aws.config",
        "account": place[0],
        "time": detail["notificationCreationTime"][:19] + "Z",
        "region": place[1],
        "resources": resources,
        "detail": detail,
    }


def stamp(seconds: float) -> str:
    """`2026-11-20T09:20:00.000Z`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def text(message: dict[str, Any]) -> str:
    """A message as SNS carries it."""
    return json.dumps(message, separators=(",", ":"))

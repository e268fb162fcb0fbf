"""Tells by Amazon EventBridge: one event on a bus for each stage of a finding, for rules of your own.

`source` is kms-monitor, `detail-type` KMS Key Notification, `detail` the notification or an OCSF Detection
Finding. It cannot come back to us as an event of AWS's: no source of others may begin with `aws.`.
"""

import json
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Literal

from pydantic import BaseModel, Field

from monitor.channel import Channel, ChannelOptions
from monitor.decision import Decision
from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.plugins import Services
from monitor.telling import headline, notification, ocsf

BUS_ARN: Final = r"^arn:aws[a-z-]{0,20}:events:[a-z]{2}[a-z0-9-]{2,30}:[0-9]{12}:event-bus/[A-Za-z0-9_.-]{1,256}$"
SOURCE: Final = "kms-monitor"
DETAIL_TYPE: Final = "KMS Key Notification"
MOST_BYTES: Final = 256 * 1024
"""Of one PutEvents, all entries together ("PutEvents" in the EventBridge API reference)."""
LIMITS: Final = (headline.LIMIT, 150, 50)
"""Characters of the longest quoted text, tried one after the other until the event fits."""
MOST: Final = 10
"""Entries of one PutEvents."""
PASSING: Final = frozenset({"InternalFailure", "InternalException", "ThrottlingException"})


class EventBridgeOptions(ChannelOptions):
    """Settings of the responder `eventbridge`."""

    bus_arn: str = Field(
        pattern=BUS_ARN, description="ARN of the bus; its Region is where we publish."
    )
    format: Literal["json", "ocsf"] = Field(
        default="json", description="The notification, or an OCSF 1.5 Detection Finding."
    )

    @property
    def region(self) -> str:
        return self.bus_arn.split(":")[3]


class EventBridge(Channel):
    name: ClassVar[str] = "eventbridge"
    Options: ClassVar[type[BaseModel]] = EventBridgeOptions

    def __init__(self, options: EventBridgeOptions, services: Services) -> None:
        super().__init__(options, services)
        self.options = options

    async def tell(self, decision: Decision) -> str:
        return await self.send([decision])

    async def tell_many(self, decisions: list[Decision]) -> str:
        return await self.send(decisions)

    async def send(self, decisions: list[Decision]) -> str:
        """Events that were taken before one was refused are sent again: they have the same `id`."""
        sent: list[str] = []
        batch: list[dict[str, Any]] = []
        size = 0
        for one in decisions:
            entry = self.entry(one)
            bytes_ = entry_bytes(entry)
            if batch and (len(batch) == MOST or size + bytes_ > MOST_BYTES):
                sent += await self.put(batch)
                batch, size = [], 0
            batch.append(entry)
            size += bytes_
        sent += await self.put(batch)
        return f"EventId {', '.join(sent[:3])}" + (f" and {len(sent) - 3} more" * (len(sent) > 3))

    def entry(self, decision: Decision) -> dict[str, Any]:
        """One event, cut until it fits."""
        entry = self.cut_entry(decision, LIMITS[0])
        for limit in LIMITS[1:]:
            if entry_bytes(entry) <= MOST_BYTES:
                break
            entry = self.cut_entry(decision, limit)
        return entry

    def cut_entry(self, decision: Decision, limit: int) -> dict[str, Any]:
        """`limit`: characters of the longest quoted text."""
        finding, environment = decision.finding, self.services.environment
        if self.options.format == "json":
            detail = notification.message(decision, environment, limit)
        else:
            detail = ocsf.detection_finding(decision, environment, self.services.clock.now())
            if limit != LIMITS[0]:
                detail["unmapped"] = {}
        entry: dict[str, Any] = {
            "Source": SOURCE,
            "DetailType": DETAIL_TYPE,
            "EventBusName": self.options.bus_arn,
            "Detail": json.dumps(detail, ensure_ascii=False, allow_nan=False),
        }
        if about := headline.clean(finding.key.arn if finding.key else finding.resource):
            entry["Resources"] = [about]
        if 0 < finding.event_time < 1e11:
            entry["Time"] = datetime.fromtimestamp(finding.event_time, UTC)
        return entry

    async def put(self, entries: list[dict[str, Any]]) -> list[str]:
        aws = self.services.aws
        client = await aws.client("events", self.options.region)
        async with aws.calling("events", "PutEvents"):
            answer = await client.put_events(Entries=entries)
        failed = [one for one in answer["Entries"] if one.get("ErrorCode")]
        if not failed:
            return [str(one.get("EventId", "")) for one in answer["Entries"]]
        code = headline.clean(str(failed[0]["ErrorCode"]), 64)
        words = headline.clean(str(failed[0].get("ErrorMessage", "")), 200)
        text = f"events:PutEvents: {len(failed)} refused: {code}: {words}"
        kind = WorthRetrying if code in PASSING else NotWorthRetrying
        raise kind(text, code=code)


def entry_bytes(entry: dict[str, Any]) -> int:
    """As EventBridge counts ("Calculating PutEvents event entry size"): 14 for the time, and the texts."""
    texts = [entry["Source"], entry["DetailType"], entry["Detail"], *entry.get("Resources", [])]
    return 14 + sum(len(one.encode()) for one in texts)

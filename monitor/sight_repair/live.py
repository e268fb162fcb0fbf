"""What we see by as it is: reading and writing trails, rules, queues and topics.

The names of calls and members are those of AWS's API references.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from monitor.account_metrics import Service
from monitor.aws import Aws
from monitor.clock import Clock
from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.event import Event
from monitor.finding import Finding
from monitor.repair.live import patiently, read_or_none, records_of, who
from monitor.sight.touching import touched
from monitor.sight_repair.accepting import document, pattern_of
from monitor.sight_repair.plan import (
    DESTINATIONS,
    DOCUMENTS,
    ENCRYPTION,
    LESS_IS_WORSE,
    MORE_IS_WORSE,
    SWITCHES,
    SightCall,
    plan,
)
from monitor.sight_repair.resource import Kind, Part, Resource, Settings

SERVICES: Mapping[Kind, Service] = {
    Kind.TRAIL: "cloudtrail",
    Kind.RULE: "events",
    Kind.QUEUE: "sqs",
    Kind.TOPIC: "sns",
}
METHODS: Mapping[str, str] = {
    "CreateTrail": "create_trail",
    "EnableRule": "enable_rule",
    "PutEventSelectors": "put_event_selectors",
    "PutRule": "put_rule",
    "PutTargets": "put_targets",
    "RemoveTargets": "remove_targets",
    "SetQueueAttributes": "set_queue_attributes",
    "SetTopicAttributes": "set_topic_attributes",
    "StartLogging": "start_logging",
    "UpdateTrail": "update_trail",
}
"""The clients' names of the writing calls. There is none that takes sight away."""
GONE = frozenset(
    {
        "NonExistentQueue",
        "NotFound",
        "NotFoundException",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
        "TrailNotFoundException",
    }
)
BUSY = frozenset({"ConcurrentModificationException"})
"""Somebody changes the same rule just now."""
POLL_FIRST, POLL_LONGEST = 0.1, 5.0
"""Seconds. SQS needs up to 60 until new attributes hold (API reference, "SetQueueAttributes")."""


class Sights:
    """One resource at a time, in its own account and Region. Errors: see `monitor.errors`."""

    def __init__(self, aws: Aws, clock: Clock) -> None:
        self.aws = aws
        self.clock = clock
        self.readers: Mapping[Kind, Callable[[Any, Resource], Awaitable[Settings]]] = {
            Kind.TRAIL: self.trail,
            Kind.RULE: self.rule,
            Kind.QUEUE: self.queue,
            Kind.TOPIC: self.topic,
        }

    async def client(self, resource: Resource) -> Any:
        return await self.aws.client(SERVICES[resource.kind], resource.region, resource.account)

    async def read(self, resource: Resource) -> Settings:
        """All its parts; none where it does not exist."""
        client = await self.client(resource)
        try:
            async for attempt in patiently():
                with attempt:
                    return await self.readers[resource.kind](client, resource)
        except NotWorthRetrying as error:
            if error.code in GONE:
                return {}
            raise
        raise AssertionError("unreachable: the last attempt raises")

    async def trail(self, client: Any, resource: Resource) -> Settings:
        async with self.aws.calling("cloudtrail", "DescribeTrails"):
            answer = await client.describe_trails(
                trailNameList=[resource.arn], includeShadowTrails=False
            )
        if not answer["trailList"]:
            return {}
        found = answer["trailList"][0]
        async with self.aws.calling("cloudtrail", "GetTrailStatus"):
            status = await client.get_trail_status(Name=resource.arn)
        async with self.aws.calling("cloudtrail", "GetEventSelectors"):
            selectors = await client.get_event_selectors(TrailName=resource.arn)
        settings = {name: found.get(name, "") for name in DESTINATIONS}
        settings |= {name: bool(found.get(name)) for name in SWITCHES}
        settings["EnableLogFileValidation"] = bool(found.get("LogFileValidationEnabled"))
        settings["SnsTopicName"] = found.get("SnsTopicARN") or found.get("SnsTopicName") or ""
        names = ("EventSelectors", "AdvancedEventSelectors")
        return {
            Part.TRAIL_SETTINGS: settings,
            Part.TRAIL_SELECTORS: {name: selectors[name] for name in names if selectors.get(name)},
            Part.TRAIL_LOGGING: bool(status["IsLogging"]),
        }

    async def rule(self, client: Any, resource: Resource) -> Settings:
        where = {"EventBusName": resource.bus}
        async with self.aws.calling("events", "DescribeRule"):
            found = await client.describe_rule(Name=resource.name, **where)
        async with self.aws.calling("events", "ListTargetsByRule"):
            answer = await client.list_targets_by_rule(Rule=resource.name, **where)
        return {
            Part.RULE_PATTERN: pattern_of(found),
            Part.RULE_STATE: found["State"],
            Part.RULE_TARGETS: {one["Id"]: one for one in answer["Targets"]},
        }

    async def url(self, client: Any, resource: Resource) -> str:
        async with self.aws.calling("sqs", "GetQueueUrl"):
            answer = await client.get_queue_url(
                QueueName=resource.name, QueueOwnerAWSAccountId=resource.account
            )
        return str(answer["QueueUrl"])

    async def queue(self, client: Any, resource: Resource) -> Settings:
        url = await self.url(client, resource)
        async with self.aws.calling("sqs", "GetQueueAttributes"):
            answer = await client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        found = answer.get("Attributes", {})
        names = (*DOCUMENTS, *ENCRYPTION, *LESS_IS_WORSE, *MORE_IS_WORSE)
        kept: dict[str, Any] = {name: found[name] for name in names if found.get(name)}
        kept |= {name: document(kept[name]) for name in DOCUMENTS & kept.keys()}
        return {
            Part.QUEUE_POLICY: document(found.get("Policy")),
            Part.QUEUE_ATTRIBUTES: kept,
        }

    async def topic(self, client: Any, resource: Resource) -> Settings:
        async with self.aws.calling("sns", "GetTopicAttributes"):
            answer = await client.get_topic_attributes(TopicArn=resource.arn)
        found = answer["Attributes"]
        return {
            Part.TOPIC_POLICY: document(found.get("Policy")),
            Part.TOPIC_KEY: found.get("KmsMasterKeyId", ""),
        }

    async def send(self, resource: Resource, call: SightCall) -> None:
        """Make one writing call. Sent twice it does no harm."""
        client, service = await self.client(resource), SERVICES[resource.kind]
        parameters = dict(call.parameters)
        if resource.kind is Kind.QUEUE:
            parameters["QueueUrl"] = await self.url(client, resource)
        if resource.kind is Kind.TOPIC:
            parameters["TopicArn"] = resource.arn
        async for attempt in patiently():
            with attempt:
                try:
                    async with self.aws.calling(service, call.name):
                        answer = await getattr(client, METHODS[call.name])(**parameters)
                except NotWorthRetrying as error:
                    if error.code in BUSY:
                        raise WorthRetrying(str(error), code=error.code) from error
                    raise
                if failed := answer.get("FailedEntries"):
                    code = str(failed[0].get("ErrorCode", ""))[:64]
                    raise NotWorthRetrying(f"{service}:{call.name}: {code}", code=code)

    async def read_until(
        self, resource: Resource, right: Settings, parts: Collection[Part], seconds: float
    ) -> Settings:
        """Read until there is nothing left to do, or for so long; the last settings."""
        deadline, pause = self.clock.monotonic() + seconds, POLL_FIRST
        while True:
            live = await self.read(resource)
            left = deadline - self.clock.monotonic()
            if not plan(resource, live, right, parts).calls or left <= 0:
                return live
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 2, POLL_LONGEST)

    async def recorded(self, resource: Resource, finding: Finding) -> Event | None:
        """The record that CloudTrail's own event history has of what a message claims.

        None where it has none, or where it says otherwise who did what, when, and to which resource.
        """
        records = await records_of(self.aws, resource.account, resource.region, finding)
        return next((one for text in records if (one := confirming(text, finding))), None)


def confirming(record: str, finding: Finding) -> Event | None:
    """The event of a record, if it says all that the finding rests on."""
    event = read_or_none(record)
    same = event is not None and (
        event.event_id == finding.event_id
        and event.event_name == finding.event_name
        and event.time == finding.event_time
        and not event.failed
        and who(event.actor) == who(finding.actor)
        and touched(event)[1] == finding.resource
    )
    return event if same else None

"""Tells by MQTT: each stage of a finding once to a topic, QoS 1, and only acknowledged counts.

What `respond` promises, and why. A message is deleted from the queue only after every action is
done (design.md, behaviour 4), so DONE is said only after the broker's PUBACK. While the broker is
away the message is kept in the outbox, and `respond` raises `WorthRetrying`: the delivery is not
settled and comes again. The outbox knows each message by finding id and stage of the repair, so a
redelivery finds its message there instead of adding a second one; once the broker is back `serve`
sends it, and the next redelivery is answered DONE without sending anything. So:

- the broker gets a message once, as long as this process lives and no PUBACK is lost; after a lost
  PUBACK, a crash, or at another replica it gets it once more, with the same `id` and `outcome`;
- nothing is lost: what a full outbox drops, or a stop leaves behind, still has its delivery in the
  source, and at the worst that ends in the dead-letter queue;
- keys are not concerned: repairs act before, and their outcome is in the ledger already.

"Kept until the broker is back, hence DONE" would have been quieter, and a crash would lose it.
"""

import asyncio
import json
from typing import ClassVar, Final

from pydantic import BaseModel, Field, field_validator

from monitor.decision import Action, Decision, Outcome
from monitor.errors import WorthRetrying
from monitor.finding import Aspect
from monitor.ledger import StoreError
from monitor.mqtt import topic as mqtt_topic
from monitor.mqtt.broker import BrokerOptions
from monitor.mqtt.connection import Connection
from monitor.mqtt.outbox import Outbox
from monitor.plugins import Services
from monitor.telling import advice, headline, notification

FINDING_PARTS: Final = frozenset(
    {"environment", "account", "region", "detector", "severity", "key_id"}
)
STATUS_PARTS: Final = frozenset({"environment", "client_id"})
MOST_BYTES: Final = 96 * 1024
"""Below AWS IoT Core's 128 KB; a broker throws out whoever sends more than it takes."""
HEAD_SECONDS: Final = 5.0
"""That the status waits for the store."""
LIMITS: Final = (headline.LIMIT, 150, 50)
"""Characters of the longest quoted text, tried one after the other until the message fits."""


class MqttOptions(BrokerOptions, extra="forbid"):
    """Settings of the responder `mqtt`."""

    topic: str = Field(
        default="kms-monitor/{environment}/{account}/{region}/{detector}",
        description="Topic of the findings; placeholders: " + ", ".join(sorted(FINDING_PARTS)),
    )
    status_topic: str = Field(
        default="kms-monitor/{environment}/status/{client_id}",
        description="Topic of the retained status; placeholders: environment, client_id.",
    )
    buffer_size: int = Field(
        default=1000,
        ge=10,
        le=100_000,
        description="Messages kept while the broker is away; beyond that the oldest are dropped.",
    )

    @field_validator("topic")
    @classmethod
    def _topic(cls, value: str) -> str:
        return mqtt_topic.check(value, FINDING_PARTS)

    @field_validator("status_topic")
    @classmethod
    def _status_topic(cls, value: str) -> str:
        return mqtt_topic.check(value, STATUS_PARTS)


class Mqtt:
    """Publishes each decision to a broker."""

    name: ClassVar[str] = "mqtt"
    repairs: ClassVar[bool] = False
    aspects: ClassVar[frozenset[Aspect]] = frozenset()
    Options: ClassVar[type[BaseModel]] = MqttOptions

    def __init__(self, options: MqttOptions, services: Services) -> None:
        self.options = options
        self.services = services
        self.head: str | None = None
        self.outbox = Outbox(options.buffer_size, services.metrics)
        parts = {"environment": services.environment, "client_id": options.used_client_id}
        self.connection = Connection(
            options,
            self.outbox,
            mqtt_topic.fill(options.status_topic, parts),
            environment=services.environment,
            clock=services.clock,
            metrics=services.metrics,
            log=services.log,
            more=self.log_head,
        )

    async def respond(self, decision: Decision) -> Action:
        """Send, and wait for the PUBACK. Raises `WorthRetrying` until there was one."""
        key = f"{notification.identity(decision.finding)}:{advice.stage(decision)}"
        topic = topic_of(decision, self.services.environment, self.options.topic)
        if self.outbox.was_acknowledged(key):
            return self.done(f"acknowledged before, on {topic}")
        letter = self.outbox.put(key, topic, payload_of(decision, self.services.environment))
        try:
            async with asyncio.timeout(self.options.ack_seconds):
                await letter.settled.wait()
        except TimeoutError:
            why = self.problem() or f"no acknowledgement within {self.options.ack_seconds:g} s"
            raise WorthRetrying(f"kept until the broker has it: {why}") from None
        if letter.dropped:
            raise WorthRetrying(f"dropped, for {self.options.buffer_size} messages wait already")
        return self.done(f"acknowledged, on {topic}")

    async def log_head(self) -> dict[str, object]:
        """The newest entry of the action log: kept by the broker, it shows if the log is cut off.

        While the store cannot be asked it is the one that was known last.
        """
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                last = await self.services.store.last_logged()
        except (StoreError, TimeoutError):
            self.services.metrics.store.failed("log")
        else:
            self.head = f"{last.number}:{last.hash}" if last else None
        return {"log_head": self.head}

    def done(self, detail: str) -> Action:
        return Action(self.name, Outcome.DONE, detail, finished_at=self.services.clock.now())

    async def serve(self) -> None:
        """Keep the connection, and send what waits."""
        await self.connection.serve()

    def problem(self) -> str | None:
        return self.connection.problem


def payload_of(decision: Decision, environment: str) -> bytes:
    """JSON of the message, UTF-8; shrunk to what every broker takes, down to the smallest."""
    payload = b""
    for limit in LIMITS:
        message = notification.message(decision, environment, limit)
        payload = json.dumps(message, ensure_ascii=False, allow_nan=False).encode()
        if len(payload) <= MOST_BYTES:
            break
    return payload


def topic_of(decision: Decision, environment: str, template: str) -> str:
    finding = decision.finding
    parts = {
        "environment": environment,
        "account": finding.account,
        "region": finding.region,
        "detector": finding.detector,
        "severity": finding.severity.word,
        "key_id": finding.key.key_id if finding.key else "",
    }
    return mqtt_topic.fill(template, parts)

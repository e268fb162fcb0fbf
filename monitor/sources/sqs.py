"""Deliveries from one SQS queue.

A message stays hidden while it is worked on (a heartbeat extends its visibility at half-life), is
deleted only when settled DONE, and is given back at once when we stop. A receive in flight is never
cancelled: its messages would be hidden, owned by nobody, until their visibility runs out. Facts:
Amazon SQS developer guide; aws-facts 5.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec
import structlog

from monitor.aws import Aws
from monitor.backoff import Backoff
from monitor.clock import Clock
from monitor.delivery import Delivery, Disposition
from monitor.errors import Denied, MonitorError, NotWorthRetrying, WorthRetrying
from monitor.metrics import Metrics
from monitor.sources.batches import Batches, Entry
from monitor.sources.hidden import Hidden, HiddenMessages

if TYPE_CHECKING:
    from types_aiobotocore_sqs.client import SQSClient
    from types_aiobotocore_sqs.type_defs import MessageTypeDef

RETRY_FIRST, RETRY_LONGEST = 10, 900
"""Seconds until a message that is to be retried comes again; trebled with each receipt."""


class Queue(msgspec.Struct, frozen=True):
    """One queue and how to read it. Times in seconds."""

    name: str
    url: str
    region: str
    entry: str = ""
    """Under which entry of `monitor.aws.Aws` its credentials are; none: our own."""
    in_flight: int = 50
    bulk: bool = False
    """Whether all that comes is bulk: log files, nothing about a key right now."""
    bulk_in_flight: int = 10_000
    pollers: int = 4
    visibility: int = 60
    wait: int = 10


class SqsSource:
    """See `monitor.consumer.Source`. The app runs `keep_hidden`, `watch` and `batches.run`."""

    def __init__(self, queue: Queue, aws: Aws, clock: Clock, metrics: Metrics) -> None:
        self.queue = queue
        self.name = queue.name
        self.aws = aws
        self.clock = clock
        self.metrics = metrics
        self.log = structlog.get_logger("sqs").bind(source=queue.name)
        self.hidden = HiddenMessages(queue.in_flight, queue.bulk_in_flight)
        self.stopping = asyncio.Event()
        self.polling = 0
        self.busy = False
        self.has_dlq = True
        self.trouble: str | None = "no receive has succeeded yet"
        self.polled_at = clock.monotonic()
        self.batches = Batches(aws, self.client, queue.url, self.count_settle_error)

    async def client(self) -> "SQSClient":
        return await self.aws.sqs(self.queue.region, self.queue.entry)

    def problem(self) -> str | None:
        """Why nothing can be received, for `/readyz`."""
        return self.trouble

    def stop(self) -> None:
        self.stopping.set()
        self.hidden.close()

    # -- taking

    def wants_another_poller(self) -> bool:
        """Whether the last receive was full, so that one more poller would find work."""
        return self.busy and self.polling < self.queue.pollers and not self.stopping.is_set()

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """One poller. A second one ends when it finds nothing; the last goes on until `stop`."""
        backoff = Backoff()
        self.polling += 1
        try:
            while count := await self.hidden.ask():
                self.polled_at = self.clock.monotonic()
                try:
                    messages = await self.receive(count)
                except MonitorError as error:
                    self.busy = False
                    self.failed(error)
                    await self.stopped_within(backoff.next())
                    continue
                finally:
                    self.hidden.asked(count)
                self.well()
                backoff.reset()
                self.busy = len(messages) == count
                deliveries = [one for message in messages if (one := self.accept(message))]
                self.metrics.in_flight.labels(self.name).set(len(self.hidden))
                for number, delivery in enumerate(deliveries):
                    if self.stopping.is_set():
                        await self.give_back(one.delivery_id for one in deliveries[number:])
                        break
                    yield delivery
                if not messages and self.polling > 1:
                    break
        finally:
            self.polling -= 1

    async def receive(self, count: int) -> list["MessageTypeDef"]:
        client = await self.client()
        async with self.aws.calling("sqs", "ReceiveMessage"):
            answer = await client.receive_message(
                QueueUrl=self.queue.url,
                MaxNumberOfMessages=count,
                WaitTimeSeconds=self.queue.wait,
                VisibilityTimeout=self.queue.visibility,
                MessageSystemAttributeNames=[
                    "ApproximateReceiveCount",
                    "SenderId",
                    "SentTimestamp",
                ],
            )
        return answer.get("Messages", [])

    def accept(self, message: "MessageTypeDef") -> Delivery | None:
        """Note a message as hidden for us; None if it is being worked on already."""
        now = self.clock.now()
        message_id, attributes = message.get("MessageId", ""), message.get("Attributes", {})
        handle = message.get("ReceiptHandle", "")
        new = self.hidden.add(message_id, handle, self.clock.monotonic())
        if self.queue.bulk:
            self.hidden.make_bulk(message_id)
        self.metrics.received.labels(self.name).inc()
        sent = milliseconds(attributes.get("SentTimestamp"))
        if sent is not None:
            self.metrics.message_age.labels(self.name).observe(max(0.0, now - sent))
        if not new:
            return None
        return Delivery(
            delivery_id=message_id,
            body=message.get("Body", ""),
            source=self.name,
            received_at=now,
            sent_at=sent,
            receive_count=int(attributes.get("ApproximateReceiveCount", "1")),
            sender_id=attributes.get("SenderId", ""),
        )

    def make_room(self, delivery: Delivery) -> None:
        """It is bulk: it takes no room from the urgent ones any more."""
        self.hidden.make_bulk(delivery.delivery_id)

    # -- settling

    async def settle(self, delivery: Delivery, disposition: Disposition) -> None:
        message = self.hidden.take(delivery.delivery_id)
        self.metrics.in_flight.labels(self.name).set(len(self.hidden))
        if message is None:
            return
        match disposition:
            case Disposition.DONE:
                await self.batches.put(Entry(message.handle, None))
            case Disposition.RETRY:
                wait = RETRY_FIRST * 3 ** min(delivery.receive_count - 1, 10)
                await self.batches.put(Entry(message.handle, min(wait, RETRY_LONGEST)))
            case Disposition.REJECT:
                # At once, so that redrive moves it after maxReceiveCount receipts. Without a
                # dead-letter queue it would spin, so there it waits ever longer.
                wait = 0 if self.has_dlq else RETRY_LONGEST
                await self.batches.put(Entry(message.handle, wait))

    async def give_back(self, delivery_ids: Iterable[str] | None = None) -> None:
        """Make messages visible again at once; None means all that are hidden for us."""
        ids = list(self.hidden.messages) if delivery_ids is None else list(delivery_ids)
        handles = [one.handle for one in map(self.hidden.take, ids) if one]
        self.metrics.in_flight.labels(self.name).set(len(self.hidden))
        if handles:
            self.log.info("giving messages back", count=len(handles))
            await asyncio.gather(*(self.batches.put(Entry(handle, 0)) for handle in handles))

    def count_settle_error(self, call: str, count: int) -> None:
        self.metrics.settle_errors.labels(self.name, call).inc(count)

    # -- long-lived tasks of the app

    async def keep_hidden(self) -> None:
        """Extend the visibility of what is being worked on, at half-life. Ends by cancellation."""
        while True:
            # Often enough that one that fails is tried again before the visibility runs out.
            await asyncio.sleep(self.queue.visibility / 8)
            due = self.hidden.due(self.clock.monotonic(), self.queue.visibility)
            await asyncio.gather(*(self.extend(one, message) for one, message in due.items()))

    async def extend(self, message_id: str, message: Hidden) -> None:
        if self.hidden.messages.get(message_id) is not message:
            return
        now = self.clock.monotonic()
        ok = await self.batches.put(Entry(message.handle, self.queue.visibility))
        if ok:
            message.extended = now  # else it is tried again soon, before the visibility runs out
        # Settled meanwhile: then the failure means nothing.
        if self.hidden.messages.get(message_id) is message:
            result = "ok" if ok else "failed"
            self.metrics.heartbeats.labels(self.name, result).inc()

    async def watch(self) -> None:
        """Ask now and then how full the queue is, and whether it has a dead-letter queue."""
        warned = False
        while True:
            try:
                attributes = await self.attributes(self.queue.url)
                if dlq := dead_letter_queue(attributes):
                    await self.count_dead_letters(dlq)
            except (WorthRetrying, NotWorthRetrying) as error:
                self.log.debug("queue attributes cannot be read", error=str(error))
            else:
                for state, attribute in QUEUE_STATES.items():
                    count = float(attributes.get(attribute, "0"))
                    self.metrics.queue_messages.labels(self.name, state).set(count)
                self.has_dlq = "RedrivePolicy" in attributes
                if not self.has_dlq and not warned:
                    warned = True
                    self.log.warning("the queue has no dead-letter queue: unreadable messages stay")
            await asyncio.sleep(30)

    async def count_dead_letters(self, dlq: str) -> None:
        """What nobody could read waits there for people. Not every reader may look into it."""
        account, name = dlq.split(":")[-2:]
        try:
            async with self.aws.calling("sqs", "GetQueueUrl"):
                found = await (await self.client()).get_queue_url(
                    QueueName=name, QueueOwnerAWSAccountId=account
                )
            attributes = await self.attributes(found["QueueUrl"])
        except (WorthRetrying, NotWorthRetrying) as error:
            self.log.debug("dead-letter queue cannot be read", queue=dlq, error=str(error))
            return
        count = float(attributes.get("ApproximateNumberOfMessages", "0"))
        self.metrics.queue_messages.labels(self.name, "dead_letters").set(count)

    async def attributes(self, url: str) -> dict[str, str]:
        client = await self.client()
        async with self.aws.calling("sqs", "GetQueueAttributes"):
            answer = await client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        return {str(name): value for name, value in answer.get("Attributes", {}).items()}

    # -- trouble

    def well(self) -> None:
        if self.trouble is not None:
            self.log.info("receiving", queue=self.queue.url)
        self.trouble = None
        self.metrics.source_up.labels(self.name).set(1)

    def failed(self, error: MonitorError) -> None:
        """Say it once for each new trouble, and stay not ready until a receive succeeds."""
        code = getattr(error, "code", "") or type(error).__name__
        self.metrics.receive_errors.labels(self.name, code).inc()
        self.metrics.source_up.labels(self.name).set(0)
        trouble = advice(code, error)
        if trouble != self.trouble:
            write = self.log.critical if code.startswith("Kms") else self.log.error
            write("cannot receive", queue=self.queue.url, problem=trouble)
        self.trouble = trouble

    async def stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self.stopping.wait()
        except TimeoutError:
            return False


QUEUE_STATES = {
    "visible": "ApproximateNumberOfMessages",
    "in_flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}


def dead_letter_queue(attributes: Mapping[str, str]) -> str:
    """The ARN of a queue's dead-letter queue; empty where it has none."""
    try:
        policy = json.loads(attributes.get("RedrivePolicy", "{}"))
    except ValueError:
        return ""
    arn = policy.get("deadLetterTargetArn", "") if isinstance(policy, dict) else ""
    return arn if isinstance(arn, str) and arn.count(":") == 5 else ""


def milliseconds(text: str | None) -> float | None:
    """SQS's time stamps, in milliseconds since the epoch -> seconds."""
    return int(text) / 1000 if text and text.isascii() and text.isdigit() else None


def advice(code: str, error: MonitorError) -> str:
    """What is wrong with the queue, in words that say what to do."""
    if code in {"QueueDoesNotExist", "NonExistentQueue"}:
        return "the queue does not exist: check `queues[].url` and its Region"
    if code.lower().startswith("kms"):
        return f"the key that encrypts the queue cannot be used ({code}): use SSE-SQS instead"
    if isinstance(error, Denied):
        return f"not permitted: {error}"
    return str(error)

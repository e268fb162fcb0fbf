"""What the monitor tells: its notifications from the broker, and those from the SNS topic."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
import msgspec

from monitor.demo.errors import DemoError

UNSETTLED = frozenset({"retry", "failed"})
"""Stages after which another notification about the same event follows."""
CONNECT_SECONDS = 10.0


class Heard(msgspec.Struct, frozen=True):
    """One notification."""

    at: float
    """Seconds of `time.perf_counter`."""
    message: dict[str, Any]

    @property
    def event_id(self) -> str:
        event = self.message.get("event")
        return str(event.get("id", "")) if isinstance(event, dict) else ""


class Ear:
    """Notifications of one road, by the id of the CloudTrail event that they are about."""

    def __init__(self) -> None:
        self.heard: dict[str, list[Heard]] = defaultdict(list)
        self.news: asyncio.Queue[Heard] = asyncio.Queue()
        """All of them, for whoever wants to show each."""
        self.changed = asyncio.Condition()

    async def hear(self, payload: str | bytes) -> None:
        """Take a notification; what is none, such as the daemon's status, is passed over."""
        at = time.perf_counter()
        try:
            message = json.loads(payload)
        except ValueError:
            return
        if not isinstance(message, dict) or "event" not in message:
            return
        one = Heard(at, message)
        async with self.changed:
            self.heard[one.event_id].append(one)
            self.news.put_nowait(one)
            self.changed.notify_all()

    async def about(self, event_id: str, seconds: float, detector: str = "") -> Heard | None:
        """The first notification that says how it ended; the last one of any kind, or None.

        Of that detector, if one is given.
        """
        try:
            async with asyncio.timeout(seconds), self.changed:
                while (one := self.settled(event_id, detector)) is None:
                    await self.changed.wait()
                return one
        except TimeoutError:
            return next(reversed(self.heard.get(event_id, [])), None)

    def settled(self, event_id: str, detector: str) -> Heard | None:
        return next(
            (
                one
                for one in self.heard.get(event_id, [])
                if one.message.get("outcome") not in UNSETTLED
                and detector in ("", one.message.get("detector"))
            ),
            None,
        )

    async def story(self, detector: str, seconds: float) -> dict[str, Any]:
        """What this detector told, about whichever event it was; empty if nothing."""
        try:
            async with asyncio.timeout(seconds), self.changed:
                while True:
                    for one in [one for some in self.heard.values() for one in some]:
                        if one.message.get("detector") == detector:
                            return one.message
                    await self.changed.wait()
        except TimeoutError:
            return {}


@asynccontextmanager
async def subscribed(ear: Ear, port: int) -> AsyncIterator[None]:
    """Listen to the broker."""
    try:
        async with aiomqtt.Client("127.0.0.1", port, timeout=CONNECT_SECONDS) as client:
            await client.subscribe("kms-monitor/#", qos=1)
            async with listening(from_broker(client, ear), "listen to the MQTT broker"):
                yield
    except aiomqtt.MqttError as error:
        raise DemoError(f"the embedded broker: {error}") from error


async def from_broker(client: aiomqtt.Client, ear: Ear) -> None:
    async for message in client.messages:
        if isinstance(message.payload, bytes):
            await ear.hear(message.payload)


@asynccontextmanager
async def reading(ear: Ear, sqs: Any, queue_url: str) -> AsyncIterator[None]:
    """Read the queue that is subscribed to the SNS topic."""
    async with listening(from_queue(ear, sqs, queue_url), "read what the SNS topic delivers"):
        yield


async def from_queue(ear: Ear, sqs: Any, queue_url: str) -> None:
    while True:
        answer = await sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=2
        )
        for message in answer.get("Messages", []):
            # SNS wraps what was published into an envelope of its own.
            await ear.hear(json.loads(message["Body"])["Message"])
            await sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])


@asynccontextmanager
async def listening(work: Any, name: str) -> AsyncIterator[None]:
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        # If it broke, nothing more was heard, and that is what the checks say.
        await asyncio.gather(task, return_exceptions=True)

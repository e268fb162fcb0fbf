"""Goes through a dead-letter queue once, without taking anything away from it.

Each message stays hidden until it is deleted or the walk ends; then all that are left are given back at
once. A receive is never cancelled, for its messages would stay hidden, owned by nobody (aws-facts 5). Of a
FIFO queue, SQS shows nothing more of a group while one of its messages is hidden.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from monitor.aws import Aws
from monitor.dlq.explain import Dead
from monitor.dlq.queues import Dlq
from monitor.errors import MonitorError
from monitor.sources.batches import LARGEST, TRIES, Batches, Entry
from monitor.sources.sqs import milliseconds

if TYPE_CHECKING:
    from types_aiobotocore_sqs.client import SQSClient
    from types_aiobotocore_sqs.type_defs import MessageAttributeValueOutputTypeDef, MessageTypeDef

PATIENCE = 3
"""Receives in a row with nothing but what was seen before; then the walk has come round."""


class Message(msgspec.Struct, frozen=True):
    """A hidden message, with what is needed to send it again."""

    dead: Dead
    attributes: "dict[str, MessageAttributeValueOutputTypeDef]"
    group_id: str = ""


class Walk:
    """`async with` gives everything back at the end."""

    def __init__(self, aws: Aws, dlq: Dlq, stopping: asyncio.Event, *, hide_for: int) -> None:
        self.aws = aws
        self.dlq = dlq
        self.stopping = stopping
        self.hide_for = hide_for
        self.handles: dict[str, str] = {}
        """By message id, the latest handle of each that is hidden for us."""
        self.batches = Batches(aws, self.client, dlq.url, lambda _call, _count: None)

    async def client(self) -> "SQSClient":
        return await self.aws.sqs(self.dlq.region)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.give_back()

    async def messages(
        self, *, most: int | None = None, at_once: int = LARGEST
    ) -> AsyncIterator[list[Message]]:
        """New messages, up to ten at a time, until all were seen, `most` were, or we are to stop."""
        seen: set[str] = set()
        nothing_new = 0
        while nothing_new < PATIENCE and not self.stopping.is_set():
            left = at_once if most is None else min(at_once, most - len(seen))
            if left <= 0 or not (received := await self.receive(left)):
                return
            for one in received:
                self.handles[one.get("MessageId", "")] = one.get("ReceiptHandle", "")
            new = [one for one in received if one.get("MessageId") not in seen]
            seen.update(one.get("MessageId", "") for one in new)
            nothing_new = 0 if new else nothing_new + 1
            if new:
                yield [self.read(one) for one in new]

    async def receive(self, count: int) -> list["MessageTypeDef"]:
        client = await self.client()
        async with self.aws.calling("sqs", "ReceiveMessage"):
            answer = await client.receive_message(
                QueueUrl=self.dlq.url,
                MaxNumberOfMessages=count,
                # Any wait at all asks every server of the queue; none asks only some of them.
                WaitTimeSeconds=1,
                VisibilityTimeout=self.hide_for,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        return answer.get("Messages", [])

    def read(self, message: "MessageTypeDef") -> Message:
        system = {str(name): value for name, value in message.get("Attributes", {}).items()}
        attributes = message.get("MessageAttributes", {})
        texts = {
            name: one["StringValue"] for name, one in attributes.items() if "StringValue" in one
        }
        dead = Dead(
            message_id=message.get("MessageId", ""),
            body=message.get("Body", ""),
            queue=self.dlq.name,
            sent_at=milliseconds(system.get("SentTimestamp")),
            receive_count=int(system.get("ApproximateReceiveCount", "1")),
            attributes=texts,
            source_arn=system.get("DeadLetterQueueSourceArn", ""),
        )
        return Message(dead, attributes, system.get("MessageGroupId", ""))

    async def delete(self, ids: list[str]) -> list[str]:
        """Delete messages; those that could not be."""
        left = ids
        for number in range(TRIES):
            if number:
                await asyncio.sleep(0.1 * 3**number)
            with suppress(MonitorError):
                failed = await self.batches.call([Entry(self.handles[one], None) for one in left])
                for index, one in enumerate(left):
                    if index not in failed:
                        del self.handles[one]
                left = [left[index] for index in failed]
            if not left:
                break
        return left

    async def give_back(self) -> None:
        """Make everything visible again; what AWS refuses comes back by itself."""
        handles, self.handles = list(self.handles.values()), {}
        for start in range(0, len(handles), LARGEST):
            with suppress(MonitorError):
                batch = handles[start : start + LARGEST]
                await self.batches.call([Entry(handle, 0) for handle in batch])

"""Deletions and visibility changes of one queue, sent ten at a time.

Whoever puts an entry waits until AWS has answered for it. HTTP 200 does not mean that all went
well: `Failed` is read entry by entry (aws-facts 5, "Batch").
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
import structlog

from monitor.aws import Aws
from monitor.errors import MonitorError

if TYPE_CHECKING:
    from types_aiobotocore_sqs.client import SQSClient
    from types_aiobotocore_sqs.type_defs import BatchResultErrorEntryTypeDef

LARGEST = 10
"""Entries in one batch call."""
AT_ONCE = 8
"""Batch calls in flight."""
LINGER = 0.02
"""Seconds that the first entry waits for company."""
TRIES = 3
"""Then we give up: the message becomes visible by itself, comes again, and is found done."""


class Entry(msgspec.Struct, frozen=True):
    """What to do with one message: hide it for so many seconds (0 gives it back); None deletes."""

    handle: str
    hide_for: int | None


Waiting = tuple[Entry, "asyncio.Future[bool]"]


class Batches:
    """Collects entries; `run`, a task of the app, sends them."""

    def __init__(
        self,
        aws: Aws,
        client: Callable[[], Awaitable["SQSClient"]],
        queue_url: str,
        count_failed: Callable[[str, int], None],
    ) -> None:
        self.aws = aws
        self.client = client
        self.queue_url = queue_url
        self.count_failed = count_failed
        self.log = structlog.get_logger("sqs").bind(queue=queue_url)
        self.waiting: list[Waiting] = []
        self.any = asyncio.Event()

    async def put(self, entry: Entry) -> bool:
        """Have it done. True if AWS says that it was."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.waiting.append((entry, future))
        self.any.set()
        return await future

    async def run(self) -> None:
        """Send what is put, for as long as the app lives. Ends by cancellation."""
        while True:
            await self.any.wait()
            if len(self.waiting) < LARGEST:
                await asyncio.sleep(LINGER)
            waiting, self.waiting = self.waiting, []
            self.any.clear()
            # What is still to be hidden goes first: after its deletion that would be an error.
            for deletes in (False, True):
                same = [one for one in waiting if (one[0].hide_for is None) is deletes]
                for start in range(0, len(same), LARGEST * AT_ONCE):
                    some = same[start : start + LARGEST * AT_ONCE]
                    batches = (some[at : at + LARGEST] for at in range(0, len(some), LARGEST))
                    await asyncio.gather(*map(self.send, batches))

    async def send(self, batch: list[Waiting]) -> None:
        """One batch, and again what failed without our fault."""
        left = batch
        for number in range(TRIES):
            try:
                failed = await self.call([entry for entry, _ in left])
            except MonitorError as error:
                self.log.warning("batch call failed", error=str(error))
            else:
                for index, (_, future) in enumerate(left):
                    if index not in failed and not future.done():
                        future.set_result(True)
                self.give_up([left[index] for index, one in failed.items() if one["SenderFault"]])
                left = [left[index] for index, one in failed.items() if not one["SenderFault"]]
            if not left:
                return
            await asyncio.sleep(0.1 * 3**number)
        self.give_up(left)

    def give_up(self, lost: list[Waiting]) -> None:
        for entry, future in lost:
            self.count_failed("delete" if entry.hide_for is None else "hide", 1)
            if not future.done():
                future.set_result(False)

    async def call(self, entries: list[Entry]) -> dict[int, "BatchResultErrorEntryTypeDef"]:
        """Send the entries; those that failed, by position. All are of one kind.

        The ids are positions, for the same message may stand twice in one batch.
        """
        client = await self.client()
        if entries[0].hide_for is None:
            async with self.aws.calling("sqs", "DeleteMessageBatch"):
                deleted = await client.delete_message_batch(
                    QueueUrl=self.queue_url,
                    Entries=[
                        {"Id": str(index), "ReceiptHandle": entry.handle}
                        for index, entry in enumerate(entries)
                    ],
                )
            return {int(one["Id"]): one for one in deleted.get("Failed", [])}
        async with self.aws.calling("sqs", "ChangeMessageVisibilityBatch"):
            hidden = await client.change_message_visibility_batch(
                QueueUrl=self.queue_url,
                Entries=[
                    {
                        "Id": str(index),
                        "ReceiptHandle": entry.handle,
                        "VisibilityTimeout": entry.hide_for or 0,
                    }
                    for index, entry in enumerate(entries)
                ],
            )
        return {int(one["Id"]): one for one in hidden.get("Failed", [])}

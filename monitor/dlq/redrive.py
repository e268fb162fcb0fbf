"""Sends dead messages back: SQS does it itself, or each is received, sent and deleted.

A message is deleted only after SQS has confirmed its copy, so nothing is ever lost; what is doubled by an
accident the daemon finds done already. `Failed` is read entry by entry (aws-facts 5, "Batch").
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from monitor.aws import Aws
from monitor.dlq.explain import Dead
from monitor.dlq.queues import Dlq, Source
from monitor.dlq.walk import Message, Walk
from monitor.errors import MonitorError, NotWorthRetrying, WorthRetrying
from monitor.sources.batches import LARGEST

if TYPE_CHECKING:
    from types_aiobotocore_sqs.type_defs import (
        ListMessageMoveTasksResultEntryTypeDef,
        SendMessageBatchRequestEntryTypeDef,
        StartMessageMoveTaskRequestTypeDef,
    )

POLL_SECONDS = 0.5
HIDE_SECONDS = 120
LARGEST_BATCH = 256 * 1024
"""Bytes in one SendMessageBatch: SQS's older limit, which no AWS falls short of."""
ABSENT = frozenset({"UnsupportedOperation", "InvalidAction", "UnknownOperationException"})
"""What a service answers that has no StartMessageMoveTask."""

Progress = Callable[[int, int | None], None]
"""How many were moved so far, and of about how many where that is known."""


class ByHand(Exception):
    """SQS cannot move these messages itself. The text says why; `moved` of them it did move."""

    def __init__(self, why: str, moved: int = 0) -> None:
        super().__init__(why)
        self.moved = moved


class Result(msgspec.Struct):
    """What became of a redrive."""

    sent: int = 0
    stayed: int = 0
    doubled: int = 0
    """Sent, but not deleted."""
    notes: list[str] = []
    seen: set[str] = set()
    """Ids of all messages that were looked at."""

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


async def by_service(
    aws: Aws,
    dlq: Dlq,
    *,
    to: Source | None,
    rate: int | None,
    progress: Progress,
    stopping: asyncio.Event,
) -> Result:
    """Let SQS move everything. Raises `ByHand` where it does not, and what AWS says."""
    handle, before = await start(aws, dlq, to, rate)
    asked_to_stop = False
    while True:
        task = await latest_task(aws, dlq)
        if task.get("StartedTimestamp") == before:  # ours cannot be seen yet
            task = {}
        moved = task.get("ApproximateNumberOfMessagesMoved", 0)
        of = task.get("ApproximateNumberOfMessagesToMove", moved)
        if task:
            progress(moved, of)
        stayed = max(0, of - moved)
        match task.get("Status"):
            case "COMPLETED":
                return Result(moved, stayed)
            case "CANCELLED":
                return Result(moved, stayed, notes=["stopped before the end"])
            case "FAILED":
                why = task.get("FailureReason", "no reason given")
                if why == "CouldNotDetermineMessageSource":
                    raise ByHand("SQS does not know where some of them came from", moved)
                return Result(moved, max(1, stayed), notes=[f"SQS's task failed: {why}"])
            case _:
                pass
        if asked_to_stop:
            await asyncio.sleep(POLL_SECONDS)
        elif await stopped_within(stopping, POLL_SECONDS):
            asked_to_stop = True
            await cancel(aws, dlq, handle)


async def start(aws: Aws, dlq: Dlq, to: Source | None, rate: int | None) -> tuple[str, int | None]:
    """Start SQS's own task: its handle, and when the one before it was started."""
    asked: StartMessageMoveTaskRequestTypeDef = {"SourceArn": dlq.arn}
    if to is not None:
        asked["DestinationArn"] = to.arn
    if rate is not None:
        asked["MaxNumberOfMessagesPerSecond"] = rate
    client = await aws.sqs(dlq.region)
    try:
        before = (await latest_task(aws, dlq)).get("StartedTimestamp")
        async with aws.calling("sqs", "StartMessageMoveTask"):
            return (await client.start_message_move_task(**asked))["TaskHandle"], before
    except NotWorthRetrying as error:
        if error.code in ABSENT:
            raise ByHand("SQS has no StartMessageMoveTask here") from error
        raise


async def latest_task(aws: Aws, dlq: Dlq) -> "ListMessageMoveTasksResultEntryTypeDef":
    """The task as SQS shows it; empty while it cannot be seen, for it goes on all the same."""
    client = await aws.sqs(dlq.region)
    with suppress(WorthRetrying):
        async with aws.calling("sqs", "ListMessageMoveTasks"):
            answer = await client.list_message_move_tasks(SourceArn=dlq.arn, MaxResults=1)
        if answer["Results"]:
            return answer["Results"][0]
    return {}


async def cancel(aws: Aws, dlq: Dlq, handle: str) -> None:
    """End the task where it is; if it has ended by itself meanwhile, the better."""
    client = await aws.sqs(dlq.region)
    try:
        async with aws.calling("sqs", "CancelMessageMoveTask"):
            await client.cancel_message_move_task(TaskHandle=handle)
    except NotWorthRetrying as error:
        if error.code not in {"UnsupportedOperation", "ResourceNotFoundException"}:
            raise


async def by_hand(
    aws: Aws,
    dlq: Dlq,
    *,
    chosen: Callable[[Dead], bool],
    destination: Callable[[Dead], Source | None],
    rate: int | None,
    progress: Progress,
    stopping: asyncio.Event,
) -> Result:
    """Receive, send, delete, in this order. Messages that are not chosen are given back."""
    result = Result()
    copies: set[str] = set()
    """Message ids of what was sent: one that dies again meanwhile keeps its id."""
    async with Walk(aws, dlq, stopping, hide_for=HIDE_SECONDS) as walk:
        async for messages in walk.messages(at_once=min(LARGEST, rate or LARGEST)):
            begun = time.monotonic()
            result.seen.update(one.dead.message_id for one in messages)
            again = [one for one in messages if one.dead.message_id in copies]
            if again:
                result.note("some died again meanwhile, and were not sent a second time")
            fresh = [one for one in messages if one not in again and chosen(one.dead)]
            moved = 0
            for target, batch in batches(fresh, destination):
                if target is None:
                    result.stayed += len(batch)
                    result.note("where some of them belong cannot be told: say --to NAME")
                    continue
                sent = await send(aws, target, batch, dlq.region, result)
                copies.update(sent.values())
                undeleted = await walk.delete(list(sent)) if sent else []
                moved += len(sent)
                result.sent += len(sent)
                result.stayed += len(batch) - len(sent)
                result.doubled += len(undeleted)
                progress(result.sent, None)
            if rate and moved:
                await stopped_within(stopping, moved / rate - (time.monotonic() - begun))
    if stopping.is_set():
        result.note("stopped before the end")
    return result


def batches(
    messages: list[Message], destination: Callable[[Dead], Source | None]
) -> list[tuple[Source | None, list[Message]]]:
    """By the queue that they go to, none too large for one call."""
    made: list[tuple[Source | None, list[Message]]] = []
    sizes: list[int] = []
    for message in messages:
        target, size = destination(message.dead), weight(message)
        for index, (other, batch) in enumerate(made):
            if other == target and sizes[index] + size <= LARGEST_BATCH:
                batch.append(message)
                sizes[index] += size
                break
        else:
            made.append((target, [message]))
            sizes.append(size)
    return made


def weight(message: Message) -> int:
    """Bytes that SQS counts: the body, and names, types and values of the attributes."""
    total = len(message.dead.body.encode("utf-8", "replace"))
    for name, value in message.attributes.items():
        text = value.get("StringValue", "").encode("utf-8", "replace")
        total += len(name) + len(value["DataType"]) + len(text)
        total += len(value.get("BinaryValue", b""))
    return total


async def send(
    aws: Aws, target: Source, batch: list[Message], region: str, result: Result
) -> dict[str, str]:
    """Send copies; by the id of each message whose copy SQS has confirmed, the copy's id."""
    client = await aws.sqs(region)
    try:
        async with aws.calling("sqs", "SendMessageBatch"):
            answer = await client.send_message_batch(
                QueueUrl=target.url,
                Entries=[entry(str(number), one, target) for number, one in enumerate(batch)],
            )
    except MonitorError as error:
        result.note(str(error))
        return {}
    for one in answer.get("Failed", []):
        result.note(f"{target.name} refused some: {one['Code']}: {one.get('Message', '')}"[:300])
    return {
        batch[int(one["Id"])].dead.message_id: one["MessageId"]
        for one in answer.get("Successful", [])
    }


def entry(number: str, message: Message, target: Source) -> "SendMessageBatchRequestEntryTypeDef":
    made: SendMessageBatchRequestEntryTypeDef = {"Id": number, "MessageBody": message.dead.body}
    values = {
        name: {
            kind: one[kind] for kind in ("DataType", "StringValue", "BinaryValue") if kind in one
        }
        for name, one in message.attributes.items()
    }
    if values:
        made["MessageAttributes"] = values  # type: ignore[typeddict-item]
    if target.arn.endswith(".fifo"):
        made["MessageGroupId"] = message.group_id or message.dead.message_id
        # Not the first one, which SQS would take for a repetition within five minutes, and drop.
        made["MessageDeduplicationId"] = f"redrive-{message.dead.message_id}"
    return made


def destination_of(
    dead: Dead, dlq: Dlq, queues: tuple[Source, ...], to: Source | None
) -> Source | None:
    """The queue of the settings that a message goes to; None if that cannot be told."""
    if to is not None:
        return to
    named = {dead.source_arn, dead.attributes.get("TARGET_ARN", "")}
    for one in queues:
        if one.arn in named:
            return one
    candidates = dlq.sources or queues
    return candidates[0] if len(candidates) == 1 else None


async def stopped_within(stopping: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            return await stopping.wait()
    except TimeoutError:
        return False

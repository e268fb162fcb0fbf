"""What Lambda is told of the results, so that nothing is lost.

Queues and streams are told which items failed: those come again, and go to the dead-letter queue or the
failure destination at last ("Using Lambda with Amazon SQS", "Reporting batch item failures"). Of all
others Lambda knows only whether the call went well: it tries the whole event twice more, and what was
done is then found already done ("How Lambda handles errors and retries with asynchronous invocation").
"""

from collections.abc import Sequence
from typing import Any

import structlog

from monitor.aws import Aws
from monitor.delivery import Delivery, Disposition
from monitor.errors import MonitorError
from monitor.serverless.settings import ServerlessSettings
from monitor.serverless.triggers import PARTIAL, Batch, Trigger
from monitor.serverless.working import Result


class NotDone(MonitorError):
    """The call fails, so that Lambda makes it again: something of it is not done yet."""


class Answering:
    """How the results of one function are told."""

    def __init__(self, settings: ServerlessSettings, aws: Aws) -> None:
        self.settings = settings.function
        self.home_region = settings.home_region
        self.aws = aws
        self.log = structlog.get_logger("function")

    async def answer(self, batch: Batch, results: Sequence[Result]) -> dict[str, Any]:
        """The function's answer. Raises `NotDone` where the call has to be made again."""
        failed = [one for one in results if not await self.is_settled(batch.trigger, one)]
        partial = batch.trigger in PARTIAL
        if failed and (not partial or not self.settings.partial_batches):
            unreadable = sum(one.disposition is Disposition.REJECT for one in failed)
            raise NotDone(
                f"{len(failed)} of {len(results)} not done, {unreadable} of them unreadable:"
                " the log says why"
            )
        if partial:
            return {"batchItemFailures": [{"itemIdentifier": one.item.name} for one in failed]}
        return {"done": len(results)}

    async def is_settled(self, trigger: Trigger, result: Result) -> bool:
        """Whether nothing is to be done any more: what cannot be read is kept elsewhere, if it may be."""
        if result.disposition is not Disposition.REJECT or trigger is Trigger.SQS:
            # A message that cannot be read goes to its own queue's dead-letter queue.
            return result.disposition is Disposition.DONE
        return await self.keep(result)

    async def keep(self, result: Result) -> bool:
        """Put an item that cannot be read into the failure queue; whether all of it is there."""
        queue = self.settings.failure_queue
        if queue is None:
            return False
        client = await self.aws.sqs(queue.region or self.home_region)
        try:
            for one in result.item.deliveries:
                async with self.aws.calling("sqs", "SendMessage"):
                    await client.send_message(QueueUrl=queue.url, MessageBody=text_of(one))
        except MonitorError as error:
            self.log.error("failure queue cannot be used", problem=str(error))
            return False
        self.log.warning(
            "unreadable, put into the failure queue", count=len(result.item.deliveries)
        )
        return True


def text_of(delivery: Delivery) -> str:
    """The body as SQS takes it: of characters that XML knows (aws-facts 5)."""
    body = delivery.body
    text = body if isinstance(body, str) else body.decode("utf-8", "backslashreplace")
    return "".join(one if allowed(one) else f"\\u{ord(one):04x}" for one in text) or "(empty)"


def allowed(character: str) -> bool:
    code = ord(character)
    return (
        code in {9, 10, 13} or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code > 0xFFFF
    )

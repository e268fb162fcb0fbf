"""Lambda functions that are Python handlers in this process: called by rules, by queues and by hand.

Rests on the Lambda developer guide: "How Lambda handles errors and retries with asynchronous
invocation" (two more tries, after one and after two minutes, then the dead-letter queue), "Using Lambda
with Amazon SQS" (batches, partial batch responses) and "Understanding Lambda function scaling". A
function has containers, each with a thread of its own, and each is called once at a time; an event
waits for a free one. Simplifications: no versions and aliases, no API to make functions with, and a
handler that takes too long is not ended but counts as failed.
"""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any

import msgspec

from monitor.simulator.borrowed import Borrowed

Handler = Callable[[Any, "Context"], Any]
"""As Lambda calls it: event and context; what it returns must be fit for JSON."""
_GOODBYE_SECONDS = 5.0
"""How long a function may take to end."""
_POLL_SECONDS = 0.1
"""How often a queue is looked at that calls a function."""


class Context:
    """What of Lambda's context object handlers may count on."""

    def __init__(self, arn: str, seconds: float) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self.invoked_function_arn = arn
        self.function_name = arn.rpartition(":")[2]
        self.function_version = "$LATEST"
        self.memory_limit_in_mb = "512"
        self._ends_at = monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._ends_at - monotonic()) * 1000))


class FunctionError(Exception):
    """The handler raised, or took too long."""


class Call(msgspec.Struct, frozen=True):
    """One call that was made, and how it ended."""

    event: Any
    answer: Any = None
    error: str = ""


class Container:
    """A thread of its own for a handler, so that one of them calls it after the other.

    The process does not wait for it at its end: Lambda ends its containers without a word, and what is
    under way here would try for minutes to reach an AWS that is gone.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self._work: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        Thread(target=self._run, name="container", daemon=True).start()

    def do(self, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        """Have it done in the thread."""
        done: Future[Any] = Future()
        self._work.put((work, done))
        return asyncio.wrap_future(done)

    def end(self) -> None:
        """Let the thread end, once it is free."""
        self._work.put(None)

    def _run(self) -> None:
        while (given := self._work.get()) is not None:
            work, done = given
            if not done.set_running_or_notify_cancel():
                continue
            try:
                answer = work()
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                done.set_exception(error)
            else:
                done.set_result(answer)


class Function:
    """One function. `calls` has what was made of it, oldest first."""

    def __init__(
        self, arn: str, handlers: Sequence[Handler], *, seconds: float, dead_letters: str
    ) -> None:
        self.arn = arn
        self.seconds = seconds
        self.dead_letters = dead_letters
        """The ARN of the queue for events that failed for good; "" for none."""
        self.permitted: set[tuple[str, str]] = set()
        """Who may call it, and for what: the principal and the ARN of the source."""
        self.calls: list[Call] = []
        self._containers = [Container(one) for one in handlers]
        self._free: asyncio.Queue[Container] = asyncio.Queue()
        for container in self._containers:
            self._free.put_nowait(container)

    @property
    def busy(self) -> bool:
        """Whether any container is being called."""
        return self._free.qsize() < len(self._containers)

    async def invoke(self, event: Any) -> Any:
        """Call it and wait for its answer. Raises `FunctionError`."""
        container = await self._free.get()
        handler = container.handler
        call = container.do(
            lambda: _through_json(handler(_through_json(event), Context(self.arn, self.seconds)))
        )
        try:
            async with asyncio.timeout(self.seconds):
                answer = await asyncio.shield(call)
        except TimeoutError:
            self.calls.append(Call(event, error="Task timed out"))
            raise FunctionError(f"Task timed out after {self.seconds:.2f} seconds") from None
        except Exception as error:
            self.calls.append(Call(event, error=f"{type(error).__name__}: {error}"))
            raise FunctionError(str(error)) from error
        else:
            self.calls.append(Call(event, answer))
            return answer
        finally:
            if call.done():
                self._free.put_nowait(container)
            else:
                call.add_done_callback(lambda done: self._is_free(container, done))

    def _is_free(self, container: Container, done: "asyncio.Future[Any]") -> None:
        if not done.cancelled():
            done.exception()  # it was told, or came too late to be
        self._free.put_nowait(container)

    async def close(self) -> None:
        """End the containers, once they are free; handlers may have a `close` for that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                for _ in self._containers:
                    container = await self._free.get()
                    await container.do(getattr(container.handler, "close", int))
        for container in self._containers:
            container.end()


class Functions:
    """All functions. Those that are under way are called again until they end well, or for good."""

    def __init__(self, lent: Borrowed) -> None:
        self.retry_waits: tuple[float, ...] = (60.0, 120.0)
        self._lent = lent
        self._all: dict[str, Function] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pollers: list[asyncio.Task[None]] = []

    def add(
        self,
        name: str,
        *handlers: Handler,
        account: str,
        region: str,
        seconds: float = 60.0,
        dead_letters: str = "",
    ) -> Function:
        """Deploy a function: as many calls at once as there are handlers, each a container."""
        arn = f"arn:aws:lambda:{region}:{account}:function:{name}"
        self._all[arn] = Function(arn, handlers, seconds=seconds, dead_letters=dead_letters)
        return self._all[arn]

    def find(self, arn: str) -> Function | None:
        """The function with this ARN, whatever version or alias is named."""
        return self._all.get(":".join(arn.split(":")[:7]))

    def take(self, arn: str, body: str, *, by: str, source: str) -> bool:
        """Call a function some time soon; False if it is not there, or permits no such call."""
        function = self.find(arn)
        if function is None or (by, source) not in function.permitted:
            return False
        try:
            event = json.loads(body)
        except ValueError:
            return False
        self._start(self._see_through(function, event), f"simulator calls {arn}")
        return True

    def map_queue(self, queue_arn: str, function: Function, *, batch_size: int = 10) -> None:
        """Have a queue call a function, which reports partial batch failures."""
        poll = self._poll(queue_arn, function, batch_size)
        name = f"simulator polls {queue_arn} for {function.arn}"
        self._pollers.append(asyncio.create_task(poll, name=name))

    async def settle(self) -> None:
        """Wait until every call has ended for good."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        tasks = [*self._tasks, *self._pollers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._all:
            await self._all.popitem()[1].close()

    def _start(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_through(self, function: Function, event: Any) -> None:
        for wait in (0.0, *self.retry_waits):
            await asyncio.sleep(wait)
            try:
                await function.invoke(event)
            except FunctionError:
                continue
            return
        if function.dead_letters:
            await self._lent.put_message(function.dead_letters, json.dumps(event))

    async def _poll(self, queue_arn: str, function: Function, batch_size: int) -> None:
        while True:
            messages = await self._lent.receive(queue_arn, batch_size)
            if not messages:
                await asyncio.sleep(_POLL_SECONDS)
                continue
            region = queue_arn.split(":")[3]
            event = {"Records": [_record(one, queue_arn, region) for one in messages]}
            try:
                failed = _failed(await function.invoke(event))
            except FunctionError:
                continue  # the whole batch comes again
            for one in messages:
                if failed is not None and one.id not in failed:
                    await self._lent.delete(queue_arn, one.receipt_handle)


def _through_json(value: Any) -> Any:
    """What Lambda hands over, either way, is JSON."""
    return json.loads(json.dumps(value))


def _failed(answer: Any) -> set[str] | None:
    """Which messages come again; None for all of them, where one is named by nothing."""
    given = (answer or {}).get("batchItemFailures") or []
    names = {one.get("itemIdentifier") for one in given}
    return None if names & {None, ""} else names


def _record(message: Any, queue_arn: str, region: str) -> dict[str, Any]:
    """A message as Lambda hands it over ("Example standard queue message event")."""
    attributes = {
        "ApproximateReceiveCount": str(message.approximate_receive_count),
        "SentTimestamp": str(message.sent_timestamp),
        "SenderId": str(message.sender_id),
        "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
    }
    if message.group_id is not None:
        attributes["MessageGroupId"] = str(message.group_id)
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": attributes,
        "messageAttributes": {},
        "md5OfBody": message.body_md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }

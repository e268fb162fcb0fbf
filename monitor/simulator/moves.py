"""SQS's own redrive of dead messages: StartMessageMoveTask and its like, which moto lacks.

Rests on the SQS API reference (StartMessageMoveTask, ListMessageMoveTasks, CancelMessageMoveTask). The
source must be the dead-letter queue of some queue; one task at a time is active for it; messages get
new ids and times. One that did not come from a queue fails a task that has no destination.
"""

import asyncio
import base64
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from monitor.simulator import wire
from monitor.simulator.borrowed import Borrowed, Question
from monitor.simulator.wire import Outgoing, Scope
from monitor.simulator.words import Caller, Refusal

FASTEST = 500
"""Messages a second; no task moves more."""

_STEP_SECONDS = 0.05
_ACTIVE = frozenset({"RUNNING", "CANCELLING"})
_KEPT = 10
"""ListMessageMoveTasks answers no more than so many of the latest tasks."""


class Move(msgspec.Struct, kw_only=True):
    """One task."""

    handle: str
    source: str
    destination: str
    rate: int | None
    started_at: float
    to_move: int
    moved: int = 0
    status: str = "RUNNING"
    failure: str = ""

    def described(self) -> dict[str, Any]:
        """Show the task as ListMessageMoveTasks does: the handle only while it is of use."""
        told: dict[str, Any] = {
            "Status": self.status,
            "SourceArn": self.source,
            "ApproximateNumberOfMessagesMoved": self.moved,
            "ApproximateNumberOfMessagesToMove": self.to_move,
            "StartedTimestamp": int(self.started_at * 1000),
        }
        if self.status == "RUNNING":
            told["TaskHandle"] = self.handle
        if self.destination:
            told["DestinationArn"] = self.destination
        if self.rate is not None:
            told["MaxNumberOfMessagesPerSecond"] = self.rate
        if self.failure:
            told["FailureReason"] = self.failure
        return told


class Moves:
    """All tasks, as long as the simulator is open."""

    def __init__(self, lent: Borrowed, *, now: Callable[[], float]) -> None:
        self.there = True
        """False: SQS answers as if it had no such calls."""
        self._lent = lent
        self._now = now
        self._moves: list[Move] = []
        self._running: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """End every task where it is."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def answer(
        self, question: Question, caller: Caller, scope: Scope, request_id: str
    ) -> Outgoing | None:
        """Answer one of the three calls, allowed or refused; None if it is another one."""
        if not self.there or question.service != "sqs":
            return None
        try:
            match question.operation:
                case "StartMessageMoveTask":
                    body = await self._start(question.parameters, caller.account, scope.region)
                case "ListMessageMoveTasks":
                    body = await self._list(question.parameters, caller.account, scope.region)
                case "CancelMessageMoveTask":
                    body = self._cancel(question.parameters)
                case _:
                    return None
        except Refusal as refusal:
            return wire.refused(refusal, protocol=question.protocol, request_id=request_id)
        return wire.answer(
            body, operation=question.operation, protocol=question.protocol, request_id=request_id
        )

    async def _start(self, asked: Mapping[str, Any], account: str, region: str) -> dict[str, Any]:
        source, destination = _asked(asked, "SourceArn"), asked.get("DestinationArn") or ""
        rate = asked.get("MaxNumberOfMessagesPerSecond")
        if rate is not None and not 1 <= rate <= FASTEST:
            raise _invalid(
                f"Value {rate} for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: Must "
                f"be between 1 and {FASTEST}, if provided."
            )
        if not await self._sources(source, "SourceArn", account, region):
            raise _invalid("Source queue must be configured as a Dead Letter Queue.")
        if destination:
            await self._sources(destination, "DestinationArn", account, region)
            if destination.endswith(".fifo") is not source.endswith(".fifo"):
                raise _invalid(
                    "The source queue and destination queue must be of the same queue type."
                )
        to_move = await self._lent.waiting(source)
        if any(one.source == source and one.status in _ACTIVE for one in self._moves):
            raise _invalid(
                "There is already a task running. Only one active task is allowed for a source "
                "queue arn at a given time."
            )
        name = {"taskId": str(uuid.uuid4()), "sourceArn": source}
        handle = base64.b64encode(json.dumps(name, separators=(",", ":")).encode()).decode()
        move = Move(
            handle=handle,
            source=source,
            destination=destination,
            rate=rate,
            started_at=self._now(),
            to_move=to_move,
        )
        self._moves.insert(0, move)
        task = asyncio.create_task(self._run(move), name=f"simulator moves messages of {source}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return {"TaskHandle": handle}

    async def _list(self, asked: Mapping[str, Any], account: str, region: str) -> dict[str, Any]:
        source, most = _asked(asked, "SourceArn"), asked.get("MaxResults") or 1
        if not 1 <= most <= _KEPT:
            raise _invalid(
                f"Value {most} for parameter MaxResults is invalid. Reason: Must be between 1 and "
                f"{_KEPT}, if provided."
            )
        await self._sources(source, "SourceArn", account, region)
        found = [one.described() for one in self._moves if one.source == source]
        return {"Results": found[:most]}

    def _cancel(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        handle = _asked(asked, "TaskHandle")
        move = next((one for one in self._moves if one.handle == handle), None)
        if move is None:
            raise _missing("Task does not exist.")
        if move.status != "RUNNING":
            raise Refusal(
                "UnsupportedOperation", "Only active tasks in RUNNING status can be cancelled."
            )
        move.status = "CANCELLING"
        return {"ApproximateNumberOfMessagesMoved": move.moved}

    async def _sources(self, arn: str, member: str, account: str, region: str) -> list[str]:
        """List the queues whose dead-letter queue this is; refuse if there is no such queue."""
        parts = arn.split(":")
        if len(parts) == 6 and parts[2:5] == ["sqs", region, account]:
            found = await self._lent.dead_letter_sources(arn)
            if found is not None:
                return found
        raise _missing(f"The resource that you specified for the {member} parameter doesn't exist.")

    async def _run(self, move: Move) -> None:
        rate = move.rate or FASTEST
        most = max(1, int(rate * _STEP_SECONDS))
        while move.status == "RUNNING":
            await asyncio.sleep(most / rate)
            if move.status != "RUNNING":
                break
            # No more than there were at the start, or one that dies again would go in circles.
            most = min(most, move.to_move - move.moved)
            moved, well = await self._lent.move_messages(move.source, move.destination, most)
            move.moved += moved
            if not well:
                move.status, move.failure = "FAILED", "CouldNotDetermineMessageSource"
                return
            if move.status == "RUNNING" and (moved < most or move.moved >= move.to_move):
                move.status = "COMPLETED"
                return
        move.status = "CANCELLED"


def _asked(asked: Mapping[str, Any], member: str) -> str:
    if not asked.get(member):
        raise Refusal("MissingParameter", f"The request must contain the parameter {member}.")
    return str(asked[member])


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidParameterValue", message)


def _missing(message: str) -> Refusal:
    return Refusal("ResourceNotFoundException", message, status=404)

"""The recorder of AWS Config: it looks at a key a while after it changed, and tells what it saw.

How prompt that is for keys nobody knows (aws-facts 4.6); `delay` says it here. Changes that come until then
make one item together. Messages go out one after the other, in the order of what they tell.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from monitor.simulator.config.words import Item, Place, configuration_of
from monitor.simulator.kms import Kms


class Recorder(msgspec.Struct):
    """One recorder with its delivery channel, as far as they are there."""

    settings: dict[str, Any] | None = None
    channel: dict[str, Any] | None = None
    running: bool = False
    started_at: float = 0.0
    stopped_at: float = 0.0

    @property
    def takes_keys(self) -> bool:
        """Whether it records keys. What it is not told, it records all of."""
        group = (self.settings or {}).get("recordingGroup") or {"allSupported": True}
        excluded = (group.get("exclusionByResourceTypes") or {}).get("resourceTypes") or []
        if "AWS::KMS::Key" in excluded:
            return False
        if group.get("allSupported") or excluded:
            return True
        return "AWS::KMS::Key" in (group.get("resourceTypes") or [])


class Recording:
    """All recorders, and what they saw. `run` carries on; `settle` waits until all is told."""

    def __init__(self, kms: Kms, *, now: Callable[[], float]) -> None:
        self.delay = 0.0
        self.recorders: dict[Place, Recorder] = {}
        self.history: dict[str, list[Item]] = {}
        """By ARN, oldest first."""
        self.captured: Callable[[Item, Item | None], None] = lambda _item, _before: None
        """Called with every new item, and with the one before."""
        self._kms = kms
        self.now = now
        self._due: list[tuple[float, str]] = []
        self._outbox: deque[Callable[[], Awaitable[Any]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None
        self._state_id = int(now() * 1000)
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def recorder(self, place: Place) -> Recorder:
        return self.recorders.setdefault(place, Recorder())

    def changed(self, arn: str) -> None:
        """A key may be other than it was."""
        _, _, _, region, account, _ = arn.split(":", 5)
        recorder = self.recorders.get((account, region))
        if recorder is None or not (recorder.running and recorder.takes_keys):
            return
        if all(waiting != arn for _, waiting in self._due):
            due = asyncio.get_running_loop().time() + self.delay
            heapq.heappush(self._due, (due, arn))
            self._stir()

    def discover(self, place: Place) -> None:
        """Take up every key that is there."""
        for arn in self._kms.keys_of(*place):
            self.changed(arn)

    def latest(self, place: Place) -> list[Item]:
        """The last item of each key that was recorded there and is not deleted."""
        found = [items[-1] for items in self.history.values() if items[-1].place == place]
        return [one for one in found if one.configuration is not None]

    def send(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Have something sent, after all that waits to be sent."""
        self._outbox.append(work)
        self._stir()

    def start(self, work: Awaitable[None], name: str) -> None:
        """Have something done beside all else."""

        async def done() -> None:
            await work

        task = asyncio.create_task(done(), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        self._stir()

    @property
    def idle(self) -> bool:
        """Whether everything was recorded, told and judged."""
        return self._idle.is_set()

    async def settle(self) -> None:
        """Wait until everything was recorded, told and judged. Raises what a judge raised."""
        await self._idle.wait()

    async def run(self) -> None:
        """Record what is due and send what waits, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            if self._failed is not None:
                raise self._failed
            if self._outbox:
                await self._outbox.popleft()()
                continue
            wait = self._due[0][0] - loop.time() if self._due else None
            if wait is not None and wait <= 0:
                self._capture(heapq.heappop(self._due)[1])
                continue
            if wait is None and not self._tasks:
                self._idle.set()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _stir(self) -> None:
        self._idle.clear()
        self._wake.set()

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failed = task.exception()
        self._wake.set()

    def _capture(self, arn: str) -> None:
        known = self.history.setdefault(arn, [])
        before = known[-1] if known else None
        described = self._kms.described(arn)
        if described is None and (before is None or before.configuration is None):
            return
        metadata, rotates, tags = described or ({}, False, {})
        item = Item(
            arn=arn,
            status="OK" if before else "ResourceDiscovered",
            captured_at=self.now(),
            state_id=self._state_id,
            configuration=configuration_of(metadata) if metadata else None,
            tags=tags,
            rotates=rotates,
        )
        if described is None:
            item = msgspec.structs.replace(item, status="ResourceDeleted")
        if item.same(before):
            return
        self._state_id += 1
        known.append(item)
        self.captured(item, before)

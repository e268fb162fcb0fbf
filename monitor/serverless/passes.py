"""One look by all that looks by itself, because somebody asked for it: a schedule, as a rule.

Between two calls a function notices nothing. What a daemon does all the while is done here once: the
inventory, the sweep of every place, the incidents, the keys that had to wait, what we see by, the escrows.
What they find is judged at once, and what is not done with is found again by the next look.
"""

import asyncio
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from monitor.assembly import Parts
from monitor.aws import Aws
from monitor.clock import Clock
from monitor.errors import MonitorError
from monitor.key import KeyState
from monitor.ledger import Store, StoreError
from monitor.lookouts import Lookouts
from monitor.loops.drift import Doubt
from monitor.loops.escrow_watch import EscrowWatch
from monitor.loops.looking import Place
from monitor.loops.turns import Turns
from monitor.metrics import Metrics
from monitor.replicas import Shared
from monitor.serverless.answering import NotDone
from monitor.serverless.doubts import note, recall, window_of
from monitor.serverless.settings import ServerlessSettings
from monitor.serverless.time_left import TimeLeft
from monitor.windows import Window

STATE, REST = "state", "rest"
"""Of which parts of a key there are doubts."""
STATES = frozenset(one.value for one in KeyState)


class OurFunction(msgspec.Struct, frozen=True):
    """The function as the end of a rule."""

    arn: str
    entry: str = ""
    bulk: bool = False

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]


class Passes:
    """Kept for as long as the container is: what was told once is not told again."""

    def __init__(
        self,
        settings: ServerlessSettings,
        parts: Parts,
        *,
        aws: Aws,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        arns: Sequence[str],
    ) -> None:
        """`arns`: what rules may name the function by."""
        self.round = fingerprint(settings)
        self.settings = settings
        self.parts = parts
        self.clock = clock
        self.metrics = metrics
        self.lookouts = Lookouts(
            settings,
            parts,
            aws=aws,
            store=store,
            clock=clock,
            metrics=metrics,
            shared=Shared(windows=parts.knowledge.windows, refresh=parts.replicas.refresh),
            ends=[OurFunction(arn) for arn in arns],
        )
        self.turns = Turns()
        self.log = structlog.get_logger("function")

    async def once(self, time: TimeLeft) -> dict[str, Any]:
        """How many keys were looked at, and of how many there was no time to read more than their state.

        Raises `NotDone` if not every state was looked at, or if not all that was found is done with.
        """
        wrong: list[str] = []
        try:
            async with asyncio.timeout(time.left):
                # The look before may have been another container's.
                await self.parts.replicas.refresh()
                counts = await self.look(wrong)
                left = await self.judge()
                unread = await self.read_the_rest(time)
                left += await self.judge()
        except TimeoutError:
            raise NotDone("the time was too short for all that there is to look at") from None
        if unread:
            self.log.warning("no time to read all of each key", keys=sum(counts), unread=unread)
        if wrong or left:
            raise NotDone("; ".join([*wrong, f"{left} findings are not done with"]))
        return {"keys": sum(counts), "unread": unread}

    async def judge(self) -> int:
        """Judge what was found; how much of it is not done with."""
        return sum([await road.once() for road in self.lookouts.roads.values()])

    async def look(self, wrong: list[str]) -> list[int]:
        """How many keys each place has; what cannot be looked at goes to `wrong`."""
        if self.settings.watched.discover:
            await self.lookouts.inventory.look()
        counts = await self.turns.each(self.places, lambda place: self.sweep(place, wrong))
        try:
            await self.parts.incidents.check()
            await self.lookouts.held.check()
        except StoreError as error:
            wrong.append(f"store: {error}")
        if self.lookouts.sight is not None:
            await self.lookouts.sight.look()
        escrows = self.lookouts.escrows
        if isinstance(escrows, EscrowWatch) and self.settings.material.check_hours:
            await escrows.check()
        return counts

    async def sweep(self, place: Place, wrong: list[str]) -> int:
        """Look at the state of every key of one place."""
        sweep, window = self.lookouts.sweep_of(place), self.window(STATE, place)
        sweep.round = self.round
        now = self.clock.now()
        for key, (state, since) in recall(window, now).items():
            if state in STATES:
                sweep.attention.setdefault(key, (KeyState(state), since))
        try:
            with self.metrics.sweep_seconds.labels(*place).time():
                count = await sweep.look()
        except (MonitorError, StoreError) as error:
            where = " ".join(place)
            self.log.error("keys cannot be read", place=where, problem=str(error))
            wrong.append(f"keys of {where}: {error}")
            return 0
        finally:
            doubts = {key: (state.value, at) for key, (state, at) in sweep.attention.items()}
            note(window, doubts, now)
        self.metrics.last_sweep.labels(*place).set(self.clock.now())
        return count

    async def read_the_rest(self, time: TimeLeft) -> int:
        """Read policies, aliases and all else of the keys; of how many there was no time for it.

        So much time is kept that what was found can be put back.
        """
        sweeps = {place: self.lookouts.sweep_of(place) for place in self.places}
        now = self.clock.now()
        for place, one in sweeps.items():
            for key, (_, since) in recall(self.window(REST, place), now).items():
                one.drift.since.setdefault(key, Doubt(since))
        try:
            async with asyncio.timeout(max(0.0, time.left - time.enough)):
                await asyncio.gather(*(one.drift.catch_up() for one in sweeps.values()))
        except TimeoutError:
            pass
        for place, one in sweeps.items():
            doubts = {key: (REST, doubt.since) for key, doubt in one.drift.since.items()}
            note(self.window(REST, place), doubts, now)
        return sum(one.drift.unread.qsize() for one in sweeps.values())

    @property
    def places(self) -> list[Place]:
        return sorted(self.settings.places)

    def window(self, kind: str, place: Place) -> Window:
        windows = self.parts.knowledge.windows
        # The event of a drift is named by since when it is known: by other settings, from now on.
        return window_of(windows, kind if kind == STATE else f"{kind} {self.round}", place)


def fingerprint(settings: ServerlessSettings) -> int:
    """The same in all containers with these settings, and another one with others.

    What was only told under other settings, such as while the kill switch was on, is judged once more.
    """
    return zlib.crc32(settings.model_dump_json(exclude={"accounts"}).encode()) or 1

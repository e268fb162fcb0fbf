"""One look by all that looks by itself, because somebody asked for it: a schedule, as a rule.

Between two calls a function notices nothing. What a daemon does all the while is done here once: the
inventory, the sweep of every place, the incidents, the keys that had to wait, what we see by, the escrows.
What they find is judged at once, and what is not done with is found again by the next look.
"""

import asyncio
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
from monitor.loops.sweep import Sweep
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
        """What was looked at. Raises `NotDone` if not all of it, or if not all is done with."""
        wrong: list[str] = []
        try:
            async with asyncio.timeout(time.left):
                # The look before may have been another container's.
                await self.parts.replicas.refresh()
                counts = await self.look(wrong)
                left = sum([await road.once() for road in self.lookouts.roads.values()])
        except TimeoutError:
            raise NotDone("the time was too short for all that there is to look at") from None
        if wrong or left:
            raise NotDone("; ".join([*wrong, f"{left} findings are not done with"]))
        return {"keys": sum(counts)}

    async def look(self, wrong: list[str]) -> list[int]:
        """How many keys each place has; what cannot be looked at goes to `wrong`."""
        if self.settings.watched.discover:
            await self.lookouts.inventory.look()
        places = sorted(self.settings.places)
        counts = await self.turns.each(places, lambda place: self.sweep(place, wrong))
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

    async def sweep(self, place: tuple[str, str], wrong: list[str]) -> int:
        """Look at the keys of one place."""
        sweep = self.lookouts.sweep_of(place)
        windows, now = self.parts.knowledge.windows, self.clock.now()
        states, rest = (window_of(windows, kind, place) for kind in (STATE, REST))
        remember(sweep, states, rest, now)
        try:
            with self.metrics.sweep_seconds.labels(*place).time():
                count = await sweep.look()
            self.metrics.last_sweep.labels(*place).set(self.clock.now())
            await sweep.drift.catch_up()
        except (MonitorError, StoreError) as error:
            self.log.error(
                "keys cannot be read", account=place[0], region=place[1], problem=str(error)
            )
            wrong.append(f"keys of {' '.join(place)}: {error}")
            return 0
        finally:
            note(
                states,
                {key: (state.value, at) for key, (state, at) in sweep.attention.items()},
                now,
            )
            note(rest, {key: (REST, one.since) for key, one in sweep.drift.since.items()}, now)
        return count


def remember(sweep: Sweep, states: Window, rest: Window, now: float) -> None:
    """What another container was in doubt about."""
    for key, (state, since) in recall(states, now).items():
        if state in STATES:
            sweep.attention.setdefault(key, (KeyState(state), since))
    for key, (_, since) in recall(rest, now).items():
        sweep.drift.since.setdefault(key, Doubt(since))

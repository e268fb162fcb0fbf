"""Carrying a repair plan out: call by call, planned anew after each round, until KMS shows it done."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from monitor.clock import Clock
from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.key import KeySnapshot
from monitor.register import Changes, by_aspect
from monitor.repair.live import INVALID_STATE, LiveKeys, read_back
from monitor.repair.plan import Limits, RepairPlan, Step, plan
from monitor.repair.writing import KeyWriter

ROUNDS: Final = 8
"""How often a plan is made anew when somebody changes the key while it is being repaired."""


class Work:
    """One repair of one key. `sent` has the calls that succeeded so far, in order."""

    def __init__(
        self,
        keys: LiveKeys,
        writer: KeyWriter,
        clock: Clock,
        *,
        wanted: Changes,
        limits: Limits,
        settle_seconds: float,
        may_write: Callable[[], None] = lambda: None,
    ) -> None:
        """`may_write` raises what `monitor.errors` names when nothing may be written any more."""
        self.keys = keys
        self.writer = writer
        self.clock = clock
        self.wanted = wanted
        self.limits = limits
        self.settle_seconds = settle_seconds
        self.may_write = may_write
        self.sent: list[str] = []
        self.denied: Denied | None = None
        self.log = structlog.get_logger("repair")

    async def carry_out(self, live: KeySnapshot) -> tuple[KeySnapshot, RepairPlan]:
        """Until nothing is left that can be done: the key as it then is, and what is left of the plan.

        Half a repair is better than none, and people have to know which half: an error says what
        had succeeded. Raises `WorthRetrying` and `NotWorthRetrying`.
        """
        try:
            return await self.rounds(live)
        except (WorthRetrying, NotWorthRetrying) as error:
            if not self.sent:
                raise
            text = f"{error}, after {', '.join(self.sent)} succeeded"
            raise type(error)(text, code=error.code, calls=self.sent) from error

    async def rounds(self, live: KeySnapshot) -> tuple[KeySnapshot, RepairPlan]:
        for number in range(ROUNDS):
            left = plan(live, self.wanted, self.limits)
            if not left.steps:
                if left.wait:
                    raise WorthRetrying(left.wait)
                return live, left
            before, self.denied = len(self.sent), None
            await self.send(left.steps, live)
            if len(self.sent) - before == len(left.steps):
                live = await self.keys.read_until(
                    live.key, self.wanted, self.limits, self.settle_seconds
                )
                continue
            if self.denied is not None and len(self.sent) == before:
                raise self.denied
            await asyncio.sleep(0.1 * 2**number)
            live = await self.read(live)
        raise WorthRetrying(f"the key is still {live.state}, and not as it should be")

    async def read(self, live: KeySnapshot) -> KeySnapshot:
        aspects = by_aspect(self.wanted)
        whole, failures = await self.keys.read_parts(await self.keys.read(live.key), aspects)
        return read_back(whole, failures, aspects)

    async def send(self, steps: tuple[Step, ...], live: KeySnapshot) -> None:
        """Make the calls, and note in `sent` which succeeded.

        One that we may not make does not keep us from the others: what a policy takes from us the
        policy that is put back may give. One that the key's state refuses ends the round: somebody was
        faster, or our reading or KMS itself was behind.
        """
        for step in steps:
            self.may_write()
            try:
                await self.writer.send(step, live)
            except Denied as error:
                self.denied = self.denied or error
            except NotWorthRetrying as error:
                if error.code != INVALID_STATE:
                    raise
                self.log.info(
                    "key is not in the expected state", key=live.key.arn, call=step.call.value
                )
                break
            else:
                self.sent.append(step.call.value)

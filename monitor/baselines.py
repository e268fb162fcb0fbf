"""How keys should be: what the store remembers of it, and what detectors know.

Every change is made on what the store has at that moment, and tried again where another task or
replica was faster. What is written is learned by `Knowledge` at once, so that detectors judge the next
event by it.
"""

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from monitor.baseline import Baseline, Origin, accepted, damaged, renewed, sighted
from monitor.key import KeyRef, KeySnapshot
from monitor.knowledge import Knowledge
from monitor.ledger import Store, StoreError
from monitor.register import Changes

TRIES: Final = 20
"""How often it is tried again: each time somebody else succeeded, so that all go forward."""


class Baselines:
    """Every method may raise `StoreError`."""

    def __init__(self, store: Store, knowledge: Knowledge) -> None:
        self.store = store
        self.knowledge = knowledge

    async def known(self, key: KeyRef) -> Baseline | None:
        return await self.store.baseline(key)

    async def sighted(self, live: KeySnapshot) -> Baseline | None:
        """Take over what was not known of the key until now, and the ids that grants have now."""
        known, _ = await self.change(live.key, lambda known: renewed(sighted(known, live), live))
        if known is not None:
            self.learn(known, live)
        return known

    async def renew(self, live: KeySnapshot) -> None:
        """Note only the ids that grants have now."""
        await self.change(live.key, lambda known: renewed(known, live))

    async def accept(
        self,
        key: KeyRef,
        changes: Changes,
        as_of: float,
        *,
        origin: Origin = Origin.ACCEPTED,
        tie: bool = False,
    ) -> bool:
        """Move the baseline. False: later changes stand, and nothing moved."""
        _, moved = await self.change(
            key, lambda known: accepted(known, key, changes, as_of, origin=origin, tie=tie)
        )
        return moved

    async def damage(self, key: KeyRef, changes: Changes, at: float) -> Baseline | None:
        """Note when parts of the key were damaged; the baseline as it then is."""
        known, _ = await self.change(key, lambda known: damaged(known, changes, at))
        return known

    async def change(
        self, key: KeyRef, work: Callable[[Baseline | None], Baseline | None]
    ) -> tuple[Baseline | None, bool]:
        """The baseline after the work, and whether that changed it."""
        for _ in range(TRIES):
            known = await self.known(key)
            new = work(known)
            if new is None or new == known:
                return known, False
            version = known.version if known else 0
            if await self.store.put_baseline(new, expected_version=version):
                new = replace(new, version=version + 1)
                self.learn(new)
                return new, True
        raise StoreError(f"the baseline of {key} is changed by too many at once")

    def learn(self, baseline: Baseline, live: KeySnapshot | None = None) -> None:
        """Hand what is known to whoever judges events."""
        known = baseline.snapshot(live or self.knowledge.key(baseline.key))
        self.knowledge.learn(known, baseline.version)

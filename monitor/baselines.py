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
        """Take over what was not known of the key until now."""
        known = await self.change(live.key, lambda known: sighted(known, live))
        if known is not None:
            self.learn(known, live)
        return known

    async def renew(self, live: KeySnapshot) -> None:
        """Note the ids that grants have now."""
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
        before = await self.known(key)
        after = await self.change(
            key, lambda known: accepted(known, key, changes, as_of, origin=origin, tie=tie)
        )
        return after is not None and (before is None or after.version > before.version)

    async def damage(self, key: KeyRef, changes: Changes, at: float) -> Baseline | None:
        """Note when parts of the key were damaged; the baseline as it then is."""
        return await self.change(key, lambda known: damaged(known, changes, at))

    async def change(
        self, key: KeyRef, work: Callable[[Baseline | None], Baseline | None]
    ) -> Baseline | None:
        for _ in range(TRIES):
            known = await self.known(key)
            new = work(known)
            if new is None or new == known:
                return known
            version = known.version if known else 0
            if await self.store.put_baseline(new, expected_version=version):
                self.learn(replace(new, version=version + 1))
                return await self.known(key)
        raise StoreError(f"the baseline of {key} is changed by too many at once")

    def learn(self, baseline: Baseline, live: KeySnapshot | None = None) -> None:
        """Hand what is known to whoever judges events."""
        known = baseline.snapshot(live or self.knowledge.key(baseline.key))
        self.knowledge.learn(known, baseline.version)

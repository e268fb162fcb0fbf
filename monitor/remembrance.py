"""Keeps the detectors' windows in the store.

They are written before a delivery is settled, and after the repair, which must not wait: until then
the delivery would come again and be noted again. Without the store the daemon goes on: only a restart
would forget then.
"""

import structlog

from monitor.ledger import Store, StoreError
from monitor.metrics import Metrics
from monitor.windows import Windows


class Remembrance:
    """The windows, and where they are kept."""

    def __init__(self, windows: Windows, store: Store, metrics: Metrics) -> None:
        self.windows = windows
        self.store = store
        self.metrics = metrics
        self.log = structlog.get_logger("remembrance")

    async def recall(self, *, since: float = 0.0) -> None:
        """What was noted since then: before a restart, or by another replica. Raises `StoreError`."""
        self.windows.learn(await self.store.entries(since=since))

    async def keep(self) -> None:
        """Write what is new. Never raises; what could not be written is tried with the next."""
        changed = self.windows.take_changed()
        if not changed:
            return
        try:
            await self.store.keep(changed)
        except StoreError as error:
            self.metrics.store.failed("keep")
            self.log.error("store cannot be used", call="keep", error=str(error))
            for entry in changed:
                self.windows.changed.setdefault((entry.window, entry.event_id), entry)

"""The same event by several roads, or several times by one, is judged once.

EventBridge may repeat an event; the log file brings it minutes later once more; of a call across
accounts each account has a record with an `eventID` of its own and a common `sharedEventID`
(aws-facts 1.1 and 1.3). The ledger remembers which events were judged to the end.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import structlog

from monitor.clock import Clock
from monitor.decision import Action, Outcome
from monitor.event import Event
from monitor.ledger import Claim, Store, StoreError
from monitor.metrics import Metrics
from monitor.store_metrics import StoreCall

LEASE_SECONDS = 300.0
"""Longer than judging one event may take; after a crash the event can be judged again then."""


class Turn:
    """The right to judge one event. `settled` is set by whoever judged it to the end."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.settled = False


class Duplicates:
    """Who may judge an event. Without the store everybody may: twice is better than never."""

    def __init__(self, store: Store, clock: Clock, metrics: Metrics) -> None:
        self.store = store
        self.clock = clock
        self.metrics = metrics
        self.log = structlog.get_logger("duplicates")

    @asynccontextmanager
    async def turn(self, event: Event) -> AsyncIterator[Turn]:
        """GRANTED: judge it. DONE: it was judged before. BUSY: it is being judged just now."""
        name, owner = event_name(event), uuid4().hex
        turn = Turn(await self.claim(name, owner))
        try:
            yield turn
        finally:
            if turn.claim is Claim.GRANTED:
                await self.end(name, owner, turn)

    async def claim(self, name: str, owner: str) -> Claim:
        try:
            return (await self.store.claim(name, owner=owner, seconds=LEASE_SECONDS)).claim
        except StoreError as error:
            self.failed("claim", error)
            return Claim.GRANTED

    async def end(self, name: str, owner: str, turn: Turn) -> None:
        try:
            if turn.settled:
                judged = Action("judge", Outcome.DONE, finished_at=self.clock.now())
                await self.store.finish(name, owner=owner, action=judged)
            else:
                await self.store.release(name, owner=owner)
        except StoreError as error:
            self.failed("finish", error)

    def failed(self, call: StoreCall, error: StoreError) -> None:
        self.metrics.store.failed(call)
        self.log.error("store cannot be used", call=call, error=str(error))


def event_name(event: Event) -> str:
    """By what an event is known again.

    Not by its id alone: somebody who may write into a queue could send a harmless record under the
    id of a real one, and have the real one passed over.
    """
    same = (event.shared_event_id or event.event_id, event.event_source, event.event_name)
    return "|".join(("event", *same, str(event.key or ""), event.error_code or ""))

"""Keys that were not put back because a budget of repairs was used up: put back once it allows that.

A contested key gets its chance when the window has passed, or when a person says so. What is still
wrong with it becomes an event of our own, and goes the road of all events.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import structlog

from monitor.baseline import right_state
from monitor.budgets import Budgets
from monitor.by_hand import let_go
from monitor.changes import SEEN_OTHERWISE
from monitor.clock import Clock
from monitor.errors import MonitorError
from monitor.event import Event
from monitor.incident import Incident
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.ledger import Store, StoreError
from monitor.metrics import Metrics
from monitor.own_event import own_event
from monitor.register import STATE, aspect_of
from monitor.repair.difference import differences, well
from monitor.repair.live import LiveKeys

WORSE = "KeySeenWorse"
"""The sweep's event: a key is in a worse state than it should be."""
EVERY = 15.0
"""Seconds between two looks at them."""


class Held:
    """`run` lives long. `tell` takes the events."""

    def __init__(
        self,
        store: Store,
        keys: LiveKeys,
        budgets: Budgets,
        clock: Clock,
        metrics: Metrics,
        *,
        tell: Callable[[Event], bool],
    ) -> None:
        self.store = store
        self.keys = keys
        self.budgets = budgets
        self.clock = clock
        self.metrics = metrics
        self.tell = tell
        self.log = structlog.get_logger("budgets")

    async def run(self) -> None:
        while True:
            try:
                await self.check()
            except StoreError as error:
                self.metrics.store.failed("held")
                self.log.error("store cannot be used", call="held", error=str(error))
            await asyncio.sleep(EVERY)

    async def check(self) -> None:
        """Tell of every key that waited and may be put back by now, part by part."""
        for one in await self.store.incidents(open_only=True):
            free = {
                part for part in one.held if await self.budgets.refusing(one.key, [part]) is None
            }
            if not free:
                continue
            try:
                await self.release(one, free)
            except MonitorError as error:
                self.log.warning(
                    "key of an incident cannot be read", key=one.key.arn, problem=str(error)
                )

    async def release(self, incident: Incident, parts: set[str]) -> None:
        """Let these be put back. Of several replicas one does so."""
        key = incident.key
        live, _ = await self.keys.read_parts(await self.keys.read(key), set(incident.wrong))
        # Before they are let go: what cannot be said now is said at the next look.
        left = await self.left(incident, live, parts)
        if not await self.store.put_incident(
            let_go(incident, parts), expected_version=incident.version
        ):
            return
        self.log.info("key may be put back again", key=key.arn, incident=incident.id)
        for name, about in left:
            self.say(name, key, incident, about)

    async def left(
        self, incident: Incident, live: KeySnapshot, parts: set[str]
    ) -> list[tuple[str, dict[str, Any]]]:
        """What is still wrong, as events: the name of each, and what it says."""
        known, now = await self.store.baseline(incident.key), math.floor(self.clock.now())
        found: list[tuple[str, dict[str, Any]]] = []
        wanted = right_state(known, incident.damaged_at, incident.caused) or KeyState.ENABLED
        if STATE in parts and not well(live, wanted):
            about = {
                "state": live.state.value,
                "expected": wanted.value,
                "deletionDate": live.deletion_date,
                "worseSince": now,
            }
            found.append((WORSE, about))
        others = {
            name: does
            for name, (_, does) in (differences(live, known) if known else {}).items()
            if name != STATE and (name in parts or aspect_of(name).value in parts)
        }
        if others:
            found.append((SEEN_OTHERWISE, {"changes": others, "seenSince": now}))
        return found

    def say(self, name: str, key: KeyRef, incident: Incident, about: dict[str, Any]) -> None:
        now = self.clock.now()
        about = {"keyId": key.arn, "heldSince": incident.held_at, **about}
        same = (key.arn, incident.id, math.floor(now))
        self.tell(own_event(name, (key.account, key.region), now, about, same=same))

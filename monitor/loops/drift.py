"""Whether all of a key but its state is as it should be: policy, rotation, aliases, tags, grants.

Every look at a key is followed, without haste, by a look at all the rest of it. What was never read
before is taken over into the baseline. What is other than the baseline for longer than a message takes
is looked up in CloudTrail's event history: the events that explain it are judged as if they had come
by themselves, so that a change that nobody minds is accepted and damage undone. What stays unexplained
becomes an event of our own.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from monitor.baseline import Baseline
from monitor.baselines import Baselines
from monitor.changes import SEEN_OTHERWISE, calls_that_change, changes_of
from monitor.clock import Clock
from monitor.errors import MonitorError
from monitor.event import Event
from monitor.finding import Aspect
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.ledger import StoreError
from monitor.own_event import own_event
from monitor.register import GRANT, aspect_of
from monitor.repair.difference import differences
from monitor.repair.live import LiveKeys

SEEN_FIRST = "KeySeenFirst"
"""The event of our own: who is let in by a key that was not known before."""
MOST_GRANTEES = 50
HISTORY_SECONDS = 1200.0
"""How long the event history may be silent about a change: 15 minutes at most, as AWS says."""


class Doubt(msgspec.Struct, frozen=True):
    """A key that is other than it should be. Epoch seconds."""

    since: float
    asked_at: float = 0.0
    """When the event history was last asked about it."""
    explained: bool = False
    """The history has events that may explain it, and they are being judged."""
    told: bool = False


class Drift:
    """The keys of one place. `run` lives long; `read_later` is called for every look."""

    def __init__(
        self,
        keys: LiveKeys,
        baselines: Baselines,
        clock: Clock,
        *,
        tell: Callable[[Event], bool],
        grace: float,
        pause: float,
        judge: bool,
    ) -> None:
        """`grace`: seconds that a message may take. `pause`: between two keys.

        `judge`: whether changes that nobody minds reach the baseline (the detector `key_changed`
        runs). Without it every wanted change would look as if it came from nowhere.
        """
        self.keys = keys
        self.baselines = baselines
        self.clock = clock
        self.tell = tell
        self.grace = grace
        self.pause = pause
        self.judge = judge
        self.unread: asyncio.Queue[KeySnapshot] = asyncio.Queue()
        self.waiting: set[KeyRef] = set()
        self.since: dict[KeyRef, Doubt] = {}
        """Keys that are other than they should be."""
        self.reported: set[str] = set()
        self.log = structlog.get_logger("sweep")

    def read_later(self, live: KeySnapshot) -> None:
        if live.key not in self.waiting:
            self.waiting.add(live.key)
            self.unread.put_nowait(live)

    def judge_again(self) -> None:
        """What is other than it should be is news again: other rules hold, or writing is allowed."""
        self.since.clear()

    async def run(self) -> None:
        """Read the rest of one key after the other; for ever."""
        while True:
            await self.read_next(await self.unread.get())

    async def catch_up(self) -> None:
        """Read the rest of the keys that wait for it, and no more.

        In no order: if it is ended before the end, it shall not be the same keys each time that wait.
        """
        waiting = [self.unread.get_nowait() for _ in range(self.unread.qsize())]
        random.shuffle(waiting)
        try:
            while waiting:
                await self.read_next(waiting.pop())
        finally:
            for live in waiting:
                self.unread.put_nowait(live)

    async def read_next(self, live: KeySnapshot) -> None:
        """One of them, and a pause. Never raises."""
        self.waiting.discard(live.key)
        try:
            await self.read(live)
        except (MonitorError, StoreError) as error:
            self.report("rest of a key", key=live.key.arn, problem=str(error))
        await asyncio.sleep(self.pause)

    async def read(self, live: KeySnapshot) -> None:
        whole, failures = await self.keys.read_whole(live)
        for call, failure in failures.items():
            self.report(call, call=call, key=live.key.arn, problem=str(failure))
        before = await self.baselines.known(live.key)
        known = await self.baselines.sighted(whole)
        if before is None or Aspect.POLICY not in before.aspects:
            self.introduce(whole)
        if known is not None:
            await self.consider(whole, known)

    def introduce(self, live: KeySnapshot) -> None:
        """Have it judged who is let in by a key that is seen for the first time."""
        if live.policy is None:
            return
        key = live.key
        grantees = sorted({one.grantee for one in live.grants or ()})[:MOST_GRANTEES]
        about = {"keyId": key.arn, "policy": live.policy, "grantees": grantees}
        place, same = (key.account, key.region), (key.arn, live.policy, *grantees)
        self.tell(own_event(SEEN_FIRST, place, self.clock.now(), about, same=same))

    async def consider(self, live: KeySnapshot, known: Baseline) -> None:
        key, now = live.key, self.clock.now()
        found = otherwise(live, known)
        if not found or not self.judge:
            self.since.pop(key, None)
            return
        doubt = self.since.setdefault(key, Doubt(now))
        if doubt.told or now - max(doubt.since, doubt.asked_at) < self.grace:
            return
        if not doubt.explained:
            explained = await self.look_up(live, known, set(found))
            # What explains it has as long again as a message, to be judged.
            self.since[key] = replace(doubt, asked_at=now, explained=explained)
            if explained or now - doubt.since < HISTORY_SECONDS:
                return
        self.since[key] = replace(doubt, told=True)
        changes = {name: does for name, (_, does) in found.items()}
        about = {"keyId": key.arn, "changes": changes, "seenSince": doubt.since}
        names = sorted((name, repr(does)) for name, does in changes.items())
        same = (key.arn, names, int(doubt.since))
        self.tell(own_event(SEEN_OTHERWISE, (key.account, key.region), now, about, same=same))

    async def look_up(self, live: KeySnapshot, known: Baseline, names: set[str]) -> bool:
        """Have the events judged that the history knows of these parts; whether there are any."""
        oldest = min(
            (known.registers[one].as_of for one in names if one in known.registers), default=0.0
        )
        calls = calls_that_change({aspect_of(name) for name in names})
        try:
            events = await self.keys.history_of(live.key, calls, self.clock.now(), since=oldest)
        except MonitorError as error:
            self.report("event history", key=live.key.arn, problem=str(error))
            return False
        explaining = [event for event in events if changes_of(event)]
        for event in sorted(explaining, key=lambda one: one.time):
            self.log.warning(
                "change was missed by the stream", key=live.key.arn, call=event.event_name
            )
            self.tell(event)
        return bool(explaining)

    def report(self, what: str, **about: str) -> None:
        """Say once what cannot be read; every look would say it again."""
        if what not in self.reported:
            self.reported.add(what)
            self.log.error("part of the keys cannot be read", **about)


def otherwise(live: KeySnapshot, known: Baseline) -> dict[str, tuple[Any, Any]]:
    """What is other than the baseline says, but for the state, and for what AWS's services make.

    Their grants come and go all day, and are told of by messages if anybody takes them away.
    """
    if live.state in {KeyState.GONE, KeyState.CREATING, KeyState.UPDATING}:
        return {}
    return {
        name: (should, does)
        for name, (should, does) in differences(live, known).items()
        if aspect_of(name) is not Aspect.STATE
        and not (name.startswith(GRANT) and of_a_service(should or does))
    }


def of_a_service(grant: dict[str, Any]) -> bool:
    """Whether a service retires the grant when it is done: EC2's, RDS's."""
    retiring = str(grant.get("retiring", ""))
    return retiring.endswith(".amazonaws.com") or ":role/aws-service-role/" in retiring

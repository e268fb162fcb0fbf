"""Asking KMS how every key is, instead of waiting to be told.

At the start, and then again and again, the daemon looks at all customer managed keys of the allowed
places. The first look teaches it how they should be; every later one finds what no message told.
Keys that are not as they should be, that are about to be deleted, or whose material is about to
expire, become events of our own and go the road of all events.

A place that cannot be read is reported and tried again; it does not hold up the others.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable

import msgspec
import structlog

from monitor.aws import Aws
from monitor.backoff import Backoff
from monitor.baselines import Baselines
from monitor.clock import Clock
from monitor.errors import Denied, MonitorError, NotWorthRetrying
from monitor.event import Event
from monitor.incident import tells_of
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.knowledge import Knowledge
from monitor.ledger import Store, StoreError
from monitor.loops.drift import HISTORY_SECONDS, Drift
from monitor.loops.turns import Turns
from monitor.metrics import Metrics
from monitor.own_event import own_event
from monitor.register import STATE
from monitor.repair.live import LiveKeys
from monitor.repair.plan import plan
from monitor.replicas import Shared

AT_ONCE = 20
"""DescribeKey calls in flight for one place; its quota is 2,000 a second (aws-facts 3.7)."""
PEEK_SECONDS = 60.0
"""Between two looks at the keys that need attention."""
SOON = 31 * 86400
"""Seconds. What is farther off than the longest waiting period is no news yet."""
WORSE, FOUND, ENDING = "KeySeenWorse", "KeySeenBad", "KeySeenEnding"
"""The events: worse than it should be, bad when first seen, and soon to end."""
FOUND_BAD = frozenset(
    {
        KeyState.PENDING_DELETION,
        KeyState.PENDING_REPLICA_DELETION,
        KeyState.PENDING_IMPORT,
        KeyState.UNAVAILABLE,
    }
)
"""In which a key cannot be used, or soon no more, and which no baseline can be."""
CALLS_FOR_THE_REST = 5
"""What `LiveKeys.read_whole` makes for one key."""


class Pace(msgspec.Struct, frozen=True):
    """How often the sweep looks, and how patient it is. Seconds; see `SweepSettings`."""

    every: float = 3600.0
    grace: float = 300.0
    calls_per_second: float = 20.0


class Sweep:
    """The looks at every key of one account and Region. `tell` takes the events."""

    def __init__(
        self,
        place: tuple[str, str],
        aws: Aws,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        *,
        knowledge: Knowledge | None = None,
        tell: Callable[[Event], bool] = lambda _: True,
        pace: Pace | None = None,
        judges_changes: bool = False,
        may_be_meant: Callable[[KeyRef, float, float], bool] = lambda *_: False,
        turns: Turns | None = None,
        shared: Shared | None = None,
    ) -> None:
        """`judges_changes`: whether accepted changes reach the baselines; see `Drift`.

        `may_be_meant`: whether a change to a key, in so many seconds before a moment, may be one of a
        maintenance window.
        """
        self.shared = shared or Shared()
        self.place = self.account, self.region = place
        self.aws = aws
        self.store = store
        self.clock = clock
        self.metrics = metrics
        self.knowledge = knowledge or Knowledge()
        self.tell = tell
        self.pace = pace or Pace()
        self.may_be_meant = may_be_meant
        self.turns = turns or Turns()
        self.keys = LiveKeys(aws, clock)
        self.baselines = Baselines(store, self.knowledge)
        self.drift = Drift(
            self.keys,
            self.baselines,
            clock,
            tell=self.tell,
            grace=self.pace.grace,
            pause=CALLS_FOR_THE_REST / self.pace.calls_per_second,
            judge=judges_changes,
        )
        self.met: dict[KeyRef, KeyState] = {}
        """Every key that this process has seen, and how it was at the last look."""
        self.attention: dict[KeyRef, tuple[KeyState, float]] = {}
        """Keys to look at more often: in which state each is, and since when (epoch seconds)."""
        self.unreadable: list[KeyRef] = []
        self.reported: set[str] = set()
        self.looks = 0
        self.anew = asyncio.Event()
        self.round = 0
        """When everything was last to be judged again (epoch seconds); 0: never."""
        self.answered = asyncio.Event()
        """Set once it was seen, or AWS said no for good, or the store is away: nobody need wait."""
        self.trouble: str | None = "not looked at yet"
        self.log = structlog.get_logger("sweep").bind(account=self.account, region=self.region)

    def problem(self) -> str | None:
        return self.trouble

    async def run(self) -> None:
        """Look at all keys, and in between at those that need attention; for ever.

        Only while this replica leads. The others know what the store knows.
        """
        backoff = Backoff()
        while True:
            if not self.shared.leading.is_set():
                await self.wait_for_our_turn()
            began = self.clock.monotonic()
            try:
                async with self.turns.turn():
                    with self.metrics.sweep_seconds.labels(*self.place).time():
                        count = await self.look()
            except (MonitorError, StoreError) as error:
                if str(error) != self.trouble:
                    self.log.error("keys cannot be read", problem=str(error))
                self.trouble = str(error)
                if isinstance(error, NotWorthRetrying | StoreError):
                    self.answered.set()
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            self.trouble = None
            self.answered.set()
            self.metrics.last_sweep.labels(*self.place).set(self.clock.now())
            self.log.info("keys read", count=count)
            while (left := began + self.pace.every - self.clock.monotonic()) > 0:
                if await self.asked_within(min(left, PEEK_SECONDS)):
                    break
                if not self.shared.leading.is_set():
                    break
                if self.doubtful and left > PEEK_SECONDS:
                    await self.peek()

    def judge_again(self) -> None:
        """Look at all keys now, and tell of what is wrong though it was told before.

        Other rules hold, or writing is allowed again: what was only told may be put back.
        """
        self.round = math.floor(self.clock.now())
        self.drift.judge_again()
        self.anew.set()

    async def asked_within(self, seconds: float) -> bool:
        """Wait so long; whether everything is to be judged again."""
        try:
            async with asyncio.timeout(seconds):
                await self.anew.wait()
        except TimeoutError:
            return False
        self.anew.clear()
        return True

    async def wait_for_our_turn(self) -> None:
        """Another replica looks at the keys, and tells of what it finds."""
        self.trouble = None
        self.answered.set()
        for doubts in (self.attention, self.drift.since):
            doubts.clear()
        await self.shared.leading.wait()

    async def look(self) -> int:
        """Look at every customer managed key, listed or known. How many there are."""
        client = await self.aws.kms(self.account, self.region)
        limit = asyncio.Semaphore(AT_ONCE)
        count = 0
        listed: set[KeyRef] = set()
        self.unreadable.clear()
        async with self.aws.calling("kms", "ListKeys"):
            async for page in client.get_paginator("list_keys").paginate():
                found = [key for entry in page["Keys"] if (key := KeyRef.parse(entry["KeyArn"]))]
                listed.update(found)
                count += sum(await asyncio.gather(*(self.note(key, limit) for key in found)))
        # A key that is gone is listed no more.
        await asyncio.gather(*(self.note(key, limit) for key in self.met.keys() - listed))
        if self.unreadable and not count:
            raise Denied(f"none of the keys can be read, such as {self.unreadable[0]}")
        self.looks += 1
        self.metrics.keys_known.labels(*self.place).set(count)
        states = Counter(self.met.values())
        for state in KeyState:
            self.metrics.keys.labels(*self.place, state.value).set(states[state])
        return count

    async def peek(self) -> None:
        """Look again at the keys that need attention."""
        limit = asyncio.Semaphore(AT_ONCE)
        try:
            await asyncio.gather(*(self.note(key, limit) for key in self.doubtful))
        except (MonitorError, StoreError) as error:
            self.log.warning("keys cannot be looked at again", problem=str(error))

    async def note(self, key: KeyRef, limit: asyncio.Semaphore) -> bool:
        """Look at one key. False where it is not ours to look at."""
        async with limit:
            try:
                live = await self.keys.read(key)
            except NotWorthRetrying as error:
                # One key whose policy shuts us out must not keep us from knowing all the others.
                self.report(f"key cannot be read {key.arn}", key=key.arn, problem=str(error))
                self.unreadable.append(key)
                return False
            if not live.customer_managed:
                return False
            known = await self.baselines.known(key)
            gone = live.state is KeyState.GONE
            if gone and known is None:
                return False  # so new that KMS does not know it everywhere yet
            if not gone:
                # Of what is known nothing changes, but another replica may have accepted changes.
                known = await self.baselines.sighted(live)
                self.drift.read_later(live)
        expected = known.state if known else None
        self.met[key] = live.state
        worse = expected is not None and is_worse(live, expected)
        told = worse and tells_of(await self.store.incident(key), live.state)
        grace = await self.patience(live, expected)
        over = self.consider(live, expected, grace=grace, told=told)
        if gone and over:
            del self.met[key]
            self.attention.pop(key, None)
        return not gone

    @property
    def doubtful(self) -> set[KeyRef]:
        """The keys that may not be as they should be."""
        return self.attention.keys() | self.drift.since.keys()

    def report(self, what: str, **about: str) -> None:
        """Say once what cannot be read; every look would say it again."""
        if what not in self.reported:
            self.reported.add(what)
            self.log.error("part of the keys cannot be read", **about)

    # -- keys that are not as they should be

    async def patience(self, live: KeySnapshot, expected: KeyState | None) -> float:
        """How long the key may be worse than it should be: longer where that may be approved.

        An approved change moves the baseline only once CloudTrail's event history has it.
        """
        if expected is None or not is_worse(live, expected):
            return self.pace.grace
        since = self.attention.get(live.key, (live.state, self.clock.now()))[1]
        for one in await self.store.approvals(live.key):
            if not one.revoked_at and one.made_at <= since <= one.until + self.pace.every:
                return max(self.pace.grace, HISTORY_SECONDS)
        if self.may_be_meant(live.key, since, self.pace.every):
            return max(self.pace.grace, HISTORY_SECONDS)
        return self.pace.grace

    def consider(
        self, live: KeySnapshot, expected: KeyState | None, *, grace: float, told: bool
    ) -> bool:
        """Make an event of a key that needs one, and look at it more often if it needs that.

        `told`: an open incident says already how the key is. Whether there is nothing more to find
        out about the state that it is in.
        """
        now, key = self.clock.now(), live.key
        worse = expected is not None and is_worse(live, expected)
        if not worse and live.state is not KeyState.PENDING_DELETION:
            self.attention.pop(key, None)
        elif key not in self.attention or self.attention[key][0] is not live.state:
            self.attention[key] = (live.state, now)
        since = self.attention[key][1] if key in self.attention else now
        # The normal stream has its time: a message is only minutes behind its call.
        overdue = worse and now - since >= grace
        about = {
            "keyId": key.arn,
            "state": live.state.value,
            "expected": expected.value if expected else None,
            "deletionDate": live.deletion_date,
            "validTo": live.valid_to,
            "worseSince": math.floor(since) if worse else None,
            "firstLook": self.looks == 0,
            "round": self.round or None,
        }

        def tell(name: str, *same: object) -> bool:
            return self.tell(own_event(name, self.place, now, about, same=(key.arn, *same)))

        again = (self.round,) if self.round else ()

        if (
            overdue
            and tell(WORSE, live.state, live.deletion_date, math.floor(since), *again)
            and not told
        ):
            self.metrics.missed_by_stream.labels(*self.place).inc()
        if expected is None and live.state in FOUND_BAD:
            tell(FOUND, live.state, live.deletion_date, *again)
        for end in (live.deletion_date, live.valid_to):
            if end is not None and end - now < SOON:
                tell(ENDING, live.state, end, countdown(end - now))
        return overdue or not worse


def is_worse(live: KeySnapshot, expected: KeyState) -> bool:
    """Whether somebody has to do something, be it only to be told that nothing can be done."""
    steps = plan(live, {STATE: expected.value})
    return bool(steps.calls or steps.impossible)


def countdown(left: float) -> str:
    """What is left, as finely as anybody wants to hear about it: days, at the end hours."""
    days, hours = left // 86400, left // 3600
    return f"{days:.0f} d" if days >= 4 else f"{hours:.0f} h"

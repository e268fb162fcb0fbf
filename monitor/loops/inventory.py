"""Finds out what our sight and our rights rest on: at the start, and every hour.

Trails, rules, buses, dead-letter queues, topics, roles, and the keys that encrypt any of these. The
detectors take it from `Knowledge.watched`. Where no trail logs, where no rule sends, or where a key
that is guarded encrypts what it is guarded by, it makes an event of our own.

It reads only, and every step stands alone: a call that is denied is reported once and leaves the
rest, and what could not be found out is never said to be missing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import structlog

from monitor.aws import Aws
from monitor.clock import Clock, iso
from monitor.errors import MonitorError
from monitor.event import Event
from monitor.key import KeyRef
from monitor.knowledge import Knowledge, Watched
from monitor.loops.found import found_by_others, note_found
from monitor.loops.looking import (
    End,
    Finds,
    Look,
    OurQueue,
    Place,
    Step,
    identities,
    queues,
    topics,
)
from monitor.loops.looking_around import roads, trails
from monitor.own_event import own_event
from monitor.replicas import Shared

EVERY = 3600.0
"""Seconds between two looks."""
LEARN_EVERY = 30.0
"""Seconds between two questions whether this replica leads, and if not, what the leader found."""


class Inventory:
    """What is found about everything that the settings name. `tell` takes the events."""

    def __init__(
        self,
        aws: Aws,
        clock: Clock,
        knowledge: Knowledge,
        *,
        places: Iterable[Place],
        queues: Iterable[OurQueue],
        topics: Iterable[str],
        told_by: Iterable[str] = (),
        tell: Callable[[Event], bool],
        shared: Shared | None = None,
        ends: Iterable[End] = (),
    ) -> None:
        """`topics` bring events into the queues; by `told_by` people are told.

        `ends`: what rules send to beside the queues.
        """
        self.ends = tuple(ends)
        self.shared = shared or Shared()
        self.aws = aws
        self.clock = clock
        self.knowledge = knowledge
        self.places = sorted(places)
        self.queues = tuple(queues)
        self.topics = sorted(topics)
        self.told_by = sorted(told_by)
        self.tell = tell
        self.said = knowledge.watched
        """What the settings say, which stays."""
        self.found = Watched()
        """What was found so far. Nothing is forgotten: a trail that is deleted was still ours."""
        self.looked = asyncio.Event()
        """Set once all that can be found out was found out for the first time."""
        self.reported: set[str] = set()
        self.log = structlog.get_logger("inventory")

    def follow(self, places: Iterable[Place], ours: Watched) -> None:
        """From now on these places are guarded; what was ours stays so."""
        self.places = sorted(places)
        self.said = self.said.joined(ours)
        self.knowledge.watched = self.said.joined(self.found)

    async def run(self) -> None:
        """Look, and look again every hour; for ever. Who does not lead learns what the leader found."""
        look_at = 0.0
        self.take_over(found_by_others(self.shared.windows))
        while True:
            if not self.shared.leading.is_set():
                self.take_over(found_by_others(self.shared.windows))
            elif (moment := self.clock.monotonic()) >= look_at:
                look_at = moment + EVERY
                await self.look()
            await asyncio.sleep(LEARN_EVERY)

    async def look(self) -> None:
        """Find out all there is, let the detectors know, and tell what is wrong with it."""
        finds, places = Finds(), self.places
        look = Look(self.aws, self.step, finds)
        await identities(look, places)
        await queues(look, self.queues)
        await topics(look, [*self.topics, *self.told_by], self.queues)
        logged = await trails(look, places)
        led = await roads(look, places, [*self.queues, *self.ends], self.topics)
        await self.resolve(finds)
        self.take_over(finds.watched())
        note_found(self.shared.windows, self.found, self.clock.now())
        self.looked.set()
        for place in places:
            self.judge_place(place, logged[place], led[place])
        for key, what in self.knowledge.watched.keys.items():
            if (key.account, key.region) in places:
                self.say_key(key, what)

    def take_over(self, found: Watched) -> None:
        self.found = self.found.joined(found)
        self.knowledge.watched = self.said.joined(self.found)

    @asynccontextmanager
    async def step(self, what: str) -> AsyncIterator[Step]:
        """One thing to find out. What AWS says no to is reported once, and the rest goes on."""
        step = Step()
        try:
            yield step
        except MonitorError as error:
            step.failed = True
            if what not in self.reported:
                self.reported.add(what)
                self.log.warning("cannot be found out", what=what, problem=str(error))

    async def resolve(self, finds: Finds) -> None:
        """The keys themselves, where a resource names its key by an alias or by a bare id."""
        for (account, region), name, what in finds.encrypted:
            if (key := KeyRef.parse(name)) is None:
                async with self.step(f"the key of {what}"):
                    client = await self.aws.kms(account, region)
                    async with self.aws.calling("kms", "DescribeKey"):
                        answer = await client.describe_key(KeyId=name)
                    key = KeyRef.parse(answer["KeyMetadata"]["Arn"])
            if key is not None:
                before = finds.keys.get(key)
                finds.keys[key] = f"{before}, {what}" if before else what

    def judge_place(self, place: Place, logged: bool | None, led: bool | None) -> None:
        """Tell, once a day, that no event of a place can reach us."""
        missing = [name for name, there in {"trail": logged, "rule": led}.items() if there is False]
        if missing:
            now = self.clock.now()
            day = iso(now)[:10]
            about = {"missing": missing, "day": day}
            self.tell(own_event("Unwatched", place, now, about, same=(*missing, day)))

    def say_key(self, key: KeyRef, what: str) -> None:
        """Tell that a guarded key encrypts what it is guarded by."""
        about = {"keyId": key.arn, "encrypts": what}
        place = (key.account, key.region)
        event = own_event("KeyGuardsSight", place, self.clock.now(), about, same=(key.arn, what))
        self.tell(event)

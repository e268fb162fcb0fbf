"""Notices that an account and Region from which events should come has gone quiet.

Cruder than a canary, and for places that have none: only the settings know how long is too long.
"""

import asyncio
import math
from collections.abc import Callable, Iterable

from monitor.clock import Clock
from monitor.delivery import Delivery
from monitor.detector import OWN
from monitor.event import Event
from monitor.own_event import own_event
from monitor.policy import Rules
from monitor.replicas import Shared
from monitor.windows import Window

LONG = 4
"""Times the limit: so long a silence is told a second time."""


class Silence:
    """Since when nothing has come from each place; at the start: since the start."""

    def __init__(
        self,
        places: Iterable[tuple[str, str]],
        clock: Clock,
        *,
        seconds: float,
        tell: Callable[[Event], bool],
        shared: Shared | None = None,
    ) -> None:
        self.shared = shared or Shared()
        self.clock = clock
        self.seconds = seconds
        self.tell = tell
        self.last = dict.fromkeys(places, clock.now())

    def heard(self, event: Event, delivery: Delivery, _: Rules) -> None:
        """Is shown every event that anybody looks at. Our own are no sign of life."""
        place = (event.recipient_account_id or "", event.aws_region or "")
        if event.event_source != OWN and place in self.last:
            self.last[place] = max(self.last[place], delivery.received_at)
            signs = self.signs(place)
            noted = signs.entries[-1].at if signs.entries else 0.0
            if delivery.received_at >= noted + self.seconds / 8:
                keep = 2 * LONG * self.seconds
                signs.note(event.event_id, delivery.received_at, "heard", keep=keep)

    def signs(self, place: tuple[str, str]) -> Window:
        """What any replica heard from there: each of them hears only a share."""
        return self.shared.signs("silence", " ".join(place))

    def follow(self, places: Iterable[tuple[str, str]]) -> None:
        """From now on only these places count; of new ones something is to come from now on."""
        now = self.clock.now()
        self.last = {place: self.last.get(place, now) for place in places}

    async def run(self) -> None:
        while True:
            await self.shared.leading.wait()
            if self.quiet():
                await self.shared.refresh()
            self.learn()
            self.check()
            await asyncio.sleep(min(60.0, self.seconds / 4))

    def quiet(self) -> bool:
        now = self.clock.now()
        return any(now - last >= self.seconds for last in self.last.values())

    def learn(self) -> None:
        for place, last in self.last.items():
            if heard := self.signs(place).entries:
                self.last[place] = max(last, heard[-1].at)

    def check(self) -> None:
        """Tell of every place that is quiet for too long, once, and once more."""
        now = self.clock.now()
        for place, last in self.last.items():
            for times in (1, LONG):
                if now - last >= times * self.seconds:
                    self.say(place, last, times, now)

    def say(self, place: tuple[str, str], last: float, times: int, now: float) -> None:
        since = math.floor(last)
        about = {
            "since": since,
            "limitSeconds": self.seconds,
            "quietSeconds": math.floor(now - last),
            "times": times,
        }
        self.tell(own_event("Silent", place, now, about, same=(since, times)))

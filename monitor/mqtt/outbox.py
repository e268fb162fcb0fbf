"""Messages on their way to a broker that may be away: bounded, each there once, oldest dropped first.

In memory only. That loses nothing, because a letter here is never the only copy: until it was
acknowledged its delivery is not settled, and comes again (design.md, behaviour 4).
"""

import asyncio
from collections import OrderedDict
from typing import Final

from monitor.metrics import Metrics

REMEMBERED: Final = 10_000
"""Keys of acknowledged letters, so that a late redelivery does not send them again."""


class Letter:
    """One message. `settled` is set when it was acknowledged or dropped."""

    def __init__(self, key: str, topic: str, payload: bytes) -> None:
        self.key = key
        self.topic = topic
        self.payload = payload
        self.settled = asyncio.Event()
        self.dropped = False
        self.taken = False


class Outbox:
    """Letters by key, oldest first."""

    def __init__(self, size: int, metrics: Metrics) -> None:
        self.size = size
        self.metrics = metrics
        self.letters: OrderedDict[str, Letter] = OrderedDict()
        self._acknowledged: OrderedDict[str, None] = OrderedDict()
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self.letters)

    def was_acknowledged(self, key: str) -> bool:
        return key in self._acknowledged

    def put(self, key: str, topic: str, payload: bytes) -> Letter:
        """The letter of that key: the one that waits already, else a new one."""
        if key in self.letters:
            return self.letters[key]
        while len(self.letters) >= self.size:
            self.drop_oldest()
        letter = self.letters[key] = Letter(key, topic, payload)
        self._count()
        self._news.set()
        return letter

    def drop_oldest(self) -> None:
        """Make room. A letter that is just being sent is spared while there is another."""
        free = (letter for letter in self.letters.values() if not letter.taken)
        letter = next(free, None) or next(iter(self.letters.values()))
        del self.letters[letter.key]
        letter.dropped = True
        letter.settled.set()
        self.metrics.mqtt.dropped.inc()

    async def take(self) -> Letter:
        """The oldest letter that nobody is sending; waits for one."""
        while True:
            for letter in self.letters.values():
                if not letter.taken:
                    letter.taken = True
                    return letter
            self._news.clear()
            await self._news.wait()

    def give_back(self, letter: Letter) -> None:
        """It could not be sent: it keeps its place."""
        letter.taken = False
        self._news.set()

    def acknowledge(self, letter: Letter) -> None:
        """The broker has it."""
        # A letter that was dropped while it was being sent did arrive: it counts as told.
        if self.letters.get(letter.key) is letter:
            del self.letters[letter.key]
        self._acknowledged[letter.key] = None
        while len(self._acknowledged) > REMEMBERED:
            self._acknowledged.popitem(last=False)
        letter.dropped = False
        letter.settled.set()
        self._count()

    def _count(self) -> None:
        self.metrics.mqtt.waiting.set(len(self.letters))

"""The messages of one queue that are hidden for us, and how much room is left for more.

Urgent and bulk are counted apart: a message that points at log files to be read takes no room away
from the ones that are about a key right now. No I/O here.
"""

import asyncio

import msgspec

LONGEST_HIDDEN = 43_200.0
"""Seconds from the receive; SQS extends no further than 12 hours in all."""
MOST_AT_ONCE = 10
"""Messages that one receive can bring (aws-facts 5)."""


class Hidden(msgspec.Struct):
    """One message, by its latest receipt handle. Times are monotonic seconds."""

    handle: str
    received: float
    extended: float
    bulk: bool = False


class HiddenMessages:
    """By message id. `ask` waits for room and reserves it until `asked` says what came."""

    def __init__(self, urgent: int, bulk: int) -> None:
        self.urgent_limit = urgent
        self.bulk_limit = bulk
        self.messages: dict[str, Hidden] = {}
        self.bulk = 0
        self.reserved = 0
        self.changed = asyncio.Event()
        self.open = True

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def room(self) -> int:
        """How many more messages may be received now."""
        if self.bulk >= self.bulk_limit:
            return 0
        return max(0, self.urgent_limit - (len(self.messages) - self.bulk) - self.reserved)

    async def ask(self) -> int:
        """Wait until there is room, and reserve it; 0 when closed."""
        while self.open and not self.room:
            self.changed.clear()
            await self.changed.wait()
        count = min(MOST_AT_ONCE, self.room) if self.open else 0
        self.reserved += count
        return count

    def asked(self, count: int) -> None:
        """Give back what `ask` reserved; the messages that came are added one by one."""
        self.reserved -= count
        self.changed.set()

    def close(self) -> None:
        """Let nobody wait for room any more."""
        self.open = False
        self.changed.set()

    def add(self, message_id: str, handle: str, now: float) -> bool:
        """Note a message; False if it was hidden for us already.

        Its visibility ran out under us, then; only the newest handle can settle it.
        """
        known = self.messages.get(message_id)
        bulk = known.bulk if known else False
        self.messages[message_id] = Hidden(handle, now, now, bulk)
        return known is None

    def take(self, message_id: str) -> Hidden | None:
        """Forget a message that is being settled."""
        message = self.messages.pop(message_id, None)
        if message is not None and message.bulk:
            self.bulk -= 1
        self.changed.set()
        return message

    def make_bulk(self, message_id: str) -> None:
        """From now on it takes room among the bulk only."""
        message = self.messages.get(message_id)
        if message is not None and not message.bulk:
            message.bulk = True
            self.bulk += 1
            self.changed.set()

    def due(self, now: float, visibility: float) -> dict[str, Hidden]:
        """Those at half-life, unless SQS would extend them no further."""
        return {
            message_id: message
            for message_id, message in self.messages.items()
            if now - message.extended >= visibility / 2
            and now - message.received + visibility < LONGEST_HIDDEN
        }

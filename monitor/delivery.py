"""One message from a source, and what becomes of it."""

from enum import StrEnum

import msgspec


class Disposition(StrEnum):
    """What becomes of a delivery. The order matters: see `worst`."""

    DONE = "done"
    """All is done, refused for good, or found already done: it may be deleted."""
    RETRY = "retry"
    """Something may still succeed: it must come again."""
    REJECT = "reject"
    """It cannot be read: the dead-letter queue is the place for it."""


def worst(dispositions: list[Disposition]) -> Disposition:
    """Of the records in one delivery: RETRY wins, for what is unfinished must come again.

    REJECT beats DONE, so that one unreadable record in a batch is kept for people to see.
    """
    for one in (Disposition.RETRY, Disposition.REJECT):
        if one in dispositions:
            return one
    return Disposition.DONE


class Delivery(msgspec.Struct, frozen=True):
    """A message as a source hands it over. How to settle it only the source knows.

    Times are epoch seconds. `receive_count` counts this receipt: 1 is the first time.
    """

    delivery_id: str
    body: str | bytes
    source: str
    received_at: float
    sent_at: float | None = None
    receive_count: int = 1
    sender_id: str = ""

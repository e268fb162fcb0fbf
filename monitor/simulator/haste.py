"""Two shortcuts in moto's SQS, while the simulator is open, that change nothing but its pace.

moto counts the whole queue anew for each message it hands out, and makes three datetime objects to
learn the time. With 500 messages waiting that is 60 ms for ten messages, and it grows with the
square of the backlog: too slow to rehearse a storm.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.sqs import models


@contextmanager
def moto_in_haste() -> Iterator[None]:
    """Put the shortcuts in, and take them out again."""
    backend = models.SQSBackend
    places: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
        (models, "unix_time_millis", _milliseconds),
        (backend, "is_message_valid_based_on_retention_period", _is_retained),
    )
    kept = [(place, name, getattr(place, name)) for place, name, _ in places]
    for place, name, shortcut in places:
        setattr(place, name, shortcut)
    try:
        yield
    finally:
        for place, name, original in kept:
            setattr(place, name, original)


def _milliseconds() -> float:
    return time.time() * 1000


def _is_retained(backend: models.SQSBackend, queue_name: str, message: models.Message) -> bool:
    queue: Any = backend.get_queue(queue_name)
    sent_at: Any = message.sent_timestamp
    return bool(queue.message_retention_period + sent_at / 1000 > time.time())

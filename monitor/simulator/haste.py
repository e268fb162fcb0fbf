"""Shortcuts in moto's SQS and DynamoDB, while the simulator is open, that change nothing but its pace.

moto counts the whole queue anew for each message it hands out, and makes three datetime objects to
learn the time. With 500 messages waiting that is 60 ms for ten messages, and it grows with the
square of the backlog: too slow to rehearse a storm.

It sorts the whole table for each query of one partition, and copies the whole table before each
transaction, so that replicas on one table would wait for moto most of the time.
"""

import copy
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table
from moto.sqs import models


@contextmanager
def moto_in_haste() -> Iterator[None]:
    """Put the shortcuts in, and take them out again."""
    backend = models.SQSBackend
    places: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
        (models, "unix_time_millis", _milliseconds),
        (backend, "is_message_valid_based_on_retention_period", _is_retained),
        (Table, "query", _in_one_partition(Table.query)),
        (DynamoDBBackend, "transact_write_items", _copying_little),
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


def _in_one_partition(query: Callable[..., Any]) -> Callable[..., Any]:
    """A query of a table that seems to have that partition alone, which is all that it looks at."""

    def narrow(table: Any, hash_key: Any, *given: Any, **named: Any) -> Any:
        conditions = named.get("hash_key_conditions") or [(table.hash_key_attr, hash_key)]
        name, wanted = conditions[0]
        if not table.range_key_attr or len(conditions) > 1 or name != table.hash_key_attr:
            return query(table, hash_key, *given, **named)
        small = copy.copy(table)
        small.items = {wanted: table.items.get(wanted, {})}
        return query(small, hash_key, *given, **named)

    return narrow


_TRANSACT = DynamoDBBackend.transact_write_items


def _copying_little(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    """A transaction that only puts and deletes whole items needs no copies of the items for its undo."""
    if any("Update" in one for one in transact_items):
        return _TRANSACT(backend, transact_items)
    type_of_table: Any = Table
    type_of_table.__deepcopy__ = _shallow
    try:
        return _TRANSACT(backend, transact_items)
    finally:
        del type_of_table.__deepcopy__


def _shallow(table: Any, _: Any) -> Any:
    copied = copy.copy(table)
    copied.items = defaultdict(dict, {name: dict(part) for name, part in table.items.items()})
    return copied

"""Opens the store that the settings name: for the daemon, and for commands beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from monitor.assembly import make_aws
from monitor.aws import Aws
from monitor.clock import Clock
from monitor.errors import SettingsError
from monitor.knowledge import Watched
from monitor.ledger import Store, StoreError
from monitor.metrics import Metrics
from monitor.settings import Settings
from monitor.settings_store import TABLE_ENTRY
from monitor.stores.dynamodb import DynamoDbStore


async def open_store(settings: Settings, aws: Aws, clock: Clock) -> Store:
    """The store, which is made if it is a file and not there. Raises `StoreError`.

    A table is not looked at yet: without it, too, deletions have to be undone.
    """
    given = settings.store
    match given.kind:
        case "memory":
            from monitor.stores.memory import MemoryStore  # noqa: PLC0415

            return MemoryStore(clock)
        case "sqlite":
            # Only where it is chosen: what has none (the zip for AWS Lambda) starts without it.
            from monitor.stores.sqlite import SqliteStore  # noqa: PLC0415

            return await SqliteStore.open(given.path, clock)
        case "dynamodb":
            return DynamoDbStore(
                aws,
                clock,
                table=given.table,
                region=given.region or settings.home_region,
                entry=TABLE_ENTRY if given.role_arn else "",
                remember=given.remember_days * 86400,
                life=given.replica_seconds,
            )


async def look_at_table(store: Store) -> None:
    """Raise `StoreError` if it is a table that cannot be read, or is not made as it must be."""
    if isinstance(store, DynamoDbStore):
        await store.look_at_shape()


def watched_of(store: Store) -> Watched:
    """The table, for detectors: whoever deletes it takes our memory away."""
    arn = store.arn if isinstance(store, DynamoDbStore) else ""
    return Watched(tables=frozenset({arn} if arn else ()))


@asynccontextmanager
async def beside_the_daemon(settings: Settings, clock: Clock) -> AsyncIterator[Store]:
    """The store that a daemon with these settings uses, or used.

    Raises `StoreError`, or `SettingsError` where nobody but the daemon could use it.
    """
    given = settings.store
    if given.kind == "memory":
        fault = "store: is memory, which no other process can see; use sqlite or dynamodb"
        raise SettingsError([fault])
    if given.kind == "sqlite" and not given.path.exists():
        # Not made here: its owner would be whoever asks, and the daemon would be shut out.
        raise StoreError(
            f"store.path: there is no {given.path}; run this where the daemon runs, and after it began"
        )
    async with make_aws(settings, Metrics()) as aws:
        store = await open_store(settings, aws, clock)
        try:
            await look_at_table(store)
            yield store
        finally:
            await store.close()

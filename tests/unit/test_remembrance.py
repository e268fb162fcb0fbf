"""The windows are kept in the store, and not lost while it cannot be used."""

from collections.abc import Sequence

import pytest

from monitor.ledger import StoreError
from monitor.metrics import Metrics
from monitor.remembrance import Remembrance
from monitor.stores.memory import MemoryStore
from monitor.testing.fakes import HandClock
from monitor.windows import Entry, Windows
from tests.samples import EPOCH


class Store(MemoryStore):
    """A store that can be out of order."""

    def __init__(self) -> None:
        super().__init__(HandClock())
        self.broken = False
        self.written = 0

    async def keep(self, entries: Sequence[Entry]) -> None:
        self.fail()
        self.written += len(entries)
        await super().keep(entries)

    async def entries(self, *, since: float = 0.0) -> list[Entry]:
        self.fail()
        return await super().entries(since=since)

    def fail(self) -> None:
        if self.broken:
            raise StoreError("the disk is full")


def made(store: Store) -> Remembrance:
    return Remembrance(Windows(), store, Metrics())


def note(memory: Remembrance, event_id: str, level: int = 0) -> None:
    window = memory.windows.of("detector", "subject")
    window.note(event_id, EPOCH, "seen", keep=60).rises(event_id, level, 60)


def failures(memory: Remembrance) -> float:
    labels = {"call": "keep"}
    value = memory.metrics.registry.get_sample_value("kms_monitor_store_errors_total", labels)
    return value or 0


async def test_what_is_kept_is_recalled() -> None:
    store = Store()
    before = made(store)
    note(before, "a", 1)
    await before.keep()
    after = made(store)
    await after.recall()
    found = after.windows.of("detector", "subject").entries
    assert [(one.event_id, one.level) for one in found] == [("a", 1)]
    await after.keep()
    assert store.written == 1  # what was recalled is not written again


async def test_nothing_new_asks_nobody() -> None:
    store = Store()
    store.broken = True
    memory = made(store)
    await memory.keep()
    assert failures(memory) == 0


async def test_what_could_not_be_written_is_written_with_the_next() -> None:
    store = Store()
    memory = made(store)
    store.broken = True
    note(memory, "a")
    await memory.keep()
    await memory.keep()
    assert failures(memory) == 2
    store.broken = False
    note(memory, "b")
    await memory.keep()
    assert sorted(one.event_id for one in await store.entries()) == ["a", "b"]
    await memory.keep()
    assert store.written == 2


async def test_what_changed_meanwhile_is_not_overwritten_by_what_failed() -> None:
    class Slow(Store):
        async def keep(self, entries: Sequence[Entry]) -> None:
            if self.broken:
                note(memory, "a", 2)  # a later event of the same id cannot lower it
                window = memory.windows.of("detector", "subject")
                window.put(window.entries[0], level=2)
            await super().keep(entries)

    store = Slow()
    memory = made(store)
    note(memory, "a", 1)
    store.broken = True
    await memory.keep()
    store.broken = False
    await memory.keep()
    assert [one.level for one in await store.entries()] == [2]


async def test_to_recall_from_a_broken_store_is_an_error() -> None:
    store = Store()
    store.broken = True
    with pytest.raises(StoreError):
        await made(store).recall()

"""Entries of windows in SQL, for `monitor.stores.sqlite`, each with the moment of its last change."""

from collections.abc import Sequence
from typing import Any

import msgspec

from monitor.stores.table import Table
from monitor.windows import Entry

CHANGES_TABLE = """
    CREATE TABLE IF NOT EXISTS noted (
        window TEXT NOT NULL,         -- detector|subject
        event_id TEXT NOT NULL,
        at REAL NOT NULL,
        what TEXT NOT NULL,
        about TEXT NOT NULL,
        until REAL NOT NULL,          -- when it may be forgotten
        level INTEGER NOT NULL,
        changed REAL NOT NULL,        -- when it was noted, or last grew
        PRIMARY KEY (window, event_id)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS noted_until ON noted (until);
    CREATE INDEX IF NOT EXISTS noted_changed ON noted (changed);
    CREATE TABLE IF NOT EXISTS entry (
        window TEXT, event_id TEXT, at REAL, what TEXT, about TEXT, until REAL, level INTEGER
    );
    INSERT OR IGNORE INTO noted
    SELECT window, event_id, at, what, about, until, level, 0 FROM entry;
    DROP TABLE entry;
"""
"""Moves what earlier versions kept, which did not know when it was changed."""
KEEP = """
    INSERT INTO noted (window, event_id, at, what, about, until, level, changed)
    VALUES (:window, :event_id, :at, :what, :about, :until, :level, :changed)
    ON CONFLICT (window, event_id) DO UPDATE
    SET level = max(level, :level), until = max(until, :until), changed = :changed
    WHERE level < :level OR until < :until
"""


class EntryTable(Table):
    """The part of the store that is about what detectors noted."""

    async def keep(self, entries: Sequence[Entry]) -> None:
        changed = {"changed": self.now()}
        await self.write_all(KEEP, [msgspec.structs.asdict(one) | changed for one in entries])

    async def entries(self, *, since: float = 0.0) -> list[Entry]:
        found: list[Any] = await self.rows(
            "SELECT at, event_id, what, about, window, until, level FROM noted"
            " WHERE until >= :now AND changed >= :since ORDER BY at, event_id",
            {"now": self.now(), "since": since},
        )
        return [Entry(*row) for row in found]

    async def prune_entries(self) -> int:
        return await self.write("DELETE FROM noted WHERE until < :now", {"now": self.now()})

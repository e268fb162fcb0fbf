"""The action log in SQL, for `monitor.stores.sqlite`."""

import msgspec
from msgspec.structs import replace

from monitor.action_log import LogEntry, unreadable
from monitor.stores.table import Table

LOG_TABLE = """
    CREATE TABLE IF NOT EXISTS action_log (
        number INTEGER PRIMARY KEY,
        record BLOB NOT NULL          -- the LogEntry as JSON
    );
"""


class LogTable(Table):
    """The part of the store that is about the action log. Nothing is ever taken out of it."""

    async def append(self, entry: LogEntry) -> bool:
        values = {"number": entry.number, "record": msgspec.json.encode(entry)}
        query = "INSERT OR IGNORE INTO action_log (number, record) VALUES (:number, :record)"
        # Synced: what was announced as the last entry has to outlive a power cut.
        return await self.write_synced(query, values) > 0

    async def logged(self, *, after: int = 0, most: int = 1000) -> list[LogEntry]:
        found = await self.rows(
            "SELECT number, record FROM action_log WHERE number > :after"
            " ORDER BY number LIMIT :most",
            {"after": after, "most": most},
        )
        return [read(*row) for row in found]

    async def last_logged(self) -> LogEntry | None:
        found = await self.rows(
            "SELECT number, record FROM action_log ORDER BY number DESC LIMIT 1", {}
        )
        return read(*found[0]) if found else None


def read(number: int, record: bytes) -> LogEntry:
    """The entry in that place; see `unreadable`."""
    try:
        return replace(msgspec.json.decode(record, type=LogEntry), number=number)
    except (ValueError, TypeError):
        return unreadable(number)

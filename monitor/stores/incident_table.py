"""Incidents in SQL, for `monitor.stores.sqlite`: one statement for each change, as everywhere there.

The record is JSON; what is asked for by a query stands beside it in columns.
"""

import msgspec

from monitor.incident import Incident
from monitor.key import KeyRef
from monitor.ledger import StoreError
from monitor.stores.table import Table

INCIDENT_TABLE = """
    CREATE TABLE IF NOT EXISTS incident (
        id TEXT PRIMARY KEY,
        arn TEXT NOT NULL,
        opened REAL NOT NULL,
        closed REAL NOT NULL,         -- 0 while it is open
        version INTEGER NOT NULL,
        record BLOB NOT NULL          -- the Incident as JSON
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS incident_arn ON incident (arn);
    CREATE UNIQUE INDEX IF NOT EXISTS incident_open ON incident (arn) WHERE closed = 0;
"""
OPEN = """
    INSERT OR IGNORE INTO incident (id, arn, opened, closed, version, record)
    VALUES (:id, :arn, :opened, :closed, 1, :record)
"""
MOVE = """
    UPDATE OR IGNORE incident
    SET opened = :opened, closed = :closed, version = version + 1, record = :record
    WHERE id = :id AND version = :expected
"""


class IncidentTable(Table):
    """The part of the store that is about incidents."""

    async def incident(self, key: KeyRef) -> Incident | None:
        found = await self.rows(
            "SELECT record FROM incident WHERE arn = :arn"
            " ORDER BY closed = 0 DESC, closed DESC LIMIT 1",
            {"arn": key.arn},
        )
        return read(found[0][0]) if found else None

    async def incidents(self, *, open_only: bool = False) -> list[Incident]:
        found = await self.rows(
            "SELECT record FROM incident WHERE closed = 0 OR NOT :open_only"
            " ORDER BY opened DESC, id DESC",
            {"open_only": open_only},
        )
        return [read(record) for (record,) in found]

    async def put_incident(self, incident: Incident, *, expected_version: int) -> bool:
        stored = msgspec.structs.replace(incident, version=expected_version + 1)
        values = {
            "id": incident.id,
            "arn": incident.key.arn,
            "opened": incident.opened_at,
            "closed": incident.closed_at,
            "expected": expected_version,
            "record": msgspec.json.encode(stored),
        }
        return await self.write(MOVE if expected_version else OPEN, values) > 0

    async def prune_incidents(self, before: float) -> int:
        return await self.write(
            "DELETE FROM incident WHERE closed > 0 AND closed < :before", {"before": before}
        )


def read(record: bytes) -> Incident:
    try:
        return msgspec.json.decode(record, type=Incident)
    except ValueError as error:  # of a newer version
        raise StoreError(f"an incident cannot be read: {error}") from error

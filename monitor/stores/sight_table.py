"""Baselines of what we see by, in SQL, for `monitor.stores.sqlite`: one statement for each change."""

import msgspec

from monitor.ledger import SightBaseline, StoreError
from monitor.stores.table import Table

SIGHT_TABLE = """
    CREATE TABLE IF NOT EXISTS sight (
        arn TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        record BLOB NOT NULL          -- the SightBaseline as JSON
    ) WITHOUT ROWID;
"""
FIRST = "INSERT OR IGNORE INTO sight (arn, version, record) VALUES (:arn, 1, :record)"
NEXT = """
    UPDATE sight SET version = version + 1, record = :record
    WHERE arn = :arn AND version = :expected
"""


class SightTable(Table):
    """The part of the store that is about trails, rules, queues and topics."""

    async def sight_baseline(self, arn: str) -> SightBaseline | None:
        found = await self.rows("SELECT record FROM sight WHERE arn = :arn", {"arn": arn})
        return read_sight(found[0][0]) if found else None

    async def sight_baselines(self) -> list[SightBaseline]:
        found = await self.rows("SELECT record FROM sight ORDER BY arn", {})
        return [read_sight(record) for (record,) in found]

    async def put_sight_baseline(self, baseline: SightBaseline, *, expected_version: int) -> bool:
        stored = msgspec.structs.replace(baseline, version=expected_version + 1)
        values = {
            "arn": baseline.arn,
            "expected": expected_version,
            "record": msgspec.json.encode(stored),
        }
        return await self.write_synced(NEXT if expected_version else FIRST, values) > 0


def read_sight(record: bytes) -> SightBaseline:
    try:
        return msgspec.json.decode(record, type=SightBaseline)
    except ValueError as error:  # of a newer version
        raise StoreError(f"the baseline of a resource cannot be read: {error}") from error

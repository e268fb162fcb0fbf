"""Baselines in SQL, for `monitor.stores.sqlite`: one JSON record for each key, with its version."""

import msgspec

from monitor.baseline import Baseline
from monitor.key import KeyRef
from monitor.ledger import StoreError
from monitor.stores.table import Table

BASELINE_TABLE = """
    CREATE TABLE IF NOT EXISTS key_baseline (
        arn TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        record BLOB NOT NULL,         -- the Baseline as JSON
        changed REAL NOT NULL DEFAULT 0 -- when it was written
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS baseline (
        arn TEXT PRIMARY KEY, state TEXT, as_of REAL, origin TEXT, damaged_at REAL
    ) WITHOUT ROWID;
    INSERT OR IGNORE INTO key_baseline (arn, version, record)
    SELECT arn, 1, json_object(
        'key', json_object(
            'partition', substr(arn, 5, instr(substr(arn, 5), ':') - 1),
            'region', substr(rest, 1, instr(rest, ':') - 1),
            'account', substr(rest, instr(rest, ':') + 1, 12),
            'key_id', substr(arn, instr(arn, ':key/') + 5)
        ),
        'registers', json_object('state', json_object(
            'value', state, 'as_of', as_of, 'origin', origin, 'damaged_at', damaged_at
        )),
        'aspects', json_array('state'),
        'version', 1
    ) FROM (SELECT *, substr(arn, instr(arn, ':kms:') + 5) AS rest FROM baseline);
    DROP TABLE baseline;
"""
"""Moves what earlier versions kept, which was the state alone."""
ADD = "INSERT OR IGNORE INTO key_baseline (arn, version, record, changed) VALUES (:arn, 1, :record, :now)"
MOVE = """
    UPDATE key_baseline SET version = version + 1, record = :record, changed = :now
    WHERE arn = :arn AND version = :expected
"""


class BaselineTable(Table):
    """The part of the store that is about baselines."""

    async def baseline(self, key: KeyRef) -> Baseline | None:
        found = await self.rows(
            "SELECT record FROM key_baseline WHERE arn = :arn", {"arn": key.arn}
        )
        return read(found[0][0]) if found else None

    async def baselines(self, *, since: float = 0.0) -> list[Baseline]:
        found = await self.rows(
            "SELECT record FROM key_baseline WHERE changed >= :since ORDER BY arn", {"since": since}
        )
        return [read(record) for (record,) in found]

    async def put_baseline(self, baseline: Baseline, *, expected_version: int) -> bool:
        stored = msgspec.structs.replace(baseline, version=expected_version + 1)
        values = {
            "arn": baseline.key.arn,
            "expected": expected_version,
            "now": self.now(),
            "record": msgspec.json.encode(stored),
        }
        return await self.write_synced(MOVE if expected_version else ADD, values) > 0


def read(record: bytes) -> Baseline:
    try:
        return msgspec.json.decode(record, type=Baseline)
    except ValueError as error:  # of a newer version
        raise StoreError(f"a baseline cannot be read: {error}") from error

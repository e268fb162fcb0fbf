"""Approvals in SQL, for `monitor.stores.sqlite`: one statement for each change, as everywhere there.

An approval as it was made is JSON; what may change later stands beside it in columns, and each use
in a row of its own, so that two daemons cannot both have the last one.
"""

import msgspec

from monitor.approval import Approval, Use
from monitor.clock import Clock
from monitor.key import KeyRef
from monitor.ledger import StoreError
from monitor.stores.table import Table

APPROVAL_TABLE = """
    CREATE TABLE IF NOT EXISTS approval (
        id TEXT PRIMARY KEY,
        arn TEXT NOT NULL,            -- the key's
        made_at REAL NOT NULL,
        until REAL NOT NULL,
        uses INTEGER NOT NULL,
        revoked_at REAL NOT NULL,     -- 0: it is not
        record BLOB NOT NULL          -- the Approval as JSON, as it was made
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS approval_arn ON approval (arn);
    CREATE TABLE IF NOT EXISTS approval_use (
        approval TEXT NOT NULL,
        event_id TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (approval, event_id)
    ) WITHOUT ROWID;
"""
APPROVE = """
    INSERT INTO approval (id, arn, made_at, until, uses, revoked_at, record)
    VALUES (:id, :arn, :made_at, :until, :uses, :revoked_at, :record)
    ON CONFLICT (id) DO NOTHING
"""
APPROVALS = """
    SELECT approval.id, record, revoked_at, event_id, at
    FROM approval LEFT JOIN approval_use ON approval_use.approval = approval.id
    WHERE :arn = '' OR arn = :arn
    ORDER BY made_at DESC, approval.id, at, event_id
"""
USE = """
    INSERT INTO approval_use (approval, event_id, at)
    SELECT id, :event_id, :at FROM approval
    WHERE id = :id AND revoked_at = 0
      AND uses > (SELECT count(*) FROM approval_use WHERE approval = :id)
    ON CONFLICT DO NOTHING
"""


class ApprovalTable(Table):
    """The part of the store that is about approvals."""

    clock: Clock

    async def approve(self, approval: Approval) -> None:
        values = {
            "id": approval.id,
            "arn": approval.key.arn,
            "made_at": approval.made_at,
            "until": approval.until,
            "uses": approval.uses,
            "revoked_at": approval.revoked_at,
            "record": msgspec.json.encode(approval),
        }
        await self.write(APPROVE, values)

    async def approvals(self, key: KeyRef | None = None) -> list[Approval]:
        found: dict[str, Approval] = {}
        rows = await self.rows(APPROVALS, {"arn": key.arn if key else ""})
        for name, record, revoked_at, event_id, at in rows:
            one = found.get(name) or read_approval(record)
            used = (*one.used, Use(event_id, at)) if event_id is not None else ()
            found[name] = msgspec.structs.replace(one, revoked_at=revoked_at, used=used)
        return list(found.values())

    async def revoke(self, approval_id: str) -> bool:
        values = {"id": approval_id, "now": self.clock.now()}
        await self.write(
            "UPDATE approval SET revoked_at = :now WHERE id = :id AND revoked_at = 0", values
        )
        return bool(await self.rows("SELECT 1 FROM approval WHERE id = :id", values))

    async def use(self, approval_id: str, event_id: str, at: float) -> bool:
        values = {"id": approval_id, "event_id": event_id, "at": at}
        await self.write(USE, values)
        return bool(
            await self.rows(
                "SELECT 1 FROM approval_use WHERE approval = :id AND event_id = :event_id", values
            )
        )

    async def prune_approvals(self, before: float) -> int:
        count = await self.write("DELETE FROM approval WHERE until < :before", {"before": before})
        await self.write(
            "DELETE FROM approval_use WHERE approval NOT IN (SELECT id FROM approval)", {}
        )
        return count


def read_approval(record: bytes) -> Approval:
    try:
        return msgspec.json.decode(record, type=Approval)
    except ValueError as error:  # of a newer version
        raise StoreError(f"an approval cannot be read: {error}") from error

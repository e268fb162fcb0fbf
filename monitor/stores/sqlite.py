"""A store in one SQLite file: the default for one replica, and for several on one node.

In WAL mode nothing is lost when the process dies. A power cut may take the latest leases and
finished actions, which costs at most a notification told twice; baselines, which no message brings
again, are synced to the disk one by one. Every change is one statement that carries its own
condition, so that two processes on one file cannot both be granted a lease. Times are epoch
seconds.
"""

import fcntl
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any

import aiosqlite
import msgspec

from monitor.clock import Clock
from monitor.decision import Action
from monitor.ledger import Claim, Grant, StoreError
from monitor.stores.approval_table import APPROVAL_TABLE, ApprovalTable
from monitor.stores.baseline_table import BASELINE_TABLE, BaselineTable
from monitor.stores.budget_table import BUDGET_TABLE, BudgetTable
from monitor.stores.entry_table import CHANGES_TABLE, EntryTable
from monitor.stores.incident_table import INCIDENT_TABLE, IncidentTable
from monitor.stores.log_table import LOG_TABLE, LogTable
from monitor.stores.sight_table import SIGHT_TABLE, SightTable

MIGRATIONS = (
    """
    CREATE TABLE IF NOT EXISTS action (
        name TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        until REAL NOT NULL,          -- the lease runs out; 0 once finished
        finished REAL,                -- NULL until finished
        record BLOB                   -- the Action as JSON
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS action_finished ON action (finished);
    CREATE TABLE IF NOT EXISTS baseline (
        arn TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        as_of REAL NOT NULL,
        origin TEXT NOT NULL,
        damaged_at REAL NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE IF NOT EXISTS entry (
        window TEXT NOT NULL,         -- detector|subject
        event_id TEXT NOT NULL,
        at REAL NOT NULL,
        what TEXT NOT NULL,
        about TEXT NOT NULL,
        until REAL NOT NULL,          -- when it may be forgotten
        level INTEGER NOT NULL,
        PRIMARY KEY (window, event_id)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS entry_until ON entry (until);
    """,
    APPROVAL_TABLE,
    INCIDENT_TABLE,
    BASELINE_TABLE,
    BUDGET_TABLE,
    LOG_TABLE,
    SIGHT_TABLE,
    CHANGES_TABLE,
)
"""One script for each version of the file; `PRAGMA user_version` counts those that were run.

Two processes may find the same new file: each script does no harm when it is run twice."""

CLAIM = """
    INSERT INTO action (name, owner, until) VALUES (:name, :owner, :until)
    ON CONFLICT (name) DO UPDATE SET owner = :owner, until = :until
    WHERE finished IS NULL AND until <= :now
"""
RENEW = """
    UPDATE action SET until = :until
    WHERE name = :name AND owner = :owner AND finished IS NULL AND until > :now
"""


class SqliteStore(
    ApprovalTable, BaselineTable, BudgetTable, EntryTable, IncidentTable, LogTable, SightTable
):
    """See `monitor.ledger.Store`. Made by `open`."""

    def __init__(self, database: aiosqlite.Connection, clock: Clock, users: IO[str]) -> None:
        self.database = database
        self.clock = clock
        self.users = users
        """Locked by every process that uses the store; the system unlocks it when one dies."""

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> "SqliteStore":
        """Open or make the file. Raises `StoreError`, in words that name the path."""
        try:
            # For our eyes only: it says who did what to which key.
            beside = path.with_name(f"{path.name}.users")
            for file in (path, beside):
                file.touch(mode=0o600, exist_ok=True)
            # Autocommit: every statement here is a transaction of its own.
            database = await aiosqlite.connect(path, isolation_level=None, timeout=5)
            users = beside.open("a")
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"cannot open the store {path}: {error}") from error
        store = cls(database, clock, users)
        try:
            await store.migrate()
            await store.free_what_the_dead_held()
        except StoreError as error:
            await store.close()
            raise StoreError(f"cannot use the store {path}: {error}") from error
        return store

    async def migrate(self) -> None:
        async with guarded():
            await self.one("PRAGMA journal_mode = WAL")
            await self.one("PRAGMA synchronous = NORMAL")
            row = await self.one("PRAGMA user_version")
            version = row[0] if row else 0
            if version > len(MIGRATIONS):
                raise StoreError(f"it was written by a newer kms-monitor (version {version})")
            for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
                await self.database.executescript(
                    f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;"
                )

    async def free_what_the_dead_held(self) -> None:
        """Leases survive a crash; if nobody else uses the store, nobody alive holds one.

        Otherwise a key whose repair was cut off would wait until its lease has run out.
        """
        try:
            fcntl.flock(self.users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass
        else:
            async with guarded():
                await self.change("DELETE FROM action WHERE finished IS NULL", {})
        with suppress(BlockingIOError):  # somebody else is just at this very line
            fcntl.flock(self.users, fcntl.LOCK_SH | fcntl.LOCK_NB)

    async def one(self, query: str, values: dict[str, Any] | None = None) -> Any:
        async with self.database.execute(query, values or {}) as cursor:
            return await cursor.fetchone()

    async def change(self, query: str, values: dict[str, Any]) -> int:
        """How many rows it changed."""
        async with self.database.execute(query, values) as cursor:
            return cursor.rowcount

    async def rows(self, query: str, values: dict[str, Any]) -> list[Any]:
        async with guarded(), self.database.execute(query, values) as cursor:
            return list(await cursor.fetchall())

    async def write(self, query: str, values: dict[str, Any]) -> int:
        async with guarded():
            return await self.change(query, values)

    async def write_all(self, query: str, values: Sequence[dict[str, Any]]) -> None:
        # Closed by the thread of the database: left to the garbage collector it would reset, from
        # our thread, a statement that the next call may be running (SQLITE_MISUSE).
        async with guarded(), self.database.executemany(query, values):
            pass

    async def write_synced(self, query: str, values: dict[str, Any]) -> int:
        async with guarded():
            # Syncs all that was written before as well; whoever writes in between is synced, too.
            await self.one("PRAGMA synchronous = FULL")
            try:
                return await self.change(query, values)
            finally:
                await self.one("PRAGMA synchronous = NORMAL")

    def now(self) -> float:
        return self.clock.now()

    async def claim(self, name: str, *, owner: str, seconds: float) -> Grant:
        now = self.clock.now()
        async with guarded():
            values = {"name": name, "owner": owner, "until": now + seconds, "now": now}
            if await self.change(CLAIM, values):
                return Grant(Claim.GRANTED)
            row = await self.one("SELECT record, until FROM action WHERE name = :name", values)
            if row is None:  # released between the two statements
                return Grant(Claim.BUSY, until=now)
            if row[0] is not None:
                return Grant(Claim.DONE, action=msgspec.json.decode(row[0], type=Action))
            return Grant(Claim.BUSY, until=row[1])

    async def finish(self, name: str, *, owner: str, action: Action) -> None:
        async with guarded():
            await self.change(
                "INSERT INTO action (name, owner, until, finished, record)"
                " VALUES (:name, :owner, 0, :now, :record)"
                " ON CONFLICT (name) DO UPDATE SET until = 0, finished = :now, record = :record",
                {
                    "name": name,
                    "owner": owner,
                    "now": self.clock.now(),
                    "record": msgspec.json.encode(action),
                },
            )

    async def renew(self, name: str, *, owner: str, seconds: float) -> bool:
        now = self.clock.now()
        values = {"name": name, "owner": owner, "now": now, "until": now + seconds}
        return await self.write(RENEW, values) > 0

    async def release(self, name: str, *, owner: str) -> None:
        async with guarded():
            await self.change(
                "DELETE FROM action WHERE name = :name AND owner = :owner AND finished IS NULL",
                {"name": name, "owner": owner},
            )

    async def check(self) -> None:
        async with guarded():
            await self.one("SELECT count(*) FROM key_baseline WHERE arn = ''")

    async def prune(self, before: float) -> int:
        forgotten = await self.prune_incidents(before) + await self.prune_approvals(before)
        forgotten += await self.prune_budgets() + await self.prune_entries()
        return forgotten + await self.write(
            "DELETE FROM action WHERE finished < :before OR (finished IS NULL AND until < :before)",
            {"before": before},
        )

    async def close(self) -> None:
        self.users.close()
        await self.database.close()


@asynccontextmanager
async def guarded() -> AsyncIterator[None]:
    """SQLite's errors become ours.

    ValueError is aiosqlite's word for a closed connection, and everybody's for a row that cannot be
    read, such as one of a newer version.
    """
    try:
        yield
    except (sqlite3.Error, ValueError, OSError) as error:
        raise StoreError(str(error)) from error

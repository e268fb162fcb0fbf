"""Budgets in SQL, for `monitor.stores.sqlite`: one row for each use."""

from monitor.stores.table import Table

BUDGET_TABLE = """
    CREATE TABLE IF NOT EXISTS spending (
        budget TEXT NOT NULL,
        use TEXT NOT NULL,
        at REAL NOT NULL,
        until REAL NOT NULL,          -- when it may be forgotten
        PRIMARY KEY (budget, use)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS spending_until ON spending (until);
"""
SPEND = """
    INSERT INTO spending (budget, use, at, until)
    SELECT :budget, :use, :now, :until
    WHERE (SELECT count(*) FROM spending WHERE budget = :budget AND at > :since) < :most
    ON CONFLICT (budget, use) DO UPDATE SET at = :now, until = :until
"""
KNOWN = "SELECT 1 FROM spending WHERE budget = :budget AND use = :use AND at > :since"


class BudgetTable(Table):
    """The part of the store that is about budgets."""

    async def spend(self, budget: str, use: str, *, most: int, seconds: float) -> bool:
        now = self.now()
        values = {"budget": budget, "use": use, "since": now - seconds}
        if await self.rows(KNOWN, values):
            return True
        return (
            await self.write(SPEND, {**values, "now": now, "until": now + seconds, "most": most})
            > 0
        )

    async def spent(self, budget: str, *, seconds: float) -> int:
        found = await self.rows(
            "SELECT count(*) FROM spending WHERE budget = :budget AND at > :since",
            {"budget": budget, "since": self.now() - seconds},
        )
        return int(found[0][0])

    async def prune_budgets(self) -> int:
        return await self.write("DELETE FROM spending WHERE until < :now", {"now": self.now()})

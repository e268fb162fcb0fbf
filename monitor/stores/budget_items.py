"""Budgets in DynamoDB, for `monitor.stores.dynamodb`: one item for each, with its uses.

As long as there is room for one more use, it is one write without a read, which any number of tasks
may make at once. Only where the item is new or seems full it is read, and written by its version.
"""

import asyncio
from collections.abc import Mapping

from monitor.ledger import StoreError
from monitor.stores.attributes import Item
from monitor.stores.items import DAY, Items, expires, part

SK = "uses"
TRIES = 20
"""How often it is tried again where others were faster."""
LONG = 30 * DAY
"""Seconds that the item outlives its last use."""
ROOM = "attribute_not_exists(#uses.#use) AND size(#uses) < :most"


class BudgetItems(Items):
    """The part of the store that is about budgets."""

    async def spend(self, budget: str, use: str, *, most: int, seconds: float) -> bool:
        now, pk, name = self.clock.now(), f"budget|{part(budget)}", part(use)
        mine = {"at": now, "until": now + seconds}
        forget_at = expires(now + LONG)
        for number in range(TRIES):
            there = await self.update(
                (pk, SK),
                "SET #uses.#use = :use, #version = #version + :one, #expires = :expires",
                f"attribute_exists(#pk) AND {ROOM}",
                {"use": mine, "one": 1, "most": most, "expires": forget_at},
                names={"use": name},
            )
            if there is None:
                return True
            uses = self.left(there)
            counted = {one for one, use in uses.items() if use["at"] > now - seconds}
            if name in counted or len(counted) >= most:
                return name in counted
            version = there.get("version", 0.0)
            item = {
                "pk": pk,
                "sk": SK,
                "uses": {**uses, name: mine},
                "version": version + 1,
                "expires": forget_at,
            }
            same = "#version = :version" if there else "attribute_not_exists(#pk)"
            if await self.put(item, same, {"version": version} if there else None) is None:
                return True
            await asyncio.sleep(0.01 * number)
        raise StoreError(f"the budget {budget} is used by too many at once")

    async def spent(self, budget: str, *, seconds: float) -> int:
        since = self.clock.now() - seconds
        uses = self.left(await self.get((f"budget|{part(budget)}", SK)) or {})
        return sum(use["at"] > since for use in uses.values())

    def left(self, item: Item) -> Mapping[str, Item]:
        """The uses that may still count."""
        now = max(self.clock.now(), self.forgotten_at)
        found: dict[str, Item] = item.get("uses", {})
        return {name: use for name, use in found.items() if use["until"] >= now}

"""Entries of windows in DynamoDB, for `monitor.stores.dynamodb`.

Beside its place each has the moment of its last change, by which the index `changes` finds what
another replica noted a moment ago, without reading all the rest.
"""

import asyncio
from collections.abc import Sequence

from monitor.stores.attributes import Item
from monitor.stores.items import Items, digest, expires, sharded
from monitor.windows import Entry

KIND = "entry"
FIELDS = Entry.__struct_fields__


class EntryItems(Items):
    """The part of the store that is about what detectors noted."""

    async def keep(self, entries: Sequence[Entry]) -> None:
        async def keep(entry: Entry) -> None:
            async with self.noting:
                await self.keep_one(entry)

        await asyncio.gather(*map(keep, entries))

    async def keep_one(self, entry: Entry) -> None:
        """Write it where it is new; else let its level and its end grow."""
        name = digest(f"{entry.window}\n{entry.event_id}")
        pk = sharded(KIND, name)
        item: Item = {field: getattr(entry, field) for field in FIELDS}
        now = self.clock.now()
        item |= {"pk": pk, "sk": name, "changed": now, "expires": expires(entry.until)}
        there = await self.put(item, "attribute_not_exists(#pk)")
        while there is not None:
            level = max(entry.level, int(there["level"]))
            until = max(entry.until, there["until"])
            if (level, until) == (there["level"], there["until"]):
                return
            there = await self.update(
                (pk, name),
                "SET #level = :level, #until = :until, #changed = :changed, #expires = :expires",
                "#level = :old_level AND #until = :old_until",
                {
                    "level": level,
                    "until": until,
                    "changed": now,
                    "expires": expires(until),
                    "old_level": there["level"],
                    "old_until": there["until"],
                },
            )

    async def entries(self, *, since: float = 0.0) -> list[Entry]:
        items = await self.all_of(KIND, since=since)
        now = max(self.clock.now(), self.forgotten_at)
        return sorted(read(item) for item in items if item["until"] >= now)


def read(item: Item) -> Entry:
    return Entry(**{field: item[field] for field in FIELDS} | {"level": int(item["level"])})

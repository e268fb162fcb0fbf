"""The action log in DynamoDB, for `monitor.stores.dynamodb`: by number, and it never runs out."""

from msgspec.structs import replace

from monitor.action_log import LogEntry, unreadable
from monitor.ledger import StoreError
from monitor.stores.attributes import Item
from monitor.stores.items import Items, packed, unpacked

PK = "log"


class LogItems(Items):
    """The part of the store that is about the action log."""

    async def append(self, entry: LogEntry) -> bool:
        item = {
            "pk": PK,
            "sk": numbered(entry.number),
            "record": packed(entry, f"entry {entry.number} of the action log"),
        }
        return await self.put(item, "attribute_not_exists(#pk)") is None

    async def logged(self, *, after: int = 0, most: int = 1000) -> list[LogEntry]:
        found = await self.query(PK, "#sk > :after", {"after": numbered(after)}, most=most)
        return list(map(read, found))

    async def last_logged(self) -> LogEntry | None:
        found = await self.query(PK, backward=True, most=1)
        return read(found[0]) if found else None


def numbered(number: int) -> str:
    """In the order of texts, too."""
    return f"{number:015}"


def read(item: Item) -> LogEntry:
    """The entry in that place, by the key of its item; see `unreadable`."""
    place = str(item["sk"])
    if not place.isdecimal():
        raise StoreError(f"the action log has an item {place!r}, which is no number")
    number = int(place)
    try:
        return replace(unpacked(item, LogEntry, "an entry"), number=number)
    except StoreError:
        return unreadable(number)

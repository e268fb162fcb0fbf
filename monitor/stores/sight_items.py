"""Baselines of watched resources in DynamoDB, for `monitor.stores.dynamodb`: one item for each."""

import msgspec

from monitor.ledger import SightBaseline
from monitor.stores.attributes import Item
from monitor.stores.items import Items, packed, part, sharded, unpacked

KIND = "sight"


class SightItems(Items):
    """The part of the store that is about trails, rules, queues and topics. They never run out."""

    async def sight_baseline(self, arn: str) -> SightBaseline | None:
        found = await self.get((sharded(KIND, arn), part(arn)))
        return read(found) if found else None

    async def sight_baselines(self) -> list[SightBaseline]:
        found = map(read, await self.all_of(KIND))
        return sorted(found, key=lambda one: one.arn)

    async def put_sight_baseline(self, baseline: SightBaseline, *, expected_version: int) -> bool:
        version = expected_version + 1
        stored = msgspec.structs.replace(baseline, version=version)
        item = {
            "pk": sharded(KIND, baseline.arn),
            "sk": part(baseline.arn),
            "version": version,
            "record": packed(stored, f"the baseline of {baseline.arn}"),
        }
        if not expected_version:
            return await self.put(item, "attribute_not_exists(#pk)") is None
        expected = {"expected": expected_version}
        return await self.put(item, "#version = :expected", expected) is None


def read(item: Item) -> SightBaseline:
    return unpacked(item, SightBaseline, "the baseline of a resource")

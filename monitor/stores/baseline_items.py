"""Baselines in DynamoDB, for `monitor.stores.dynamodb`: one item for each key, with its version."""

import msgspec

from monitor.baseline import Baseline
from monitor.key import KeyRef
from monitor.stores.attributes import Item
from monitor.stores.items import Items, packed, sharded, unpacked

KIND = "baseline"


class BaselineItems(Items):
    """The part of the store that is about baselines. They never run out."""

    async def baseline(self, key: KeyRef) -> Baseline | None:
        found = await self.get((sharded(KIND, key.arn), key.arn))
        return read(found) if found else None

    async def baselines(self, *, since: float = 0.0) -> list[Baseline]:
        found = map(read, await self.all_of(KIND, since=since))
        return sorted(found, key=lambda one: one.key.arn)

    async def put_baseline(self, baseline: Baseline, *, expected_version: int) -> bool:
        arn, version = baseline.key.arn, expected_version + 1
        stored = msgspec.structs.replace(baseline, version=version)
        item = {
            "pk": sharded(KIND, arn),
            "sk": arn,
            "version": version,
            "changed": self.clock.now(),
            "record": packed(stored, f"the baseline of {arn}"),
        }
        if not expected_version:
            return await self.put(item, "attribute_not_exists(#pk)") is None
        expected = {"expected": expected_version}
        return await self.put(item, "#version = :expected", expected) is None


def read(item: Item) -> Baseline:
    return unpacked(item, Baseline, "a baseline")

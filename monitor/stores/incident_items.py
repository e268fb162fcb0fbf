"""Incidents in DynamoDB, for `monitor.stores.dynamodb`.

The open ones and the closed ones are apart: of the open ones there is one place for each key, so that
a key has one open incident, and they are few, however many were closed. Whether the incident that is
to be replaced is open or closed its version does not say, so the likelier is tried first.
"""

import asyncio
from typing import Any

import msgspec

from monitor.incident import Incident
from monitor.key import KeyRef
from monitor.stores.attributes import Item, writing
from monitor.stores.items import Items, expires, packed, part, sharded, unpacked

OPEN, CLOSED = "open", "closed"
FREE = "attribute_not_exists(#pk)"
THIS = "#id = :id AND #version = :version"
ANOTHER = "attribute_not_exists(#pk) OR #id <> :id"


class IncidentItems(Items):
    """The part of the store that is about incidents."""

    async def incident(self, key: KeyRef) -> Incident | None:
        if (there := await self.get((sharded(OPEN, key.arn), key.arn))) is not None:
            return read(there)
        of_key = {"key": f"{key.arn}|"}
        items = await self.query(sharded(CLOSED, key.arn), "begins_with(#sk, :key)", of_key)
        return max(map(read, self.known(items)), key=lambda one: one.closed_at, default=None)

    async def incidents(self, *, open_only: bool = False) -> list[Incident]:
        kinds = (OPEN,) if open_only else (OPEN, CLOSED)
        items = await asyncio.gather(*map(self.all_of, kinds))
        # One that is closed between the two questions is in both answers.
        found = {one.id: one for part in items for one in map(read, self.known(part))}
        return sorted(found.values(), key=lambda one: (one.opened_at, one.id), reverse=True)

    async def put_incident(self, incident: Incident, *, expected_version: int) -> bool:
        ways = opening if incident.open else closing
        item = self.item(incident, expected_version + 1)
        for writes in ways(item, incident.key.arn, expected_version):
            if await self.transact(writes):
                return True
        return False

    def item(self, incident: Incident, version: int) -> Item:
        arn = incident.key.arn
        stored = msgspec.structs.replace(incident, version=version)
        item: Item = {
            "id": incident.id,
            "version": version,
            "closed_at": incident.closed_at,
            "record": packed(stored, f"the incident {incident.id}"),
        }
        if incident.open:
            return {**item, "pk": sharded(OPEN, arn), "sk": arn}
        forgotten = expires(incident.closed_at + self.remember)
        return {**item, **closed_place(arn, incident.id), "expires": forgotten}

    def known(self, items: list[Item]) -> list[Item]:
        return [
            one
            for one in items
            if not one["closed_at"] or one["closed_at"] >= self.forgotten_before
        ]


def closed_place(arn: str, incident_id: str) -> Item:
    return {"pk": sharded(CLOSED, arn), "sk": f"{arn}|{part(incident_id)}"}


def opening(item: Item, arn: str, expected: int) -> list[list[dict[str, Any]]]:
    """The ways to write an open incident: where it is new, is open already, or was closed."""
    before = closed_place(arn, item["id"])
    values = {"id": item["id"], "version": expected}
    if not expected:
        return [[writing("Put", item, FREE), writing("ConditionCheck", before, FREE)]]
    return [
        [writing("Put", item, THIS, values)],
        [writing("Put", item, FREE), writing("Delete", before, THIS, values)],
    ]


def closing(item: Item, arn: str, expected: int) -> list[list[dict[str, Any]]]:
    """The ways to write a closed incident: where it is new, was open, or is closed already."""
    before = {"pk": sharded(OPEN, arn), "sk": arn}
    values = {"id": item["id"], "version": expected}
    if not expected:
        there = writing("ConditionCheck", before, ANOTHER, {"id": item["id"]})
        return [[writing("Put", item, FREE), there]]
    return [
        [writing("Delete", before, THIS, values), writing("Put", item, FREE)],
        [writing("Put", item, THIS, values)],
    ]


def read(item: Item) -> Incident:
    return unpacked(item, Incident, "an incident")

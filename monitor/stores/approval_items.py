"""Approvals in DynamoDB, for `monitor.stores.dynamodb`.

All of them are in one partition, by key and id: people give few. What an id is about says an item of
its own, since an approval is used and revoked by its id alone.
"""

from msgspec.structs import replace

from monitor.approval import Approval, Use
from monitor.key import KeyRef
from monitor.stores.attributes import Item
from monitor.stores.items import Items, expires, packed, part, unpacked

APPROVALS, IDS = "approval", "approval-id"
NEW = "attribute_not_exists(#pk) OR #until < :forgotten"
UNUSED = "attribute_not_exists(#used.#use) AND #revoked_at = :zero AND size(#used) < #uses"


class ApprovalItems(Items):
    """The part of the store that is about approvals."""

    async def approve(self, approval: Approval) -> None:
        sk = f"{approval.key.arn}|{part(approval.id)}"
        forgotten = approval.until + self.remember
        # First: an id without an approval does no harm, an approval without its id could not be used.
        taken = await self.put(
            {
                "pk": IDS,
                "sk": part(approval.id),
                "about": sk,
                "until": approval.until,
                "expires": expires(forgotten),
            },
            f"{NEW} OR #about = :about",
            {"about": sk, "forgotten": self.forgotten_before},
        )
        if taken is not None:
            return
        await self.put(
            {
                "pk": APPROVALS,
                "sk": sk,
                "until": approval.until,
                "uses": approval.uses,
                "used": {part(one.event_id): used(one) for one in approval.used},
                "revoked_at": approval.revoked_at,
                "record": packed(approval, f"the approval {approval.id}"),
                "expires": expires(forgotten),
            },
            NEW,
            {"forgotten": self.forgotten_before},
        )

    async def approvals(self, key: KeyRef | None = None) -> list[Approval]:
        if key is None:
            items = await self.query(APPROVALS)
        else:
            of_key = {"key": f"{key.arn}|"}
            items = await self.query(APPROVALS, "begins_with(#sk, :key)", of_key)
        found = [read(item) for item in items if item["until"] >= self.forgotten_before]
        return sorted(found, key=lambda one: (-one.made_at, one.id))

    async def revoke(self, approval_id: str) -> bool:
        if (sk := await self.named(approval_id)) is None:
            return False
        there = await self.update(
            (APPROVALS, sk),
            "SET #revoked_at = :now",
            "#revoked_at = :zero",
            {"now": self.clock.now(), "zero": 0},
        )
        return there is None or bool(there)

    async def use(self, approval_id: str, event_id: str, at: float) -> bool:
        if (sk := await self.named(approval_id)) is None:
            return False
        name = part(event_id)
        there = await self.update(
            (APPROVALS, sk),
            "SET #used.#use = :used",
            UNUSED,
            {"used": used(Use(event_id, at)), "zero": 0},
            names={"use": name},
        )
        return there is None or name in there.get("used", {})

    async def named(self, approval_id: str) -> str | None:
        """Where the approval of this id is."""
        found = await self.get((IDS, part(approval_id)))
        return found["about"] if found else None


def used(use: Use) -> Item:
    return {"event_id": use.event_id, "at": use.at}


def read(item: Item) -> Approval:
    approval = unpacked(item, Approval, "an approval")
    uses = sorted((Use(one["event_id"], one["at"]) for one in item["used"].values()), key=order)
    return replace(approval, revoked_at=item["revoked_at"], used=tuple(uses))


def order(use: Use) -> tuple[float, str]:
    return use.at, use.event_id

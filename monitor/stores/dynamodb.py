"""A store in one DynamoDB table, for any number of replicas.

Every change is one conditional write, and what decides is read strongly consistent, so that no two
replicas are granted the same lease. Items that ran out are deleted by DynamoDB, within days; until
then our own clock says that they are no more. Times are epoch seconds.

A lease is worth as much as its holder: `check` shows at every call that this replica lives, and the
leases of one that has not shown it for `LIFE` are taken over before they run out.
"""

from uuid import uuid4

from monitor.aws import Aws
from monitor.clock import Clock
from monitor.decision import Action
from monitor.ledger import Claim, Grant, StoreError
from monitor.stores.approval_items import ApprovalItems
from monitor.stores.attributes import Item, Key
from monitor.stores.baseline_items import BaselineItems
from monitor.stores.budget_items import BudgetItems
from monitor.stores.entry_items import EntryItems
from monitor.stores.incident_items import IncidentItems
from monitor.stores.items import DAY, expires, packed, part, unpacked
from monitor.stores.log_items import LogItems
from monitor.stores.sight_items import SightItems
from monitor.stores.table_shape import faults

LIFE = 60.0
"""Seconds that a replica counts as alive after it has shown it. It shows it every 10 s."""
SHAPE_EVERY = 600.0
"""Seconds between two looks at how the table is made."""
SK = "action"
FREE = (
    "attribute_not_exists(#pk)"
    " OR (attribute_not_exists(#finished) AND #until <= :now)"
    " OR #finished < :forgotten"
)
HELD = "#owner = :owner AND attribute_not_exists(#finished)"


class DynamoDbStore(
    ApprovalItems, BaselineItems, BudgetItems, EntryItems, IncidentItems, LogItems, SightItems
):
    """See `monitor.ledger.Store`. Nothing is asked before it is used."""

    def __init__(
        self,
        aws: Aws,
        clock: Clock,
        *,
        table: str,
        region: str,
        entry: str = "",
        remember: float = 15 * DAY,
        life: float = LIFE,
    ) -> None:
        """`remember`: seconds; what `prune` will be asked for. `life`: see `LIFE`."""
        super().__init__(aws, clock, table=table, region=region, entry=entry, remember=remember)
        self.life = life
        self.replica = uuid4().hex
        self.shown = False
        """Whether others can tell by now whether this replica lives."""
        self.looked_at: float | None = None
        self.arn = ""
        """The table's; not known before it was looked at."""

    # -- leases

    async def claim(self, name: str, *, owner: str, seconds: float) -> Grant:
        now = self.clock.now()
        lease = self.lease(name, owner, now + seconds)
        there = await self.put(lease, FREE, {"now": now, "forgotten": self.forgotten_before})
        if there is None:
            return Grant(Claim.GRANTED)
        if "finished" in there:
            return Grant(Claim.DONE, action=unpacked(there, Action, "an action"))
        until = there.get("until", now)  # not there: released between the condition and the answer
        if there and await self.dead(there["replica"]):
            taken = await self.put(lease, "#token = :token", {"token": there["token"]})
            if taken is None:
                self.aws.metrics.replicas.takeovers.inc()
                return Grant(Claim.GRANTED)
        return Grant(Claim.BUSY, until=until)

    def lease(self, name: str, owner: str, until: float) -> Item:
        return {
            "pk": action_pk(name),
            "sk": SK,
            "owner": owner,
            "until": until,
            "replica": self.replica if self.shown else "",
            "expires": expires(until),
        }

    async def renew(self, name: str, *, owner: str, seconds: float) -> bool:
        now = self.clock.now()
        until = now + seconds
        change = "SET #until = :until, #expires = :expires"
        values = {"until": until, "expires": expires(until), "owner": owner, "now": now}
        there = await self.update(
            (action_pk(name), SK), change, f"{HELD} AND #until > :now", values
        )
        return there is None

    async def finish(self, name: str, *, owner: str, action: Action) -> None:
        now = self.clock.now()
        await self.put(
            {
                "pk": action_pk(name),
                "sk": SK,
                "owner": owner,
                "finished": now,
                "record": packed(action, "an action"),
                "expires": expires(now + self.remember),
            }
        )

    async def release(self, name: str, *, owner: str) -> None:
        await self.delete((action_pk(name), SK), HELD, {"owner": owner})

    # -- who lives

    async def dead(self, replica: str) -> bool:
        """Whether a replica that showed that it lives has ceased to."""
        if replica in {"", self.replica}:
            return False
        shown = await self.get(replica_key(replica))
        return shown is None or shown["until"] <= self.clock.now()

    async def check(self) -> None:
        """Show that this replica lives, which proves that the table can be written."""
        await self.look_at_shape()
        until = self.clock.now() + self.life
        pk, sk = replica_key(self.replica)
        await self.put({"pk": pk, "sk": sk, "until": until, "expires": expires(until)})
        self.shown = True

    async def look_at_shape(self) -> None:
        """Raise `StoreError` if the table is missing, or is not made as it must be."""
        moment = self.clock.monotonic()
        if self.looked_at is not None and moment < self.looked_at + SHAPE_EVERY:
            return
        made = await self.call("DescribeTable")
        ttl = await self.call("DescribeTimeToLive")
        self.arn = made["Table"].get("TableArn", "")
        if found := faults(made["Table"], ttl.get("TimeToLiveDescription", {})):
            raise StoreError(f"table {self.table}: {'; '.join(found)}; see docs/stores.md")
        self.looked_at = moment

    async def prune(self, before: float) -> int:
        """Nothing is deleted here: DynamoDB does that by itself, and tells nobody how much."""
        self.forgotten_before = max(self.forgotten_before, before)
        self.forgotten_at = max(self.forgotten_at, self.clock.now())
        return 0

    async def close(self) -> None:
        """What this replica left behind may be taken over at once."""
        if self.shown:
            self.shown = False
            try:
                await self.delete(replica_key(self.replica), "attribute_exists(#pk)")
            except StoreError:
                return  # then they wait until it counts as dead


def action_pk(name: str) -> str:
    return f"action|{part(name)}"


def replica_key(replica: str) -> Key:
    return f"replica|{replica}", "life"

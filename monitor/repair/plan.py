"""The calls that lead from a key as it is to the state that is right. Pure.

It rests on the key-state table (AWS KMS developer guide, "Key states of AWS KMS keys"; aws-facts
3.1 and 3.2): CancelKeyDeletion leaves the key Disabled, never Enabled, and EnableKey is refused
while deletion or import is pending.
"""

from enum import StrEnum

import msgspec

from monitor.key import KeySnapshot, KeyState


class Call(StrEnum):
    """The writing KMS calls that a repair may make. There is none that takes a key away."""

    CANCEL_KEY_DELETION = "CancelKeyDeletion"
    ENABLE_KEY = "EnableKey"


class RepairPlan(msgspec.Struct, frozen=True):
    """`calls` in order; or `wait`, or `impossible`: why nothing can be done now, or ever."""

    calls: tuple[Call, ...] = ()
    wait: str = ""
    impossible: str = ""

    @property
    def nothing_to_do(self) -> bool:
        return not (self.calls or self.wait or self.impossible)


IN_BETWEEN = {
    KeyState.CREATING: "the key is being created",
    KeyState.UPDATING: "the key's primary Region is being changed",
}
HANDED_TO_PEOPLE = {
    KeyState.GONE: "the key does not exist any more",
    KeyState.PENDING_IMPORT: "its key material is gone and has to be imported again",
    KeyState.UNAVAILABLE: "its custom key store is not connected",
}


def plan(live: KeySnapshot, wanted: KeyState) -> RepairPlan:
    """What leads from `live` to `wanted`: Enabled, Disabled, or pending deletion as approved.

    A key that is better than wanted stays: somebody made it so, and no repair ever takes a key away.
    """
    if wanted.pending_deletion:
        return RepairPlan()
    if not live.customer_managed:
        return RepairPlan(impossible="it is an AWS managed key, which AWS alone can change")
    if live.state.pending_deletion:
        enable = () if wanted is KeyState.DISABLED else (Call.ENABLE_KEY,)
        return RepairPlan((Call.CANCEL_KEY_DELETION, *enable))
    if live.state is KeyState.DISABLED and wanted is not KeyState.DISABLED:
        return RepairPlan((Call.ENABLE_KEY,))
    return RepairPlan(
        wait=IN_BETWEEN.get(live.state, ""), impossible=HANDED_TO_PEOPLE.get(live.state, "")
    )

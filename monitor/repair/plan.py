"""The calls that lead from a key as it is to how it should be. Pure.

It rests on the key-state table (AWS KMS developer guide, "Key states of AWS KMS keys"; aws-facts
3.1 and 3.2): CancelKeyDeletion leaves the key Disabled, never Enabled; EnableKey is refused while
deletion or import is pending; grants, rotation and the primary Region change only while the key is Enabled.
A policy can be put in every state, so it is put as soon as the key is safe from deletion: whoever
was shut out by it may be who has to help.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from monitor.key import KeySnapshot, KeyState
from monitor.register import (
    ALIAS,
    DESCRIPTION,
    EXPIRY,
    GRANT,
    POLICY,
    PRIMARY,
    REPLICA,
    ROTATION,
    STATE,
    TAG,
    aspect_of,
    registers_of,
)


class Call(StrEnum):
    """The writing KMS calls that a repair may make. There is none that takes a key away."""

    CANCEL_KEY_DELETION = "CancelKeyDeletion"
    PUT_KEY_POLICY = "PutKeyPolicy"
    CONNECT_CUSTOM_KEY_STORE = "ConnectCustomKeyStore"
    IMPORT_KEY_MATERIAL = "ImportKeyMaterial"
    ENABLE_KEY = "EnableKey"
    TAG_RESOURCE = "TagResource"
    UNTAG_RESOURCE = "UntagResource"
    UPDATE_ALIAS = "UpdateAlias"
    CREATE_GRANT = "CreateGrant"
    REVOKE_GRANT = "RevokeGrant"
    ENABLE_KEY_ROTATION = "EnableKeyRotation"
    UPDATE_KEY_DESCRIPTION = "UpdateKeyDescription"
    UPDATE_PRIMARY_REGION = "UpdatePrimaryRegion"


class Step(msgspec.Struct, frozen=True):
    """One call, and what it needs to know beside the key."""

    call: Call
    value: Any = None
    """The policy, the tags, the alias, the grant, the days, the text, the Region: see `plan`."""


class RepairPlan(msgspec.Struct, frozen=True):
    """`steps` in order. `wait`, `impossible`: why something cannot be done now, or ever."""

    steps: tuple[Step, ...] = ()
    wait: str = ""
    impossible: tuple[str, ...] = ()

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(step.call for step in self.steps)

    @property
    def nothing_to_do(self) -> bool:
        return not (self.steps or self.wait or self.impossible)


class Limits(msgspec.Struct, frozen=True):
    """What a repair may not, or can, do."""

    only_deletion: bool = False
    """The key is contested, or a budget is spent: a deletion is cancelled, and nothing else written."""
    escrow: bool = False
    """Imported material can be had again."""
    places: frozenset[tuple[str, str]] | None = None
    """The pairs of account and Region in which anything may be written; None: in all of them."""


IN_BETWEEN: Final = {
    KeyState.CREATING: "the key is being created",
    KeyState.UPDATING: "the key's primary Region is being changed",
}
GONE: Final = "the key does not exist any more"
NO_MATERIAL: Final = "its key material is gone and has to be imported again"
NO_EXPIRY: Final = f"{NO_MATERIAL}, and nobody knows when it should expire"
NOT_CONNECTED: Final = "its key store outside of KMS is not reachable"
NOT_ENABLED: Final = "cannot be changed while the key is {}"
NOT_GUARDED: Final = "{} is changed where the primary is, in {}, which is not guarded"
REPLICA_MADE: Final = "a replica in {} was made; no repair deletes a key"
REPLICA_GONE: Final = "the replica in {} is gone; ReplicateKey can make it anew"
CONTESTED: Final = "it is put back no more for now: too many repairs within a short time"


def plan(live: KeySnapshot, wanted: Mapping[str, Any], limits: Limits | None = None) -> RepairPlan:
    """What leads from `live` to `wanted`: values by register, of those that are to be put right.

    A key that is better than wanted stays: somebody made it so, and no repair ever takes a key away.
    Parts of the key that were not read, or of which no value is wanted, stay as they are.
    """
    limits = limits or Limits()
    if not any(differs(live, name, value) for name, value in wanted.items()):
        return RepairPlan()
    if not live.customer_managed:
        return RepairPlan(impossible=("it is an AWS managed key, which AWS alone can change",))
    if live.state is KeyState.GONE:
        return RepairPlan(impossible=(GONE,))
    saving = save(live, wanted)
    if limits.only_deletion:
        return saving if saving.steps else RepairPlan(impossible=(CONTESTED,))
    reviving, state = revive(live, wanted, limits, cancelled=bool(saving.steps))
    return joined(saving, put_policy(live, wanted), reviving, furnish(live, wanted, state, limits))


def joined(*plans: RepairPlan) -> RepairPlan:
    return RepairPlan(
        tuple(step for one in plans for step in one.steps),
        "; ".join(dict.fromkeys(one.wait for one in plans if one.wait)),
        tuple(dict.fromkeys(why for one in plans for why in one.impossible)),
    )


def differs(live: KeySnapshot, name: str, value: Any) -> bool:
    """Whether this part of the key is worse than wanted, or other."""
    if name == STATE:
        wanted = KeyState(value)
        if wanted.pending_deletion or live.state is KeyState.ENABLED:
            return False
        return live.state is not wanted
    if name == EXPIRY:
        return False  # it can be chosen only when the material is imported
    values, read = registers_of(live)
    if aspect_of(name) not in read:
        return False
    if name == ROTATION and not value:
        return False  # rotation that somebody switched on is no worse
    if name.startswith(ALIAS) and value is None:
        return (
            False  # see `monitor.responders.restore_key`: it is put on the key that it belongs to
        )
    if name.startswith(GRANT):
        return (name in values) is not (value is not None)
    return bool(values.get(name) != value)


def save(live: KeySnapshot, wanted: Mapping[str, Any]) -> RepairPlan:
    """Cancel the deletion."""
    if STATE in wanted and differs(live, STATE, wanted[STATE]) and live.state.pending_deletion:
        return RepairPlan((Step(Call.CANCEL_KEY_DELETION),))
    return RepairPlan()


def put_policy(live: KeySnapshot, wanted: Mapping[str, Any]) -> RepairPlan:
    if POLICY in wanted and wanted[POLICY] is not None and differs(live, POLICY, wanted[POLICY]):
        return RepairPlan((Step(Call.PUT_KEY_POLICY, wanted[POLICY]),))
    return RepairPlan()


def revive(
    live: KeySnapshot, wanted: Mapping[str, Any], limits: Limits, *, cancelled: bool
) -> tuple[RepairPlan, KeyState]:
    """Make the key usable, and the state in which that leaves it."""
    state = KeyState.DISABLED if cancelled else live.state
    if STATE not in wanted or not differs(live, STATE, wanted[STATE]):
        return RepairPlan(), state
    if state in IN_BETWEEN:
        return RepairPlan(wait=IN_BETWEEN[state]), state
    if state is KeyState.UNAVAILABLE:
        if not live.custom_key_store:
            return RepairPlan(impossible=(NOT_CONNECTED,)), state
        step = Step(Call.CONNECT_CUSTOM_KEY_STORE, live.custom_key_store)
        return RepairPlan((step,)), state
    if state is KeyState.PENDING_IMPORT:
        if not limits.escrow:
            return RepairPlan(impossible=(NO_MATERIAL,)), state
        if EXPIRY not in wanted:
            return RepairPlan(impossible=(NO_EXPIRY,)), state
        return RepairPlan((Step(Call.IMPORT_KEY_MATERIAL, wanted[EXPIRY]),)), state
    if KeyState(wanted[STATE]) is KeyState.ENABLED:
        return RepairPlan((Step(Call.ENABLE_KEY),)), KeyState.ENABLED
    return RepairPlan(), state


def furnish(
    live: KeySnapshot, wanted: Mapping[str, Any], state: KeyState, limits: Limits
) -> RepairPlan:
    """Tags, aliases, grants, rotation and the rest, of a key that will be in this state."""
    left = {name: value for name, value in wanted.items() if differs(live, name, value)}
    parts = [
        label(left, state),
        RepairPlan(
            tuple(Step(Call.UPDATE_ALIAS, name) for name in sorted(left) if name.startswith(ALIAS))
        )
        if not state.pending_deletion
        else not_while(left, ALIAS, state),
        regrant(live, left, state),
    ]
    if ROTATION in left:
        step = Step(Call.ENABLE_KEY_ROTATION, left[ROTATION])
        parts.append(on_the_primary(step, live, state, limits, ROTATION))
    if DESCRIPTION in left and not state.pending_deletion:
        step = Step(Call.UPDATE_KEY_DESCRIPTION, left[DESCRIPTION] or "")
        parts.append(RepairPlan((step,)))
    if left.get(PRIMARY):
        step = Step(Call.UPDATE_PRIMARY_REGION, left[PRIMARY])
        parts.append(on_the_primary(step, live, state, limits, "the primary Region"))
    for name in sorted(left):
        if name.startswith(REPLICA):
            text = REPLICA_GONE if left[name] else REPLICA_MADE
            parts.append(RepairPlan(impossible=(text.format(name[len(REPLICA) :]),)))
    return joined(*parts)


def label(left: Mapping[str, Any], state: KeyState) -> RepairPlan:
    tags = {name[len(TAG) :]: value for name, value in left.items() if name.startswith(TAG)}
    if not tags:
        return RepairPlan()
    if state.pending_deletion:
        return not_while(left, TAG, state)
    written = {name: value for name, value in sorted(tags.items()) if value is not None}
    removed = sorted(tags.keys() - written.keys())
    steps = [Step(Call.TAG_RESOURCE, written)] if written else []
    steps += [Step(Call.UNTAG_RESOURCE, removed)] if removed else []
    return RepairPlan(tuple(steps))


def regrant(live: KeySnapshot, left: Mapping[str, Any], state: KeyState) -> RepairPlan:
    """Grants made anew, then those revoked that should not be: in this order nobody goes without."""
    there = registers_of(live)[0]
    making, taking = [], []
    for name in sorted(left):
        if name.startswith(GRANT):
            if left[name] is None:
                taking.append(Step(Call.REVOKE_GRANT, there[name]["grant_id"]))
            else:
                making.append(while_enabled(Step(Call.CREATE_GRANT, left[name]), state, "a grant"))
    return joined(*making, RepairPlan(tuple(taking)))


def on_the_primary(
    step: Step, live: KeySnapshot, state: KeyState, limits: Limits, what: str
) -> RepairPlan:
    """A step that has to be made where the primary of a multi-Region key is now (aws-facts 3.4)."""
    primary = live.primary or live.key
    if limits.places is not None and (primary.account, primary.region) not in limits.places:
        return RepairPlan(impossible=(NOT_GUARDED.format(what, primary.region),))
    return while_enabled(step, state, what)


def while_enabled(step: Step, state: KeyState, what: str) -> RepairPlan:
    """A step that works only on a key that is Enabled."""
    if state is KeyState.ENABLED:
        return RepairPlan((step,))
    if state in IN_BETWEEN:
        return RepairPlan(wait=IN_BETWEEN[state])
    return RepairPlan(impossible=(f"{what} {NOT_ENABLED.format(state)}",))


def not_while(left: Mapping[str, Any], prefix: str, state: KeyState) -> RepairPlan:
    if not any(name.startswith(prefix) for name in left):
        return RepairPlan()
    what = "an alias" if prefix == ALIAS else "a tag"
    return RepairPlan(impossible=(f"{what} {NOT_ENABLED.format(state)}",))

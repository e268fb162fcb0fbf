"""How a key should be: the last snapshot that was accepted as right, one register for each thing. Pure.

A register is what can be changed, and put right, by itself: the state, the policy, one tag, one alias,
one grant. Each keeps the value that the latest accepted change gave it, by event time, so that
whatever order changes are told in, and however often, the end is the same.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from monitor.finding import Aspect
from monitor.key import Grant, KeyRef, KeySnapshot, KeyState

Changes = Mapping[str, Any]
"""New values by the name of a register, as one event tells of them. See `monitor.changes`."""

STATE: Final = "state"
POLICY: Final = "policy"
ROTATION: Final = "rotation"
DESCRIPTION: Final = "description"
EXPIRY: Final = "expiry"
PRIMARY: Final = "primary"
ALIAS: Final = "alias/"
TAG: Final = "tag/"
GRANT: Final = "grant/"
GRANT_ID: Final = "grant-id/"
"""A change that knows of a grant its id alone: see `resolved`."""
REPLICA: Final = "replica/"


class Origin(StrEnum):
    """How the value of a register came to be known."""

    SEEN = "seen"
    """Read from KMS: the first sight of the key."""
    HISTORY = "history"
    """From CloudTrail's event history, for a key that was not seen before it was damaged."""
    ACCEPTED = "accepted"
    """Set by an accepted event."""
    PEOPLE = "people"
    """Set by `kms-monitor baseline accept`."""
    DAMAGE = "damage"
    """Known only as something that damage brought: it should not be there."""


REPLACED: Final = frozenset({Origin.SEEN, Origin.HISTORY})
"""First sights, which never replace anything."""


class Register(msgspec.Struct, frozen=True):
    """One thing about a key. Times are epoch seconds."""

    value: Any
    """JSON. None: there should be no such thing."""
    as_of: float
    origin: Origin
    damaged_at: float = 0.0
    """Event time of the latest damage to it.

    Should an older change still arrive that moves the register, that damage has to be undone anew.
    """


class Baseline(msgspec.Struct, frozen=True):
    """The registers of one key."""

    key: KeyRef
    registers: dict[str, Register] = {}
    aspects: frozenset[Aspect] = frozenset()
    """Those that were wholly read: of them a register that is not there says that there is no such thing."""
    version: int = 0
    """Counts its changes, so that two replicas do not overwrite each other's. 0: not stored yet."""

    def value(self, name: str) -> Any:
        """None where there should be no such thing, and where it is not known."""
        register = self.registers.get(name)
        return register.value if register else None

    def knows(self, name: str) -> bool:
        """Whether it is known how this should be, be it that it should not be there."""
        return name in self.registers or aspect_of(name) in self.aspects

    @property
    def state(self) -> KeyState | None:
        """The state that is right, None where that is not known."""
        value = self.value(STATE)
        return None if value is None else KeyState(value)

    def snapshot(self) -> KeySnapshot:
        """The key as it should be. What is not known is None; a state that is not known is Enabled."""
        found = {name: one.value for name, one in self.registers.items() if one.value is not None}
        primary = found.get(PRIMARY)
        return KeySnapshot(
            self.key,
            self.state or KeyState.ENABLED,
            max((one.as_of for one in self.registers.values()), default=0.0),
            description=found.get(DESCRIPTION, ""),
            valid_to=found.get(EXPIRY),
            multi_region=primary is not None,
            primary=replace(self.key, region=primary) if primary else None,
            replicas=tuple(sorted(replace(self.key, region=one) for one in cut(found, REPLICA))),
            policy=found.get(POLICY),
            rotation_days=found.get(ROTATION),
            aliases=tuple(sorted(one for one in found if one.startswith(ALIAS)))
            if Aspect.ALIASES in self.aspects
            else None,
            tags=cut(found, TAG) if Aspect.TAGS in self.aspects else None,
            grants=tuple(
                sorted(
                    (msgspec.convert(one, Grant) for one in cut(found, GRANT).values()),
                    key=lambda one: one.grant_id,
                )
            )
            if Aspect.GRANTS in self.aspects
            else None,
        )


def cut(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Those whose name begins so, by the rest of the name."""
    return {name[len(prefix) :]: one for name, one in values.items() if name.startswith(prefix)}


def aspect_of(name: str) -> Aspect:
    """What of a key a register is a part of."""
    whole = {
        POLICY: Aspect.POLICY,
        ROTATION: Aspect.ROTATION,
        DESCRIPTION: Aspect.DESCRIPTION,
        PRIMARY: Aspect.REPLICATION,
    }
    parts = {
        ALIAS: Aspect.ALIASES,
        TAG: Aspect.TAGS,
        GRANT: Aspect.GRANTS,
        GRANT_ID: Aspect.GRANTS,
        REPLICA: Aspect.REPLICATION,
    }
    if name in whole:
        return whole[name]
    return next((one for prefix, one in parts.items() if name.startswith(prefix)), Aspect.STATE)


def grant_register(grant: Grant) -> tuple[str, dict[str, Any]]:
    """The register of a grant, and its value.

    It is named by what the grant says: one that is made anew has another id (aws-facts 3.7).
    """
    said = msgspec.to_builtins(replace(grant, grant_id="", operations=sorted(grant.operations)))
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode(errors="surrogatepass"))
    return GRANT + digest.hexdigest()[:32], {**said, "grant_id": grant.grant_id}


def registers_of(live: KeySnapshot) -> tuple[dict[str, Any], frozenset[Aspect]]:
    """All that a snapshot says, by register, and the aspects that were read."""
    values: dict[str, Any] = {
        STATE: live.state.value,
        DESCRIPTION: live.description,
        EXPIRY: live.valid_to,
        **{REPLICA + one.region: True for one in live.replicas},
    }
    if live.primary is not None:
        values[PRIMARY] = live.primary.region
    aspects = {Aspect.STATE, Aspect.DESCRIPTION, Aspect.REPLICATION}
    if live.policy is not None:
        values[POLICY] = live.policy
        aspects.add(Aspect.POLICY)
    if live.rotation_days is not None:
        values[ROTATION] = live.rotation_days
        aspects.add(Aspect.ROTATION)
    if live.aliases is not None:
        values |= dict.fromkeys(live.aliases, True)
        aspects.add(Aspect.ALIASES)
    if live.tags is not None:
        values |= {TAG + name: value for name, value in live.tags.items()}
        aspects.add(Aspect.TAGS)
    if live.grants is not None:
        values |= dict(map(grant_register, live.grants))
        aspects.add(Aspect.GRANTS)
    return values, frozenset(aspects)


def worth_keeping(state: KeyState) -> bool:
    """Whether a state, when first seen, can be right.

    A key that is pending deletion or import, or in between two states, is not as it should be.
    """
    return state in {KeyState.ENABLED, KeyState.DISABLED}


def sighted(known: Baseline | None, live: KeySnapshot) -> Baseline:
    """The baseline with what it did not know yet, as it is seen now. What it knows stays as it is.

    A state in which nobody wants a key is not taken over. Whole seconds, as events have: one later
    in this second must count as later.
    """
    baseline = known or Baseline(live.key)
    values, read = registers_of(live)
    new = read - baseline.aspects
    if not worth_keeping(live.state):
        new -= {Aspect.STATE}
    as_of = float(math.floor(live.as_of))
    seen = {
        name: Register(value, as_of, Origin.SEEN)
        for name, value in values.items()
        if aspect_of(name) in new and name not in baseline.registers
    }
    if not new:
        return baseline
    return replace(
        baseline, registers={**seen, **baseline.registers}, aspects=baseline.aspects | new
    )


def accepted(
    known: Baseline | None,
    key: KeyRef,
    changes: Changes,
    as_of: float,
    *,
    origin: Origin = Origin.ACCEPTED,
    tie: bool = False,
) -> Baseline:
    """The baseline after a change that was accepted, unless it knows of later ones.

    Of two in the same second (CloudTrail's resolution) the later call wins only with `tie`, which
    says that the live key agrees with it.
    """
    baseline = known or Baseline(key)
    registers = dict(baseline.registers)
    for name, value in resolved(baseline, changes).items():
        there = registers.get(name)
        new = Register(value, as_of, origin, there.damaged_at if there else 0.0)
        if there is None or there.origin is Origin.DAMAGE or replaces(new, there, tie=tie):
            registers[name] = new
    return (
        baseline if registers == known_registers(known) else replace(baseline, registers=registers)
    )


def known_registers(known: Baseline | None) -> dict[str, Register] | None:
    return known.registers if known else None


def replaces(new: Register, there: Register, *, tie: bool) -> bool:
    """Whether `new` is better than what is there. A first sight is only ever the first."""
    if new.origin in REPLACED:
        return False
    return new.as_of > there.as_of or (tie and new.as_of == there.as_of)


def damaged(known: Baseline | None, changes: Changes, at: float) -> Baseline | None:
    """The baseline with the moment of a damage noted on every register that it changed.

    What the damage brought, and what should not be there, becomes a register without a value.
    """
    if known is None:
        return None
    registers = dict(known.registers)
    for name, value in resolved(known, changes).items():
        there = registers.get(name)
        if there is not None and there.damaged_at < at:
            registers[name] = replace(there, damaged_at=at)
        elif there is None and brought(known, name, value):
            registers[name] = Register(None, 0.0, Origin.DAMAGE, at)
    return replace(known, registers=registers) if registers != known.registers else known


def brought(known: Baseline, name: str, value: Any) -> bool:
    """Whether damage made this thing, which nobody knows. A grant is always made, never changed."""
    aspect = aspect_of(name)
    return value is not None and (
        aspect is Aspect.GRANTS or (aspect is Aspect.TAGS and aspect in known.aspects)
    )


def resolved(known: Baseline, changes: Changes) -> dict[str, Any]:
    """The changes, with the grants that they name by their ids as the registers of these.

    Of a grant that is not known nothing can be said.
    """
    found: dict[str, Any] = {}
    for name, value in changes.items():
        if not name.startswith(GRANT_ID):
            found[name] = value
            continue
        for register, one in known.registers.items():
            if register.startswith(GRANT) and grant_id(one) == name[len(GRANT_ID) :]:
                found[register] = value
    return found


def grant_id(register: Register) -> str:
    return str(register.value.get("grant_id", "")) if isinstance(register.value, dict) else ""


def right_state(
    known: Baseline | None, damaged_at: float, caused: KeyState | None = None
) -> KeyState | None:
    """The state that a key should go back to after damage at that time; None where it is not known.

    It is what was seen when the daemon first met the key, or was accepted since. A key that was
    disabled before the daemon ever saw it therefore stays disabled, and people are told: nobody can
    say from the outside whether that was an attack or a wish.

    An approved deletion holds no longer than until it is cancelled, which leaves a key Disabled. No
    message need say so: a pending key can neither be disabled nor be scheduled again, so that any
    later damage proves it, but for the end that was approved: that the key is gone.
    """
    register = known.registers.get(STATE) if known else None
    if register is None or register.value is None:
        return None
    state = KeyState(register.value)
    if state.pending_deletion and damaged_at > register.as_of and caused is not KeyState.GONE:
        return KeyState.DISABLED
    return state


def by_aspect(names: Iterable[str]) -> frozenset[Aspect]:
    return frozenset(map(aspect_of, names))

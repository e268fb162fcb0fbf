"""How a key should be: the last snapshot that was accepted as right, register by register. Pure.

Each register (see `monitor.register`) keeps the value that the latest accepted change gave it, by event time, so that
whatever order changes are told in, and however often, the end is the same.
"""

import math
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from monitor.finding import Aspect
from monitor.key import Grant, KeyRef, KeySnapshot, KeyState
from monitor.register import (
    ALIAS,
    DESCRIPTION,
    EXPIRY,
    GRANT,
    GRANT_ID,
    POLICY,
    PRIMARY,
    REPLICA,
    ROTATION,
    STATE,
    TAG,
    UNSURE,
    Changes,
    aspect_of,
    cut,
    registers_of,
)


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


MANY: Final = (TAG, ALIAS, GRANT, REPLICA)
"""The registers of which a key has many."""
MOST_MANY: Final = 2000
"""Of these, together. A key has 50 tags and 50 aliases at most, and of more than 1,000 grants none are
read; what is gone has to be remembered only until the last message about it has come."""
FIRST: Final = frozenset({Origin.SEEN, Origin.HISTORY})
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

    def snapshot(self, like: KeySnapshot | None = None) -> KeySnapshot:
        """The key as it should be. What is not known is None; a state that is not known is Enabled.

        What never changes, such as its key store, is as in `like`.
        """
        found = {name: one.value for name, one in self.registers.items() if one.value is not None}
        primary = found.get(PRIMARY)
        as_of = max((one.as_of for one in self.registers.values()), default=0.0)
        return replace(
            like or KeySnapshot(self.key, KeyState.ENABLED, as_of),
            state=self.state or KeyState.ENABLED,
            as_of=as_of,
            deletion_date=None,
            description=found.get(DESCRIPTION, ""),
            valid_to=found.get(EXPIRY),
            multi_region=primary is not None or (like is not None and like.multi_region),
            primary=replace(self.key, region=primary) if primary else None,
            replicas=tuple(
                sorted(
                    replace(self.key, region=one) for one in cut(found, REPLICA) if one != primary
                )
            ),
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
    if known is not None and registers == known.registers:
        return known
    return replace(baseline, registers=bounded(registers))


def replaces(new: Register, there: Register, *, tie: bool) -> bool:
    """Whether `new` is better than what is there. A first sight is only ever the first."""
    if new.origin in FIRST:
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
    return replace(known, registers=bounded(registers)) if registers != known.registers else known


def bounded(registers: dict[str, Register]) -> dict[str, Register]:
    """Without the oldest where there are too many: first what should not be there, then grants.

    Programs make and retire grants all day, and whoever attacks may make a thousand tags.
    """
    many = [name for name in registers if name.startswith(MANY)]
    if len(many) <= MOST_MANY:
        return registers

    def worth(name: str) -> tuple[bool, bool, float]:
        one = registers[name]
        there = one.value is not None
        return there, there and not name.startswith(GRANT), max(one.as_of, one.damaged_at)

    forgotten = set(sorted(many, key=worth)[: len(many) - MOST_MANY])
    return {name: one for name, one in registers.items() if name not in forgotten}


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


def renewed(known: Baseline | None, live: KeySnapshot) -> Baseline | None:
    """The baseline with the ids that its grants have now: one that was made anew has another."""
    if known is None or live.grants is None:
        return known
    there = registers_of(live)[0]
    registers = {
        name: replace(one, value=there[name])
        if name.startswith(GRANT) and isinstance(one.value, dict) and name in there
        else one
        for name, one in known.registers.items()
    }
    return replace(known, registers=registers) if registers != known.registers else known


def shows(live: KeySnapshot, changes: Changes) -> bool:
    """Whether the key is as these changes left it."""
    values, read = registers_of(live)
    ids = {one.grant_id for one in live.grants or ()}
    for name, value in changes.items():
        if aspect_of(name) not in read:
            return False
        if name.startswith(GRANT_ID):
            right = (name[len(GRANT_ID) :] in ids) is (value is not None)
        elif name.startswith(GRANT):
            right = (name in values) is (value is not None)
        elif name == EXPIRY and value is not None and live.valid_to is not None:
            right = abs(live.valid_to - value) < UNSURE
        else:
            right = values.get(name) == value
        if not right:
            return False
    return True


def exact(live: KeySnapshot, changes: Changes) -> dict[str, Any]:
    """The changes, which the key shows, with the expiry as KMS knows it."""
    return {name: live.valid_to if name == EXPIRY else one for name, one in changes.items()}


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

"""In what a live key is not as it should be. Pure."""

from collections.abc import Iterable
from typing import Any

from monitor.baseline import Baseline, Origin
from monitor.finding import Aspect
from monitor.incident import Seen
from monitor.key import KeySnapshot, KeyState
from monitor.register import STATE, aspect_of, registers_of
from monitor.repair.plan import differs, plan


def compare(
    aspects: Iterable[Aspect],
    live: KeySnapshot,
    wanted: KeyState,
    known: Baseline | None,
    since: float,
) -> Seen:
    """Of these aspects, those that differ, and those of which it cannot be said.

    The state is compared with `wanted`; of all else what was damaged since that moment.
    """
    read = registers_of(live)[1]
    wrong, unknown = set[Aspect](), set[Aspect]()
    for aspect in aspects:
        right = None
        if aspect is Aspect.STATE:
            right = well(live, wanted)
        elif known is not None and aspect in read:
            right = as_before(aspect, live, known, since)
        if right is None:
            unknown.add(aspect)
        elif not right:
            wrong.add(aspect)
    return Seen(frozenset(wrong), frozenset(unknown), f"the key is {live.state}")


def well(live: KeySnapshot, wanted: KeyState) -> bool:
    """Whether the state is the wanted one, or a better one that somebody gave it."""
    return plan(live, {STATE: wanted.value}).nothing_to_do


def as_before(aspect: Aspect, live: KeySnapshot, known: Baseline, since: float) -> bool | None:
    """Whether what was damaged is as it was; None where nobody knows how that is.

    Where no damage is noted, because nobody was to repair it, all of the aspect counts.
    """
    of_aspect = {name: one for name, one in known.registers.items() if aspect_of(name) is aspect}
    if any(one.origin is Origin.SEEN and one.as_of > since for one in of_aspect.values()):
        return None  # first seen only when it was damaged
    hurt = {name: one for name, one in of_aspect.items() if one.damaged_at >= since}
    if hurt:
        return not any(differs(live, name, one.value) for name, one in hurt.items())
    if aspect not in known.aspects:
        return None
    return not any(aspect_of(name) is aspect for name in differences(live, known))


def differences(live: KeySnapshot, known: Baseline) -> dict[str, tuple[Any, Any]]:
    """All that is other than the baseline says, by register: what should be, and what is.

    Of parts that were not read, now or then, nothing is said. Grants that AWS's own services make and
    retire all day are not told of: only those that the baseline knows and that are gone.
    """
    values, read = registers_of(live)
    found: dict[str, tuple[Any, Any]] = {}
    for name in sorted(values.keys() | known.registers.keys()):
        aspect = aspect_of(name)
        if aspect not in read or not known.knows(name):
            continue
        should, does = known.value(name), values.get(name)
        if aspect is Aspect.GRANTS:
            stray = should is None and name not in known.registers
            differ = not stray and (should is None) is not (does is None)
        else:
            differ = should != does
        if differ:
            found[name] = (should, does)
    return found

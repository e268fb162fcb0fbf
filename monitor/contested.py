"""Whether a key may still be put back, by how often that was done before. Pure.

A key that is taken away again and again is contested: somebody sees the repair and does not give up, or
two parties have different ideas of what is right. To cancel a deletion is always safe and is
done every time; all else stops after so many repairs of the same part of the key within a window: its state,
its policy, one alias, one tag. Damage to many parts at once is no fight. When the window has passed
the key is put back once more. If it is taken away again, it is contested again at once: so a
fight for ever costs one repair for each window.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from monitor.decision import Action, Budget, Outcome
from monitor.finding import Aspect, Finding
from monitor.key import KeyRef
from monitor.register import aspect_of

HOUR = 3600.0
MOST_PARTS = 20
"""Of one finding that are counted. Most events change one; TagResource may change 50."""
ALWAYS_SAFE = frozenset({"CancelKeyDeletion"})
"""Calls that take nothing from anybody, however often they are made."""


class Limits(msgspec.Struct, frozen=True):
    """How often keys may be put back: see `monitor.settings_limits`."""

    repairs_per_key: int = 5
    window: float = 1800.0
    """Seconds."""
    repairs_per_hour: int = 1000
    """In one account."""


class Spent(msgspec.Struct, frozen=True):
    """What was done before some moment."""

    repairs: int = 0
    """Of the part of the key, within the window."""
    held: bool = False
    """It became contested within the window."""
    on_trial: bool = False
    """It did within two windows."""
    in_account: int = 0
    """Repairs in the key's account within an hour, those under way included."""


def used_up(spent: Spent, limits: Limits) -> Budget | None:
    """The budget that forbids a further repair."""
    most = 1 if spent.on_trial else limits.repairs_per_key
    if spent.held or spent.repairs >= most:
        return Budget.KEY
    return Budget.ACCOUNT if spent.in_account >= limits.repairs_per_hour else None


def times(action: Action, parts: tuple[str, ...]) -> int:
    """How often a repair of these parts put each of them back: it may have been taken away meanwhile.

    0 for one that wrote nothing that counts.
    """
    written = Counter(call for call in action.calls if call not in ALWAYS_SAFE)
    if not written:
        return int(action.cut_off)
    return max(written.values()) if len(parts) == 1 else 1


def parts_of(finding: Finding) -> tuple[str, ...]:
    """The parts of the key that a finding is about, as registers (`monitor.register`).

    A grant that is made anew has another id each time: all grants of a key are one part.
    """
    if finding.aspect in {Aspect.STATE, Aspect.GRANTS}:
        return (finding.aspect.value,)
    names = sorted(name for name in finding.changes if aspect_of(name) is finding.aspect)
    return tuple(names[:MOST_PARTS]) or (finding.aspect.value,)


def was_held_back(actions: Iterable[Action]) -> bool:
    """Whether a repair that might only cancel a deletion left something undone.

    News that comes late, or is not true, finds the key well: then nothing was held back.
    """
    return any(action.outcome is Outcome.REFUSED for action in actions)


def repairs_of(key: KeyRef, part: str) -> str:
    """The name of the budget of a part of a key."""
    return f"repairs|{key.arn}|{part}"


def holds_of(key: KeyRef, part: str) -> str:
    """Under this name it is kept when it became contested."""
    return f"contested|{key.arn}|{part}"


def repairs_in(account: str) -> str:
    """The name of an account's budget."""
    return f"repairs|{account}"

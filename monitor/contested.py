"""Whether a key may still be put back, by how often that was done before. Pure.

A key that is taken away again and again is contested: somebody sees the repair and does not give up, or
two parties have different ideas of what is right. To cancel a deletion is always safe and is
done every time; all else stops after so many repairs within a window. When the window has passed
the key is put back once more. If it is taken away again, it is contested again at once: so a
fight for ever costs one repair for each window.
"""

from collections.abc import Iterable

import msgspec

from monitor.decision import Action, Budget, Outcome
from monitor.key import KeyRef

HOUR = 3600.0
ALWAYS_SAFE = frozenset({"CancelKeyDeletion"})
"""Calls that take nothing from anybody, however often they are made."""


class Limits(msgspec.Struct, frozen=True):
    """How often keys may be put back: see `monitor.settings_limits`."""

    repairs_per_key: int = 5
    window: float = 1800.0
    """Seconds."""
    repairs_per_hour: int = 200
    """In one account."""


class Spent(msgspec.Struct, frozen=True):
    """What was done before some moment."""

    repairs: int = 0
    """Of the key, within the window."""
    held: bool = False
    """The key became contested within the window."""
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


def counts(action: Action) -> bool:
    """Whether it is a repair that uses a budget up."""
    return not ALWAYS_SAFE.issuperset(action.calls)


def was_held_back(actions: Iterable[Action]) -> bool:
    """Whether a repair that might only cancel a deletion left something undone.

    News that comes late, or is not true, finds the key well: then nothing was held back.
    """
    return any(action.outcome is Outcome.REFUSED for action in actions)


def repairs_of(key: KeyRef) -> str:
    """The name of a key's budget."""
    return f"repairs|{key.arn}"


def holds_of(key: KeyRef) -> str:
    """Under this name it is kept when the key became contested."""
    return f"contested|{key.arn}"


def repairs_in(account: str) -> str:
    """The name of an account's budget."""
    return f"repairs|{account}"

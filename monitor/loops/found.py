"""What the inventory found, as entries of windows, so that every replica knows it. Pure.

One look is enough for all replicas, and one that starts knows at once what others found.
"""

from typing import Final

from monitor.key import KeyRef
from monitor.knowledge import Watched
from monitor.windows import DAY, Windows

KIND: Final = "inventory"
KEYS: Final = "keys"
KEEP: Final = 2 * DAY
"""Seconds that what was found counts. Found again it counts as long again: see `Window.renew`."""


def note_found(windows: Windows, found: Watched, now: float) -> None:
    """One window for each kind of resource and its account, so that none is ever full."""
    for kind in Watched.__struct_fields__:
        for name in getattr(found, kind):
            arn, about = (name.arn, found.keys[name]) if kind == KEYS else (name, "")
            account = arn.split(":")[4]
            window = windows.of(KIND, f"{kind}|{account}")
            window.note(arn, now, kind, about, keep=KEEP)
            if (entry := window.find(arn)) is not None:
                window.renew(entry, now + KEEP)


def found_by_others(windows: Windows) -> Watched:
    """All that any replica noted and that still counts."""
    arns: dict[str, set[str]] = {kind: set() for kind in Watched.__struct_fields__ if kind != KEYS}
    keys: dict[KeyRef, str] = {}
    for window in windows.all_of(KIND):
        for entry in window.entries:
            if entry.what in arns:
                arns[entry.what].add(entry.event_id)
            elif (key := KeyRef.parse(entry.event_id)) is not None:
                keys[key] = entry.about
    return Watched(**{kind: frozenset(found) for kind, found in arns.items()}, keys=keys)

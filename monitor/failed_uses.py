"""Counts who could not use a key, by key: what detectors of failed uses saw, told or not.

In memory only: detectors write nothing for the thousands of calls that fail alike. An incident keeps
the counts that it was told with. A finding never depends on them, so that replay says the same.
"""

from typing import Final

from msgspec.structs import replace

from monitor.evidence import LONGEST, FailedUse
from monitor.key import KeyRef
from monitor.parameters import short

MOST_KEYS: Final = 1000
MOST_USERS: Final = 100
"""Of one key; whoever comes later is not counted."""
MOST_EVENTS: Final = 10_000
"""Events that are known again."""


class FailedUses:
    """Kept by `monitor.knowledge`."""

    def __init__(self) -> None:
        self.counted: dict[str, None] = {}
        """Ids of events, the oldest first: a redelivered one counts once."""
        self.by_key: dict[KeyRef, dict[str, FailedUse]] = {}
        """The order is that of use."""

    def note(
        self, key: KeyRef, who: str, at: float, event_id: str, *, service: bool = False
    ) -> None:
        """An event says that somebody could not use the key, at that time (epoch seconds)."""
        if event_id in self.counted:
            return
        self.counted[event_id] = None
        if len(self.counted) > MOST_EVENTS:
            del self.counted[next(iter(self.counted))]
        users = self.by_key.pop(key, {})
        self.by_key[key] = users
        if len(self.by_key) > MOST_KEYS:
            del self.by_key[next(iter(self.by_key))]
        name = short(who, LONGEST)
        known = users.get(name)
        if known is not None:
            users[name] = replace(
                known,
                count=known.count + 1,
                first_at=min(known.first_at, at),
                last_at=max(known.last_at, at),
            )
        elif len(users) < MOST_USERS:
            users[name] = FailedUse(name, 1, at, at, service)

    def since(self, key: KeyRef, at: float) -> list[FailedUse]:
        """Who could not use it since then. Their counts may reach further back."""
        return [one for one in self.by_key.get(key, {}).values() if one.last_at >= at]

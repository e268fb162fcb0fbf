"""How a look found a trail, a rule, a queue or a topic."""

from enum import StrEnum


class SightFound(StrEnum):
    """A closed list, fit for a metric label."""

    RIGHT = "right"
    WORSE = "worse"
    NEVER_RIGHT = "never_right"
    """It was not in order when it was first seen, nor ever since."""
    UNREADABLE = "unreadable"

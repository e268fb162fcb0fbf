"""How much time an invocation has: Lambda ends it without a word when that is over.

`context.get_remaining_time_in_millis()` says how much is left ("AWS Lambda context object in Python").
"""

from typing import Final, Protocol

from monitor.clock import Clock

UNBOUNDED: Final = 900.0
"""Seconds, where nobody says how much there is: the longest that Lambda gives ("Lambda quotas")."""


class Context(Protocol):
    """What of Lambda's context object is used here."""

    aws_request_id: str
    invoked_function_arn: str

    def get_remaining_time_in_millis(self) -> int: ...


class TimeLeft:
    """The time of one invocation. Seconds."""

    def __init__(
        self, clock: Clock, context: Context | None, *, margin: float, enough: float
    ) -> None:
        """`margin`: kept at the end, to give back what is not done. `enough`: to begin something."""
        given = context.get_remaining_time_in_millis() / 1000 if context is not None else UNBOUNDED
        self.clock = clock
        self.margin = margin
        self.ends_at = clock.monotonic() + given - margin
        self.enough = enough

    @property
    def left(self) -> float:
        """Until what is not done has to be given back; 0 at the least."""
        return max(0.0, self.ends_at - self.clock.monotonic())

    @property
    def may_begin(self) -> bool:
        """Whether there is enough for one more delivery."""
        return self.left >= self.enough

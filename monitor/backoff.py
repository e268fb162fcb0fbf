"""How long to wait before the next try of something that is tried for ever."""

import random


class Backoff:
    """Doubles from `first` to `longest` seconds, each time with jitter of up to half.

    For loops that must notice a stop while they wait, which is why stamina is not used there.
    """

    def __init__(self, first: float = 1.0, longest: float = 60.0) -> None:
        self.first = first
        self.longest = longest
        self.tries = 0

    def reset(self) -> None:
        self.tries = 0

    def next(self) -> float:
        """Seconds to wait now."""
        delay: float = min(self.first * 2.0 ** min(self.tries, 30), self.longest)
        self.tries += 1
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing

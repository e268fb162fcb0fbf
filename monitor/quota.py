"""AWS's request quotas for the calls that put keys back, as token buckets. Pure: the time is handed in.

Each call has a quota of its own for each account and Region, which everybody there shares, whoever attacks included
(aws-facts 3.7; KMS developer guide, "Request quotas"). AWS's bucket holds one second's worth; ours one
call less, for calls that were sent apart may arrive together.
"""

import msgspec

CANCEL = "CancelKeyDeletion"
PER_SECOND = {
    CANCEL: 5.0,
    "EnableKey": 5.0,
    "PutKeyPolicy": 15.0,
    "EnableKeyRotation": 15.0,
    "ImportKeyMaterial": 15.0,
    "CreateAlias": 5.0,
    "UpdateAlias": 5.0,
    "DeleteAlias": 15.0,
    "CreateGrant": 50.0,
    "RevokeGrant": 50.0,
    "TagResource": 10.0,
    "UntagResource": 5.0,
    "UpdateKeyDescription": 5.0,
    "UpdatePrimaryRegion": 5.0,
    "ConnectCustomKeyStore": 5.0,
}
"""Calls a second. What is not in it is not paced."""
SHORTEST = 1e-4
"""Seconds. Less is not worth waiting for: it may be nothing but rounding."""


def most(rate: float) -> float:
    """What a bucket of this rate holds."""
    return max(rate - 1.0, 1.0)


class Bucket(msgspec.Struct):
    """One quota, as far as our own calls have used it."""

    rate: float
    tokens: float
    at: float
    """When `tokens` was right, on a monotonic clock."""

    @classmethod
    def full(cls, rate: float, now: float) -> "Bucket":
        return cls(rate, most(rate), now)

    def fill(self, now: float) -> None:
        gained = max(0.0, now - self.at) * self.rate
        self.tokens = min(most(self.rate), self.tokens + gained)
        self.at = max(self.at, now)

    def wait(self, now: float) -> float:
        """Seconds until a call may go."""
        self.fill(now)
        wait = (1.0 - self.tokens) / self.rate
        return wait if wait > SHORTEST else 0.0

    def take(self, now: float) -> None:
        """A call goes."""
        self.fill(now)
        self.tokens -= 1.0

    def empty(self, now: float) -> None:
        """AWS says that there is nothing left: others have used it."""
        self.fill(now)
        self.tokens = min(self.tokens, 0.0)

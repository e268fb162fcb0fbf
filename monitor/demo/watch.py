"""A simulated KMS that notes when every call took effect: the demo's stopwatch.

Times are taken where the state changes, so they hold neither polling intervals nor the network of
whoever looks.
"""

import time
from typing import Any

import msgspec

from monitor.key import canonical
from monitor.simulator.kms import Kms
from monitor.simulator.words import Caller, Refusal, Reply


class Noted(msgspec.Struct, frozen=True):
    """One call on one key."""

    at: float
    """Seconds of `time.perf_counter`, once the call had taken effect."""
    who: str
    """The user's name."""
    operation: str
    arn: str
    """Empty where KMS refused the call before it looked at a key."""
    state: str
    """The key's state after the call."""
    policy: str
    """The key's policy after the call."""
    reads: bool


class WatchedKms(Kms):
    """The strict KMS, with its calls in `noted`, oldest first."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.noted: list[Noted] = []

    def call(
        self,
        operation: str,
        parameters: dict[str, Any],
        *,
        caller: Caller,
        account: str,
        region: str,
    ) -> Reply:
        reply = super().call(operation, parameters, caller=caller, account=account, region=region)
        arn = next(iter(reply.resources), "")
        state = self.state_of(arn) if arn else ""
        policy = self.policy(arn) if arn else ""
        self._note(caller, operation, arn, state, policy, reads=reply.read_only)
        return reply

    def authorization_error(
        self,
        operation: str,
        parameters: dict[str, Any],
        *,
        caller: Caller,
        account: str,
        region: str,
        why: str,
    ) -> Refusal:
        refusal = super().authorization_error(
            operation, parameters, caller=caller, account=account, region=region, why=why
        )
        self._note(caller, operation, "", "", "", reads=refusal.read_only)
        return refusal

    def _note(
        self, caller: Caller, operation: str, arn: str, state: str, policy: str, *, reads: bool
    ) -> None:
        at = time.perf_counter()
        self.noted.append(Noted(at, caller.user, operation, arn, state, policy, reads))

    def last(self, who: str, operation: str) -> Noted:
        """The latest call of that name by `who`. Raises LookupError if there was none."""
        for one in reversed(self.noted):
            if (one.who, one.operation) == (who, operation):
                return one
        raise LookupError(f"{who} never called {operation}")

    def by(self, who: str, arn: str, since: float) -> list[Noted]:
        """What `who` called on the key `arn` since that moment."""
        return [one for one in self.noted if (one.who, one.arn) == (who, arn) and one.at >= since]

    def unsafe_seconds(self, arn: str, since: float, wanted: str) -> float | None:
        """How long the key was not as wanted, from `since` on; None if it still is not.

        Its policy should be the one that it was made with.
        """
        if self.state_of(arn) != wanted or not self.policy_stands(arn):
            return None
        noted = [one for one in self.noted if one.arn == arn]
        bad_since, total = None, 0.0
        for one in noted:
            right = (one.state, one.policy) == (wanted, noted[0].policy)
            if one.at < since:
                continue
            if not right and bad_since is None:
                bad_since = one.at
            elif right and bad_since is not None:
                total += one.at - bad_since
                bad_since = None
        return total

    def policy_stands(self, arn: str) -> bool:
        """Whether the key has the policy that it was made with."""
        first = next((one.policy for one in self.noted if one.arn == arn), "")
        return self.policy(arn) == first

    def policy(self, arn: str) -> str:
        """As canonical JSON: whoever puts a policy back writes it in a form of its own."""
        text = self.policy_of(arn)
        return canonical(msgspec.json.decode(text)) if text else ""

"""How the parts of a key should be that an event damaged: from the baseline, or from CloudTrail."""

from typing import Any, Final, Literal

import structlog

from monitor.baseline import Baseline, resolved, right_state
from monitor.clock import Clock
from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.finding import Aspect, Finding
from monitor.key import KeyRef, KeyState
from monitor.register import EXPIRY, STATE
from monitor.repair.history import LEADS_TO, state_before, touched_by
from monitor.repair.live import LiveKeys
from monitor.repair.memory import Memory

ASK: Final = (
    "nobody knows how the key should be; say it with"
    " `kms-monitor baseline accept KEY --state Enabled`"
)
NO_ALIAS_TAKEN: Final = (
    "no repair takes an alias away: delete it, or say that it is right with"
    " `kms-monitor baseline accept`"
)
Unknown = Literal["enable", "leave", "ask"]
Wanted = tuple[dict[str, Any], str]
"""Values by register, and what people have to be told because something is not known."""


class Wishes:
    """See the module. `unknown`: what becomes of a key whose right state nobody knows."""

    def __init__(self, keys: LiveKeys, memory: Memory, clock: Clock, unknown: Unknown) -> None:
        self.keys = keys
        self.memory = memory
        self.clock = clock
        self.unknown = unknown
        self.log = structlog.get_logger("repair")

    async def of(self, key: KeyRef, finding: Finding, known: Baseline | None) -> Wanted:
        """How what the event changed should be; nothing where that is not known."""
        if finding.aspect is Aspect.STATE:
            return await self.state(key, finding, known)
        baseline = known or Baseline(key)
        touched = resolved(baseline, touched_by(finding))
        wanted = {name: baseline.value(name) for name in touched if baseline.knows(name)}
        if finding.aspect is Aspect.ALIASES:
            # A key is the worse for an alias that it lost, and none for one that it got.
            wanted = {name: value for name, value in wanted.items() if value is not None}
        if wanted:
            return wanted, ""
        if touched and finding.aspect is Aspect.ALIASES and baseline.knows(next(iter(touched))):
            return {}, NO_ALIAS_TAKEN
        return {}, f"nobody knows how the key's {finding.aspect} was before; nothing was written"

    async def state(self, key: KeyRef, finding: Finding, known: Baseline | None) -> Wanted:
        state, because = right_state(known, finding.event_time, finding.caused), ""
        if state is None and (await self.keys.read(key)).state is not KeyState.GONE:
            # The history allows 2 calls a second: forged keys must not use them up.
            state = await self.in_history(key, finding)
        if state is None:
            state = KeyState.ENABLED if self.unknown == "enable" else KeyState.DISABLED
            because = ASK if self.unknown == "ask" else ""
        wanted: dict[str, Any] = {STATE: state.value}
        if known is not None and known.knows(EXPIRY):
            wanted[EXPIRY] = known.value(EXPIRY)
        return wanted, because

    async def in_history(self, key: KeyRef, finding: Finding) -> KeyState | None:
        """The state that CloudTrail's event history gives the key before the event, if it does."""
        try:
            events = await self.keys.history_of(key, LEADS_TO, finding.event_time)
        except (WorthRetrying, NotWorthRetrying) as error:
            self.log.warning("event history cannot be read", key=key.arn, problem=str(error))
            return None
        state = state_before(events, finding.event_time)
        if state is not None:
            # A moment before the damage, which is later than all that the history knows.
            as_of = min(finding.event_time, self.clock.now()) - 1
            await self.memory.learned(key, {STATE: state.value}, as_of)
        return state

"""What the daemon would have done: a model of each key's state over event time. Pure.

It stands for what a repair asks of the world: the store (which state is right) and KMS (which
state the key is in). In mode `enforce` every repair is taken to succeed, so that a key which was
attacked twice is answered twice, as it would have been.
"""

from typing import Final

from monitor.baseline import Baseline, accepted, right_state
from monitor.clock import Clock
from monitor.decision import Decision, Reason, Verdict
from monitor.finding import Aspect
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.register import STATE
from monitor.repair.plan import plan

WHY: Final = {
    Reason.FAILED_ATTEMPT: "failed attempt",
    Reason.NOTICE: "nothing that a repair undoes",
    Reason.RECOVERY: "somebody took damage back",
    Reason.EVIDENCE: "somebody could not use the key",
    Reason.NO_REPAIRER: "no responder of the settings puts this back",
    Reason.NO_KEY: "the record does not name the key",
    Reason.RECORD_DISAGREES: "the record's account or Region is not the key's",
    Reason.ACCOUNT_NOT_ALLOWED: "the account is not in the settings",
    Reason.REGION_NOT_ALLOWED: "the Region is not in the settings",
    Reason.OWN_CALL: "the daemon's own call",
    Reason.APPROVED_ACTOR: "approved",
    Reason.APPROVED_CHANGE: "approved",
    Reason.ACCEPTED_CHANGE: "a change that is accepted as right",
}
"""In words, for every reason but those of a repair: the two modes and the kill switch."""


class Keys:
    """Every key that history tells of, as it would be had the daemon been there."""

    def __init__(self, clock: Clock, *, repairs: bool) -> None:
        """`repairs`: whether the settings have a responder that repairs."""
        self.clock = clock
        self.repairs = repairs
        self.right: dict[KeyRef, Baseline] = {}
        self.live: dict[KeyRef, KeyState] = {}

    def would(self, decision: Decision) -> str:
        """What would have been done about this decision. Decisions come in order of event time."""
        match decision.verdict:
            case Verdict.DROP:
                return f"would do nothing: {WHY[decision.reason]}"
            case Verdict.TELL:
                return f"would tell only: {WHY[decision.reason]}"
            case Verdict.ACCEPT:
                self.accept(decision)
                return f"would do nothing: {WHY[decision.reason]}"
            case Verdict.REPAIR:
                return self.repair(decision)

    def accept(self, decision: Decision) -> None:
        key, caused = decision.finding.key, decision.finding.caused
        if key is None or caused is None:
            return
        self.live[key] = caused
        self.right[key] = accepted(
            self.right.get(key), key, {STATE: caused.value}, self.clock.now()
        )

    def repair(self, decision: Decision) -> str:
        key = decision.finding.key
        if key is None:  # a trail or its like: its baseline is not in the history
            what = "put it back as its baseline says"
            return f"would {'tell only: mode observe; enforce would ' * decision.dry_run}{what}"
        finding = decision.finding
        if finding.aspect is not Aspect.STATE:
            return self.put_back(decision)
        right = right_state(self.right.get(key), finding.event_time, finding.caused)
        wanted = right or KeyState.ENABLED
        state = finding.caused or self.live.get(key, KeyState.ENABLED)
        self.live[key] = state
        steps = plan(KeySnapshot(key, state, self.clock.now()), {STATE: wanted.value})
        if steps.nothing_to_do:
            return f"would do nothing: {state} is right for this key"
        if not steps.calls:
            return f"would tell only: {steps.wait or '; '.join(steps.impossible)}"
        calls = ", ".join(call.value for call in steps.calls)
        if not self.repairs:
            return "would tell only: the settings name no responder that repairs"
        if decision.dry_run:
            return f"would tell only: mode observe; enforce would call {calls}"
        self.live[key] = wanted
        return f"would call {calls}"

    def put_back(self, decision: Decision) -> str:
        """Damage to all but the state: how it was before only the baseline knows."""
        if not self.repairs:
            return "would tell only: the settings name no responder that repairs"
        what = f"put its {decision.finding.aspect} back as the baseline has it"
        return (
            f"would tell only: mode observe; enforce would {what}"
            if decision.dry_run
            else f"would {what}"
        )

"""What is to be done about a finding, why, and what became of it."""

from enum import StrEnum

import msgspec

from monitor.approval import Approval
from monitor.finding import Finding


class Verdict(StrEnum):
    """What is to be done."""

    REPAIR = "repair"
    """Put the key back, then tell."""
    TELL = "tell"
    """Tell people; write nothing to KMS."""
    ACCEPT = "accept"
    """The change is right: once the live key or CloudTrail confirms it, move the baseline."""
    DROP = "drop"
    """Not ours: count it and do nothing."""


class Reason(StrEnum):
    """Why. A closed list, fit for a metric label."""

    ENFORCE = "enforce"
    OBSERVE = "observe"
    FAILED_ATTEMPT = "failed_attempt"
    NOTICE = "notice"
    RECOVERY = "recovery"
    EVIDENCE = "evidence"
    NO_REPAIRER = "no_repairer"
    """It is damage that no enabled responder can put back."""
    ACCEPTED_CHANGE = "accepted_change"
    APPROVED_ACTOR = "approved_actor"
    APPROVED_CHANGE = "approved_change"
    """An approval covers it: `Decision.approval`."""
    OWN_CALL = "own_call"
    NO_KEY = "no_key"
    RECORD_DISAGREES = "record_disagrees"
    ACCOUNT_NOT_ALLOWED = "account_not_allowed"
    REGION_NOT_ALLOWED = "region_not_allowed"


class Outcome(StrEnum):
    """What became of one action. A closed list, fit for a metric label."""

    DONE = "done"
    """The responder did its work and saw that it took effect."""
    ALREADY = "already"
    """There was nothing to do: the world is as it should be, or the ledger says it was done."""
    WOULD = "would"
    """Mode `observe`: this would have been done."""
    UNCONFIRMED = "unconfirmed"
    """The message says what neither the live key nor CloudTrail confirms; nothing was written."""
    REFUSED = "refused"
    """Impossible for good, such as a key that is gone."""
    DENIED = "denied"
    """AWS refuses us the right."""
    RETRY = "retry"
    """Not yet: it is worth another try."""
    FAILED = "failed"
    """The responder itself broke; the delivery comes again."""

    @property
    def settled(self) -> bool:
        """Whether the delivery may be deleted as far as this action is concerned.

        DENIED is not: rights can be mended, and a message that is never deleted ends in the
        dead-letter queue, where people see it.
        """
        return self not in {Outcome.RETRY, Outcome.FAILED, Outcome.DENIED}


class Action(msgspec.Struct, frozen=True):
    """One responder applied to one decision, and what became of it."""

    responder: str
    outcome: Outcome
    detail: str = ""
    """One sentence for people, such as `CancelKeyDeletion, EnableKey; verified Enabled`."""
    calls: tuple[str, ...] = ()
    """The writing AWS calls that were sent, in order."""
    finished_at: float = 0.0


class Decision(msgspec.Struct, frozen=True):
    """What is to be done about one finding, and, as it is carried out, what was done so far."""

    finding: Finding
    verdict: Verdict
    reason: Reason
    responders: tuple[str, ...] = ()
    """Names, in the order in which they act: repair first, then tell."""
    received_at: float = 0.0
    """When the delivery came in (epoch seconds)."""
    dry_run: bool = False
    """Mode `observe`: judge and tell, write nothing to the guarded account."""
    suppressed: str = ""
    """Why nobody is told: the reason of the suppression that covers the finding."""
    approval: Approval | None = None
    """What covers the change, with the reason APPROVED_CHANGE.

    Whoever accepts the change has to spend it first, with `Store.use`, and undoes the change if that
    is refused.
    """
    done: tuple[Action, ...] = ()
    """The actions carried out so far, so that a responder that tells can say what was done."""

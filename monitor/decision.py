"""What is to be done about a finding, why, and what became of it."""

from enum import StrEnum

import msgspec

from monitor.approval import Approval
from monitor.evidence import Evidence
from monitor.finding import Finding, Severity


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
    WRITES_STOPPED = "writes_stopped"
    """The kill switch is on: `Decision.stopped`."""
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


class Budget(StrEnum):
    """What keeps a fault or a fight from becoming endless. A closed list, fit for a metric label."""

    KEY = "key"
    """Repairs of one key within the window of the settings."""
    ACCOUNT = "account"
    """Repairs in one account within an hour."""
    CONTAINMENT = "containment"
    """Users and roles contained within an hour."""


class Outcome(StrEnum):
    """What became of one action. A closed list, fit for a metric label."""

    DONE = "done"
    """The responder did its work and saw that it took effect."""
    ALREADY = "already"
    """There was nothing to do: the world is as it should be, or the ledger says it was done."""
    WOULD = "would"
    """Mode `observe`, or the kill switch: this would have been done."""
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
    """0: it was not tried, for somebody else was at it."""
    cut_off: bool = False
    """It took too long: nobody knows which calls it had sent."""
    about_caller: bool = False
    """It is about whoever did it, and no repair of the key."""


class Stage(StrEnum):
    """What a finding did to the incident of its key."""

    OPENED = "opened"
    ESCALATED = "escalated"
    """A further bad finding, more severe than those before or of another call."""
    REPEATED = "repeated"
    """A further bad finding of the same."""
    REPAIRED = "repaired"
    """We put right what it told of; something else about the key is still wrong."""
    REPAIR_FAILED = "repair_failed"
    CONTESTED = "contested"
    """It was put back too often within a short time: for now a deletion is cancelled, and no more."""
    CLOSED = "closed"
    """The key is as it should be."""
    UNCHANGED = "unchanged"
    """It is about a key with an incident, and changes nothing about that."""


class IncidentNote(msgspec.Struct, frozen=True):
    """What there is to tell about the incident that a finding belongs to (see `monitor.incident`)."""

    id: str
    stage: Stage
    opened_at: float
    severity: Severity
    """The highest so far."""
    findings: int
    at: float
    """When this was so (epoch seconds)."""
    closed_at: float = 0.0
    """0 while it is open."""
    closed_by: str = ""
    """`us`, the name of whoever called, or `nobody knows`. A name is untrusted."""
    silent: bool = False
    """All its findings are suppressed: nobody was told of it."""
    evidence: Evidence | None = None
    """How much the loss of the key hurts, as far as it was gathered."""
    contested: bool = False
    """The key is put back no more for now: somebody takes it away again and again."""
    actors: tuple[str, ...] = ()
    """Of a contested key: whose calls its findings tell of, the latest first. Untrusted."""


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
    """Mode `observe`, or the kill switch: judge and tell, write nothing to the guarded account."""
    suppressed: str = ""
    """Why nobody is told: the reason of the suppression that covers the finding."""
    approval: Approval | None = None
    """What covers the change, with the reason APPROVED_CHANGE.

    Whoever accepts the change has to spend it first, with `Store.use`, and undoes the change if that
    is refused.
    """
    contested: bool = False
    """A budget of repairs is used up: the repair may cancel a deletion, and nothing else.

    Once it is over this is so only if there was something left that it might not put back.
    """
    budget: Budget | None = None
    """Which one it is."""
    rule: str = ""
    """The rule for response that decided, by its name; "" where none did."""
    rules: tuple[str, ...] = ()
    """The names of all that may have decided: one, but for keys that are not known yet."""
    tiers: tuple[str, ...] = ()
    """The tiers that the key is known to belong to."""
    window: str = ""
    """The maintenance window in which the change is meant, by its name."""
    limits: dict[str, float] = {}
    """Seconds that an action may take, by responder, where a rule says so."""
    listeners: tuple[str, ...] | None = None
    """Who else has to hear of it if it closes an incident; None: everybody who tells."""
    stopped: str = ""
    """Why nothing may be written, though it was to be: the kill switch, in words."""
    done: tuple[Action, ...] = ()
    """The actions carried out so far, so that a responder that tells can say what was done."""
    incident: IncidentNote | None = None
    """The incident of the key, as this finding left it; None where there is none."""

    @property
    def weight(self) -> Severity:
        """How severe it is for whoever wants to hear of worse things only.

        Who heard that an incident is open has to hear that it is closed, too, and that it has become
        a fight.
        """
        incident, severity = self.incident, self.finding.severity
        if incident is not None and incident.stage in {Stage.CLOSED, Stage.CONTESTED}:
            return max(severity, incident.severity)
        return severity

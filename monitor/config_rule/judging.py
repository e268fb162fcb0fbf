"""What is wrong with a key, the worst first, as a verdict of AWS Config. Pure.

The judgement is the daemon's: the state by the repair plan, as the sweep does it, and the policy as the
detector `key_policy_changed` does it. But a rule judges how a key is, not what became of it: what is
dangerous in itself counts even where the daemon found it so at first sight, until somebody accepts it.
"""

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from monitor.baseline import Baseline, Origin
from monitor.clock import iso
from monitor.config_rule.parameters import RuleParameters
from monitor.errors import MonitorError, Unreadable
from monitor.finding import Severity
from monitor.key import KeySnapshot, KeyState
from monitor.key_policy.answers import Trust
from monitor.key_policy.dangers import closed, opened
from monitor.key_policy.document import parse
from monitor.register import POLICY, ROTATION, STATE
from monitor.repair.plan import IN_BETWEEN, differs
from monitor.telling.headline import clean

LONGEST: Final = 256
"""Characters of an annotation (aws-facts 4.6)."""
DAY: Final = 86_400.0
MANAGED: Final = "an AWS managed key, which is left alone"
DELETED: Final = "the key does not exist any more"
OTHER: Final = "only keys (AWS::KMS::Key) are judged here"
LEFT: Final = "the key is not in the scope of the rule any more"
ACCEPTED: Final = frozenset({Origin.ACCEPTED, Origin.PEOPLE})
"""How a value that somebody stood up for became known."""


class Compliance(StrEnum):
    """What a verdict may be. A closed list, fit for a metric label."""

    COMPLIANT = "COMPLIANT"
    NON_COMPLIANT = "NON_COMPLIANT"
    NOT_APPLICABLE = "NOT_APPLICABLE"


class Verdict(msgspec.Struct, frozen=True):
    """About one resource. `at`: when it was so, epoch seconds."""

    resource_type: str
    resource_id: str
    compliance: Compliance
    annotation: str
    at: float


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a key."""

    severity: Severity
    words: str


class Standards(msgspec.Struct, frozen=True):
    """What keys are held against."""

    parameters: RuleParameters
    trust: Trust
    """Whom a key policy may let in, but for the key's own account."""
    roles: frozenset[str] = frozenset()
    """Our own, which no policy may shut out."""
    our_actions: tuple[str, ...] = ()
    """What they must be able to do."""


def judge(
    live: KeySnapshot,
    known: Baseline | None,
    standards: Standards,
    now: float,
    unread: Mapping[str, MonitorError],
) -> tuple[Compliance, str]:
    """The verdict about a key of the customer's, with its annotation.

    `unread`: by the name of the call, why a part of it could not be read. What nobody could look at
    is not called right.
    """
    if live.state is KeyState.GONE:
        return Compliance.NOT_APPLICABLE, DELETED
    if not live.customer_managed:
        return Compliance.NOT_APPLICABLE, MANAGED
    found = [*state_faults(live, known, standards.parameters)]
    found += policy_faults(live, known, standards, unread)
    found += rotation_faults(live, known, standards.parameters)
    found += expiry_faults(live, standards.parameters, now)
    found += unread_faults(unread)
    if not found:
        return Compliance.COMPLIANT, f"{live.state}; nothing that counts is wrong"
    return Compliance.NON_COMPLIANT, annotation(found)


def unreadable(error: MonitorError, recorded: str = "") -> tuple[Compliance, str]:
    """The verdict about a key that we may not even look at: from which its guard is shut out.

    `recorded`: the state that Config's item has, which is a hint and no more.
    """
    words = f"cannot be judged: {reason(error)}"
    if recorded and recorded != KeyState.ENABLED:
        words = f"{recorded} when AWS Config looked; {words}"
    return Compliance.NON_COMPLIANT, shortened(words)


def annotation(faults: Iterable[Fault]) -> str:
    """What is wrong, the worst first, in as many characters as an annotation has."""
    ordered = sorted(faults, key=lambda one: -one.severity)
    return shortened("; ".join(dict.fromkeys(one.words for one in ordered)))


def shortened(words: str) -> str:
    """Names in a policy are untrusted, and may be long."""
    return clean(words, LONGEST)


def reason(error: MonitorError) -> str:
    return getattr(error, "code", "") or str(error)


def accepted(known: Baseline | None, name: str, parameters: RuleParameters) -> bool:
    """Whether somebody stood up for the value of this register."""
    register = known.registers.get(name) if known else None
    return parameters.accepted_is_right and register is not None and register.origin in ACCEPTED


def state_faults(
    live: KeySnapshot, known: Baseline | None, parameters: RuleParameters
) -> Iterable[Fault]:
    """What is worse than Enabled, or than the state that somebody accepted."""
    wanted = KeyState.ENABLED
    if accepted(known, STATE, parameters) and known is not None and known.state is not None:
        wanted = known.state
    if live.state in IN_BETWEEN or not differs(live, STATE, wanted.value):
        return
    match live.state:
        case KeyState.PENDING_DELETION if parameters.pending_deletion:
            date = f", gone for good at {iso(live.deletion_date)}" if live.deletion_date else ""
            yield Fault(Severity.CRITICAL, f"scheduled for deletion{date}")
        case KeyState.PENDING_REPLICA_DELETION if parameters.pending_deletion:
            yield Fault(Severity.CRITICAL, "scheduled for deletion once its replicas are gone")
        case KeyState.PENDING_IMPORT if parameters.material_missing:
            yield Fault(Severity.CRITICAL, "its imported key material is missing")
        case KeyState.DISABLED if parameters.disabled:
            yield Fault(Severity.HIGH, "disabled")
        case KeyState.UNAVAILABLE if parameters.unavailable:
            yield Fault(Severity.HIGH, "its custom key store cannot be reached")


def policy_faults(
    live: KeySnapshot,
    known: Baseline | None,
    standards: Standards,
    unread: Mapping[str, MonitorError],
) -> list[Fault]:
    """What the policy is dangerous for: in itself, and beside the one that was there before."""
    counts = standards.parameters.policy_unsafe and live.state not in IN_BETWEEN
    if not counts or "GetKeyPolicy" in unread:
        return []
    try:
        policy = parse(live.policy)
    except Unreadable as error:
        return [Fault(Severity.HIGH, f"its policy cannot be understood: {error}")]
    before = None
    if known is not None and known.value(POLICY) is not None:
        try:
            before = parse(known.value(POLICY))
        except Unreadable:
            before = None
    key, arn = live.key, live.key.arn
    meant = before if accepted(known, POLICY, standards.parameters) else None
    mine = msgspec.structs.replace(
        standards.trust, accounts=standards.trust.accounts | {key.account}
    )
    dangers = opened(policy, arn, mine, meant)
    for one in [meant] if meant is before else [meant, before]:
        dangers += closed(
            policy,
            arn,
            key.account,
            one,
            roles=standards.roles,
            our_actions=standards.our_actions,
        )
    return [Fault(one.severity, f"key policy: {one.words}") for one in dangers]


def rotation_faults(
    live: KeySnapshot, known: Baseline | None, parameters: RuleParameters
) -> Iterable[Fault]:
    """Rotation that is off, where KMS could rotate the key: KMS says `off` of all others, too."""
    if live.rotation_days != 0 or not rotates(live):
        return
    was = known.value(ROTATION) if known else None
    match parameters.rotation_off:
        case "true" if not accepted(known, ROTATION, parameters) or was:
            yield Fault(Severity.MEDIUM, "its automatic rotation is off")
        case "changed" if was:
            yield Fault(
                Severity.MEDIUM, f"its automatic rotation, every {was} days, was switched off"
            )


def rotates(live: KeySnapshot) -> bool:
    """Whether KMS itself can rotate the key: a symmetric one with material of KMS's own."""
    return (live.spec, live.origin) == ("SYMMETRIC_DEFAULT", "AWS_KMS")


def expiry_faults(live: KeySnapshot, parameters: RuleParameters, now: float) -> Iterable[Fault]:
    """Imported material that runs out soon."""
    days = parameters.material_expiring_days
    if live.valid_to is None or not days or live.state is KeyState.PENDING_IMPORT:
        return
    left = live.valid_to - now
    if left < days * DAY:
        severity = Severity.CRITICAL if left < DAY else Severity.HIGH
        whole = max(0, math.floor(left / DAY))
        yield Fault(
            severity, f"its imported key material expires in {whole} days, at {iso(live.valid_to)}"
        )


PARTS: Final = {"GetKeyPolicy": "its key policy", "GetKeyRotationStatus": "its rotation"}


def unread_faults(unread: Mapping[str, MonitorError]) -> Iterable[Fault]:
    for call, error in unread.items():
        part = PARTS.get(call, call)
        yield Fault(Severity.HIGH, f"{part} cannot be judged: {reason(error)}")

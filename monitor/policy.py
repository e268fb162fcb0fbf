"""What is to be done about a finding, and why. Pure: no I/O, no clock.

A message is a hint: the account and the Region must be in the settings' allow-list, and the key's
ARN must agree with the record, before anything at all is written. Whether the key's state is
really bad is not judged here but by the responder that would write, at the moment of writing.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from monitor.approval import Approval, NeverApprove, matches
from monitor.arns import account_of
from monitor.decision import Decision, Reason, Verdict
from monitor.finding import Actor, Aspect, Finding, Kind
from monitor.key import KeyRef
from monitor.maintenance import Maintenance
from monitor.response_rules import Course, ResponseRule, course, may_have_heard
from monitor.sight.mending import MENDING
from monitor.suppression import Suppression
from monitor.tiers import Tier, graded, tiers_of


class Mode(StrEnum):
    """There is no default: the settings must say which."""

    OBSERVE = "observe"
    """Judge and tell, write nothing."""
    ENFORCE = "enforce"
    """Put keys back."""


class Rules(msgspec.Struct, frozen=True):
    """What the policy judges by, from the settings and from what AWS calls us."""

    mode: Mode
    places: frozenset[tuple[str, str]]
    """The allowed pairs of account and Region."""
    trusted_accounts: frozenset[str] = frozenset()
    """Accounts that are ours though no key is guarded there, such as the organization's own."""
    repairers: tuple[str, ...] = ()
    """Those that put keys back."""
    sight_repairers: tuple[str, ...] = ()
    """Those that put back what we see by."""
    tellers: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()
    """Those that run."""
    modes: dict[str, Mode] = {}
    """By detector, where it differs from `mode`."""
    approved_actors: tuple[str, ...] = ()
    """Patterns over the ARN of a user or of a role (its own ARN, path included)."""
    never_approve: NeverApprove = NeverApprove()
    """Keys that neither an approved actor nor an approval may change."""
    aspects: frozenset[Aspect] = frozenset({Aspect.STATE})
    """What of a key the repairers can put back."""
    aspects_of: dict[str, frozenset[Aspect]] = {}
    """What each repairer can put back, for rules that name only some; one that is not here: all."""
    response: tuple[ResponseRule, ...] = ()
    """The first that matches decides who responds, and how."""
    tiers: Mapping[str, Tier] = {}
    maintenance: tuple[Maintenance, ...] = ()
    suppressions: tuple[Suppression, ...] = ()
    own_arns: frozenset[str] = frozenset()
    """How our own calls show in CloudTrail: a user's ARN, or a session's without its name."""


ONLY_TOLD = {
    Kind.ATTEMPT: Reason.FAILED_ATTEMPT,
    Kind.NOTICE: Reason.NOTICE,
    Kind.RECOVERY: Reason.RECOVERY,
    Kind.EVIDENCE: Reason.EVIDENCE,
}
EXPECTED_OF_US = frozenset({Kind.CHANGE, Kind.NOTICE, Kind.RECOVERY})
"""What our own calls may show as. Damage by our own identity is damage: somebody else may be it."""


class Right(msgspec.Struct, frozen=True):
    """Why damage counts as meant."""

    reason: Reason
    approval: Approval | None = None
    """The approval that says so."""
    window: str = ""
    """The maintenance window that says so, by its name."""


def decide(
    finding: Finding,
    rules: Rules,
    approvals: Iterable[Approval] = (),
    *,
    hurried: bool = False,
) -> Decision:
    """Turn a finding into a decision. A suppressed one is repaired like any other, and not told.

    `approvals` are those that may cover it: see `monitor.approvals`. `hurried`: it is a deletion
    with a short waiting period, for which no maintenance window is open.
    """
    finding = graded(finding, rules.tiers)
    way = course_of(finding, rules)
    decision = replace(
        judge(finding, rules, way, why_right(finding, rules, approvals, hurried=hurried)),
        rule=way.rule,
        rules=way.rules,
        limits=way.limits,
        tiers=tiers_of(finding, rules.tiers),
        listeners=listeners(finding, rules),
    )
    reason = next((one.reason for one in rules.suppressions if one.covers(finding)), "")
    if not reason or decision.verdict is Verdict.DROP:
        return decision
    left = tuple(name for name in decision.responders if name not in rules.tellers)
    return replace(decision, responders=left, suppressed=reason)


def judge(finding: Finding, rules: Rules, way: Course, right: Right | None) -> Decision:
    """The decision, whoever is to be told."""
    if (reason := not_ours(finding, rules)) is not None:
        return Decision(finding, Verdict.DROP, reason)
    if finding.kind in ONLY_TOLD:
        return Decision(finding, Verdict.TELL, ONLY_TOLD[finding.kind], way.tellers)
    if finding.sight:
        return judge_sight(finding, rules, way)
    if finding.key is None:
        return Decision(finding, Verdict.TELL, Reason.NO_KEY, way.tellers)
    if not agrees(finding):
        return Decision(finding, Verdict.TELL, Reason.RECORD_DISAGREES, way.tellers)
    why = right.reason if right else Reason.NO_REPAIRER
    approval, window = (right.approval, right.window) if right else (None, "")
    told = Decision(finding, Verdict.TELL, why, way.tellers, approval=approval, window=window)
    if finding.kind is not Kind.CHANGE and finding.aspect not in rules.aspects:
        return told
    able = can_repair(finding.aspect, rules, way)
    # Whoever repairs keeps the memory of what is right, too: no rule takes that away.
    accepted = replace(told, verdict=Verdict.ACCEPT, dry_run=way.observe or not able)
    if finding.kind is Kind.CHANGE:
        return replace(accepted, reason=Reason.ACCEPTED_CHANGE, responders=rules.repairers)
    if right is not None:
        return replace(accepted, responders=rules.repairers + way.tellers)
    if not able:
        return told
    reason = Reason.OBSERVE if way.observe else Reason.ENFORCE
    who = way.repairers + way.tellers
    return Decision(finding, Verdict.REPAIR, reason, who, dry_run=way.observe)


def course_of(finding: Finding, rules: Rules) -> Course:
    """Who is to respond and how, by the rules, else by the detector's mode, else by the whole's."""
    return course(
        finding,
        rules.response,
        rules.tiers,
        observe=rules.modes.get(finding.detector, rules.mode) is Mode.OBSERVE,
        repairers=rules.sight_repairers if finding.sight else rules.repairers,
        tellers=rules.tellers,
    )


def can_repair(aspect: Aspect, rules: Rules, way: Course) -> bool:
    """Whether any repairer that may respond can put it back; all together can."""
    return way.repairers == rules.repairers or any(
        aspect in rules.aspects_of.get(name, rules.aspects) for name in way.repairers
    )


def listeners(finding: Finding, rules: Rules) -> tuple[str, ...] | None:
    """Who has to hear of it if it closes an incident; None: everybody who tells."""
    if not rules.response:
        return None
    return may_have_heard(finding, rules.response, rules.tiers, rules.tellers)


def judge_sight(finding: Finding, rules: Rules, way: Course) -> Decision:
    """The decision about a change to what we see by. Only an approved actor moves its baseline.

    It may be in any Region, such as the home Region of a trail, but nothing is written in another
    account than those that are guarded.
    """
    change = finding.kind is Kind.CHANGE
    right = Reason.APPROVED_ACTOR if is_approved(finding.actor, rules) else None
    told = () if change else way.tellers
    guarded = account_of(finding.resource) in {account for account, _ in rules.places}
    if change and right is None:
        return Decision(finding, Verdict.TELL, Reason.NOTICE)
    if not (way.repairers and guarded):
        return Decision(finding, Verdict.TELL, right or Reason.NO_REPAIRER, told)
    verdict = Verdict.ACCEPT if right else Verdict.REPAIR
    reason = right or (Reason.OBSERVE if way.observe else Reason.ENFORCE)
    return Decision(finding, verdict, reason, way.repairers + told, dry_run=way.observe)


def why_right(
    finding: Finding, rules: Rules, approvals: Iterable[Approval], *, hurried: bool
) -> Right | None:
    """Why damage counts as meant; of several approvals by the one that was spent for it."""
    key = finding.key
    if key is None or rules.never_approve.holds(key, finding.aliases, finding.tags):
        return None
    if is_approved(finding.actor, rules):
        return Right(Reason.APPROVED_ACTOR)
    if (window := open_window(finding, rules, hurried=hurried)) is not None:
        # Whatever confirms an approved actor's changes confirms these, too: only for a while he is one.
        return Right(Reason.APPROVED_ACTOR, window=window.name)
    covering = sorted(
        (one for one in approvals if one.covers(finding)),
        key=lambda one: (not one.used_by(finding.event_id), one.until),
    )
    return Right(Reason.APPROVED_CHANGE, covering[0]) if covering else None


def open_window(finding: Finding, rules: Rules, *, hurried: bool) -> Maintenance | None:
    """The maintenance window in which the change is meant. What is not known of a key keeps it shut."""
    key = finding.key
    if finding.kind is not Kind.DAMAGE or key is None or hurried or not rules.maintenance:
        return None
    if rules.never_approve.holds(key, finding.known_aliases, finding.known_tags):
        return None
    return next((one for one in rules.maintenance if one.covers(finding, rules.tiers)), None)


def may_be_meant(
    key: KeyRef,
    aliases: Iterable[str] | None,
    tags: Mapping[str, str] | None,
    rules: Rules,
    *,
    at: float,
    before: float,
) -> bool:
    """Whether a change to the key, in so many seconds before a moment, may be one of a window."""
    if not rules.maintenance or rules.never_approve.holds(key, aliases, tags):
        return False
    return any(
        one.is_about(key, aliases, tags, rules.tiers) is not False
        and one.open_at(at, before=before)
        for one in rules.maintenance
    )


def not_ours(finding: Finding, rules: Rules) -> Reason | None:
    """Why nothing at all is to be done; None where it concerns us."""
    account = finding.key.account if finding.key else finding.account
    region = finding.key.region if finding.key else finding.region
    about_resource = finding.key is None and bool(finding.resource)
    trusted = about_resource and account in rules.trusted_accounts
    if not trusted and all(account != place[0] for place in rules.places):
        return Reason.ACCOUNT_NOT_ALLOWED
    # What our sight and our rights rest on may be anywhere: IAM tells of its calls in us-east-1
    # alone, Organizations in the account that is its head.
    if not about_resource and (account, region) not in rules.places:
        return Reason.REGION_NOT_ALLOWED
    mended = finding.sight and finding.event_name in MENDING
    if (mended or finding.kind in EXPECTED_OF_US) and is_own(finding.actor, rules):
        return Reason.OWN_CALL
    return None


def agrees(finding: Finding) -> bool:
    """Whether the key's ARN agrees with the account and Region that the record itself names.

    Of a call across accounts the caller's account has a record, too (aws-facts 1.3).
    """
    key = finding.key
    return key is not None and (
        finding.account in {"", key.account, finding.actor.account}
        and finding.region in {"", key.region}
    )


def is_own(actor: Actor, rules: Rules) -> bool:
    """Whether the call was ours. A role's sessions differ by pod, so their names do not count."""
    return bool(actor.arn) and own_form(actor.arn) in rules.own_arns


def own_form(arn: str) -> str:
    """A session's ARN without the session's name; any other ARN as it is."""
    return arn.rpartition("/")[0] if ":assumed-role/" in arn else arn


def is_approved(actor: Actor, rules: Rules) -> bool:
    """Whether the settings name this user, or this role; a session by its issuer."""
    return any(matches(actor, pattern) for pattern in rules.approved_actors)

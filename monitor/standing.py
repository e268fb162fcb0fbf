"""Whether new labels of a key would weaken what the settings do for it. Pure.

Tiers, rules, windows and suppressions know keys by their tags and aliases. Whoever may tag a key, or
name it, could so have it be watched only, or open a window for it, and damage it afterwards. So such a
change counts as damage itself: it is put back, unless somebody meant it who may.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from monitor.finding import Aspect, Finding, Kind, Severity
from monitor.key_patterns import by_all_tags, by_name
from monitor.policy import Rules, course_of
from monitor.register import ALIAS, TAG, cut
from monitor.suppression import Suppression
from monitor.tiers import tiers_of

YOUNG: Final = 3600.0
"""Seconds. So long a key that is new to us may get its first labels, whatever they say."""
MOST_WORDS: Final = 3
ADVICE: Final = (
    "Find out whether whoever did it was meant to, and what the same caller did to the key since.",
    "If it is right, say so beforehand with kms-monitor approve, or now with kms-monitor baseline accept.",
)


def minded(finding: Finding, rules: Rules) -> Finding:
    """The finding; as damage, where the change would weaken what the settings do for the key."""
    why = weakened(finding, rules)
    if not why:
        return finding
    said = "; ".join(why[:MOST_WORDS])
    return replace(
        finding,
        kind=Kind.DAMAGE,
        severity=Severity.HIGH,
        title=f"Label that weakens what is done for a KMS key: {said}"[:160],
        details=finding.details | {"weakened": said},
        advice=ADVICE,
    )


def weakened(finding: Finding, rules: Rules) -> list[str]:
    """In what a change of tags or aliases would weaken the key's standing, in words."""
    tags, aliases = finding.known_tags, finding.known_aliases
    labels = finding.aspect in {Aspect.TAGS, Aspect.ALIASES}
    if finding.kind is not Kind.CHANGE or not labels or tags is None or aliases is None:
        return []
    after_tags = tags | cut(finding.changes, TAG)
    names = dict.fromkeys(aliases) | {
        name: None for name, there in finding.changes.items() if name.startswith(ALIAS) and there
    }
    after = replace(
        finding,
        tags={name: value for name, value in after_tags.items() if value is not None},
        aliases=tuple(names),
    )
    return [*lost(finding, after, rules), *gained(finding, after, rules)]


def lost(before: Finding, after: Finding, rules: Rules) -> Iterator[str]:
    """What protects the key now, and would not any more."""
    for tier in tiers_of(before, rules.tiers):
        if tier not in tiers_of(after, rules.tiers):
            yield f"it would leave tier {tier}"
    if never(before, rules) and not never(after, rules):
        yield "its changes could be approved"
    for one, other in zip(probes(before, rules), probes(after, rules), strict=True):
        was, now = course_of(one, rules), course_of(other, rules)
        if now.observe and not was.observe:
            yield f"by rule {now.rule or 'none'} it would only be observed"
            return
        if set(was.repairers) - set(now.repairers) or (was.tellers and not now.tellers):
            yield f"by rule {now.rule or 'none'} fewer would respond"
            return


def gained(before: Finding, after: Finding, rules: Rules) -> Iterator[str]:
    """What lets damage to the key pass, and does not yet."""
    for window in rules.maintenance:
        key = before.key
        if key is None:
            continue
        was = window.is_about(key, before.aliases, before.tags, rules.tiers)
        if window.is_about(key, after.aliases, after.tags, rules.tiers) and not was:
            yield f"maintenance window {window.name} would be about it"
    for one in rules.suppressions:
        if silences(one, after) and not silences(one, before):
            yield "it would be silenced"
            return


def never(finding: Finding, rules: Rules) -> bool:
    return finding.key is not None and rules.never_approve.holds(
        finding.key, finding.aliases, finding.tags
    )


def probes(finding: Finding, rules: Rules) -> Iterator[Finding]:
    """Damage to the key of every kind that the settings tell from others."""
    severities = {Severity.CRITICAL: None} | {rule.lowest: None for rule in rules.response}
    for detector in told_apart(rules):
        for severity in severities:
            yield replace(finding, kind=Kind.DAMAGE, detector=detector, severity=severity)


def told_apart(rules: Rules) -> Iterable[str]:
    """Of all detectors that the rules and the modes do not tell from one another, one."""
    alike: dict[tuple[object, ...], str] = {}
    for name in rules.detectors:
        taken = tuple(rule.takes(name) for rule in rules.response)
        alike.setdefault((rules.modes.get(name), taken), name)
    return alike.values()


def silences(one: Suppression, finding: Finding) -> bool:
    """Whether the key is one that it silences, whoever does whatever."""
    if finding.key is None or not one.active(finding.event_time):
        return False
    named = not one.keys or by_name(one.keys, finding.key, finding.aliases) is True
    accounts = not one.accounts or finding.key.account in one.accounts
    return named and accounts and by_all_tags(one.tags, finding.tags) is True

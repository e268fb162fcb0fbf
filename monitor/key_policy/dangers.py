"""What is dangerous about a key policy, each as one sentence with its severity."""

from collections.abc import Iterable

import msgspec

from monitor.arns import account_of
from monitor.finding import Severity
from monitor.iam_policy.document import Policy
from monitor.key_policy.access import Right
from monitor.key_policy.actions import CONTROL, as_object, in_words
from monitor.key_policy.answers import (
    PUT,
    Trust,
    administrators,
    foreigners,
    held,
    lost_by_administrators,
    open_to_all,
    organizations,
    our_rights,
    shut_out,
)

HARMLESS = ("kms:describe", "kms:get", "kms:list", "kms:verify")
PUTS_BACK = ("kms:cancelkeydeletion", "kms:enablekey")
USES = frozenset(
    f"kms:{name}"
    for name in (
        *("decrypt", "derivesharedsecret", "encrypt", "generatedatakey"),
        *("generatedatakeywithoutplaintext", "generatemac", "reencryptfrom", "reencryptto", "sign"),
    )
)
"""What programs need a key for: without it the key is as good as disabled."""
LONGEST_NAME = 120


class Danger(msgspec.Struct, frozen=True):
    severity: Severity
    words: str


def opened(
    policy: Policy, arn: str, trust: Trust, before: Policy | None = None, *, fresh: bool = False
) -> list[Danger]:
    """Who is let in that should not be. What `before`, the baseline, allowed as well is left out.

    Only for everybody nothing is left out. `fresh`: a key that has yet encrypted nothing.
    """
    found = []
    if everybody := open_to_all(policy, arn):
        grave = CONTROL if fresh else {one for one in everybody if not one.startswith(HARMLESS)}
        severity = Severity.CRITICAL if everybody & grave else Severity.HIGH
        found.append(Danger(severity, f"everybody may {in_words(everybody)}"))
    knew = foreigners(before, trust, arn) if before else {}
    for name, actions in foreigners(policy, trust, arn).items():
        if new := actions - knew.get(name, frozenset()):
            found.append(Danger(Severity.HIGH, f"{outsider(name)} may {in_words(new)}"))
    # Nothing else tells us which organization is ours.
    if trust.organizations or before:
        known = organizations(before, trust, arn) if before else {}
        for name, actions in organizations(policy, trust, arn).items():
            if new := actions - known.get(name, frozenset()):
                words = f"every account of organization {name[:40]} may {in_words(new)}"
                found.append(Danger(Severity.HIGH, words))
    return found


def closed(
    policy: Policy,
    arn: str,
    account: str,
    before: Policy | None = None,
    *,
    roles: Iterable[str],
    our_actions: Iterable[str],
) -> list[Danger]:
    """Who is shut out that must not be: we, the account itself, whoever ruled the key before."""
    found = []
    ours, needed = sorted(roles), sorted(one.lower() for one in our_actions)
    was = our_rights(before, ours, account, needed, arn) if before else {}
    rights = our_rights(policy, ours, account, needed, arn)
    if not rights:
        found += denied_to_whoever(policy, arn, account, before)
    bad = {Right.DENIED, Right.DROPPED}
    new = [one for one in needed if was.get(one) not in bad]
    if denied := [one for one in new if rights.get(one) is Right.DENIED]:
        found.append(Danger(Severity.CRITICAL, f"kms-monitor is denied {as_object(denied)}"))
    if dropped := [one for one in new if rights.get(one) is Right.DROPPED]:
        found.append(Danger(Severity.CRITICAL, f"kms-monitor may no longer {in_words(dropped)}"))
    unsure = [
        one for one in needed if rights.get(one) is Right.UNKNOWN and was.get(one) is Right.KEPT
    ]
    if unsure:
        words = f"only under a new condition may kms-monitor {in_words(unsure)}"
        found.append(Danger(Severity.HIGH, words))
    if not administrators(policy, arn) and (before is None or administrators(before, arn)):
        found.append(Danger(Severity.CRITICAL, "nobody may PutKeyPolicy any more"))
    elif before is None and PUT not in held(policy, arn, sure=True).get(account, frozenset()):
        words = "the account itself (its root) has no say: no statement lets it PutKeyPolicy"
        found.append(Danger(Severity.HIGH, words))
    if before is not None:
        still = held(policy, arn, sure=False)
        for name, actions in lost_by_administrators(before, policy, arn).items():
            who = insider(name, account)
            if actions <= still.get(name, frozenset()):
                words = f"only under a new condition may {who} {in_words(actions)}"
                found.append(Danger(Severity.MEDIUM, words))
            else:
                found.append(Danger(Severity.HIGH, f"{who} may no longer {in_words(actions)}"))
        found += useless(policy, arn, account, before)
    return found


def useless(policy: Policy, arn: str, account: str, before: Policy) -> list[Danger]:
    """Whose use of the key is denied: to lock programs out is to disable the key for them.

    That somebody's right is only dropped is every day's work, unless nobody is left who has it.
    """
    found = []
    certain, perhaps = shut_out(before, policy, account, USES, arn)
    for name, actions in certain.items():
        found.append(Danger(Severity.HIGH, f"{user(name)} is denied {as_object(actions)}"))
    for name, actions in perhaps.items():
        words = f"under a new condition {user(name)} is denied {as_object(actions)}"
        found.append(Danger(Severity.MEDIUM, words))
    had, has = (frozenset().union(*held(one, arn, sure=False).values()) for one in (before, policy))
    if left_to_nobody := (had & USES) - has:
        words = f"nobody may {in_words(left_to_nobody)} any more"
        found.append(Danger(Severity.HIGH, words))
    return found


def denied_to_whoever(
    policy: Policy, arn: str, account: str, before: Policy | None
) -> list[Danger]:
    """Where none of our roles is known: what is denied to a role of which nobody has heard.

    Nobody forbids everybody to put a key back, unless it is to stay away.
    """
    someone = [f"arn:aws:iam::{account}:role/kms-monitor-{account}"]
    was = our_rights(before, someone, account, PUTS_BACK, arn) if before else {}
    now = our_rights(policy, someone, account, PUTS_BACK, arn)
    new = [
        one
        for one in PUTS_BACK
        if now.get(one) is Right.DENIED and was.get(one) is not Right.DENIED
    ]
    words = f"whoever is not spared by name is denied {as_object(new)}"
    return [Danger(Severity.HIGH, words)] if new else []


def user(name: str) -> str:
    return outsider(name) if name else "whoever is not spared by name"


def outsider(name: str) -> str:
    return f"account {name}" if account_of(name) == name else name[:LONGEST_NAME]


def insider(name: str, account: str) -> str:
    return f"the account itself ({name})" if name == account else outsider(name)

"""What people ask of a key policy: is it public, who else is let in, and who is shut out.

`arn` is the key's; "" where it has none yet.
"""

from collections import defaultdict
from collections.abc import Iterable
from fnmatch import fnmatchcase
from itertools import count

import msgspec

from monitor.arns import account_of
from monitor.iam_policy.callers import (
    ACCOUNT_KEYS,
    ORGANIZATION_KEYS,
    Caller,
    applies,
    direct_caller,
    holds,
)
from monitor.iam_policy.document import Policy, Principal, Statement
from monitor.key_policy.access import Right, may, right

PUT = "kms:putkeypolicy"
MOST_USERS = 50
"""Of whom it is asked what they are denied: a policy may name hundreds, and deny each as often."""
Held = dict[str, frozenset[str]]
"""Actions by a principal's name, or an account or organization."""


class Trust(msgspec.Struct, frozen=True):
    """Who may be let in without a word."""

    accounts: frozenset[str] = frozenset()
    principals: tuple[str, ...] = ()
    """Patterns over ARNs."""
    organizations: frozenset[str] = frozenset()


def strangers(policy: Policy) -> list[Caller]:
    """Callers of whom the policy says nothing by name, so that what they may, everybody may.

    There are ten, with account ids all over, for a pattern such as `0*` may spare one of them.
    """
    text = repr(policy)
    found = []
    for digit in range(10):
        number = next(n for n in count(digit) if f"{digit}{n:011d}" not in text)
        while f"o-{digit}{number:09d}" in text:
            number += 1
        found.append(Caller(f"{digit}{number:011d}", organization=f"o-{digit}{number:09d}"))
    return found


def open_to_all(policy: Policy, arn: str) -> frozenset[str]:
    """What everybody may do; empty for a policy that is not public."""
    if not any(one.allow and one.for_all for one in policy.statements):
        return frozenset()
    return frozenset().union(*(may(policy, one, arn) for one in strangers(policy)))


def foreigners(policy: Policy, trust: Trust, arn: str) -> Held:
    """The accounts and principals outside, named by the policy, and what each may do."""
    found: Held = {}
    for name, caller in sorted(outside(policy, trust, arn).items()):
        if allowed := may(policy, caller, arn):
            found[name] = allowed
    return found


def outside(policy: Policy, trust: Trust, arn: str) -> dict[str, Caller]:
    """Whoever is named, as a principal or in a condition, and belongs to no trusted account."""
    about = policy.about(arn)
    named = {one for each in about if each.allow and not each.others for one in each.principals}
    accounts: set[str] = set()
    if any(one.allow and one.for_all for one in about):
        # Everybody, but some conditions narrow that down, or denials spare only whom they name.
        accounts = {account for one in about for account in accounts_in_conditions(one)}
        named |= {one for each in about if each.others for one in each.principals}
    callers = {account: Caller(account) for account in accounts}
    for one in named:
        if one.account and not any(fnmatchcase(one.name, good) for good in trust.principals):
            callers[one.name] = caller_of(one)
    return {name: one for name, one in callers.items() if one.account not in trust.accounts}


def accounts_in_conditions(statement: Statement) -> set[str]:
    keys = ACCOUNT_KEYS | {"aws:principalarn", "aws:sourceaccount", "aws:sourcearn"}
    values = (value for one in statement.conditions if one.key in keys for value in one.values)
    return {account for value in values if (account := account_of(value))}


def organizations(policy: Policy, trust: Trust, arn: str) -> Held:
    """The organizations whose every account is let in, and what they may do."""
    found: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
    for statement in policy.about(arn):
        if not statement.allow or not statement.for_all:
            continue
        for condition in statement.conditions:
            if condition.key in ORGANIZATION_KEYS and "not" not in condition.operator:
                for value in condition.values:
                    found[value.partition("/")[0]] |= statement.actions
    return {name: found[name] for name in sorted(found) if name not in trust.organizations}


def held(policy: Policy, arn: str, *, sure: bool) -> Held:
    """What each principal that the policy names may do.

    `sure`: only what hangs on no condition that we cannot judge. Services are left out.
    """
    found: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
    about = policy.about(arn)
    denials = [one for one in about if not one.allow]
    stranger = strangers(policy)[0]
    for statement in about:
        if not statement.allow:
            continue
        if statement.others:
            found["everybody else"] |= statement.actions
            continue
        for principal in statement.principals:
            if principal.kind == "Service":
                continue
            caller = stranger if principal.everybody else caller_of(principal)
            truths = {holds(one, caller) for one in statement.conditions}
            if False in truths or (sure and None in truths):
                continue
            denied = (one.actions for one in denials if applies(one, caller))
            found[principal.name] |= statement.actions.difference(*denied)
    return dict(found)


def caller_of(principal: Principal) -> Caller:
    account = principal.account
    return Caller(account, principal.name if principal.name != account else "")


def administrators(policy: Policy, arn: str) -> frozenset[str]:
    """Who may, perhaps under a condition, change the policy: without any, nobody ever can."""
    return frozenset(
        name for name, actions in held(policy, arn, sure=False).items() if PUT in actions
    )


def lost_by_administrators(before: Policy, after: Policy, arn: str) -> Held:
    """Who ruled the key before, and what each may no longer do, or only under a new condition.

    The account itself is one of them, where it was: that is the statement for its root.
    """
    was, now = held(before, arn, sure=True), held(after, arn, sure=True)
    everybody = now.get("*", frozenset())
    lost = {
        name: actions - now.get(name, frozenset()) - everybody
        for name, actions in sorted(was.items())
        if PUT in actions
    }
    return {name: actions for name, actions in lost.items() if actions}


def shut_out(
    before: Policy, after: Policy, account: str, uses: frozenset[str], arn: str
) -> tuple[Held, Held]:
    """Who of the account could use the key, does not rule it, and what is newly denied to him.

    For certain, and then under a condition that we cannot judge. "" stands for a role of which
    nobody has heard.
    """
    could = held(before, arn, sure=False)
    users = {"": Caller(account, f"arn:aws:iam::{account}:role/of-which-nobody-has-heard")}
    for statement in before.about(arn):
        if statement.allow and not statement.others:
            users |= {
                one.name: caller_of(one)
                for one in statement.principals
                if one.account == account and PUT not in could.get(one.name, {PUT})
            }
    certain: Held = {}
    perhaps: Held = {}
    for name, caller in sorted(users.items())[:MOST_USERS]:
        had = uses & (could[name] if name else may(before, caller, arn))
        (sure, unsure), (known, supposed) = (
            denied_to(after, caller, arn),
            denied_to(before, caller, arn),
        )
        if actions := had & sure - known:
            certain[name] = actions
        if actions := had & unsure - sure - supposed - known:
            perhaps[name] = actions
    return certain, perhaps


def denied_to(policy: Policy, caller: Caller, arn: str) -> tuple[frozenset[str], frozenset[str]]:
    """What statements deny to the caller for certain, and what they may deny."""
    sure, unsure = set[str](), set[str]()
    for statement in policy.about(arn):
        if not statement.allow:
            truth = applies(statement, caller)
            (sure if truth else unsure if truth is None else set[str]()).update(statement.actions)
    return frozenset(sure), frozenset(unsure)


def our_rights(
    policy: Policy, roles: Iterable[str], account: str, actions: Iterable[str], arn: str
) -> dict[str, Right]:
    """What becomes of our rights; empty where none of our roles is in the key's account.

    Elsewhere they are of no use: the calls of a repair work in the key's own account alone
    (aws-facts 3.3). Of several roles the best off counts, but what is denied to one is denied.
    """
    callers = [one for one in map(direct_caller, sorted(roles)) if one.account == account]
    found = {}
    for action in actions if callers else ():
        rights = {right(policy, one, action, arn) for one in callers}
        order = (Right.DENIED, Right.KEPT, Right.UNKNOWN, Right.DROPPED)
        found[action] = next(one for one in order if one in rights)
    return found

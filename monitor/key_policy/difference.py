"""Two key policies compared by what they allow and deny, as short English sentences.

A policy is taken apart into grants and denials: who, under which conditions, which actions. What
one of the other policy covers is no difference, so that neither order, Sid, blanks, lists, spelling
nor a statement that says again what another says makes a sentence.
"""

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from monitor.iam_policy.document import Condition, Policy, Principal
from monitor.key_policy.actions import as_object, in_words
from monitor.key_policy.answers import administrators

Conditions = frozenset[Condition]
EVERYBODY = Principal("AWS", "*")
SPELLINGS = """
    aws:CalledVia aws:MultiFactorAuthPresent aws:PrincipalAccount aws:PrincipalArn
    aws:PrincipalIsAWSService aws:PrincipalOrgID aws:PrincipalOrgPaths aws:PrincipalType
    aws:SourceAccount aws:SourceArn aws:SourceIp aws:SourceOrgID aws:SourceVpc aws:SourceVpce
    aws:ViaAWSService kms:CallerAccount kms:EncryptionContextKeys kms:GrantIsForAWSResource
    kms:GrantOperations kms:GranteePrincipal kms:ViaService ArnEquals ArnLike ArnNotEquals
    ArnNotLike Bool BoolIfExists ForAnyValue:StringEquals ForAnyValue:StringLike IpAddress
    NotIpAddress Null StringEquals StringEqualsIfExists StringLike StringNotEquals
    StringNotEqualsIfExists StringNotLike
"""
SPELLED = {name.lower(): name for name in SPELLINGS.split()}
"""As people write the names of conditions, which are kept in small letters."""


class Who(msgspec.Struct, frozen=True, order=True):
    """One principal, or everybody but some."""

    principals: tuple[Principal, ...]
    others: bool = False

    @property
    def words(self) -> str:
        if self.others:
            shown = ", ".join(called(one) for one in self.principals[:3])
            more = len(self.principals) - 3
            return f"everybody but {shown}" + (f" and {more} more" if more > 0 else "")
        return called(self.principals[0])


class Part(msgspec.Struct, frozen=True, order=True):
    """What a grant, or a denial, is about."""

    allow: bool
    who: Who


Parts = dict[Part, dict[Conditions, frozenset[str]]]


def called(one: Principal) -> str:
    if one.everybody:
        return "everybody"
    return f"account {one.name}" if one.account == one.name else one.name[:120]


def taken_apart(policy: Policy, arn: str) -> Parts:
    found: defaultdict[Part, dict[Conditions, frozenset[str]]] = defaultdict(dict)
    for one in policy.about(arn):
        names = tuple(sorted(one.principals))
        each = [Who(names, True)] if one.others else [Who((name,)) for name in names]
        for who in each:
            grants = found[Part(one.allow, who)]
            grants[one.conditions] = grants.get(one.conditions, frozenset()) | one.actions
    return dict(found)


def covering(part: Part, among: Parts) -> Iterator[Part]:
    """The parts that are about all whom `part` is about."""
    account = part.who.principals[0].account if part.who.principals else ""
    likely = [part, Part(part.allow, Who((EVERYBODY,)))]
    if account and not part.who.others and not part.allow:
        # To deny an account is to deny all who are in it; to allow one leaves it to IAM.
        likely.append(Part(False, Who((Principal("AWS", account),))))
    yield from (one for one in dict.fromkeys(likely) if one in among)
    for one in among:
        if one.who.others and one.allow is part.allow and one != part and spares(one.who, part.who):
            yield one


def spares(outer: Who, inner: Who) -> bool:
    """Whether none of `inner` is among those whom `outer`, everybody but some, leaves out."""
    if inner.others:
        return set(outer.principals) <= set(inner.principals)
    (one,) = inner.principals
    if one.everybody:
        return not outer.principals
    # Of the same account it is safer to say that it differs: see `access.names`.
    return one not in outer.principals and not any(
        left.everybody or (one.account and left.account == one.account) for left in outer.principals
    )


def beyond(here: Parts, there: Parts) -> Parts:
    """What `here` says and nothing of `there` covers."""
    found: Parts = {}
    for part, grants in here.items():
        against = [one for outer in covering(part, there) for one in there[outer].items()]
        left = {}
        for conditions, actions in grants.items():
            # Fewer conditions hold wherever more of them do.
            covered = (theirs for fewer, theirs in against if fewer <= conditions)
            if missing := actions.difference(*covered):
                left[conditions] = missing
        if left:
            found[part] = left
    return found


def difference(before: Policy, after: Policy, arn: str = "") -> list[str]:
    """What changed, in sentences; none where both mean the same."""
    old, new = taken_apart(before, arn), taken_apart(after, arn)
    lost, gained = beyond(old, new), beyond(new, old)
    said = []
    if administrators(before, arn) and not administrators(after, arn):
        said.append("nobody may PutKeyPolicy any more")
    if before.variables is not after.variables:
        said.append("policy variables (${...}) have another meaning, for the Version changed")
    for part in sorted(gained.keys() | lost.keys(), key=order):
        said += sentences(
            part, gained.get(part, {}), lost.get(part, {}), old.get(part, {}), new.get(part, {})
        )
    return said


def order(part: Part) -> tuple[bool, bool, Part]:
    """Everybody first, then denials: the worst stands on top."""
    return (EVERYBODY not in part.who.principals and not part.who.others, part.allow, part)


Grants = dict[Conditions, frozenset[str]]


def sentences(part: Part, gained: Grants, lost: Grants, old: Grants, new: Grants) -> Iterator[str]:
    """What changed for one principal."""
    who, left = part.who.words, dict(lost)
    words = in_words if part.allow else as_object
    for conditions, actions in in_order(gained):
        what = words(actions)
        whose = f"{who} to {what}" if part.allow else f"the denial of {what} to {who}"
        replaced = next((one for one, theirs in left.items() if theirs == actions), None)
        narrower = next(
            (one for one, theirs in old.items() if one > conditions and theirs >= actions), None
        )
        if narrower is not None:
            yield f"condition {keys_of(narrower - conditions)} was dropped for {whose}"
        elif replaced is not None:
            del left[replaced]
            yield (
                f"the conditions for {whose} were {in_full(replaced - conditions)} "
                f"and are now {in_full(conditions - replaced)}"
            )
        else:
            verb = "may now" if part.allow else "is now denied"
            yield f"{who} {verb} {what}{if_any(conditions)}"
    for conditions, actions in in_order(left):
        what = words(actions)
        wider = next(
            (one for one, theirs in new.items() if one > conditions and theirs >= actions), None
        )
        if wider is not None:
            verb = "may" if part.allow else "is denied"
            yield f"{who} {verb} {what} only if {in_full(wider - conditions)} now"
        else:
            verb = "may no longer" if part.allow else "is no longer denied"
            yield f"{who} {verb} {what}{if_any(conditions)}"


def in_order(grants: Grants) -> list[tuple[Conditions, frozenset[str]]]:
    """The same in every process: sets are not, and replay must say what the daemon said."""
    return sorted(grants.items(), key=lambda one: sorted(one[0]))


def keys_of(conditions: Conditions) -> str:
    return ", ".join(sorted({SPELLED.get(one.key, one.key)[:80] for one in conditions}))


def if_any(conditions: Conditions) -> str:
    return f", if {in_full(conditions)}" if conditions else ""


def in_full(conditions: Conditions) -> str:
    """`StringEquals aws:PrincipalOrgID o-1`, cut where it is long."""
    each = (
        f"{SPELLED.get(one.operator, one.operator)} {SPELLED.get(one.key, one.key)} "
        f"{' or '.join(one.values)}"[:120]
        for one in sorted(conditions)
    )
    return " and ".join(each) or "none"

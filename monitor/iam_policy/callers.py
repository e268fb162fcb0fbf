"""Whether a statement of a policy is about a caller, as far as that can be told.

Answers are True, False, or None for what depends on things that no event shows: an encryption
context, a tag, the time. IAM user guide, "Policy evaluation logic": what is denied explicitly is
denied whatever else allows it. An allowed account is a delegation: its own IAM policies then say
which of its principals may (KMS developer guide, "Default key policy").
"""

import ipaddress
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from monitor.arns import account_of
from monitor.iam_policy.document import Condition, Principal, Statement, matches

Truth = bool | None


class Caller(msgspec.Struct, frozen=True):
    """Somebody who calls AWS."""

    account: str
    arn: str = ""
    """The ARN of a role or user; empty: anybody at all in the account, who may choose his name."""
    organization: str = ""
    """An organization's id; empty where it is not known."""
    direct: bool = False
    """No AWS service calls in his name."""
    service: str = ""
    """The name of an AWS service that calls in nobody's name but its own."""


ANYBODY = Caller("")
"""Of whom nothing is known."""


class Known(msgspec.Struct, frozen=True):
    """What a condition key holds in a caller's request."""

    value: str = ""
    absent: bool = False
    """It is not there."""
    always: bool = True
    """Nothing that the caller does can make it be absent."""
    chosen: bool = False
    """An ARN of which only the account is sure; the caller chooses the rest."""


ACCOUNT_KEYS = frozenset({"kms:calleraccount", "aws:principalaccount"})
SERVICE_KEYS = frozenset(
    {"aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths"}
)
"""Only there where a service calls for somebody."""
VIA_KEYS = frozenset({"kms:viaservice", "aws:calledvia", "aws:calledviafirst", "aws:calledvialast"})
ORGANIZATION_KEYS = frozenset(
    {"aws:principalorgid", "aws:principalorgpaths", "aws:sourceorgid", "aws:sourceorgpaths"}
)
NETWORK_KEYS = frozenset({"aws:sourcevpc", "aws:sourcevpce"})
NARROW_NETWORK = {4: 8, 6: 16}
"""Prefixes shorter than these are no narrow network: 0.0.0.0/1 and 128.0.0.0/1 are everywhere."""


def known(key: str, caller: Caller) -> Known | None:
    """What the condition key holds; None where that cannot be told."""
    if key == "aws:securetransport":
        return Known("true")  # who calls without TLS is nobody: AWS advises to deny it
    if not (caller.account or caller.arn):
        return None
    if caller.direct and key in SERVICE_KEYS | VIA_KEYS:
        return Known(absent=True)
    if caller.direct and key in {"aws:viaawsservice", "aws:principalisawsservice"}:
        return Known("false")
    if key in ACCOUNT_KEYS:
        return Known(caller.account)
    if key == "aws:principalarn":
        return Known(caller.arn or caller.account, chosen=not caller.arn)
    if key == "aws:sourceaccount":
        return Known(caller.account, always=False)
    if key == "aws:sourcearn":
        return Known(caller.account, always=False, chosen=True)
    if caller.organization and key in ORGANIZATION_KEYS:
        whole = f"{caller.organization}/r-none/ou-none/"
        return Known(whole if key.endswith("paths") else caller.organization, always=False)
    if caller.organization and key in NETWORK_KEYS:
        return Known("vpc-none", always=False)
    return None


def compare(base: str, wanted: str, held: Known) -> Truth:
    """One value of a condition against what the request holds."""
    if "${" in wanted:
        return None
    if held.chosen:
        return compare_account(wanted, held.value)
    match base:
        case "stringequals":
            return wanted == held.value
        case "stringequalsignorecase" | "bool":
            return wanted.lower() == held.value.lower()
        case "stringlike":
            return matches(wanted, held.value)
        case "arnequals" | "arnlike":  # the same thing: IAM user guide, "ARN condition operators"
            return matches(wanted, held.value)
        case _:
            return None


def compare_account(wanted: str, account: str) -> Truth:
    """An ARN's pattern against anybody of an account, who may have the very name it asks for."""
    if set(wanted) == {"*"}:
        return True
    # The parts are compared one by one: IAM user guide, "ARN condition operators".
    parts = wanted.split(":", 5)
    owner = parts[4] if len(parts) > 4 else "*" if "*" in wanted else ""
    if not owner:  # arn:aws:s3:::bucket: whose it is cannot be told, yet it is one
        return None if set(wanted) & set("*?") else False
    if not matches(owner, account):
        return False
    return True if parts[5:] == ["*"] else None


def holds(condition: Condition, caller: Caller) -> Truth:
    """Whether a condition is met by a call of this caller."""
    operator = condition.operator
    each = operator.startswith("forallvalues:")
    operator = operator.removeprefix("forallvalues:").removeprefix("foranyvalue:")
    if_exists = operator.endswith("ifexists") or each
    operator = operator.removesuffix("ifexists")
    held = known(condition.key, caller)
    if operator == "null":
        asked = [value.lower() == "true" for value in condition.values]
        return None if held is None or not held.always else held.absent in asked
    if operator.endswith("ipaddress"):
        return stranger_is_within(condition, caller, inverted=operator.startswith("not"))
    if held is None:
        return None
    inverted = "not" in operator
    if held.absent:
        return if_exists or inverted
    found = any_of(compare(operator.replace("not", ""), one, held) for one in condition.values)
    truth = found if found is None else found is not inverted
    # He may as well call in a way that the key is not there.
    return truth if held.always or truth is (if_exists or inverted) else None


def stranger_is_within(condition: Condition, caller: Caller, *, inverted: bool) -> Truth:
    """A stranger is not in anybody's network, unless the network is all the world."""
    if not caller.organization or condition.key != "aws:sourceip":
        return None
    for value in condition.values:
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            return None
        if network.prefixlen < NARROW_NETWORK[network.version]:
            return None
    return inverted


def any_of(truths: Iterable[Truth]) -> Truth:
    found = list(truths)
    return True if True in found else None if None in found else False


def all_of(truths: Iterable[Truth]) -> Truth:
    found = list(truths)
    return False if False in found else None if None in found else True


@lru_cache(maxsize=1024)
def by_account(principals: frozenset[Principal]) -> dict[str, list[Principal]]:
    """The AWS principals of each account; `*` stands for everybody. A policy may have thousands."""
    found: defaultdict[str, list[Principal]] = defaultdict(list)
    for one in principals:
        if one.kind == "AWS":
            found["*" if one.everybody else one.account].append(one)
    return dict(found)


def names(statement: Statement, caller: Caller) -> Truth:
    """Whether the statement is about this caller, by its principals alone."""
    if statement.nameless:
        return True
    if caller.service:
        named_so = Principal("Service", caller.service) in statement.principals
        return not named_so if statement.others else named_so or statement.for_all
    everybody = "*" in by_account(statement.principals)
    named = by_account(statement.principals).get(caller.account, [])
    account = any(one.name == caller.account for one in named)
    own = bool(caller.arn) and any(one.name == caller.arn for one in named)
    if not statement.others:
        if everybody or account or own:
            return True
        if not caller.arn:
            # Somebody in the account may; that one of them may not binds not the others.
            return bool(named) and statement.allow
        session = any(is_session_of(one.name, caller.arn) for one in named)
        return None if session else False
    if everybody:
        return False
    if own:
        # A denial spares only whom it names with his account: IAM user guide, "NotPrincipal".
        return False if account or statement.allow else None
    if not account:
        return True
    # The account stands there for another one's sake, or for all who are in it: who knows.
    another = bool(caller.arn) and len(named) > 1
    return True if another and not statement.allow else None


def is_session_of(name: str, arn: str) -> bool:
    """Whether it is a session of the role, whose ARN has lost the role's path."""
    role = arn.rpartition("/")[2]
    return ":role/" in arn and f":assumed-role/{role}/" in name


def applies(statement: Statement, caller: Caller) -> Truth:
    """Whether the statement is about this caller, by principals and conditions."""
    named = names(statement, caller)
    if named is False:
        return False
    return all_of([named, met(statement, caller)])


def met(statement: Statement, caller: Caller) -> Truth:
    """Whether all its conditions are met by a call of this caller."""
    return all_of(holds(one, caller) for one in statement.conditions)


def direct_caller(arn: str) -> Caller:
    """A role or user that calls by itself, as we do."""
    return Caller(account_of(arn), arn, direct=True)

"""A key policy as statements.

Grammar: IAM user guide, "Grammar of the IAM JSON policy language"; what KMS makes of it: KMS
developer guide, "Creating a key policy". A statement without Action or Resource has no effect,
and KMS takes it all the same (API reference, PutKeyPolicy).
"""

import json
import re
from typing import Any

import msgspec

from monitor.errors import Unreadable
from monitor.key_policy.actions import KNOWN, expand, matches

LONGEST = 100_000
"""Characters. KMS takes 32 KB; CloudTrail drops parameters beyond 100 KB."""
ACCOUNT = re.compile(r"[0-9]{12}")
ROOT = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):root")
OLD_VERSION = "2008-10-17"
"""It knows no policy variables: `${aws:...}` is plain text. Also the default."""


class Principal(msgspec.Struct, frozen=True, order=True):
    """One name in a `Principal`."""

    kind: str
    """`AWS`, `Service`, `Federated` or `CanonicalUser`."""
    name: str
    """`*` for everybody; 12 digits for an account, for which its root's ARN is another spelling."""

    @property
    def everybody(self) -> bool:
        return self.kind == "AWS" and self.name == "*"

    @property
    def account(self) -> str:
        """The account that it belongs to; empty where that cannot be told."""
        return account_of(self.name) if self.kind in {"AWS", "Federated"} else ""


class Condition(msgspec.Struct, frozen=True, order=True):
    """One operator on one key; all of a statement's must hold. Names are in small letters."""

    operator: str
    key: str
    values: tuple[str, ...]


class Statement(msgspec.Struct, frozen=True):
    """Who may, or may not, do what; without what changes nothing, such as its Sid."""

    allow: bool
    principals: frozenset[Principal]
    others: bool
    """`NotPrincipal`: everybody but these."""
    actions: frozenset[str]
    """In small letters, patterns resolved: see `monitor.key_policy.actions`."""
    resources: frozenset[str]
    but_resources: bool
    """`NotResource`."""
    conditions: frozenset[Condition]

    def concerns(self, arn: str) -> bool:
        """Whether it is about this key at all; "" for a key whose ARN is not known."""
        if not arn:
            return bool(self.resources)
        found = any(matches(one, arn) for one in self.resources)
        return found is not self.but_resources


class Policy(msgspec.Struct, frozen=True):
    statements: tuple[Statement, ...]
    variables: bool = False
    """Whether it has policy variables, and is of a version that heeds them."""

    def about(self, arn: str) -> list[Statement]:
        """The statements that have an effect on this key."""
        return [one for one in self.statements if one.actions and one.concerns(arn)]


def account_of(name: str) -> str:
    """The account in a principal's name: 12 digits, or an ARN that has them; else empty.

    EC2 names an instance to which it gives a grant `ACCOUNT:aws:ec2-infrastructure:INSTANCE` (KMS
    developer guide, "Amazon EC2 example two").
    """
    if ACCOUNT.fullmatch(name):
        return name
    parts = name.split(":")
    if len(parts) == 4 and parts[1] == "aws" and ACCOUNT.fullmatch(parts[0]):
        return parts[0]
    found = parts[4] if len(parts) > 5 and parts[0] == "arn" else ""
    return found if ACCOUNT.fullmatch(found) else ""


def parse(document: object) -> Policy:
    """The policy in a text, or in what a text was decoded to. Raises `Unreadable`, nothing else."""
    if isinstance(document, str):
        if len(document) > LONGEST:
            raise Unreadable("key_policy", "longer than KMS takes")
        try:
            document = json.loads(document, object_pairs_hook=once)
        except (ValueError, RecursionError) as error:
            raise Unreadable("key_policy", "no whole JSON text") from error
    whole = small(document)
    statements = listed(whole.get("statement"))
    if not statements:
        raise Unreadable("key_policy", "no statement in it")
    made = tuple(statement_of(small(one)) for one in statements)
    values = (value for one in made for condition in one.conditions for value in condition.values)
    heeded = whole.get("version", OLD_VERSION) != OLD_VERSION
    return Policy(made, variables=heeded and any("${" in value for value in values))


def statement_of(given: dict[str, Any]) -> Statement:
    effect = given.get("effect")
    if effect not in ("Allow", "Deny"):
        raise Unreadable("key_policy", "a statement that neither allows nor denies")
    others = "notprincipal" in given
    actions = expand(one.lower() for one in texts(given.get("action")))
    if "notaction" in given:
        actions = KNOWN - expand(one.lower() for one in texts(given["notaction"]))
    but_resources = "notresource" in given
    return Statement(
        allow=effect == "Allow",
        principals=principals_of(given["notprincipal"] if others else given.get("principal")),
        others=others,
        actions=actions,
        resources=frozenset(texts(given.get("notresource" if but_resources else "resource"))),
        but_resources=but_resources,
        conditions=conditions_of(given.get("condition")),
    )


def principals_of(given: object) -> frozenset[Principal]:
    """Of `"*"`, or of an object of lists or of single names."""
    if given == "*":
        return frozenset({Principal("AWS", "*")})
    kinds = {"aws": "AWS", "service": "Service"}
    kinds |= {"federated": "Federated", "canonicaluser": "CanonicalUser"}
    found = set()
    for kind, names in small(given).items():
        if kind not in kinds:
            raise Unreadable("key_policy", "a principal of no known kind")
        for name in texts(names):
            root = ROOT.fullmatch(name)
            found.add(Principal(kinds[kind], root[1] if root else name))
    return frozenset(found)


def conditions_of(given: object) -> frozenset[Condition]:
    if given is None:
        return frozenset()
    return frozenset(
        Condition(operator, key, tuple(sorted(set(texts(values)))))
        for operator, keys in small(given).items()
        for key, values in small(keys).items()
    )


def small(given: object) -> dict[str, Any]:
    """An object with its names in small letters: IAM minds no case in them."""
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise Unreadable("key_policy", "no object where there must be one")
    return once([(name.lower(), value) for name, value in given.items()])


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object none of whose names stands there twice: which one counts would be a guess."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unreadable("key_policy", "a name that stands there twice")
    return found


def texts(given: object) -> list[str]:
    """A list of texts, or a single one. In conditions numbers and booleans are texts, too."""
    found = []
    for one in listed(given):
        if isinstance(one, bool):
            found.append("true" if one else "false")
        elif isinstance(one, str | int | float):
            found.append(str(one))
        else:
            raise Unreadable("key_policy", "no text where there must be one")
    return found


def listed(given: object) -> list[Any]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]

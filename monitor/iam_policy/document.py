"""A policy document as statements, whatever it is attached to.

Grammar: IAM user guide, "Grammar of the IAM JSON policy language". CloudTrail carries documents as
JSON, as URL-encoded JSON (IAM's calls), or decoded (S3's).
"""

import json
import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import msgspec

from monitor.arns import account_of
from monitor.errors import Unreadable

LONGEST = 100_000
"""Characters. The largest document is a key's, of 32 KB; CloudTrail drops parameters beyond 100 KB."""
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
    """Patterns, in small letters, for IAM minds no case in the names of actions."""
    but_actions: bool
    """`NotAction`."""
    resources: frozenset[str]
    but_resources: bool
    """`NotResource`."""
    conditions: frozenset[Condition]
    nameless: bool = False
    """It has no principal: it is about whatever the document is attached to."""

    @property
    def for_all(self) -> bool:
        """Whether its principals, conditions aside, are everybody, or everybody but some."""
        return self.others or any(one.everybody for one in self.principals)

    @property
    def everywhere(self) -> bool:
        """Whether it is about every resource, or about the only one that the document is for."""
        return not self.but_resources and (not self.resources or "*" in self.resources)

    def takes_in(self, action: str) -> bool:
        """Whether it is about an action such as `kms:EnableKey`; without any it has no effect."""
        found = any(matches(one, action.lower()) for one in self.actions)
        return found is not self.but_actions

    def concerns(self, arn: str) -> bool:
        """Whether it is about this resource at all; "" for one whose ARN is not known."""
        if not arn:
            return bool(self.resources)
        found = any(matches(one, arn) for one in self.resources)
        return found is not self.but_resources


class Policy(msgspec.Struct, frozen=True):
    statements: tuple[Statement, ...]
    variables: bool = False
    """Whether it has policy variables, and is of a version that heeds them."""

    def about(self, arn: str) -> list[Statement]:
        """The statements that have an effect on this resource."""
        return [
            one for one in self.statements if (one.actions or one.but_actions) and one.concerns(arn)
        ]


def parse(document: object) -> Policy:
    """The policy in a text, or in what a text was decoded to. Raises `Unreadable`, nothing else."""
    whole = small(decoded(document) if isinstance(document, str) else document)
    statements = listed(whole.get("statement"))
    if not statements:
        raise Unreadable("policy_document", "no statement in it")
    made = tuple(statement_of(small(one)) for one in statements)
    values = (value for one in made for condition in one.conditions for value in condition.values)
    heeded = whole.get("version", OLD_VERSION) != OLD_VERSION
    return Policy(made, variables=heeded and any("${" in value for value in values))


def decoded(document: str) -> object:
    if len(document) > LONGEST:
        raise Unreadable("policy_document", "longer than any service takes")
    # Whole JSON begins with a bracket; what is URL-encoded never does.
    text = unquote(document) if document.startswith("%") else document
    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Unreadable("policy_document", "no whole JSON text") from error


def statement_of(given: dict[str, Any]) -> Statement:
    effect = given.get("effect")
    if effect not in ("Allow", "Deny"):
        raise Unreadable("policy_document", "a statement that neither allows nor denies")
    others = "notprincipal" in given
    but_actions = "notaction" in given
    actions = texts(given.get("notaction" if but_actions else "action"))
    but_resources = "notresource" in given
    return Statement(
        allow=effect == "Allow",
        principals=principals_of(given["notprincipal"] if others else given.get("principal")),
        others=others,
        actions=frozenset(one.lower() for one in actions),
        but_actions=but_actions,
        resources=frozenset(texts(given.get("notresource" if but_resources else "resource"))),
        but_resources=but_resources,
        conditions=conditions_of(given.get("condition")),
        nameless=not others and given.get("principal") is None,
    )


def principals_of(given: object) -> frozenset[Principal]:
    """Of `"*"`, or of an object of lists or of single names; what hangs on a caller names none."""
    if given is None:
        return frozenset()
    if given == "*":
        return frozenset({Principal("AWS", "*")})
    kinds = {"aws": "AWS", "service": "Service"}
    kinds |= {"federated": "Federated", "canonicaluser": "CanonicalUser"}
    found = set()
    for kind, names in small(given).items():
        if kind not in kinds:
            raise Unreadable("policy_document", "a principal of no known kind")
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
        raise Unreadable("policy_document", "no object where there must be one")
    return once([(name.lower(), value) for name, value in given.items()])


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object none of whose names stands there twice: which one counts would be a guess."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unreadable("policy_document", "a name that stands there twice")
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
            raise Unreadable("policy_document", "no text where there must be one")
    return found


def listed(given: object) -> list[Any]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


@lru_cache(maxsize=4096)
def glob(pattern: str) -> re.Pattern[str]:
    """A pattern of IAM, in which `*` and `?` alone have a meaning.

    Every part between two stars is looked for once and never again (`(?>`): a policy is an
    attacker's text, and `*a*a*a*...` must not keep us busy.
    """
    first, *others = (re.escape(part).replace(r"\?", ".") for part in pattern.split("*"))
    if not others:
        return re.compile(first, re.DOTALL)
    *middle, last = others
    seeks = "".join(f"(?>.*?{part})" for part in middle if part)
    return re.compile(f"{first}{seeks}.*{last}", re.DOTALL)


def matches(pattern: str, text: str) -> bool:
    return glob(pattern).fullmatch(text) is not None

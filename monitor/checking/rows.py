"""What is known about one call in one place. Pure.

Decisions of IAM's simulator: IAM API reference, EvaluationResult. It knows nothing of key policies, and a key
policy can take every right away: so both are asked, and the worse answer counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from monitor.key import KeyRef
from monitor.key_policy.access import Right


class Answer(StrEnum):
    """Whether a call is permitted."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNKNOWN = "unknown"
    """Nobody says so, and there is no harmless way to try."""


class Said(msgspec.Struct, frozen=True):
    """One answer, and what it rests on."""

    answer: Answer
    why: str


class Row(msgspec.Struct, frozen=True):
    """One line of the table."""

    account: str
    region: str
    call: str
    """Such as `kms:EnableKey`; or a thing that is to be there, such as `queue kms-guard`."""
    answer: Answer
    why: str
    needed: bool = True
    """False: the daemon does its work without it."""
    on: str = ""
    """Which of its resources, in one word."""

    @property
    def fails(self) -> bool:
        return self.needed and self.answer is Answer.DENIED


class Gate(msgspec.Struct, frozen=True):
    """What the policies of a place's keys say about one call."""

    shut: tuple[KeyRef, ...] = ()
    """Keys that shut us out."""
    unsure: tuple[KeyRef, ...] = ()
    """Keys whose policy could not be read, or hangs on what only the call itself shows."""
    named: tuple[KeyRef, ...] = ()
    """Keys whose policy names us, so that IAM need not allow the call."""
    keys: int = 0


def simulated(result: Mapping[str, Any]) -> Said:
    """One entry of SimulatePrincipalPolicy's `EvaluationResults`."""
    specific = result.get("ResourceSpecificResults") or []
    decisions = {result["EvalDecision"], *(one["EvalResourceDecision"] for one in specific)}
    if decisions == {"allowed"}:
        return Said(Answer.ALLOWED, "IAM allows it")
    if result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations") is False:
        return Said(Answer.DENIED, "a policy of the organization denies it")
    boundary = result.get("PermissionsBoundaryDecisionDetail", {})
    if boundary.get("AllowedByPermissionsBoundary") is False:
        return Said(Answer.DENIED, "the permissions boundary does not allow it")
    if "explicitDeny" in decisions:
        return Said(Answer.DENIED, "a statement denies it")
    missing = {key for one in (result, *specific) for key in one.get("MissingContextValues") or ()}
    if missing:
        return Said(Answer.UNKNOWN, f"hangs on {', '.join(sorted(missing))}")
    return Said(Answer.DENIED, "no statement allows it")


def gate(rights: Mapping[KeyRef, Right | None], named: Iterable[KeyRef] = ()) -> Gate:
    """From what becomes of one right on every key; None where a policy could not be read."""
    return Gate(
        shut=tuple(key for key, one in rights.items() if one in {Right.DENIED, Right.DROPPED}),
        unsure=tuple(key for key, one in rights.items() if one in {Right.UNKNOWN, None}),
        named=tuple(named),
        keys=len(rights),
    )


def together(said: Said, keys: Gate | None) -> Said:
    """IAM's answer and the keys' own: the worse one."""
    if keys is None or not keys.keys:
        return said
    if keys.shut:
        shut = f"the policies of {len(keys.shut)} of {keys.keys} keys shut us out"
        return Said(Answer.DENIED, f"{shut}, such as {keys.shut[0].key_id}")
    if said.answer is Answer.DENIED and keys.named and said.why == "no statement allows it":
        count = len(keys.named)
        if count == keys.keys:
            return Said(Answer.ALLOWED, "the policies of all keys name us")
        return Said(Answer.UNKNOWN, f"no statement allows it, but {count} key policies name us")
    if said.answer is Answer.ALLOWED and keys.unsure:
        unsure = f"not sure of {len(keys.unsure)} of {keys.keys} key policies"
        return Said(Answer.UNKNOWN, f"{said.why}; {unsure}, such as {keys.unsure[0].key_id}")
    if said.answer is Answer.ALLOWED:
        return Said(Answer.ALLOWED, f"{said.why}, and so do the policies of {keys.keys} keys")
    return said


def counted(rows: Sequence[Row]) -> str:
    """All of them in one sentence."""
    numbers = {one: sum(row.answer is one for row in rows) for one in Answer}
    return ", ".join(f"{count} {answer.value}" for answer, count in numbers.items())

"""What a key policy lets a caller do to the key.

Answers are safe rather than right where they hang on what no event shows: see
`monitor.iam_policy.callers`.
"""

from enum import Enum

from monitor.iam_policy.callers import Caller, any_of, applies
from monitor.iam_policy.document import Policy


def may(policy: Policy, caller: Caller, arn: str) -> frozenset[str]:
    """What the caller may do to the key, at the worst: what cannot be told counts as allowed."""
    allowed: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    for one in policy.about(arn):
        truth = applies(one, caller)
        if one.allow and truth is not False:
            allowed |= one.actions
        elif not one.allow and truth:
            denied |= one.actions
    return allowed - denied


class Right(Enum):
    """Whether a caller has the right to an action."""

    KEPT = "kept"
    UNKNOWN = "unknown"
    DROPPED = "dropped"
    """No statement allows it."""
    DENIED = "denied"
    """A statement denies it: no IAM policy can help."""


def right(policy: Policy, caller: Caller, action: str, arn: str) -> Right:
    """What becomes of one caller's right; through his account counts as kept (IAM may say no)."""
    about = [one for one in policy.about(arn) if action in one.actions]
    denied = any_of(applies(one, caller) for one in about if not one.allow)
    allowed = any_of(applies(one, caller) for one in about if one.allow)
    if denied:
        return Right.DENIED
    if allowed is False:
        return Right.DROPPED
    return Right.KEPT if allowed and denied is False else Right.UNKNOWN

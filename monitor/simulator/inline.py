"""What inline policies of IAM users and roles deny: moto keeps them, and enforces none.

Permissions are not judged here, for everybody may do everything in this simulator unless something
denies it. Of conditions only the one that revokes older sessions is known; a statement with any other
has no effect.
"""

from datetime import datetime

from monitor.errors import Unreadable
from monitor.iam_policy.document import Condition, Statement, parse
from monitor.simulator.words import Caller

ISSUED = "aws:tokenissuetime"


class InlinePolicies:
    """By account and kind (`user`, `role`) and name: the statements that deny."""

    def __init__(self) -> None:
        self.denials: dict[tuple[str, str, str], tuple[Statement, ...]] = {}

    def learn(self, documents: dict[tuple[str, str, str], list[str]]) -> None:
        """Replace what is known by these documents."""
        self.denials = {
            who: found for who, texts in documents.items() if (found := denials_in(texts))
        }

    def denies(self, caller: Caller, issued_at: float, service: str, operation: str) -> bool:
        """Whether they refuse this call. `issued_at`: of a session's token; 0 for an access key."""
        if caller.role_arn:
            who = (caller.account, "role", caller.role_arn.rpartition("/")[2])
        else:
            who = (caller.account, "user", caller.user)
        return any(
            one.takes_in(f"{service}:{operation}")
            and one.everywhere
            and all(holds(condition, issued_at) for condition in one.conditions)
            for one in self.denials.get(who, ())
        )


def denials_in(documents: list[str]) -> tuple[Statement, ...]:
    found: list[Statement] = []
    for document in documents:
        try:
            found += [one for one in parse(document).statements if not one.allow]
        except Unreadable:
            continue  # moto has looked at its grammar; what is left concerns no denial
    return tuple(found)


def holds(condition: Condition, issued_at: float) -> bool:
    """An access key has no moment of issue: then the condition's key is absent, and it fails."""
    if (condition.operator, condition.key) != ("datelessthan", ISSUED) or not issued_at:
        return False
    return any(issued_at < datetime.fromisoformat(one).timestamp() for one in condition.values)

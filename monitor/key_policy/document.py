"""A key policy as statements whose actions are those that KMS knows.

What KMS makes of a policy: KMS developer guide, "Creating a key policy". A statement without Action
or Resource has no effect, and KMS takes it all the same (API reference, PutKeyPolicy).
"""

import msgspec

from monitor.errors import Unreadable
from monitor.iam_policy import document
from monitor.iam_policy.document import Policy, Statement
from monitor.key_policy.actions import KNOWN, expand


def parse(given: object) -> Policy:
    """The policy in a text, or in what a text was decoded to. Raises `Unreadable`, nothing else."""
    policy = document.parse(given)
    return msgspec.structs.replace(
        policy, statements=tuple(resolved(one) for one in policy.statements)
    )


def resolved(statement: Statement) -> Statement:
    """The same with the names of KMS's calls, as `monitor.key_policy.actions` has them."""
    if statement.nameless:
        raise Unreadable("policy_document", "a statement about nobody")
    actions = expand(statement.actions)
    if statement.but_actions:
        actions = KNOWN - actions
    return msgspec.structs.replace(statement, actions=actions, but_actions=False)

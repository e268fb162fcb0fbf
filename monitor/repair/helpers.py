"""Who can still help where a key policy shuts us out. Pure."""

from typing import Final

from monitor.errors import Unreadable
from monitor.key_policy.answers import administrators
from monitor.key_policy.document import parse
from monitor.parameters import few

NOBODY: Final = (
    "its policy lets nobody put another one: only AWS Support can help (KMS developer guide,"
    ' "Default key policy")'
)
NOT_KNOWN: Final = "who can still change the key's policy is not known"


def who_can_help(policy: object, arn: str) -> str:
    """Who may put another policy, in words; `policy` is what is known to be there now, as JSON."""
    try:
        read = parse(policy) if isinstance(policy, str) else None
    except Unreadable:
        read = None
    if read is None:
        return NOT_KNOWN
    names = sorted(administrators(read, arn))
    return f"who can still change its policy: {few(names)}" if names else NOBODY

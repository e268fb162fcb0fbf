"""Who can still help where a key policy shuts us out. Pure."""

from typing import Final

from monitor.key_policy.answers import administrators
from monitor.key_policy.document import parse
from monitor.parameters import few

NOBODY: Final = (
    "its policy lets nobody put another one: only AWS Support can help (KMS developer guide,"
    ' "Default key policy")'
)


def who_can_help(policy: object, arn: str) -> str:
    """Who may put another policy, in words; `policy` is what is known to be there now, as JSON."""
    if not isinstance(policy, str):
        return "who can still change the key's policy is not known"
    names = sorted(administrators(parse(policy), arn))
    return f"who can still change its policy: {few(names)}" if names else NOBODY

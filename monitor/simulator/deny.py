"""Deny rules: who may not do what, written `WHO:SERVICE:ACTION`."""

from fnmatch import fnmatchcase

import msgspec

from monitor.simulator.words import Caller


class DenyRule(msgspec.Struct, frozen=True):
    """One rule, such as `mallory:kms:DisableKey`, `*:kms:*` or `role/ops:cloudtrail:Stop*`.

    WHO is a user's name, `role/NAME` or an ARN; `*` and `?` are wildcards everywhere. As in IAM,
    the case of the action does not matter, that of names does.
    """

    who: str
    service: str
    action: str

    @classmethod
    def parse(cls, text: str) -> "DenyRule":
        """Read a rule; raises ValueError with the fix when it is none."""
        # From the right, because WHO may be an ARN, which has colons of its own.
        parts = text.rsplit(":", 2)
        if len(parts) != 3 or not all(parts):
            raise ValueError(
                f"deny rule {text!r} is not WHO:SERVICE:ACTION, as mallory:kms:DisableKey"
            )
        return cls(*parts)

    def denies(self, caller: Caller, service: str, action: str) -> bool:
        """Tell whether the rule refuses this caller's call."""
        return (
            fnmatchcase(action.lower(), self.action.lower())
            and fnmatchcase(service, self.service.lower())
            and any(fnmatchcase(name, self.who) for name in names_of(caller))
        )


def names_of(caller: Caller) -> list[str]:
    """Every name by which a rule may mean this caller."""
    names = [caller.arn]
    if caller.user:
        names += [caller.user, f"user/{caller.user}"]
    if caller.role_arn:
        path = caller.role_arn.partition(":role/")[2]
        names += [caller.role_arn, f"role/{path}", f"role/{path.rpartition('/')[2]}"]
    return names


WHY = "with an explicit deny in an identity-based policy"
"""How AWS ends the sentence of a refusal that a deny statement of the caller's own causes."""

"""Options of all detectors that ask who is an outsider."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, Field

from monitor.arns import account_of
from monitor.key_policy.answers import Trust

AccountId = Annotated[str, Field(pattern=r"^[0-9]{12}$")]


class TrustOptions(BaseModel, extra="forbid"):
    trusted_accounts: list[AccountId] = Field(
        [],
        description="Further accounts that are no outsiders here, besides the guarded ones, the "
        "`trusted_accounts` of the whole daemon and the key's own.",
    )
    trusted_principals: list[str] = Field(
        [],
        description="Patterns over the ARNs of principals elsewhere that are no outsiders, such as "
        "`arn:aws:iam::444455556666:role/backup-*`.",
    )

    def trust(self, *accounts: Iterable[str]) -> Trust:
        """Who is no outsider, these accounts included."""
        known = frozenset(self.trusted_accounts).union(*accounts)
        return Trust(known, tuple(self.trusted_principals))


def is_outsider(name: str, trust: Trust) -> bool | None:
    """Whether a principal belongs to nobody we trust; None where its account cannot be told."""
    if name == "*":
        return True
    account = account_of(name)
    if not account:
        return None
    trusted = any(fnmatchcase(name, pattern) for pattern in trust.principals)
    return not trusted and account not in trust.accounts

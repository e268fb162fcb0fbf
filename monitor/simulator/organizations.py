"""Organizations: one organization with its root, its units, and the accounts in them.

The management account is the first account of the simulator; others are where `place` puts them.
Names and errors: the Organizations API reference. As there, everything but DescribeOrganization is for the
management account and for delegated administrators alone, and one call goes to one parent.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from monitor.simulator.words import Caller, Refusal, Reply

ORGANIZATION = "o-exampleorgid"
ROOT = "r-ex01"
_PAGE = 20
"""Of ListAccountsForParent and its like: the most that one answer holds."""


class Member(msgspec.Struct):
    """An account: in which unit, and in which state."""

    account: str
    parent: str = ROOT
    state: str = "ACTIVE"


class Organizations:
    """The calls that a reader of the organization needs."""

    def __init__(self, accounts: Sequence[str]) -> None:
        self.management = accounts[0]
        self.delegated: set[str] = set()
        self.units: dict[str, str] = {}
        """The parent of each unit."""
        self.members = {account: Member(account) for account in accounts}

    def add_unit(self, unit: str, parent: str = ROOT) -> str:
        """Make a unit; the path that leads to it, as AWS writes paths."""
        self.units[unit] = parent
        names = [unit]
        while names[0] != ROOT:
            names.insert(0, self.units[names[0]])
        return "/".join([ORGANIZATION, *names]) + "/"

    def place(self, account: str, parent: str) -> None:
        """Move an account there, or let it join."""
        self.members[account] = Member(account, parent)

    def call(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        caller: Caller,
        account: str,
        region: str,
    ) -> Reply:
        """Answer one call or raise Refusal."""
        del region  # there is one endpoint for all of them
        if account not in self.members:
            raise Refusal(
                "AWSOrganizationsNotInUseException",
                "Your account is not a member of an organization.",
            )
        if operation == "DescribeOrganization":
            return Reply(body={"Organization": self._organization()}, read_only=True)
        if account != self.management and account not in self.delegated:
            raise Refusal(
                "AccessDeniedException", "You don't have permissions to access this resource."
            )
        del caller
        match operation:
            case "ListRoots":
                root = {"Id": ROOT, "Arn": self._arn("root", ROOT), "Name": "Root"}
                return Reply(body={"Roots": [root]}, read_only=True)
            case "ListAccountsForParent":
                parent = self._parent(parameters)
                found = [self._shown(one) for one in self.members.values() if one.parent == parent]
                return _page("Accounts", found, parameters)
            case "ListOrganizationalUnitsForParent":
                parent = self._parent(parameters)
                units = [
                    {"Id": unit, "Arn": self._arn("ou", unit), "Name": unit}
                    for unit, above in self.units.items()
                    if above == parent
                ]
                return _page("OrganizationalUnits", units, parameters)
            case _:
                raise Refusal("UnknownOperationException", f"Organizations has no {operation} here")

    def _parent(self, parameters: Mapping[str, Any]) -> str:
        parent = str(parameters.get("ParentId", ""))
        if parent != ROOT and parent not in self.units:
            raise Refusal("ParentNotFoundException", "You specified parent that doesn't exist.")
        return parent

    def _organization(self) -> dict[str, Any]:
        return {
            "Id": ORGANIZATION,
            "Arn": f"arn:aws:organizations::{self.management}:organization/{ORGANIZATION}",
            "FeatureSet": "ALL",
            "MasterAccountId": self.management,
        }

    def _shown(self, member: Member) -> dict[str, Any]:
        return {
            "Id": member.account,
            "Arn": self._arn("account", member.account),
            "Name": f"account {member.account}",
            "State": member.state,
        }

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:aws:organizations::{self.management}:{kind}/{ORGANIZATION}/{name}"


def _page(name: str, entries: list[dict[str, Any]], parameters: Mapping[str, Any]) -> Reply:
    start = int(parameters.get("NextToken") or 0)
    end = start + min(_PAGE, int(parameters.get("MaxResults") or _PAGE))
    body: dict[str, Any] = {name: entries[start:end]}
    if end < len(entries):
        body["NextToken"] = str(end)
    return Reply(body=body, read_only=True)

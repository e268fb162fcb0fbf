"""Which accounts are guarded now: those that the settings name, and those below paths of organizations.

This is the allow-list. Only the settings and AWS Organizations can change it, never a message. Organizations
is asked at the start and then every hour (`monitor.following`); while it cannot be asked, its last
good answer counts.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import structlog

from monitor.aws import Aws
from monitor.entry import Entry
from monitor.errors import MonitorError, NotWorthRetrying, SettingsError
from monitor.metrics import Metrics
from monitor.settings import Settings
from monitor.settings_accounts import Account, Organization

MOST_ACCOUNTS = 5000
"""Below one path; half of what AWS allows for a whole organization on request."""
MOST_UNITS = 2000
"""AWS's own limit for an organization."""
ASKED_IN = {"aws-cn": "cn-northwest-1", "aws-us-gov": "us-gov-west-1"}
"""The Region of Organizations' endpoint, which is us-east-1 elsewhere."""


class Change(msgspec.Struct, frozen=True):
    """What has changed since the answers before."""

    joined: tuple[Account, ...] = ()
    left: tuple[Account, ...] = ()


class Guarded:
    """The allow-list as it is now."""

    def __init__(self, settings: Settings, aws: Aws, metrics: Metrics) -> None:
        self.settings = settings
        self.aws = aws
        self.metrics = metrics.accounts
        self.members: dict[str, tuple[str, ...]] = {}
        """The last good answer about each path."""
        self.accounts = {one.id: one for one in settings.accounts}
        self.trouble: dict[str, str] = {}
        self.log = structlog.get_logger("accounts")
        self.measure()

    @property
    def places(self) -> frozenset[tuple[str, str]]:
        """The allowed pairs of account and Region."""
        return frozenset(
            (one.id, region) for one in self.accounts.values() for region in one.regions
        )

    @property
    def as_settings(self) -> Settings:
        """The settings, as if they named all of them."""
        return self.settings.model_copy(update={"accounts": list(self.accounts.values())})

    def problem(self) -> str | None:
        """Why an organization cannot be asked, for `/readyz`."""
        return "; ".join(f"{path}: {why}" for path, why in self.trouble.items()) or None

    async def refresh(self) -> Change:
        """Ask about every path. One that cannot be asked keeps its last answer."""
        for organization in self.settings.organizations:
            path = organization.path
            try:
                found = await self.ask(organization)
            except MonitorError as error:
                if self.trouble.get(path) != str(error):
                    self.log.error("organization cannot be asked", path=path, problem=str(error))
                self.trouble[path] = str(error)
            else:
                self.trouble.pop(path, None)
                self.members[path] = found
        change = self.take_over()
        for one in change.joined:
            await self.aws.enter_by(entry_of(one))
        for one in change.left:
            await self.aws.leave(one.id)
        self.measure()
        return change

    def take_over(self) -> Change:
        """Make the answers the allow-list."""
        before = self.accounts
        self.accounts = {one.id: one for one in self.settings.accounts}
        for organization in self.settings.organizations:
            for account in self.members.get(organization.path, ()):
                if account not in self.accounts:
                    self.accounts[account] = organization.account(account)
        joined = tuple(one for one in self.accounts.values() if one.id not in before)
        left = tuple(one for one in before.values() if one.id not in self.accounts)
        for one in joined:
            self.log.info("account is guarded", account=one.id, regions=one.regions)
            self.metrics.changes.labels("joined").inc()
        for one in left:
            # Whoever may move accounts can shake us off so: people have to see it.
            self.log.warning("account is guarded no more: it has left", account=one.id)
            self.metrics.changes.labels("left").inc()
        return Change(joined, left)

    def measure(self) -> None:
        said = len(self.settings.accounts)
        self.metrics.guarded.labels("settings").set(said)
        self.metrics.guarded.labels("organization").set(len(self.accounts) - said)
        self.metrics.places.set(len(self.places))
        asked = all(one.path in self.members for one in self.settings.organizations)
        self.metrics.organization_up.set(asked and not self.trouble)

    # -- asking Organizations

    async def ask(self, organization: Organization) -> tuple[str, ...]:
        """The ids of all active accounts below a path, in order. Raises what `Aws.calling` raises."""
        entry = ""
        if organization.list_role_arn is not None:
            entry = f"organization {organization.path}"
            await self.aws.enter_by(
                Entry(entry, organization.list_role_arn, organization.list_external_id or "")
            )
        region = ASKED_IN.get(organization.partition, "us-east-1")
        client = await self.aws.client("organizations", region, entry)
        found: set[str] = set()
        parents, seen = [organization.parent], {organization.parent}
        while parents:
            parent = parents.pop()
            async for one in self.listed(client, "list_accounts_for_parent", "Accounts", parent):
                # Without its id here an organization of the same units would pass for this one.
                if organization.id not in one["Arn"].split("/"):
                    raise NotWorthRetrying(f"{one['Arn']} is in another organization")
                if is_active(one):
                    found.add(one["Id"])
            lister = "list_organizational_units_for_parent"
            async for one in self.listed(client, lister, "OrganizationalUnits", parent):
                if one["Id"] not in seen:
                    seen.add(one["Id"])
                    parents.append(one["Id"])
            if len(found) > MOST_ACCOUNTS or len(seen) > MOST_UNITS:
                raise NotWorthRetrying(f"more than {MOST_ACCOUNTS} accounts or {MOST_UNITS} units")
        return tuple(sorted(found - set(organization.exclude)))

    async def listed(
        self, client: Any, lister: str, member: str, parent: str
    ) -> AsyncIterator[dict[str, Any]]:
        name = "".join(word.capitalize() for word in lister.split("_"))
        async with self.aws.calling("organizations", name):
            async for page in client.get_paginator(lister).paginate(ParentId=parent):
                for one in page[member]:
                    yield one


def is_active(account: dict[str, Any]) -> bool:
    """Whether an account is open. `State` has followed `Status`, which AWS gives up in 2026."""
    return (account.get("State") or account.get("Status")) == "ACTIVE"


def entry_of(account: Account) -> Entry:
    """How an account is entered."""
    return Entry(account.id, account.role_arn or "", account.external_id or "")


async def with_members(settings: Settings) -> Settings:
    """The settings as if they named all guarded accounts. Raises `SettingsError` if one cannot tell."""
    if not settings.organizations:
        return settings
    async with Aws(Metrics(), home_region=settings.home_region) as aws:
        guarded = Guarded(settings, aws, aws.metrics)
        # Whoever runs a command is told by it, on its own lines.
        guarded.log = structlog.wrap_logger(
            None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
        )
        await guarded.refresh()
    if guarded.trouble:
        raise SettingsError([f"organizations: {why}" for why in guarded.trouble.values()])
    return guarded.as_settings


def known_now(settings: Settings) -> Settings:
    """The same, for a command that has no event loop yet."""
    return asyncio.run(with_members(settings)) if settings.organizations else settings

"""The clients behind `monitor.aws`: one for each place that is called, opened when it is needed.

A place is a service, a Region and an entry, which is an account or "" for our own credentials. Hundreds of them fit
into one process: what they have in common (service models, the TLS context) is there once, those that
nobody has called for a while are closed, and no more than so many stay open. A client that is lent
may be closed between two calls and is then opened anew, so nobody has to give it back.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from aiobotocore.config import AioConfig
from aiobotocore.credentials import (
    AioAssumeRoleCredentialFetcher,
    AioDeferredRefreshableCredentials,
)
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import ClientError, NoCredentialsError

from monitor.account_metrics import AccountMetrics
from monitor.clock import Clock
from monitor.entry import Entry, session_name
from monitor.errors import Denied
from monitor.quota import PER_SECOND
from monitor.writes import MayWrite, Writes, always

IDLE_SECONDS = 600.0
"""After which a client that nobody has called is closed; sweeps come back every hour."""
MOST_OPEN = 200
"""Clients that stay open; more only while all of them are being called."""
RENEW_SECONDS = 30.0
"""Between two renewals of one entry's credentials: what is refused again is not merely old."""
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException"})
INVALID = frozenset({"InvalidClientTokenId", "UnrecognizedClientException"})
"""How AWS refuses a session that has been ended; with keys of a user only people can mend it."""

WRITER = "kms writer"
"""In a place: KMS's client for calls with small quotas. It tries once: `monitor.writes` knows when to
try again, while botocore's own tries would overrun the quota that it keeps to."""
ONCE = AioConfig(retries={"mode": "standard", "total_max_attempts": 1})
HASTY = AioConfig(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "max_attempts": 3}
)
"""DynamoDB's: a repair waits for the store, not for long. `monitor.stores.items` bounds the whole."""
THROTTLED_TRIES = 8
SPECIAL = {WRITER: ONCE, "dynamodb": HASTY}

Place = tuple[str, str, str]
"""Service, Region and entry."""


class Slot:
    """One client's place; `client` is None while it is closed."""

    def __init__(self, now: float) -> None:
        self.client: Any = None
        self.opened: Any = None
        """What `client` was entered through."""
        self.session: AioSession | None = None
        self.calls = 0
        """Calls in flight, and those that wait for it to open."""
        self.used_at = now
        self.lock = asyncio.Lock()


class Clients:
    """All clients of one `Aws`. Lives on one event loop."""

    def __init__(
        self,
        entries: dict[str, Entry],
        config: AioConfig,
        metrics: AccountMetrics,
        clock: Clock,
        *,
        endpoint_url: str | None,
        home_region: str | None,
        most: int = MOST_OPEN,
    ) -> None:
        self.entries = entries
        self.left: set[str] = set()
        """Accounts that were entered and are no more."""
        self.config = config
        self.metrics = metrics
        self.clock = clock
        self.endpoint_url = endpoint_url
        self.home_region = home_region
        self.most = most
        self.writes = Writes(clock)
        self.slots: dict[Place, Slot] = {}
        self.sessions: dict[str, AioSession] = {}
        """By entry; those without a role share that of ""."""
        self.renewed_at: dict[str, float] = {}
        self.retired: list[Slot] = []
        """Taken out while calls were in flight; closed after the last one."""

    def lend(self, service: str, region: str, entry: str, may_write: MayWrite = always) -> Any:
        """A client of that place. Nothing is opened before it is called."""
        return Lent(self, (service, region, entry), may_write)

    @asynccontextmanager
    async def borrow(self, place: Place) -> AsyncIterator[Slot]:
        """The open client of a place, for as long as one call takes."""
        slot = self.slots.get(place)
        if slot is None:
            slot = self.slots[place] = Slot(self.clock.monotonic())
        slot.calls += 1
        try:
            if slot.client is None:
                async with slot.lock:
                    if slot.client is None:
                        await self._open(slot, place)
            yield slot
        finally:
            slot.calls -= 1
            slot.used_at = self.clock.monotonic()
            if slot in self.retired and not slot.calls:
                self.retired.remove(slot)
                await self._close(slot)

    async def _open(self, slot: Slot, place: Place) -> None:
        service, region, entry = place
        slot.session = self.session(entry)
        opening = cast("Any", slot.session).create_client(
            "kms" if service == WRITER else service,
            region_name=region,
            endpoint_url=self.endpoint_url,
            config=self.config.merge(SPECIAL[service]) if service in SPECIAL else self.config,
        )
        slot.client = await opening.__aenter__()
        slot.opened = opening
        self._measure()
        await self._make_room()

    async def _close(self, slot: Slot) -> None:
        opened, slot.client, slot.opened = slot.opened, None, None
        if opened is not None:
            await opened.__aexit__(None, None, None)
        self._measure()

    def _measure(self) -> None:
        self.metrics.clients.set(sum(one.client is not None for one in self.slots.values()))

    async def _make_room(self) -> None:
        """Close those that were not called for longest, until no more are open than may be."""
        idle = [
            (slot.used_at, place) for place, slot in self.slots.items() if closable(place, slot)
        ]
        there = sum(slot.client is not None for slot in self.slots.values())
        for _, place in sorted(idle)[: max(0, there - self.most)]:
            await self.drop(place)

    async def tidy(self) -> None:
        """Close what nobody has called for a while."""
        now = self.clock.monotonic()
        for place, slot in list(self.slots.items()):
            if closable(place, slot) and now - slot.used_at >= IDLE_SECONDS:
                await self.drop(place)

    async def drop(self, place: Place) -> None:
        """Take a client out; calls in flight still end."""
        if (slot := self.slots.pop(place, None)) is None:
            return
        if slot.calls:
            self.retired.append(slot)
        else:
            await self._close(slot)

    async def close(self) -> None:
        for place in list(self.slots):
            await self._close(self.slots.pop(place))
        while self.retired:
            await self._close(self.retired.pop())

    # -- credentials

    def named(self, entry: str) -> str:
        """The name of the session that an entry uses."""
        return entry if entry in self.entries and self.entries[entry].role_arn else ""

    def session(self, entry: str) -> AioSession:
        """The session of an entry, which renews its credentials; `Denied` where it has left."""
        if entry in self.left:
            raise Denied(f"account {entry} is not entered any more")
        name = self.named(entry)
        if name not in self.sessions:
            session = get_session()
            if name:
                # Service models are 9 MB for each session that reads them by itself.
                loader = cast("Any", self.session("")).get_component("data_loader")
                cast("Any", session).register_component("data_loader", loader)
                # As botocore does it itself; set_credentials() would freeze them.
                cast("Any", session)._credentials = self._assumed(self.entries[name])  # noqa: SLF001
            self.sessions[name] = session
        return self.sessions[name]

    def _assumed(self, entry: Entry) -> AioDeferredRefreshableCredentials:
        extra = {"RoleSessionName": session_name(entry.account)}
        if entry.external_id:
            extra["ExternalId"] = entry.external_id
        fetcher = LazyAssumeRole(self, entry.role_arn, extra)
        return AioDeferredRefreshableCredentials(
            refresh_using=fetcher.fetch_credentials, method="assume-role"
        )

    async def renew(self, entry: str, used: AioSession | None, code: str) -> bool:
        """Whether a call that was refused with this code is worth another try with new credentials.

        AWS may end a session before its time: the provider, which looks at the time, keeps it.
        """
        name = self.named(entry)
        if code not in EXPIRED and not (name and code in INVALID):
            return False
        if self.sessions.get(name) is not used:
            return True  # another call has renewed it since
        now = self.clock.monotonic()
        if now - self.renewed_at.get(name, -RENEW_SECONDS) < RENEW_SECONDS:
            return False
        self.renewed_at[name] = now
        self.metrics.renewals.inc()
        await self.forget(name)
        return True

    async def forget(self, name: str) -> None:
        """Close a session with all its clients."""
        self.sessions.pop(name, None)
        for place in [one for one in self.slots if self.named(one[2]) == name]:
            await self.drop(place)


def closable(place: Place, slot: Slot) -> bool:
    """Whether a client may be closed now.

    Those with our own credentials are few, and S3 gives out streams that are read after the call.
    """
    return bool(place[2]) and slot.client is not None and not slot.calls


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def pascal(method: str) -> str:
    """The call that a client's method makes: `enable_key` is EnableKey."""
    return "".join(word.capitalize() for word in method.split("_"))


class Lent:
    """What callers hold: a client by its methods, of which each call opens it if need be."""

    def __init__(self, clients: Clients, place: Place, may_write: MayWrite) -> None:
        self._clients = clients
        self._place = place
        self._may_write = may_write

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        operation = pascal(name)

        async def call(**arguments: Any) -> Any:
            if self._place[0] == "kms" and operation in PER_SECOND:
                return await self._write(name, operation, arguments)
            return await self._try(self._place, name, arguments)

        return call

    async def _write(self, name: str, operation: str, arguments: dict[str, Any]) -> Any:
        """Make a call that has a small quota, when its turn comes; again if AWS had none left."""
        _, region, entry = self._place
        writes, where = self._clients.writes, (region, entry)
        for number in range(THROTTLED_TRIES):
            async with writes.turn(where, operation, self._may_write):
                try:
                    return await self._try((WRITER, region, entry), name, arguments)
                except ClientError as error:
                    last = number == THROTTLED_TRIES - 1
                    if last or code_of(error) != "ThrottlingException":
                        raise
                    writes.throttled(where, operation)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _try(self, place: Place, name: str, arguments: dict[str, Any]) -> Any:
        """Make one call; once more where only the credentials were too old."""
        for last in (False, True):
            used = None
            try:
                async with self._clients.borrow(place) as slot:
                    used = slot.session
                    return await getattr(slot.client, name)(**arguments)
            except ClientError as error:
                if last or not await self._clients.renew(place[2], used, code_of(error)):
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    def get_paginator(self, name: str) -> "Pages":
        return Pages(self._clients, self._place, name)


class Pages:
    """A paginator that keeps its client open while its pages are read."""

    def __init__(self, clients: Clients, place: Place, name: str) -> None:
        self._clients = clients
        self._place = place
        self._name = name

    async def paginate(self, **arguments: Any) -> AsyncIterator[Any]:
        async with self._clients.borrow(self._place) as slot:
            try:
                async for page in slot.client.get_paginator(self._name).paginate(**arguments):
                    yield page
            except ClientError as error:
                # Not begun anew, which would give pages twice; whoever tries again has new ones.
                await self._clients.renew(self._place[2], slot.session, code_of(error))
                raise


class LazyAssumeRole:
    """AssumeRole whose source credentials are looked for when they are needed, not at start."""

    def __init__(self, clients: Clients, role_arn: str, extra: dict[str, str]) -> None:
        self.clients = clients
        self.role_arn = role_arn
        self.extra = extra

    def _create_client(self, service: str, **credentials: Any) -> Any:
        # The role's Region does not matter, but a regional endpoint does not depend on us-east-1.
        session = cast("Any", self.clients.session(""))
        region = session.get_config_variable("region") or self.clients.home_region or "us-east-1"
        return session.create_client(
            service,
            region_name=region,
            endpoint_url=self.clients.endpoint_url,
            config=self.clients.config,
            **credentials,
        )

    async def fetch_credentials(self) -> dict[str, Any]:
        source = await self.clients.session("").get_credentials()
        if source is None:
            raise NoCredentialsError
        fetcher = AioAssumeRoleCredentialFetcher(
            self._create_client, source, self.role_arn, extra_args=self.extra
        )
        return cast("dict[str, Any]", await fetcher.fetch_credentials())

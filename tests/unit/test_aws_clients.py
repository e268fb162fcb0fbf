"""The pool of clients: how many stay open, when they close, and what a refused session does.

In scope: `monitor.aws_clients`. Replaced: botocore's sessions and clients, and the clock.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Self

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import ClientError

from monitor.aws import Aws
from monitor.aws_clients import IDLE_SECONDS, RENEW_SECONDS, Clients
from monitor.entry import Entry
from monitor.errors import Denied
from monitor.metrics import Metrics
from monitor.shared_tls import SharedTls

ROLE = "arn:aws:iam::444455556666:role/guard"


class Time:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


class FakeClient:
    """Answers, unless the session that it was opened with has ended."""

    def __init__(self, session: "FakeSession") -> None:
        self.session = session
        self.closed = False
        self.hold: asyncio.Event | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closed = True

    async def list_keys(self, **given: Any) -> dict[str, Any]:
        assert not self.closed
        if self.session.hold is not None:
            await self.session.hold.wait()
        if self.session.refuses:
            error = {"Error": {"Code": self.session.refuses, "Message": "no"}}
            raise ClientError(error, "ListKeys")  # type: ignore[arg-type]
        assert not self.closed
        return {"Keys": [], **given}

    def get_paginator(self, name: str) -> "FakeClient":
        assert name == "list_keys"
        return self

    async def paginate(self, **given: Any) -> AsyncIterator[dict[str, Any]]:
        for _ in range(2):
            yield await self.list_keys(**given)


class FakeSession:
    def __init__(self) -> None:
        self.refuses = ""
        self.hold: asyncio.Event | None = None
        self.made: list[FakeClient] = []

    def create_client(self, *_: object, **__: object) -> FakeClient:
        self.made.append(FakeClient(self))
        return self.made[-1]


class FakeClients(Clients):
    def __init__(self, time: Time, *, most: int = 3) -> None:
        accounts = [f"{number:012d}" for number in range(10)]
        entries = {one: Entry(one, ROLE) for one in accounts}
        super().__init__(
            entries, AioConfig(), Metrics().accounts, time, endpoint_url=None, home_region=None,
            most=most,
        )  # fmt: skip
        self.given: dict[str, list[FakeSession]] = {}

    def session(self, entry: str) -> Any:
        name = self.named(entry)
        if name not in self.sessions:
            made: Any = FakeSession()
            self.given.setdefault(name, []).append(made)
            self.sessions[name] = made
        return self.sessions[name]

    @property
    def open(self) -> list[str]:
        return [place[2] for place, slot in self.slots.items() if slot.client is not None]


@pytest.fixture
def time() -> Time:
    return Time()


def account(number: int) -> str:
    return f"{number:012d}"


async def test_nothing_is_opened_before_it_is_called(time: Time) -> None:
    clients = FakeClients(time)
    client = clients.lend("kms", "eu-west-1", account(1))
    assert clients.open == []
    assert await client.list_keys(Limit=1) == {"Keys": [], "Limit": 1}
    await client.list_keys()
    assert len(clients.given[account(1)][0].made) == 1


async def test_the_one_not_called_for_longest_makes_room(time: Time) -> None:
    clients = FakeClients(time)
    for number in (0, 1, 2, 0, 3):
        time.seconds += 1
        await clients.lend("kms", "eu-west-1", account(number)).list_keys()
    assert clients.open == [account(0), account(2), account(3)]
    assert clients.given[account(1)][0].made[0].closed


async def test_a_client_that_was_closed_is_opened_anew_for_whoever_holds_it(time: Time) -> None:
    clients = FakeClients(time, most=1)
    first = clients.lend("kms", "eu-west-1", account(0))
    await first.list_keys()
    await clients.lend("kms", "eu-west-1", account(1)).list_keys()
    assert clients.open == [account(1)]
    await first.list_keys()
    assert clients.open == [account(0)]


async def test_a_client_is_never_closed_under_a_call(time: Time) -> None:
    clients = FakeClients(time, most=1)
    held = asyncio.Event()
    clients.session(account(0)).hold = held
    call = asyncio.create_task(clients.lend("kms", "eu-west-1", account(0)).list_keys())
    await asyncio.sleep(0)
    await clients.lend("kms", "eu-west-1", account(1)).list_keys()
    assert sorted(clients.open) == [account(0), account(1)]
    await clients.forget(account(0))
    assert not clients.given[account(0)][0].made[0].closed
    held.set()
    await call
    assert clients.given[account(0)][0].made[0].closed
    assert clients.retired == []


async def test_a_client_stays_open_while_its_pages_are_read(time: Time) -> None:
    clients = FakeClients(time, most=1)
    pages = clients.lend("kms", "eu-west-1", account(0)).get_paginator("list_keys").paginate()
    read = 0
    async for _ in pages:
        read += 1
        await clients.lend("kms", "eu-west-1", account(1)).list_keys()
    assert read == 2


async def test_idle_ones_are_closed_but_for_our_own(time: Time) -> None:
    clients = FakeClients(time)
    await clients.lend("sqs", "eu-west-1", "").list_keys()
    await clients.lend("kms", "eu-west-1", account(0)).list_keys()
    time.seconds += IDLE_SECONDS - 1
    await clients.tidy()
    assert clients.open == ["", account(0)]
    time.seconds += 1
    await clients.tidy()
    assert clients.open == [""]
    await clients.close()
    assert clients.given[""][0].made[0].closed


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"])
async def test_an_ended_session_is_made_anew_once_for_all_calls(time: Time, code: str) -> None:
    clients = FakeClients(time)
    client = clients.lend("kms", "eu-west-1", account(0))
    await client.list_keys()
    clients.given[account(0)][0].refuses = code
    await asyncio.gather(*(client.list_keys() for _ in range(5)))
    assert len(clients.given[account(0)]) == 2
    assert clients.given[account(0)][0].made[0].closed


async def test_what_is_refused_again_is_not_renewed_for_ever(time: Time) -> None:
    clients = FakeClients(time)
    client = clients.lend("kms", "eu-west-1", account(0))
    for _ in range(2):
        clients.session(account(0)).refuses = "ExpiredToken"
        with suppress(ClientError):
            await client.list_keys()
    assert len(clients.given[account(0)]) == 2
    time.seconds += RENEW_SECONDS
    await client.list_keys()
    assert len(clients.given[account(0)]) == 3


@pytest.mark.parametrize(
    ("entry", "code"), [(account(0), "AccessDenied"), ("", "InvalidClientTokenId")]
)
async def test_other_refusals_are_not_about_age(time: Time, entry: str, code: str) -> None:
    clients = FakeClients(time)
    clients.session(entry).refuses = code
    with pytest.raises(ClientError):
        await clients.lend("kms", "eu-west-1", entry).list_keys()
    assert len(clients.given[entry]) == 1


async def test_pages_begun_with_an_ended_session_fail_and_the_next_time_succeed(time: Time) -> None:
    clients = FakeClients(time)
    clients.session(account(0)).refuses = "ExpiredToken"
    client = clients.lend("kms", "eu-west-1", account(0))
    with pytest.raises(ClientError):
        _ = [page async for page in client.get_paginator("list_keys").paginate()]
    assert len([page async for page in client.get_paginator("list_keys").paginate()]) == 2


def test_sessions_read_service_models_once() -> None:
    clients = Clients(
        {"a": Entry("a", ROLE), "b": Entry("b", ROLE), "c": Entry("c")}, AioConfig(),
        Metrics().accounts, Time(), endpoint_url=None, home_region=None,
    )  # fmt: skip
    own, first, second = (clients.session(name) for name in ("c", "a", "b"))
    assert own is clients.session("")
    assert first is not second
    loaders = {id(one.get_component("data_loader")) for one in (own, first, second)}
    assert len(loaders) == 1


def test_http_sessions_share_their_certificates_but_not_a_key_of_our_own() -> None:
    first, second = SharedTls(), SharedTls()
    assert first._build_verify_context() is second._build_verify_context()
    assert SharedTls(verify=False)._build_verify_context().check_hostname is False
    own = SharedTls()
    own._cert_file = "mine"
    assert own._build_verify_context() is not first._build_verify_context()
    assert issubclass(SharedTls, AIOHTTPSession)


async def test_an_account_that_has_left_is_not_called_with_our_own_credentials() -> None:
    """A role, or a rule, of the same name may be in our own account."""
    async with Aws(Metrics(), entries=[Entry(account(1))], home_region="eu-west-1") as aws:
        lent = await aws.client("iam", "eu-west-1", account(1))
        await aws.leave(account(1))
        with pytest.raises(Denied, match="account 000000000001 is not entered"):
            await lent.get_role_policy(RoleName="any", PolicyName="any")

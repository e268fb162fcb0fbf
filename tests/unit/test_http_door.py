"""The door to HTTP: where it goes, and how much of it.

Replaced: services, by servers on the loopback; name resolution, where it says so.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from monitor import http_door
from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.http_door import Answer, Door, checked_address, is_forbidden, seconds_of
from monitor.testing.fakes import HandClock
from tests.real.certificates import Authority

HIDDEN = "/hidden-part-of-the-address"


@pytest.mark.parametrize(
    "address",
    [
        "https://hooks.example.org/services/T0/B0/x?y=z",
        "https://10.0.0.7:8443/hook",
        "https://[2001:db8::1]/hook",
        "http://127.0.0.1:8080/x",
        "http://localhost:8080/x",
        "http://[::1]:8080/x",
    ],
)
def test_where_something_may_be_sent(address: str) -> None:
    assert checked_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "http://hooks.example.org/x",
        "ftp://example.org/x",
        "https://user:password@example.org/x",
        "https://user@example.org/",
        "https:///x",
        "https://example.org/x#y",
        "https://example.org/x y",
        "https://example.org/\r\nX-Evil: 1",
        "https://example.org:0/",
        "https://example.org:70000/",
        "https://[::1/",
        "https://exämple.org/",
        "https://169.254.169.254/latest/meta-data/",
        "https://169.254.170.23/v1/credentials",
        "https://[fd00:ec2::254]/latest",
        "https://[::ffff:169.254.169.254]/",
        "https://[2002:a9fe:a9fe::1]/",
        "https://127.0.0.2/x",
        "https://0.0.0.0/x",
        "https://224.0.0.1/x",
        "https://" + "x" * 3000 + "/",
        "hidden",
        "",
    ],
)
def test_where_nothing_may_be_sent(address: str) -> None:
    with pytest.raises(ValueError, match=r"must be|must begin|leads to") as caught:
        checked_address(address)
    assert "password" not in str(caught.value)
    assert "hidden" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for one in (text, f"https://{text}", f"https://example.org/{text}"):
        try:
            checked_address(one)
        except ValueError:
            continue
        assert one.startswith(("https://", "http://"))
        assert one.isprintable()


@given(st.ip_addresses())
def test_only_our_own_and_nobodys_addresses_are_forbidden(address: Any) -> None:
    odd = address.is_loopback or address.is_link_local or address.is_multicast
    if odd or address.is_unspecified:
        assert is_forbidden(str(address))


def test_when_to_come_again() -> None:
    assert seconds_of("7", 0) == 7
    assert seconds_of("Fri, 20 Nov 2026 09:14:13 GMT", 1_795_166_043.0) == 10
    for nonsense in ("", "soon", "-3", "1e9", "9" * 30, "Fri, 99 Foo 2026"):
        assert seconds_of(nonsense, 0) == 0


class Site:
    def __init__(self) -> None:
        self.answer: Any = web.Response(text="ok")
        self.hosts: list[str] = []
        self.slow = 0.0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.hosts.append(request.host)
        await asyncio.sleep(self.slow)
        if callable(self.answer):
            got: web.StreamResponse = await self.answer(request)
            return got
        made: web.Response = self.answer
        return made


@pytest.fixture
async def site() -> AsyncIterator[tuple[Site, str]]:
    made = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    async with TestServer(app) as server:
        yield made, f"http://127.0.0.1:{server.port}{HIDDEN}"


def door(**changes: Any) -> Door:
    return Door(HandClock(), **({"seconds": 2.0} | changes))


async def test_it_posts_what_it_is_given(site: tuple[Site, str]) -> None:
    got: list[tuple[bytes, str]] = []

    async def answer(request: web.Request) -> web.Response:
        got.append((await request.read(), request.headers["User-Agent"]))
        return web.Response(status=202, text="taken", headers={"Retry-After": "3"})

    site[0].answer = answer
    assert await door().post(site[1], b"{}", {"Content-Type": "x/y"}) == Answer(202, b"taken", 3)
    assert got == [(b"{}", "kms-monitor")]


async def test_an_endless_answer_is_read_only_at_its_beginning(site: tuple[Site, str]) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 8192)
        except (ConnectionError, asyncio.CancelledError):
            return response

    site[0].answer = endless
    answer = await door().post(site[1], b"", {})
    assert len(answer.body) == http_door.LARGEST_ANSWER


async def test_one_that_does_not_answer_is_left(site: tuple[Site, str]) -> None:
    site[0].slow = 5
    with pytest.raises(WorthRetrying, match="cannot be reached") as caught:
        await door(seconds=0.2).post(site[1], b"", {})
    assert HIDDEN not in str(caught.value)


async def test_a_name_that_leads_to_a_metadata_service_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def resolve(self: Any, host: str, port: int = 0, family: Any = 0) -> list[Any]:
        found = {"hostname": host, "host": "169.254.169.254", "port": port}
        return [found | {"family": socket.AF_INET, "proto": 0, "flags": 0}]

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
    with pytest.raises(NotWorthRetrying, match="metadata service") as caught:
        await door().post(f"https://rebound.example{HIDDEN}", b"", {})
    assert HIDDEN not in str(caught.value)


async def test_a_name_that_does_not_exist_may_exist_later() -> None:
    with pytest.raises(WorthRetrying, match=r"nowhere\.invalid: its name cannot be resolved"):
        await door().post(f"https://nowhere.invalid{HIDDEN}", b"", {})


async def test_who_has_no_good_certificate_gets_nothing(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    theirs.issue("localhost")
    got: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        got.append(request.path)
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/x", handle)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "localhost.pem", tmp_path / "localhost.key")
    server = TestServer(app, scheme="https", host="localhost")
    await server.start_server(ssl=context)
    try:
        address = f"https://localhost:{server.port}/x"
        with pytest.raises(NotWorthRetrying, match="certificate is not good"):
            await door(ca_file=ours.ca).post(address, b"", {})
        assert got == []
        assert (await door(ca_file=theirs.ca).post(address, b"", {})).status == 200
    finally:
        await server.close()


async def test_certificates_that_cannot_be_read_are_said() -> None:
    with pytest.raises(NotWorthRetrying, match="ca_file /nowhere"):
        await door(ca_file=Path("/nowhere")).post("https://example.org/", b"", {})


async def test_no_more_than_four_at_once(site: tuple[Site, str]) -> None:
    running, most, four = 0, 0, asyncio.Event()

    async def count(_: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == http_door.CONNECTIONS:
            four.set()
        await four.wait()
        await asyncio.sleep(0.02)
        running -= 1
        return web.Response(text="ok")

    site[0].answer = count
    one = door(seconds=10)
    await asyncio.gather(*(one.post(site[1], b"", {}) for _ in range(12)))
    assert most == http_door.CONNECTIONS

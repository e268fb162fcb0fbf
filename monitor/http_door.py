"""The only door to the HTTP services that people are told by.

An address comes from the settings, never from a message. All the same the door goes nowhere by mistake: TLS
with a verified certificate, or loopback; no redirect is followed, no proxy is taken from the environment,
and a name that leads to a metadata service, or from outside to ourselves, is refused when it is
resolved, so that no record of somebody else's DNS can point us there. Time, size of an answer and
connections are bounded. An address may be a secret (Slack, Teams): no error says more of it than its host.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from monitor.clock import Clock
from monitor.errors import NotWorthRetrying, WorthRetrying

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
LONGEST_ADDRESS: Final = 2048
LARGEST_ANSWER: Final = 16 * 1024
"""Bytes. What a service says beyond that is not read."""
CONNECTIONS: Final = 4
"""At once, for each channel."""
METADATA: Final = ipaddress.ip_network("fd00:ec2::/32")
"""EC2's metadata and EKS's Pod Identity by IPv6; by IPv4 they are link-local."""


class Forbidden(OSError):
    """A name leads to where nothing may be sent."""


class Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    """Its first 16 KiB."""
    retry_after: float = 0.0
    """Seconds that the service asks us to wait; 0 where it does not say."""


def checked_address(text: str) -> str:
    """The address as it is, if anything may be sent to it. Raises ValueError, which does not quote it."""
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > LONGEST_ADDRESS:
        raise ValueError("must be an address such as https://example.org/hook")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be an address such as https://example.org/hook") from None
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise ValueError("must be an address such as https://example.org/hook")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("must be an address without a user name and without #")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise ValueError("must begin with https://: it would go in the clear")
    if host not in LOOPBACK and is_forbidden(host):
        raise ValueError("leads to a metadata service, or to this very machine")
    return text


def host_of(address: str) -> str:
    """All that may be said of an address."""
    return urlsplit(address).hostname or ""


def is_forbidden(address: str) -> bool:
    """Whether an IP address is none to send to: our own, a metadata service's, or nobody's.

    Private addresses are allowed: relays and gateways have such. A name is none, and is resolved first.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)
    own = ip.is_loopback or ip.is_unspecified
    return own or ip.is_link_local or ip.is_multicast or (ip.version == 6 and ip in METADATA)


class GuardedResolver(AbstractResolver):
    """Refuses what leads to a forbidden address, unless the name itself says loopback."""

    def __init__(self) -> None:
        self.inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self.inner.resolve(host, port, family)
        if host not in LOOPBACK and any(is_forbidden(one["host"]) for one in found):
            raise Forbidden("it leads to a metadata service, or to this very machine")
        return found

    async def close(self) -> None:
        await self.inner.close()


class Door:
    """Posts to one service."""

    def __init__(self, clock: Clock, *, seconds: float, ca_file: Path | None = None) -> None:
        """`seconds`: for one request, its connection included."""
        self.clock = clock
        self.seconds = seconds
        self.ca_file = ca_file
        self.turns = asyncio.Semaphore(CONNECTIONS)

    async def post(self, address: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One request. Raises `WorthRetrying` where there is no answer, `NotWorthRetrying` where none
        can ever come.

        The connection is opened for it alone: people are told some times a day, and certificates
        may be renewed meanwhile.
        """
        where = host_of(address)
        async with self.turns:
            connector = aiohttp.TCPConnector(
                ssl=await asyncio.to_thread(trusting, self.ca_file), resolver=GuardedResolver()
            )
            try:
                async with (
                    aiohttp.ClientSession(
                        connector=connector,
                        timeout=aiohttp.ClientTimeout(total=self.seconds),
                        trust_env=False,
                        cookie_jar=aiohttp.DummyCookieJar(),
                        headers={"User-Agent": "kms-monitor"},
                    ) as http,
                    http.post(
                        address, data=body, headers=dict(headers), allow_redirects=False
                    ) as got,
                ):
                    text = await first_of(got)
                    asked = got.headers.get("Retry-After", "")
                    return Answer(got.status, text, seconds_of(asked, self.clock.now()))
            except aiohttp.ClientConnectorCertificateError as error:
                why = error.certificate_error
                raise NotWorthRetrying(f"{where}: its certificate is not good: {why}") from None
            except aiohttp.ClientConnectorDNSError as error:
                if isinstance(error.os_error, Forbidden):
                    raise NotWorthRetrying(f"{where}: {error.os_error}") from None
                raise WorthRetrying(f"{where}: its name cannot be resolved") from None
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                # Without its text, and without the error itself: they may quote the address.
                kind = type(error).__name__
                raise WorthRetrying(f"{where}: cannot be reached: {kind}") from None


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """TLS that verifies certificates by that file (PEM), or by the system's; opens it.

    Raises `NotWorthRetrying` where it cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise NotWorthRetrying(f"ca_file {ca_file} cannot be read: {error.strerror}") from error


async def first_of(got: aiohttp.ClientResponse) -> bytes:
    """The beginning of an answer. The rest is not waited for."""
    text = b""
    while len(text) < LARGEST_ANSWER and (piece := await got.content.read(LARGEST_ANSWER)):
        text += piece
    return text[:LARGEST_ANSWER]


def seconds_of(asked: str, now: float) -> float:
    """What `Retry-After` says (RFC 9110, 10.2.3): seconds, or a date. 0 where it says nothing."""
    if asked.isascii() and asked.isdigit() and len(asked) <= 6:
        return float(asked)
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return 0.0

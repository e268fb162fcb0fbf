"""Whether a message that SNS wrapped is believed: its topic is allowed, its signature is SNS's.

Amazon SNS developer guide, "Verifying the signatures of Amazon SNS messages". The only URL of a
message that is ever fetched is its certificate's, and only if the settings' own topic says which
host that must be. That the certificate came from that host by HTTPS is what makes it SNS's; its
chain is not verified further, as AWS's own validators do not either. The partitions `aws`,
`aws-us-gov` and `aws-cn` are known; others have hosts of other names, and are not believed.
"""

import asyncio
import base64
import binascii
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable

import aiohttp
import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from monitor.clock import Clock
from monitor.errors import MonitorError, Unreadable, WorthRetrying
from monitor.metrics import Metrics
from monitor.shapes import SnsWrapping

TIMEOUT = 5.0
"""Seconds for the whole of one certificate."""
LARGEST = 64 * 1024
"""Bytes of a certificate; AWS's have two thousand."""
MOST_CERTIFICATES = 16
"""Kept at once. SNS has one per Region, and changes it about once a year."""
MOST_FETCHES = 4
"""At once, so that forged messages cannot open connections without end."""
CERTIFICATE = re.compile(
    r"https://sns\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?P<china>\.cn)?"
    r"/SimpleNotificationService-[0-9a-f]{1,64}\.pem"
)
"""No user, port, query or fragment; only AWS can serve anything at such a path of such a host."""
HASHES: dict[str, type[HashAlgorithm]] = {"1": SHA1, "2": SHA256}
"""By `SignatureVersion`, which the topic's owner chooses."""

Fetch = Callable[[str], Awaitable[bytes]]
"""The certificate at a URL that was checked. Raises `Unreadable` or `WorthRetrying`."""

Outcome = x509.Certificate | Unreadable | WorthRetrying


class SnsTrust:
    """Knows which topics are allowed, and the certificates that were needed so far."""

    def __init__(
        self,
        topics: Collection[str],
        *,
        verify: bool,
        clock: Clock,
        metrics: Metrics,
        fetch: Fetch | None = None,
    ) -> None:
        self.topics = frozenset(topics)
        self.verify = verify
        self.clock = clock
        self.metrics = metrics
        self.fetch = fetch or fetch_certificate
        self.log = structlog.get_logger("sns_trust")
        self.known: OrderedDict[str, x509.Certificate] = OrderedDict()
        self.fetching: dict[str, asyncio.Future[Outcome]] = {}
        self.slots = asyncio.Semaphore(MOST_FETCHES)

    async def check(self, wrappings: Iterable[SnsWrapping]) -> None:
        """Raises `Unreadable` if one is not to be believed, `WorthRetrying` if it is too early to say.

        Every topic is looked at before the first certificate: what is not allowed costs no fetch.
        """
        wrappings = tuple(wrappings)
        for one in wrappings:
            if one.topic_arn not in self.topics:
                raise Unreadable(
                    "topic_not_allowed",
                    f"wrapped by the topic {one.topic_arn[:200]}; if you send through it, add it "
                    "to `sns_topics` in the settings",
                )
        if self.verify:
            for one in wrappings:
                await self.verify_one(one)

    async def verify_one(self, wrapping: SnsWrapping) -> None:
        """The signature of one level. The check itself takes a tenth of a millisecond."""
        algorithm = HASHES.get(wrapping.signature_version)
        if algorithm is None:
            raise Unreadable("bad_signature", "SignatureVersion is neither 1 nor 2")
        check_url(wrapping)
        try:
            signature = base64.b64decode(wrapping.signature, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Unreadable("bad_signature", "Signature is not base64") from error
        certificate = await self.certificate(wrapping.signing_cert_url)
        now = self.clock.now()
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not begins.timestamp() <= now <= ends.timestamp():
            raise Unreadable("bad_signature", "the certificate is not valid at this time")
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey):
            raise Unreadable("bad_signature", "the certificate is not for RSA")
        try:
            key.verify(signature, signed_text(wrapping), PKCS1v15(), algorithm())
        except InvalidSignature as error:
            raise Unreadable("bad_signature", "the signature is not of this message") from error

    async def certificate(self, url: str) -> x509.Certificate:
        """The certificate at `url`, fetched once however many messages wait for it."""
        if (known := self.known.get(url)) is not None:
            self.known.move_to_end(url)
            return known
        if (fetching := self.fetching.get(url)) is not None:
            outcome = await asyncio.shield(fetching)
        else:
            outcome = await self.load_for_all(url)
        if isinstance(outcome, MonitorError):
            raise outcome
        return outcome

    async def load_for_all(self, url: str) -> Outcome:
        """Those who ask in the meantime share the outcome, also if there is none."""
        shared = self.fetching[url] = asyncio.get_running_loop().create_future()
        outcome: Outcome = WorthRetrying("whoever fetched the certificate was stopped")
        try:
            outcome = await self.load(url)
            self.keep(url, outcome)
        except WorthRetrying as error:
            self.metrics.client_errors.labels("sns", error.code or "certificate").inc()
            self.log.warning("certificate cannot be fetched", url=url, problem=str(error))
            outcome = error
        except Unreadable as error:
            outcome = error
        finally:
            del self.fetching[url]
            shared.set_result(outcome)
        return outcome

    async def load(self, url: str) -> x509.Certificate:
        try:
            async with asyncio.timeout(2 * TIMEOUT), self.slots:
                pem = await self.fetch(url)
            return x509.load_pem_x509_certificate(pem)
        except TimeoutError as error:
            raise WorthRetrying("too many certificates are asked for", code="timeout") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Unreadable("bad_signature", "there is no certificate at its URL") from error

    def keep(self, url: str, certificate: x509.Certificate) -> None:
        self.known[url] = certificate
        while len(self.known) > MOST_CERTIFICATES:
            self.known.popitem(last=False)


def check_url(wrapping: SnsWrapping) -> None:
    """The certificate must be where SNS in the topic's own Region has it. Raises `Unreadable`."""
    match = CERTIFICATE.fullmatch(wrapping.signing_cert_url)
    region = (wrapping.topic_arn.split(":") + [""] * 4)[3]
    if (
        match is None
        or match["region"] != region
        or (match["china"] is not None) is not region.startswith("cn-")
    ):
        raise Unreadable("bad_signature", "SigningCertURL is not of SNS in the topic's Region")


def signed_text(wrapping: SnsWrapping) -> bytes:
    """What SNS signs of a notification: these members, in this order, each on a line of its own."""
    members = [
        ("Message", wrapping.message),
        ("MessageId", wrapping.message_id),
        ("Subject", wrapping.subject),
        ("Timestamp", wrapping.timestamp),
        ("TopicArn", wrapping.topic_arn),
        ("Type", wrapping.type),
    ]
    return "".join(f"{name}\n{value}\n" for name, value in members if value is not None).encode(
        "utf-8", "replace"
    )


async def fetch_certificate(url: str) -> bytes:
    """GET, without following redirects. Proxies are taken from the environment, as for AWS calls."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status == 429 or response.status >= 500:
                raise WorthRetrying(f"HTTP {response.status}", code=str(response.status))
            if response.status != 200:
                raise Unreadable("bad_signature", f"HTTP {response.status} for its certificate")
            pem = bytearray()
            async for chunk in response.content.iter_chunked(LARGEST):
                pem += chunk
                if len(pem) > LARGEST:
                    raise Unreadable("bad_signature", "what is at its URL is no certificate")
            return bytes(pem)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise WorthRetrying(f"{type(error).__name__}: {error}") from error

"""Messages that SNS wrapped: whose they are, and that no other URL in them is ever fetched.

Replaced: SNS, by a certificate made here; the network, by a function, except where it is a server
on the loopback.
"""

import asyncio
import base64
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from monitor import sns_trust
from monitor.errors import Unreadable, WorthRetrying
from monitor.metrics import Metrics
from monitor.shapes import SnsWrapping
from monitor.sns_trust import LARGEST, MOST_CERTIFICATES, SnsTrust, fetch_certificate, signed_text

TOPIC = "arn:aws:sns:eu-west-1:111122223333:kms-events"
PEM = "SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
URL = f"https://sns.eu-west-1.amazonaws.com/{PEM}"
NOW = dt.datetime(2026, 11, 20, 9, 14, tzinfo=dt.UTC)
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
DAY = dt.timedelta(days=1)


def certificate(
    *, begins: dt.datetime = NOW - DAY, ends: dt.datetime = NOW + DAY, key: Any = KEY
) -> bytes:
    """A certificate as SNS has one; who signed it is not looked at."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .sign(key, SHA256())
    )
    return built.public_bytes(Encoding.PEM)


CERTIFICATE = certificate()


def signed(version: str = "1", **changes: str | None) -> SnsWrapping:
    """A wrapping with SNS's signature, by our key."""
    plain = SnsWrapping(
        topic_arn=TOPIC,
        message='{"Records": []}',
        type="Notification",
        message_id="44444444-dddd-4ddd-8ddd-000000000001",
        timestamp="2026-11-20T09:14:05.123Z",
        subject="größer",
        signature_version=version,
        signing_cert_url=URL,
    )
    plain = replace(plain, **changes)
    algorithm = SHA1() if version == "1" else SHA256()
    signature = KEY.sign(signed_text(plain), PKCS1v15(), algorithm)
    return replace(plain, signature=base64.b64encode(signature).decode())


class Clock:
    def now(self) -> float:
        return NOW.timestamp()

    def monotonic(self) -> float:
        return 0.0


class Server:
    """Serves certificates, and remembers what was asked for."""

    def __init__(self, pem: bytes = CERTIFICATE, error: Exception | None = None) -> None:
        self.pem = pem
        self.error = error
        self.asked: list[str] = []

    async def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.pem


def trust_of(
    server: Server, topics: tuple[str, ...] = (TOPIC,), *, verify: bool = True
) -> SnsTrust:
    return SnsTrust(topics, verify=verify, clock=Clock(), metrics=Metrics(), fetch=server)


async def refused(trust: SnsTrust, *wrappings: SnsWrapping) -> str:
    with pytest.raises(Unreadable) as caught:
        await trust.check(wrappings)
    return caught.value.reason


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "", "größer"])
async def test_what_sns_signed_is_believed(version: str, subject: str | None) -> None:
    server = Server()
    await trust_of(server).check([signed(version, subject=subject)])
    assert server.asked == [URL]


def test_what_is_signed_is_as_aws_documents_it() -> None:
    assert signed_text(signed(message="m", subject="s")).decode() == (
        "Message\nm\nMessageId\n44444444-dddd-4ddd-8ddd-000000000001\nSubject\ns\n"
        f"Timestamp\n2026-11-20T09:14:05.123Z\nTopicArn\n{TOPIC}\nType\nNotification\n"
    )
    assert b"Subject" not in signed_text(signed(subject=None))


@pytest.mark.parametrize(
    "changes",
    [
        {"message": '{"Records": [1]}'},
        {"message_id": "another"},
        {"subject": None},
        {"subject": "another"},
        {"timestamp": "2026-11-20T09:14:05.124Z"},
        {"type": "SubscriptionConfirmation"},
        {"signature": base64.b64encode(b"x" * 256).decode()},
        {"signature": ""},
        {"signature": "ÄÖÜ"},
        {"signature": "no base64!"},
        {"signature_version": "2"},
        {"signature_version": "3"},
        {"signature_version": ""},
    ],
)
async def test_an_altered_message_is_not_believed(changes: dict[str, Any]) -> None:
    assert await refused(trust_of(Server()), replace(signed(), **changes)) == "bad_signature"


async def test_a_message_of_one_topic_is_not_taken_for_one_of_another() -> None:
    other = TOPIC + "-other"
    trust = trust_of(Server(), (TOPIC, other))
    assert await refused(trust, replace(signed(), topic_arn=other)) == "bad_signature"


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"http://sns.eu-west-1.amazonaws.com/{PEM}",
        f"HTTPS://sns.eu-west-1.amazonaws.com/{PEM}",
        f"file:///{PEM}",
        f"https://s3.amazonaws.com/{PEM}",
        f"https://sns.eu-west-1.s3.amazonaws.com/{PEM}",
        f"https://bucket.s3.eu-west-1.amazonaws.com/{PEM}",
        f"https://sns.amazonaws.com/{PEM}",
        f"https://sns.us-east-1.amazonaws.com/{PEM}",
        f"https://sns.eu-west-1.amazonaws.com.evil.com/{PEM}",
        f"https://sns.eu-west-1.amazonaws.com.cn/{PEM}",
        f"https://evil.com/sns.eu-west-1.amazonaws.com/{PEM}",
        f"https://evil.com#sns.eu-west-1.amazonaws.com/{PEM}",
        f"https://evil.com\\@sns.eu-west-1.amazonaws.com/{PEM}",
        f"https://xsns.eu-west-1.amazonaws.com/{PEM}",
        f"https://sns.eu-west-1xamazonaws.com/{PEM}",
        f"https://user@sns.eu-west-1.amazonaws.com/{PEM}",
        f"https://sns.eu-west-1.amazonaws.com:pw@evil.com/{PEM}",
        f"https://sns.eu-west-1.amazonaws.com:443/{PEM}",
        f"https://sns.eu-west-1.amazonaws.com:8443/{PEM}",
        f"https://sns.eu-west-1.amazonaws.com./{PEM}",
        f"https://sns.eu-west-1.amazonaws.com//{PEM}",
        f"https://sns.eu-west-1.amazonaws.com/x/{PEM}",
        f"https://sns.eu-west-1.amazonaws.com/../{PEM}",
        f"https://sns.eu-west-1.amazonaws.com/{PEM}?x=1",
        f"https://sns.eu-west-1.amazonaws.com/{PEM}#x",
        f"https://sns.eu-west-1.amazonaws.com/{PEM}\n",
        f"https://sns.eu-west-1.amazonaws.com/{PEM}/",
        f" {URL}",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-XYZ.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-00%2e.pem",
        "https://sns.eu-west-1.amazonaws.com/?Action=Publish&Message=x",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/x.pem",
    ],
)
async def test_no_url_but_that_of_the_topics_own_region_is_fetched(url: str) -> None:
    server = Server()
    assert await refused(trust_of(server), signed(signing_cert_url=url)) == "bad_signature"
    assert server.asked == []


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws-cn", "cn-north-1", "sns.cn-north-1.amazonaws.com.cn"),
        ("aws-us-gov", "us-gov-west-1", "sns.us-gov-west-1.amazonaws.com"),
    ],
)
async def test_other_partitions(partition: str, region: str, host: str) -> None:
    topic = f"arn:{partition}:sns:{region}:111122223333:t"
    server = Server()
    url = f"https://{host}/{PEM}"
    await trust_of(server, (topic,)).check([signed(topic_arn=topic, signing_cert_url=url)])
    assert server.asked == [url]
    elsewhere = f"https://sns.{region}.amazonaws.com{'' if partition == 'aws-cn' else '.cn'}/{PEM}"
    forged = signed(topic_arn=topic, signing_cert_url=elsewhere)
    assert await refused(trust_of(server, (topic,)), forged) == "bad_signature"
    assert server.asked == [url]


async def test_a_topic_that_is_not_allowed_costs_no_fetch() -> None:
    for verify in (True, False):
        server = Server()
        trust = trust_of(server, ("arn:aws:sns:eu-west-1:111122223333:other",), verify=verify)
        with pytest.raises(Unreadable, match="add it to `sns_topics`") as caught:
            await trust.check([signed()])
        assert caught.value.reason == "topic_not_allowed"
        assert await refused(trust_of(server, ()), signed()) == "topic_not_allowed"
        assert server.asked == []


async def test_every_level_has_to_be_believed() -> None:
    server = Server()
    inner = replace(signed(), topic_arn=TOPIC + "x")
    assert await refused(trust_of(server), signed(), inner) == "topic_not_allowed"
    assert server.asked == []
    altered = replace(signed(), message="x")
    assert await refused(trust_of(server), signed(), altered) == "bad_signature"
    await trust_of(server).check([signed(), signed("2")])


async def test_without_verification_the_topic_is_enough() -> None:
    server = Server()
    await trust_of(server, verify=False).check([replace(signed(), signature="")])
    assert server.asked == []


@pytest.mark.parametrize(
    "pem",
    [
        certificate(begins=NOW - 2 * DAY, ends=NOW - DAY),
        certificate(begins=NOW + DAY, ends=NOW + 2 * DAY),
        certificate(key=ec.generate_private_key(ec.SECP256R1())),
        certificate(key=rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        b"<html>no certificate</html>",
        b"",
        CERTIFICATE[:400],
    ],
    ids=["expired", "not yet valid", "not RSA", "of another key", "HTML", "empty", "cut"],
)
async def test_certificates_that_are_not_good_enough(pem: bytes) -> None:
    assert await refused(trust_of(Server(pem)), signed()) == "bad_signature"


async def test_a_certificate_is_fetched_once() -> None:
    server = Server()
    trust = trust_of(server)
    await asyncio.gather(*(trust.check([signed()]) for _ in range(20)))
    await trust.check([signed("2")])
    assert server.asked == [URL]
    assert trust.fetching == {}


async def test_no_more_certificates_are_kept_than_needed() -> None:
    server = Server()
    trust = trust_of(server)
    for number in range(MOST_CERTIFICATES + 5):
        url = f"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-{number:x}.pem"
        await trust.check([signed(signing_cert_url=url)])
    assert len(trust.known) == MOST_CERTIFICATES


async def test_a_certificate_that_cannot_be_fetched_now_is_tried_again_later() -> None:
    server = Server(error=WorthRetrying("HTTP 503", code="503"))
    trust = trust_of(server)
    answers = await asyncio.gather(
        *(trust.check([signed()]) for _ in range(5)), return_exceptions=True
    )
    assert {type(one) for one in answers} == {WorthRetrying}
    assert server.asked == [URL], "those who wait share the outcome"
    labels = {"service": "sns", "error": "503"}
    assert trust.metrics.registry.get_sample_value("kms_monitor_client_errors_total", labels) == 1
    server.error = None
    await trust.check([signed()])


async def test_who_waits_for_one_that_was_stopped_tries_again_later() -> None:
    trust = trust_of(Server())
    first = asyncio.create_task(trust.check([signed()]), name="first")
    second = asyncio.create_task(trust.check([signed()]), name="second")
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(WorthRetrying):
        await second
    await trust.check([signed()])


@asynccontextmanager
async def serving(answer: Callable[[web.Request], web.StreamResponse]) -> AsyncIterator[str]:
    """A server on the loopback that gives one answer to everything."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_fetching() -> None:
    async with serving(lambda _: web.Response(body=CERTIFICATE)) as url:
        assert await fetch_certificate(url) == CERTIFICATE


@pytest.mark.parametrize("status", [301, 302, 307, 400, 403, 404])
async def test_redirects_and_refusals_are_not_followed(status: int) -> None:
    asked = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with serving(answer) as url:
        with pytest.raises(Unreadable) as caught:
            await fetch_certificate(f"{url}/{PEM}")
    assert caught.value.reason == "bad_signature"
    assert asked == [f"/{PEM}"]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_trouble_at_aws_is_worth_retrying(status: int) -> None:
    async with serving(lambda _: web.Response(status=status)) as url:
        with pytest.raises(WorthRetrying):
            await fetch_certificate(url)


async def test_what_is_too_large_is_no_certificate() -> None:
    async with serving(lambda _: web.Response(body=b"x" * (LARGEST + 1))) as url:
        with pytest.raises(Unreadable):
            await fetch_certificate(url)


async def test_who_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    monkeypatch.setattr(sns_trust, "TIMEOUT", 0.05)
    server = await asyncio.start_server(never, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(WorthRetrying):
            await fetch_certificate(f"http://127.0.0.1:{port}")
    with pytest.raises(WorthRetrying):
        await fetch_certificate(f"http://127.0.0.1:{port}")

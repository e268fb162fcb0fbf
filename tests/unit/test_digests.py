"""Digests: signed as CloudTrail signs them, and every way in which one can be wrong."""

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from monitor.detector import NoOptions
from monitor.detectors.log_file_tampered import LogFileTampered
from monitor.errors import Unreadable
from monitor.finding import Kind
from monitor.metrics import Metrics
from monitor.shapes import LogObject
from monitor.sources.digests import read_digest, sha256
from monitor.sources.verification import Stored, Verification

BUCKET = "org-trail-bucket"
FOLDER = "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/11/20"
LOG = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/20/log.json.gz"


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def name(hour: int) -> str:
    return f"{FOLDER}/111122223333_CloudTrail-Digest_eu-west-1_main_eu-west-1_{hour:02}.json.gz"


@dataclass
class World:
    """A bucket with two digests, the second of which names a log file and the first."""

    key: RSAPrivateKey
    logs: dict[str, bytes] = field(default_factory=lambda: {LOG: b'{"Records":[]}'})
    objects: dict[str, Stored] = field(default_factory=dict)
    known: bool = True

    def __post_init__(self) -> None:
        self.add(1, None)
        self.add(2, 1, logFiles=[{"s3Bucket": BUCKET, "s3Object": LOG, "hashValue": self.hashed()}])

    def hashed(self) -> str:
        return sha256(self.logs[LOG])

    def add(self, hour: int, before: int | None, **changes: Any) -> None:
        previous = self.objects[name(before)] if before else None
        document = {
            "awsAccountId": "111122223333",
            "digestEndTime": f"2026-11-20T{hour:02}:01:31Z",
            "digestS3Bucket": BUCKET,
            "digestS3Object": name(hour),
            "digestPublicKeyFingerprint": "fingerprint",
            "previousDigestS3Bucket": BUCKET if before else None,
            "previousDigestS3Object": name(before) if before else None,
            "previousDigestHashValue": sha256(previous.unpacked) if previous else None,
            "previousDigestSignature": previous.signature if previous else None,
            "logFiles": [],
        } | changes
        unpacked = json.dumps(document).encode()
        # As the guide has it, written here once more and not taken from the code under test.
        text = "\n".join(
            [
                document["digestEndTime"],
                f"{document['digestS3Bucket']}/{document['digestS3Object']}",
                sha256(unpacked),
                document["previousDigestSignature"] or "null",
            ]
        )
        signature = self.key.sign(text.encode(), PKCS1v15(), SHA256()).hex()
        self.objects[name(hour)] = Stored(unpacked, signature)

    # -- what the verification asks of S3 and CloudTrail

    async def whole(self, where: LogObject) -> Stored | None:
        return self.objects.get(where.key)

    async def hash(self, where: LogObject) -> str | None:
        found = self.logs.get(where.key)
        return None if found is None else sha256(found)

    async def client(self, service: str, region: str) -> Any:
        assert (service, region) == ("cloudtrail", "eu-west-1")
        return self

    @asynccontextmanager
    async def calling(self, *_: str) -> Any:
        yield

    async def list_public_keys(self, **_: Any) -> dict[str, Any]:
        der = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
        return {"PublicKeyList": [{"Fingerprint": "fingerprint", "Value": der}] * self.known}

    async def problems(self, hour: int, at: str = "") -> list[str]:
        aws: Any = self
        verification = Verification(self, aws, Metrics())
        where = LogObject(BUCKET, at or name(hour), "eu-west-1")
        return [event.request()["problem"] async for event in verification.events(where)]


async def test_all_is_well(key: RSAPrivateKey) -> None:
    assert await World(key).problems(2) == []


async def test_the_first_of_a_chain(key: RSAPrivateKey) -> None:
    assert await World(key).problems(1) == ["chain_restarted"]


async def test_a_log_file_was_changed(key: RSAPrivateKey) -> None:
    world = World(key)
    world.logs[LOG] += b" "
    assert await world.problems(2) == ["hash_mismatch"]


async def test_a_log_file_was_taken_away(key: RSAPrivateKey) -> None:
    world = World(key)
    world.logs.clear()
    assert await world.problems(2) == ["missing_log"]


async def test_the_digest_before_was_taken_away(key: RSAPrivateKey) -> None:
    world = World(key)
    del world.objects[name(1)]
    assert await world.problems(2) == ["broken_chain"]


async def test_the_digest_before_was_changed(key: RSAPrivateKey) -> None:
    world = World(key)
    world.add(1, None, awsAccountId="444455556666")
    assert await world.problems(2) == ["broken_chain"]


async def test_the_digest_itself_was_changed(key: RSAPrivateKey) -> None:
    world = World(key)
    stored = world.objects[name(2)]
    world.objects[name(2)] = Stored(stored.unpacked + b" ", stored.signature)
    assert await world.problems(2) == ["bad_signature"]


@pytest.mark.parametrize("signature", ["", "no hex", "00"])
async def test_no_signature_at_all(key: RSAPrivateKey, signature: str) -> None:
    world = World(key)
    world.objects[name(2)] = Stored(world.objects[name(2)].unpacked, signature)
    assert await world.problems(2) == ["bad_signature"]


async def test_signed_by_somebody_else(key: RSAPrivateKey) -> None:
    world = World(generate_private_key(65537, 2048))
    world.key = key
    assert "bad_signature" in await world.problems(2)


async def test_signed_with_a_key_that_is_not_known(key: RSAPrivateKey) -> None:
    assert await World(key, known=False).problems(2) == ["no_key"]


async def test_a_copy_in_another_place(key: RSAPrivateKey) -> None:
    world = World(key)
    world.objects[name(3)] = world.objects[name(2)]
    assert await world.problems(3) == ["wrong_place"]


async def test_no_digest_at_all(key: RSAPrivateKey) -> None:
    world = World(key)
    world.objects[name(2)] = Stored(b"{}", "")
    with pytest.raises(Unreadable):
        await world.problems(2)


async def test_people_are_told_the_same_thing_once(key: RSAPrivateKey) -> None:
    world = World(key)
    world.logs.clear()
    aws: Any = world
    where = LogObject(BUCKET, name(2), "eu-west-1")
    twice = [
        event for _ in range(2) async for event in Verification(world, aws, Metrics()).events(where)
    ]
    assert twice[0].event_id == twice[1].event_id
    (found,) = LogFileTampered(NoOptions()).inspect(twice[0])
    assert (found.kind, found.details["about"]) == (Kind.NOTICE, LOG)
    assert found.account == "111122223333"


def test_deep_nonsense_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read_digest(b'{"digestEndTime":' + b"[" * 100_000)

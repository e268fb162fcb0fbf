"""Fetches what a digest is about, and makes events of what is wrong with it.

Events, so that a detector can tell people about them as about anything else. They have the source
`kms-monitor` and the name `DigestProblem`, and an id that is the same each time the same thing is
found.
"""

import hashlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec
import structlog

from monitor.aws import Aws
from monitor.errors import Unreadable
from monitor.event import Event
from monitor.metrics import Metrics
from monitor.shapes import LogObject
from monitor.sources import digests
from monitor.sources.digests import Digest, Problem

SOURCE, NAME = "kms-monitor", "DigestProblem"
FARTHEST = timedelta(hours=24)
"""Around the digest's end: the time in which its key was in use."""


class Stored(msgspec.Struct, frozen=True):
    """A whole object, unpacked, and the signature in its metadata."""

    unpacked: bytes
    signature: str = ""


class Fetch(Protocol):
    async def whole(self, where: LogObject) -> Stored | None:
        """A small object; None if it is not there."""
        ...

    async def hash(self, where: LogObject) -> str | None:
        """SHA-256 of a log file, unpacked, in hex; None if it is not there."""
        ...


class Verification:
    """Checks one digest at a time: its signature, its log files, and the digest before it."""

    def __init__(self, fetch: Fetch, aws: Aws, metrics: Metrics) -> None:
        self.fetch = fetch
        self.aws = aws
        self.metrics = metrics
        self.keys: dict[str, bytes] = {}
        self.log = structlog.get_logger("digests")

    async def events(self, where: LogObject) -> AsyncGenerator[Event]:
        """One event for each problem. Raises `Unreadable` if it is no digest at all."""
        stored = await self.fetch.whole(where)
        if stored is None:
            return
        digest = digests.read_digest(stored.unpacked)
        async for problem, about in self.problems(digest, stored, where):
            self.metrics.digest_problems.labels(problem.value).inc()
            self.log.error("digest", problem=problem.value, about=about, digest=where.key)
            yield event_of(digest, problem, about, where)

    async def problems(
        self, digest: Digest, stored: Stored, where: LogObject
    ) -> AsyncGenerator[tuple[Problem, str]]:
        if problem := digests.check_place(digest, where.bucket, where.key):
            yield problem, where.key
        key = await self.public_key(digest, region_of(where))
        if problem := digests.check_signature(digest, stored.unpacked, stored.signature, key):
            yield problem, where.key
        for one in digest.log_files:
            found = await self.fetch.hash(LogObject(one.s3_bucket, one.s3_object, where.region))
            if found is None:
                yield Problem.MISSING_LOG, one.s3_object
            elif found != one.hash_value:
                yield Problem.HASH_MISMATCH, one.s3_object
        before = None
        if digest.previous_digest_s3_object:
            bucket = digest.previous_digest_s3_bucket or where.bucket
            before = await self.fetch.whole(
                LogObject(bucket, digest.previous_digest_s3_object, where.region)
            )
        unpacked, signature = (before.unpacked, before.signature) if before else (None, None)
        if problem := digests.check_previous(digest, unpacked, signature):
            yield problem, digest.previous_digest_s3_object or where.key

    async def public_key(self, digest: Digest, region: str) -> bytes | None:
        """CloudTrail's key, by its fingerprint; key pairs are of the Region that the digest is of."""
        name = digest.digest_public_key_fingerprint
        if name not in self.keys:
            end = parse(digest.digest_end_time)
            client = await self.aws.client("cloudtrail", region)
            async with self.aws.calling("cloudtrail", "ListPublicKeys"):
                answer = await client.list_public_keys(
                    StartTime=end - FARTHEST, EndTime=end + FARTHEST
                )
            for key in answer.get("PublicKeyList", []):
                self.keys[key["Fingerprint"]] = key["Value"]
        return self.keys.get(name)


def parse(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Unreadable("bad_time", "digestEndTime is not a time of ISO 8601") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def region_of(where: LogObject) -> str:
    """The Region that a digest is about: it stands in its name, behind the folder's."""
    parts = where.key.split("/")
    return parts[parts.index("CloudTrail-Digest") + 1]


def event_of(digest: Digest, problem: Problem, about: str, where: LogObject) -> Event:
    identity = hashlib.sha256(f"{where.key}|{problem}|{about}".encode()).hexdigest()[:32]
    details: dict[str, Any] = {"problem": problem.value, "about": about, "digest": where.key}
    return Event(
        event_id=identity,
        event_source=SOURCE,
        event_name=NAME,
        event_time=digest.digest_end_time,
        aws_region=region_of(where),
        recipient_account_id=digest.aws_account_id or None,
        request_parameters=msgspec.Raw(msgspec.json.encode(details)),
    )

"""The wanted events of CloudTrail log files in S3: fetched in pieces, read in threads of their own.

A log file is bulk: minutes old, large, and nearly all of it about other things. So few are read at
once, never on the event loop, and each in pieces: whatever its size it takes little memory and
keeps no urgent event waiting. What an object is, its name tells (aws-facts 4.5).
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypeVar

import structlog

from monitor.aws import Aws
from monitor.errors import NotWorthRetrying, Unreadable, WorthRetrying
from monitor.event import Event, Wanted
from monitor.metrics import Metrics
from monitor.shapes import LogObject
from monitor.sources.records import Limits, Search, Stats, classify, read_records
from monitor.sources.unpack import unpack
from monitor.sources.verification import Stored, Verification

T = TypeVar("T")

LARGEST_DIGEST = 16 * 1024**2
"""Bytes unpacked. A digest names the log files of one hour."""
CHUNK = 256 * 1024
"""Bytes fetched at once; all that is read ahead."""
GONE = frozenset({"NoSuchKey", "404"})


class Archive:
    """Reads log files, at most `at_once` at the same time. `close` ends its threads."""

    def __init__(
        self,
        aws: Aws,
        wanted: Wanted,
        metrics: Metrics,
        *,
        at_once: int = 2,
        limits: Limits | None = None,
        home_region: str = "us-east-1",
        verify_digests: bool = False,
    ) -> None:
        self.aws = aws
        self.search = Search(wanted)
        self.metrics = metrics
        self.limits = limits or Limits()
        self.home_region = home_region
        self.turns = asyncio.Semaphore(at_once)
        self.threads = ThreadPoolExecutor(at_once, thread_name_prefix="read-log-file")
        self.verification = Verification(self, aws, metrics) if verify_digests else None
        self.log = structlog.get_logger("archive")

    def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)

    def look_for(self, wanted: Wanted) -> None:
        """From the next file on, find other events."""
        self.search = Search(wanted)

    async def events(self, where: LogObject) -> AsyncGenerator[Event]:
        """The wanted events of one object, as soon as each is found.

        Raises `Unreadable` for an object that is damaged, if need be after its last event;
        `WorthRetrying` and `NotWorthRetrying` for what AWS answers. An object that is no log file
        or does not exist any more is counted and has no events.
        """
        kind = classify(where.key)
        if kind == "digest" and self.verification is not None:
            async with self.turns, aclosing(self.verification.events(where)) as events:
                async for problem in events:
                    yield problem
            self.metrics.log_objects.labels(kind, "read").inc()
            return
        if kind != "log":
            self.metrics.log_objects.labels(kind, "skipped").inc()
            return
        async with self.turns:
            answer = await self.fetch(where)
            if answer is None:
                self.log.warning("log file is gone", bucket=where.bucket, key=where.key)
                self.metrics.log_objects.labels(kind, "gone").inc()
                return
            stats, fate = Stats(), "failed"
            reading = Reading(answer["Body"], self.aws)
            try:
                records = read_records(
                    reading.chunks(), self.search, limits=self.limits, stats=stats
                )
                while (event := await self.in_thread(records)) is not None:
                    yield event
                fate = "read"
            except Unreadable:
                fate = "unreadable"
                raise
            finally:
                reading.close()
                self.metrics.log_objects.labels(kind, fate).inc()
                self.metrics.log_bytes.inc(stats.unpacked_bytes)
            if stats.damaged:
                # Each costs only itself, and yet somebody should look at the file.
                reason, count = stats.damaged.most_common(1)[0]
                raise Unreadable(
                    reason, f"{count} damaged records in s3://{where.bucket}/{where.key}"
                )

    async def whole(self, where: LogObject) -> Stored | None:
        """See `monitor.sources.verification.Fetch`. Raises `Unreadable` for more than 16 MB."""
        answer = await self.fetch(where)
        if answer is None:
            return None
        reading, limits = Reading(answer["Body"], self.aws), Limits(unpacked_bytes=LARGEST_DIGEST)
        try:
            pieces = unpack(reading.chunks(), limits, Stats())
            unpacked = await self.run(b"".join, pieces)
        finally:
            reading.close()
        return Stored(unpacked, answer.get("Metadata", {}).get("signature", ""))

    async def hash(self, where: LogObject) -> str | None:
        """See `monitor.sources.verification.Fetch`."""
        answer = await self.fetch(where)
        if answer is None:
            return None
        reading = Reading(answer["Body"], self.aws)
        try:
            return await self.run(hash_of, unpack(reading.chunks(), self.limits, Stats()))
        finally:
            reading.close()

    async def in_thread(self, records: Iterator[Event]) -> Event | None:
        return await self.run(next, records, None)

    async def run(self, work: Callable[..., T], *given: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, work, *given)

    async def fetch(self, where: LogObject) -> Any:
        """GetObject's answer, its `Body` a stream; None if there is no such object any more.

        botocore itself follows S3 to the bucket's Region where `where` does not say it.
        """
        client = await self.aws.s3(where.region or self.home_region)
        wanted = {"Bucket": where.bucket, "Key": where.key}
        if where.version_id:
            wanted["VersionId"] = where.version_id
        try:
            async with self.aws.calling("s3", "GetObject"):
                return await client.get_object(**wanted)
        except NotWorthRetrying as error:
            if error.code in GONE:
                return None
            raise


def hash_of(pieces: Iterator[bytes]) -> str:
    """SHA-256 of all of them, in hex."""
    result = hashlib.sha256()
    for piece in pieces:
        result.update(piece)
    return result.hexdigest()


class Reading:
    """One body, pulled piece by piece from a thread while the event loop does the fetching."""

    def __init__(self, body: Any, aws: Aws) -> None:
        self.body = body
        self.aws = aws
        self.loop = asyncio.get_running_loop()
        self.closed = False

    def chunks(self) -> Iterator[bytes]:
        """In the thread. Ends early once `close` was called."""
        while not self.closed:
            chunk = asyncio.run_coroutine_threadsafe(self.piece(), self.loop).result()
            if not chunk:
                return
            yield chunk
        raise WorthRetrying("stopped while a log file was being read")

    async def piece(self) -> bytes:
        async with self.aws.calling("s3", "GetObject"):
            return bytes(await self.body.read(CHUNK))

    def close(self) -> None:
        """On the loop. Whoever waits for a piece gets an error instead."""
        self.closed = True
        self.body.close()

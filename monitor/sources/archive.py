"""The wanted events of CloudTrail log files in S3: fetched in pieces, read in threads of their own.

A log file is bulk: minutes old, large, and nearly all of it about other things. So few are read at
once, never on the event loop, and each in pieces: whatever its size it takes little memory and
keeps no urgent event waiting. What an object is, its name tells (aws-facts 4.5).
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from monitor.aws import Aws
from monitor.errors import NotWorthRetrying, Unreadable, WorthRetrying
from monitor.event import Event
from monitor.metrics import Metrics
from monitor.shapes import LogObject
from monitor.sources.records import Limits, Search, Stats, classify, read_records

CHUNK = 256 * 1024
"""Bytes fetched at once; all that is read ahead."""
GONE = frozenset({"NoSuchKey", "404"})


class Archive:
    """Reads log files, at most `at_once` at the same time. `close` ends its threads."""

    def __init__(
        self,
        aws: Aws,
        wanted: Collection[tuple[str, str]],
        metrics: Metrics,
        *,
        at_once: int = 2,
        limits: Limits | None = None,
        home_region: str = "us-east-1",
    ) -> None:
        self.aws = aws
        self.search = Search(wanted)
        self.metrics = metrics
        self.limits = limits or Limits()
        self.home_region = home_region
        self.turns = asyncio.Semaphore(at_once)
        self.threads = ThreadPoolExecutor(at_once, thread_name_prefix="read-log-file")
        self.log = structlog.get_logger("archive")

    def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)

    async def events(self, where: LogObject) -> AsyncGenerator[Event]:
        """The wanted events of one object, as soon as each is found.

        Raises `Unreadable` for an object that is damaged, if need be after its last event;
        `WorthRetrying` and `NotWorthRetrying` for what AWS answers. An object that is no log file
        or does not exist any more is counted and has no events.
        """
        kind = classify(where.key)
        if kind != "log":
            self.metrics.log_objects.labels(kind, "skipped").inc()
            return
        async with self.turns:
            body = await self.fetch(where)
            if body is None:
                self.log.warning("log file is gone", bucket=where.bucket, key=where.key)
                self.metrics.log_objects.labels(kind, "gone").inc()
                return
            stats, fate = Stats(), "failed"
            reading = Reading(body, self.aws)
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

    async def in_thread(self, records: Iterator[Event]) -> Event | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, next, records, None)

    async def fetch(self, where: LogObject) -> Any:
        """The object's body as a stream; None if there is no such object any more.

        botocore itself follows S3 to the bucket's Region where `where` does not say it.
        """
        client = await self.aws.s3(where.region or self.home_region)
        wanted = {"Bucket": where.bucket, "Key": where.key}
        if where.version_id:
            wanted["VersionId"] = where.version_id
        try:
            async with self.aws.calling("s3", "GetObject"):
                return (await client.get_object(**wanted))["Body"]
        except NotWorthRetrying as error:
            if error.code in GONE:
                return None
            raise


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

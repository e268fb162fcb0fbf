"""History that AWS keeps: log files in S3, and CloudTrail's event history. Nothing is written.

API: Amazon S3, ListObjectsV2 and GetObject; AWS CloudTrail, LookupEvents, which takes one
attribute and 2 requests a second for each account and Region, and knows 90 days (aws-facts 4.7).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import stamina

from monitor.aws import Aws
from monitor.errors import MonitorError, Unreadable, WorthRetrying
from monitor.event import Wanted, read_record
from monitor.key import partition_of
from monitor.replay.reading import Asked, Reading
from monitor.replay.sources import LOG_FILE, Bucket, Input
from monitor.replay.times import Span, worth_opening

T = TypeVar("T")

KEPT = 90 * 86400
"""Seconds that CloudTrail's event history goes back."""
PACE = 0.5
"""Seconds between two LookupEvents calls in one account and Region."""
AT_ONCE = 16
"""Folders listed at once."""
PART = 2**20
LARGEST_OBJECT = 2**30
"""Bytes, compressed. CloudTrail's own log files are of a few megabytes."""


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Try again what may pass, on top of botocore's few quick tries.

    A long run should not end over one bad minute.
    """
    async for attempt in stamina.retry_context(
        on=WorthRetrying, attempts=8, timeout=120, wait_max=15
    ):
        with attempt:
            return await call()
    raise AssertionError("unreachable: the last attempt raises")


class LogFiles:
    """The log files under a prefix. Folders of other days and of other things are not listed."""

    def __init__(self, aws: Aws, region: str, span: Span) -> None:
        self.aws = aws
        self.region = region
        self.span = span
        self.limit = asyncio.Semaphore(AT_ONCE)

    async def find(self, bucket: Bucket) -> list[Input]:
        """Every one, in order. Raises `MonitorError`."""
        found: list[Input] = []
        folders = [bucket.prefix]
        while folders:
            listed = await asyncio.gather(*(self.folder(bucket.name, one) for one in folders))
            folders = [
                inner for inside, _ in listed for inner in inside if worth_opening(inner, self.span)
            ]
            found += [one for _, files in listed for one in files]
        return sorted(found, key=lambda one: one.key)

    async def folder(self, bucket: str, prefix: str) -> tuple[list[str], list[Input]]:
        """What stands right under a prefix: folders, and log files."""
        client = await self.aws.client("s3", self.region)
        folders: list[str] = []
        files: list[Input] = []
        more: dict[str, str] = {}

        async def next_page() -> Any:
            async with self.limit, self.aws.calling("s3", "ListObjectsV2"):
                return await client.list_objects_v2(
                    Bucket=bucket, Prefix=prefix, Delimiter="/", **more
                )

        while True:
            page = await patiently(next_page)
            folders += [one["Prefix"] for one in page.get("CommonPrefixes", ())]
            files += [
                object_input(bucket, one)
                for one in page.get("Contents", ())
                if LOG_FILE.fullmatch(one["Key"]) and worth_opening(one["Key"], self.span)
            ]
            if not page.get("NextContinuationToken"):
                return folders, files
            more = {"ContinuationToken": page["NextContinuationToken"]}

    async def fetch(self, one: Input, target: Path) -> None:
        """Write an object into a file. Raises `MonitorError`, and OSError of the file."""
        client = await self.aws.client("s3", self.region)

        async def get() -> None:
            async with self.aws.calling("s3", "GetObject"):
                answer = await client.get_object(Bucket=one.bucket, Key=one.key)
                if answer["ContentLength"] > LARGEST_OBJECT:
                    raise Unreadable("too_large", f"more than {LARGEST_OBJECT} bytes")
                with target.open("wb") as file:
                    async with answer["Body"] as body:
                        while part := await body.read(PART):
                            file.write(part)

        await patiently(get)


def object_input(bucket: str, listed: Any) -> Input:
    return Input(
        f"s3://{bucket}/{listed['Key']}",
        stamp=str(listed["ETag"]),
        size=int(listed["Size"]),
        bucket=bucket,
        key=str(listed["Key"]),
    )


BUSY = frozenset(
    f"{service}.amazonaws.com"
    for service in (
        "kms",
        "iam",
        "s3",
        "ec2",
        "lambda",
        "logs",
        "ecs",
        "eks",
        "cloudformation",
        "dynamodb",
        "monitoring",
    )
)
"""Services whose other calls would fill the pages: they are asked for one name after the other."""
GLOBAL = frozenset({"iam.amazonaws.com", "organizations.amazonaws.com"})
HOMES = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""By partition: the only Region whose history has the calls of global services (aws-facts 7.4)."""


def questions(wanted: Wanted, region: str) -> list[tuple[str, str]]:
    """What to ask the history of one Region for: an eventSource, and a name or nothing.

    LookupEvents takes one attribute, and two calls a second. Uses of keys that failed are not asked
    for: the history would bring all those that did not.
    """
    home = HOMES[partition_of(region)]
    calls = {
        (source, name if source in BUSY else "")
        for source, name in wanted.calls
        # What EventBridge tells by itself is in no history.
        if source.endswith(".amazonaws.com") and (source not in GLOBAL or region == home)
    }
    return sorted(calls)


def history_inputs(places: list[tuple[str, str]], asked: Asked) -> list[Input]:
    return [
        Input(
            f"lookup:{account}/{region} {event[1] or event[0]}",
            # Without an end there is always more of it.
            stamp="" if asked.span.end is None else str(asked.span),
            account=account,
            region=region,
            event=event,
        )
        for account, region in places
        for event in questions(asked.wanted, region)
    ]


class History:
    """LookupEvents, at the pace that it allows."""

    def __init__(self, aws: Aws, asked: Asked, now: float) -> None:
        self.aws = aws
        self.asked = asked
        self.now = now
        self.paces: dict[tuple[str, str], Pace] = {}

    async def read(self, one: Input) -> Reading:
        """Everything that the history has of one event's name, or of one service, in one place."""
        reading = Reading(events=[])
        try:
            async for text in self.pages(one):
                try:
                    reading.take(read_record(text), self.asked)
                except Unreadable as error:
                    reading.read += 1
                    reading.damage(str(error))
        except MonitorError as error:
            reading.broken_off(str(error))
        return reading

    async def pages(self, one: Input) -> AsyncIterator[str]:
        client = await self.aws.cloudtrail(one.account, one.region)
        pace = self.paces.setdefault((one.account, one.region), Pace())
        span = self.asked.span
        start = max(span.start or 0.0, self.now - KEPT)
        source, name = one.event
        attribute = ("EventName", name) if name else ("EventSource", source)
        asking: dict[str, Any] = {
            "LookupAttributes": [{"AttributeKey": attribute[0], "AttributeValue": attribute[1]}],
            "StartTime": datetime.fromtimestamp(start, UTC),
            "EndTime": datetime.fromtimestamp(max(start, span.end or self.now), UTC),
        }

        async def next_page() -> Any:
            await pace.wait()
            async with self.aws.calling("cloudtrail", "LookupEvents"):
                return await client.lookup_events(**asking)

        while True:
            page = await patiently(next_page)
            for entry in page["Events"]:
                # The name alone may be another service's.
                if entry.get("EventSource", source) == source:
                    yield entry.get("CloudTrailEvent", "")
            if not page.get("NextToken"):
                return
            asking["NextToken"] = page["NextToken"]


class Pace:
    """Lets one by one go, `PACE` apart."""

    def __init__(self) -> None:
        self.free_at = 0.0

    async def wait(self) -> None:
        now = time.monotonic()
        start = max(now, self.free_at)
        self.free_at = start + PACE
        await asyncio.sleep(start - now)


async def own_account(aws: Aws, region: str) -> str:
    """Whose credentials are used, for `lookup` without settings. Raises `MonitorError`."""
    arn = await patiently(lambda: aws.identity("", region))
    return arn.split(":")[4]

"""Log files in S3, announced in a queue: read beside what is urgent, never before it."""

import gzip
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session

from monitor.aws import Aws
from monitor.errors import Denied, Unreadable
from monitor.event import Wanted
from monitor.metrics import Metrics
from monitor.shapes import LogObject
from monitor.simulator.server import Simulator
from monitor.sources.archive import Archive
from tests.journey.conftest import ACCOUNT, REGION, Person, daemon, settings_for, until

BUCKET = "org-trail-bucket"
FOLDER = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/11/20"
WANTED = Wanted(frozenset({("kms.amazonaws.com", "DisableKey")}))


class Site:
    """A bucket with log files, and a queue that is told of them."""

    def __init__(self, s3: Any, sqs: Any, queue_url: str) -> None:
        self.s3 = s3
        self.sqs = sqs
        self.queue_url = queue_url

    async def put(self, name: str, body: bytes) -> LogObject:
        key = f"{FOLDER}/{ACCOUNT}_CloudTrail_{REGION}_20261120T0915Z_{name}.json.gz"
        await self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return LogObject(BUCKET, key, REGION)

    async def announce(self, where: LogObject, count: int = 1) -> None:
        """As S3 does it (aws-facts 4.4)."""
        body = notification(where)
        for start in range(0, count, 10):
            await self.sqs.send_message_batch(
                QueueUrl=self.queue_url,
                Entries=[
                    {"Id": str(n), "MessageBody": body} for n in range(min(10, count - start))
                ],
            )


def notification(where: LogObject) -> str:
    return json.dumps(
        {
            "Records": [
                {
                    "eventVersion": "2.1",
                    "eventSource": "aws:s3",
                    "awsRegion": REGION,
                    "eventTime": "2026-11-20T09:19:30.000Z",
                    "eventName": "ObjectCreated:Put",
                    "s3": {"bucket": {"name": where.bucket}, "object": {"key": where.key}},
                }
            ]
        }
    )


def boring(count: int) -> list[dict[str, Any]]:
    return [
        {"eventVersion": "1.11", "eventName": "Decrypt", "eventSource": "kms.amazonaws.com"}
        | {"eventID": f"boring-{number}", "eventTime": "2026-11-20T09:14:03Z"}
        for number in range(count)
    ]


def packed(records: list[dict[str, Any]]) -> bytes:
    return gzip.compress(json.dumps({"Records": records}).encode())


@pytest.fixture
async def site(simulator: Simulator) -> AsyncIterator[Site]:
    session = get_session()
    door: Any = {
        "region_name": REGION,
        "endpoint_url": simulator.endpoint_url,
        "aws_access_key_id": "admin",
        "aws_secret_access_key": "any",
    }
    async with session.create_client("s3", **door) as s3, session.create_client("sqs", **door) as q:
        await s3.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield Site(s3, q, simulator.queue_url)


@pytest.fixture
async def archive(simulator: Simulator) -> AsyncIterator[Archive]:
    async with Aws(Metrics(), endpoint_url=simulator.endpoint_url) as aws:
        archive = Archive(aws, WANTED, aws.metrics, home_region=REGION)
        yield archive
        archive.close()


def sample(archive: Archive, kind: str, fate: str) -> float:
    labels = {"kind": kind, "fate": fate}
    name = "kms_monitor_log_objects_total"
    return archive.metrics.registry.get_sample_value(name, labels) or 0.0


async def test_the_wanted_records_of_a_file(archive: Archive, site: Site) -> None:
    wanted = boring(1)[0] | {"eventName": "DisableKey", "eventID": "wanted"}
    where = await site.put("a", packed([*boring(5000), wanted, *boring(5000)]))
    assert [event.event_id async for event in archive.events(where)] == ["wanted"]
    assert sample(archive, "log", "read") == 1


async def test_what_is_no_log_file_is_skipped(archive: Archive) -> None:
    key = FOLDER.replace("/CloudTrail/", "/CloudTrail-Digest/") + "/x.json.gz"
    assert [event async for event in archive.events(LogObject(BUCKET, key, REGION))] == []
    assert sample(archive, "digest", "skipped") == 1


async def test_a_file_that_is_gone(archive: Archive, site: Site) -> None:
    where = await site.put("a", b"")
    await site.s3.delete_object(Bucket=BUCKET, Key=where.key)
    assert [event async for event in archive.events(where)] == []
    assert sample(archive, "log", "gone") == 1


async def test_a_file_that_is_cut_off_gives_what_it_has_and_says_so(
    archive: Archive, site: Site
) -> None:
    wanted = boring(1)[0] | {"eventName": "DisableKey", "eventID": "wanted"}
    where = await site.put("a", packed([wanted, *boring(5000)])[:-20])
    events = archive.events(where)
    assert (await anext(events)).event_id == "wanted"
    with pytest.raises(Unreadable, match="truncated"):
        await anext(events)
    assert sample(archive, "log", "unreadable") == 1


async def test_a_file_that_we_may_not_read(
    archive: Archive, site: Site, simulator: Simulator
) -> None:
    where = await site.put("a", packed(boring(1)))
    simulator.set_knob("deny", ("kms-monitor:s3:GetObject",))
    with pytest.raises(Denied):
        _ = [event async for event in archive.events(where)]


async def test_an_event_that_only_a_log_file_has_is_acted_on(
    simulator: Simulator, people: Callable[[str], Person], site: Site, tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    async with daemon(settings_for(simulator, tmp_path)):
        simulator.set_knob("delay", (3600.0, 3600.0))  # EventBridge has nothing to say today
        await people("mallory").kms.disable_key(KeyId=arn)
        record = simulator.records[-1]
        await site.announce(await site.put("a", packed([*boring(100), record, *boring(100)])))
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")


async def test_what_eventbridge_brought_is_not_judged_again(
    simulator: Simulator, people: Callable[[str], Person], site: Site, tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    async with daemon(settings_for(simulator, tmp_path)) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")
        (record,) = [one for one in simulator.records if one["eventName"] == "DisableKey"]
        await site.announce(await site.put("a", packed([*boring(10), record])))

        def sampled(name: str, **labels: str) -> float | None:
            return app.metrics.registry.get_sample_value(f"kms_monitor_{name}_total", labels)

        same = {"source": "kms-monitor", "event_name": "DisableKey"}
        await until(lambda: sampled("events", fate="duplicate", **same) == 1)
        assert sampled("events", fate="inspected", **same) == 1
        assert sampled("actions", responder="restore_key", outcome="done") == 1


async def test_an_attack_amid_a_backlog_does_not_wait_for_it(
    simulator: Simulator, people: Callable[[str], Person], site: Site, tmp_path: Path
) -> None:
    """Six hundred files wait; the one message about a key is handled while they still do."""
    settings = settings_for(simulator, tmp_path, grace_seconds=5)
    arn = await people("admin").create_key()
    async with daemon(settings):
        pass  # it has met the key
    where = await site.put("a", packed(boring(20_000)))
    await site.announce(where, 300)
    await people("mallory").kms.disable_key(KeyId=arn)
    await simulator.settle()
    await site.announce(where, 300)
    async with daemon(settings) as app:
        await until(lambda: simulator.kms.state_of(arn) == "Enabled", 20)
        (source,) = app.sources
        assert source.hidden.bulk > 100
    attributes = await site.sqs.get_queue_attributes(
        QueueUrl=simulator.queue_url, AttributeNames=["All"]
    )
    # What was not read is given back at once, and nothing of it is lost.
    counts = attributes["Attributes"]
    assert int(counts["ApproximateNumberOfMessagesNotVisible"]) == 0
    assert int(counts["ApproximateNumberOfMessages"]) > 100

"""Which dead-letter queues there are: each queue's own, by its RedrivePolicy, or one by its URL.

A dead-letter queue is in the account and Region of its queues (SQS developer guide), so its URL is
theirs with another name; to ask for it would need one right more.
"""

import json
import re
from collections.abc import Iterable

import msgspec

from monitor.aws import Aws
from monitor.errors import SettingsError
from monitor.settings import QUEUE_URL, QueueSettings, Settings

REGION_IN_URL = re.compile(r"//(?:sqs[.-])?([a-z]{2}(?:-[a-z]+)+-\d)\.")


class Source(msgspec.Struct, frozen=True):
    """A queue of the settings. Nothing is ever sent to any other."""

    name: str
    url: str
    arn: str
    max_receives: int = 0
    dlq_arn: str = ""


class Dlq(msgspec.Struct, frozen=True):
    """A dead-letter queue and the queues of the settings whose messages die into it."""

    name: str
    url: str
    region: str
    arn: str
    sources: tuple[Source, ...] = ()

    @property
    def max_receives(self) -> int:
        return max((one.max_receives for one in self.sources), default=0)


class Found(msgspec.Struct, frozen=True):
    dlqs: tuple[Dlq, ...]
    sources: tuple[Source, ...]
    """All queues of the settings."""
    notes: tuple[str, ...] = ()


async def find(aws: Aws, settings: Settings, chosen: str | None) -> Found:
    """Every dead-letter queue, or the chosen one. Raises `SettingsError`, and what AWS says."""
    dlqs: dict[str, Dlq] = {}
    sources: list[Source] = []
    for queue in settings.queues:
        source = await source_of(aws, queue)
        sources.append(source)
        if not source.dlq_arn:
            continue
        name = source.dlq_arn.rpartition(":")[2]
        url = f"{queue.url.rpartition('/')[0]}/{name}"
        known = dlqs.get(source.dlq_arn) or Dlq(name, url, queue.region, source.dlq_arn)
        dlqs[source.dlq_arn] = msgspec.structs.replace(known, sources=(*known.sources, source))
    wanted = dlqs.values() if chosen is None else [d for d in dlqs.values() if meant(d, chosen)]
    queue_urls = {one.url for one in sources}
    if not wanted and chosen not in queue_urls and QUEUE_URL.fullmatch(chosen or ""):
        wanted = [await directly(aws, settings, str(chosen))]
    bare = [one.name for one in sources if not one.dlq_arn]
    lack = "has no dead-letter queue (RedrivePolicy)"
    if not wanted:
        raise SettingsError([nothing(chosen, sources, dlqs.values(), lack)])
    notes = [f"queue {name} {lack}" for name in bare if chosen is None]
    return Found(tuple(wanted), tuple(sources), tuple(notes))


def meant(dlq: Dlq, chosen: str) -> bool:
    names = {dlq.name, dlq.url, dlq.arn}
    for one in dlq.sources:
        names |= {one.name, one.url, one.arn, one.arn.rpartition(":")[2]}
    return chosen in names


def nothing(chosen: str | None, sources: list[Source], dlqs: Iterable[Dlq], lack: str) -> str:
    if chosen is None:
        return f"queue {', '.join(one.name for one in sources)} {lack}"
    if any(chosen in {one.name, one.url, one.arn.rpartition(":")[2]} for one in sources):
        return f"--queue {chosen}: {lack}"
    there = sorted({one.name for one in sources} | {one.name for one in dlqs})
    return f"--queue {chosen}: is none of {', '.join(there)}, and no queue's URL"


async def source_of(aws: Aws, queue: QueueSettings) -> Source:
    attributes = await attributes_of(aws, queue.url, queue.region)
    try:
        policy = json.loads(attributes.get("RedrivePolicy", "{}"))
        dlq_arn, most = str(policy.get("deadLetterTargetArn", "")), policy.get("maxReceiveCount", 0)
    except (ValueError, AttributeError):
        dlq_arn, most = "", 0
    return Source(queue.label, queue.url, attributes.get("QueueArn", ""), int(most), dlq_arn)


async def directly(aws: Aws, settings: Settings, url: str) -> Dlq:
    """A queue by its URL. That SQS would move its messages by itself is not known of it."""
    found = REGION_IN_URL.search(url)
    region = found[1] if found else settings.home_region
    attributes = await attributes_of(aws, url, region)
    return Dlq(url.rpartition("/")[2], url, region, attributes.get("QueueArn", ""))


async def attributes_of(aws: Aws, url: str, region: str) -> dict[str, str]:
    client = await aws.sqs(region)
    async with aws.calling("sqs", "GetQueueAttributes"):
        answer = await client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    return {str(name): value for name, value in answer.get("Attributes", {}).items()}


async def fullness(aws: Aws, dlq: Dlq) -> tuple[int, int]:
    """About how many messages can be received now, and how many are hidden by somebody."""
    attributes = await attributes_of(aws, dlq.url, dlq.region)
    hidden = attributes.get("ApproximateNumberOfMessagesNotVisible", "0")
    return int(attributes.get("ApproximateNumberOfMessages", "0")), int(hidden)

"""The whole of a configuration item that was too large for its message.

AWS Config developer guide, "Oversized configuration item change notifications": the item is asked of the
history of its resource, or lies in S3, packed. The key itself is read anyway, so that an item that
cannot be had costs a hint and nothing else.
"""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from monitor.aws import Aws
from monitor.config_rule.invocation import Item, configuration_of, item_of
from monitor.decoding import part
from monitor.errors import NotWorthRetrying, Unreadable, WorthRetrying
from monitor.sources.unpack import Limits, Stats, unpack

LARGEST: Final = 8 * 1024 * 1024
"""Bytes, unpacked. An item that did not go into a message has more than 256 KiB."""


async def whole(aws: Aws, item: Item) -> Item:
    """The item with what its summary lacks, as far as it can be had."""
    log = structlog.get_logger("config_rule")
    for read in (from_history, from_s3):
        try:
            return await read(aws, item)
        except (WorthRetrying, NotWorthRetrying, Unreadable) as error:
            log.warning("oversized item cannot be had", way=read.__name__, problem=str(error))
    return item


async def from_history(aws: Aws, item: Item) -> Item:
    """From GetResourceConfigHistory, which spells the members otherwise and nests JSON in texts."""
    client = await aws.client("config", item.region, item.account)
    async with aws.calling("config", "GetResourceConfigHistory"):
        answer = await client.get_resource_config_history(
            resourceType=item.resource_type,
            resourceId=item.resource_id,
            laterTime=datetime.fromtimestamp(item.captured_at, UTC),
            limit=1,
        )
    found = next(iter(answer.get("configurationItems") or ()), None)
    if found is None:
        raise Unreadable("missing_field", "the history of the resource has no such item")
    configuration = configuration_of(found.get("configuration"))
    return msgspec.structs.replace(item, configuration=configuration)


async def from_s3(aws: Aws, item: Item) -> Item:
    """From where the message says that Config put it."""
    bucket, _, name = item.delivered_to.partition("/")
    if not (bucket and name):
        raise Unreadable("missing_field", "the message does not say where the item lies in S3")
    client = await aws.s3(item.region)
    async with aws.calling("s3", "GetObject"):
        answer = await client.get_object(Bucket=bucket, Key=name)
        async with answer["Body"] as body:
            packed: bytes = await body.read(LARGEST + 1)
    if len(packed) > LARGEST:
        raise Unreadable("too_large", f"longer than {LARGEST} bytes")
    limits = Limits(unpacked_bytes=LARGEST)
    unpacked = b"".join(unpack([packed], limits, Stats()))
    members: dict[str, Any] = part(msgspec.Raw(unpacked), dict[str, Any], {})
    inner = members.get("configurationItem")
    found = item_of(inner if isinstance(inner, dict) else members)
    if (found.key, found.resource_id) != (item.key, item.resource_id):
        raise Unreadable("wrong_type", "what lies there is about another resource")
    return msgspec.structs.replace(item, configuration=found.configuration)

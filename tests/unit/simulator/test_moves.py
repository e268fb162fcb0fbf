"""SQS moves dead messages by itself, as AWS does it."""

import asyncio
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from monitor.simulator.server import Simulator
from tests.unit.simulator.site import Site

DLQ_ARN = "arn:aws:sqs:eu-west-1:111122223333:kms-monitor-dlq"
QUEUE_ARN = "arn:aws:sqs:eu-west-1:111122223333:kms-monitor"


async def bury(site: Site, *bodies: str) -> None:
    """Put messages into the queue, and receive them until they are in the dead-letter queue."""
    sqs = await site.client("sqs")
    url = site.sim.queue_url
    for body in bodies:
        await sqs.send_message(
            QueueUrl=url,
            MessageBody=body,
            MessageAttributes={"colour": {"DataType": "String", "StringValue": "red"}},
        )
    for _ in range(6):
        await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    assert len(site_messages(site.sim, site.sim.dlq_url)) == len(bodies)


def site_messages(sim: Simulator, url: str) -> list[Any]:
    from moto.sqs.models import sqs_backends  # noqa: PLC0415

    return list(sqs_backends["111122223333"]["eu-west-1"].queues[url.rpartition("/")[2]]._messages)


async def task(site: Site, status: str) -> dict[str, Any]:
    """The latest task, once it has come to this status."""
    sqs = await site.client("sqs")
    async with asyncio.timeout(10):
        while True:
            (found,) = (await sqs.list_message_move_tasks(SourceArn=DLQ_ARN))["Results"]
            if found["Status"] == status:
                return dict(found)
            await asyncio.sleep(0.01)


async def code_of(call: Any) -> str:
    with pytest.raises(ClientError) as caught:
        await call
    return str(caught.value.response["Error"]["Code"])


async def test_messages_go_back_to_their_queue_as_new_ones(site: Site) -> None:
    await bury(site, "one", "two")
    old = {one.id for one in site_messages(site.sim, site.sim.dlq_url)}
    sqs = await site.client("sqs")
    handle = (await sqs.start_message_move_task(SourceArn=DLQ_ARN))["TaskHandle"]
    (running,) = (await sqs.list_message_move_tasks(SourceArn=DLQ_ARN))["Results"]
    assert running["TaskHandle"] == handle
    assert running["ApproximateNumberOfMessagesToMove"] == 2
    done = await task(site, "COMPLETED")
    assert done["ApproximateNumberOfMessagesMoved"] == 2
    assert "TaskHandle" not in done
    assert site_messages(site.sim, site.sim.dlq_url) == []
    moved = site_messages(site.sim, site.sim.queue_url)
    assert [one.body for one in moved] == ["one", "two"]
    assert not old & {one.id for one in moved}
    assert all(one.approximate_receive_count == 0 for one in moved)
    assert all("colour" in one.message_attributes for one in moved)


async def test_it_is_a_management_call(site: Site) -> None:
    await bury(site, "one")
    sqs = await site.client("sqs", "mallory")
    await sqs.start_message_move_task(SourceArn=DLQ_ARN)
    record = site.sim.records[-1]
    assert (record["eventSource"], record["eventName"]) == (
        "sqs.amazonaws.com",
        "StartMessageMoveTask",
    )
    assert record["requestParameters"] == {"sourceArn": DLQ_ARN}
    assert json.dumps(record["responseElements"]).startswith('{"taskHandle":')
    assert record["userIdentity"]["userName"] == "mallory"
    await code_of(sqs.start_message_move_task(SourceArn=QUEUE_ARN))
    assert site.sim.records[-1]["errorCode"] == "InvalidParameterValue"


async def test_one_at_a_time_with_a_rate_until_it_is_cancelled(site: Site) -> None:
    await bury(site, "one", "two", "three")
    sqs = await site.client("sqs")
    handle = (
        await sqs.start_message_move_task(
            SourceArn=DLQ_ARN, DestinationArn=QUEUE_ARN, MaxNumberOfMessagesPerSecond=2
        )
    )["TaskHandle"]
    assert await code_of(sqs.start_message_move_task(SourceArn=DLQ_ARN)) == "InvalidParameterValue"
    await sqs.receive_message(QueueUrl=site.sim.queue_url, WaitTimeSeconds=5)
    answer = await sqs.cancel_message_move_task(TaskHandle=handle)
    assert answer["ApproximateNumberOfMessagesMoved"] == 1
    cancelled = await task(site, "CANCELLED")
    assert cancelled["MaxNumberOfMessagesPerSecond"] == 2
    assert cancelled["DestinationArn"] == QUEUE_ARN
    assert len(site_messages(site.sim, site.sim.dlq_url)) == 2
    assert await code_of(sqs.cancel_message_move_task(TaskHandle=handle)) == "UnsupportedOperation"


async def test_message_that_never_was_in_a_queue_needs_a_destination(site: Site) -> None:
    sqs = await site.client("sqs")
    await bury(site, "one")
    await sqs.send_message(QueueUrl=site.sim.dlq_url, MessageBody="from EventBridge")
    await sqs.start_message_move_task(SourceArn=DLQ_ARN)
    failed = await task(site, "FAILED")
    assert failed["FailureReason"] == "CouldNotDetermineMessageSource"
    assert failed["ApproximateNumberOfMessagesMoved"] == 1
    await sqs.start_message_move_task(SourceArn=DLQ_ARN, DestinationArn=QUEUE_ARN)
    await task(site, "COMPLETED")
    found = (await sqs.list_message_move_tasks(SourceArn=DLQ_ARN, MaxResults=10))["Results"]
    assert [one["Status"] for one in found] == ["COMPLETED", "FAILED"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"SourceArn": QUEUE_ARN}, "InvalidParameterValue"),
        ({"SourceArn": DLQ_ARN + "-none"}, "ResourceNotFoundException"),
        ({"SourceArn": "dlq"}, "ResourceNotFoundException"),
        (
            {"SourceArn": DLQ_ARN, "DestinationArn": QUEUE_ARN + "-none"},
            "ResourceNotFoundException",
        ),
        ({"SourceArn": DLQ_ARN, "MaxNumberOfMessagesPerSecond": 501}, "InvalidParameterValue"),
    ],
)
async def test_refusals(site: Site, asked: dict[str, Any], code: str) -> None:
    sqs = await site.client("sqs")
    assert await code_of(sqs.start_message_move_task(**asked)) == code


async def test_unknown_handles_and_queues(site: Site) -> None:
    sqs = await site.client("sqs")
    assert (
        await code_of(sqs.cancel_message_move_task(TaskHandle="x")) == "ResourceNotFoundException"
    )
    none = DLQ_ARN + "-none"
    assert await code_of(sqs.list_message_move_tasks(SourceArn=none)) == "ResourceNotFoundException"


async def test_it_can_be_absent_and_denied(site: Site) -> None:
    sqs = await site.client("sqs", "mallory")
    site.sim.set_knob("move_tasks", False)
    assert await code_of(sqs.start_message_move_task(SourceArn=DLQ_ARN)) == "UnsupportedOperation"
    site.sim.set_knob("move_tasks", True)
    site.sim.set_knob("deny", ("mallory:sqs:Start*",))
    assert await code_of(sqs.start_message_move_task(SourceArn=DLQ_ARN)) == "AccessDeniedException"

"""Conformance of the function: every trigger with what matters, with what does not, and damaged.

In one event loop with the simulator, so that nothing is replaced but AWS.
"""

import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitor.errors import MonitorError, Unreadable
from monitor.serverless.answering import NotDone
from monitor.serverless.container import Container
from monitor.simulator.server import Simulator
from tests import triggers
from tests.journey.conftest import ACCOUNT, REGION, Person, wrap
from tests.journey.functions import Here, container, document
from tests.journey.scene import client

DAMAGED = '{"Records": ["what is this'
BORING = json.dumps({
    "version": "0",
    "id": "1",
    "detail-type": "AWS API Call via CloudTrail",
    "source": "aws.s3",
    "detail": {"eventName": "PutObject", "eventSource": "s3.amazonaws.com"},
})  # fmt: skip


@pytest.fixture
async def function(simulator: Simulator) -> AsyncIterator[Container]:
    async with container(simulator) as made:
        yield made


async def put_log_file(simulator: Simulator, key: str, content: bytes) -> None:
    async with client(simulator, "s3", "admin") as s3:
        if triggers.BUCKET not in [one["Name"] for one in (await s3.list_buckets())["Buckets"]]:
            await s3.create_bucket(
                Bucket=triggers.BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
        await s3.put_object(Bucket=triggers.BUCKET, Key=key, Body=content)


def log_file(number: int) -> str:
    day = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/11/26"
    return f"{day}/{ACCOUNT}_CloudTrail_{REGION}_20261126T0915Z_AbCdEf012345678{number}.json.gz"


async def as_event(simulator: Simulator, trigger: str, *bodies: str) -> dict[str, Any]:
    """The event of a trigger around these bodies."""
    if trigger == "eventbridge":
        (body,) = bodies
        found: dict[str, Any] = json.loads(body)
        return found
    if trigger == "s3":
        keys = []
        for number, body in enumerate(bodies):
            record = json.loads(body).get("detail") if body != DAMAGED else None
            content = json.dumps({"Records": [record]}).encode() if record else b"broken"
            keys.append(log_file(number))
            packed = gzip.compress(content)
            await put_log_file(simulator, keys[-1], packed if record else packed[:-9])
        return triggers.s3(*keys)
    return triggers.BATCHES[trigger](*bodies)


async def harm(simulator: Simulator, people: Callable[[str], Person]) -> tuple[str, str]:
    """A key that was disabled, and the event that says so."""
    arn = await people("admin").create_key()
    await people("mallory").kms.disable_key(KeyId=arn)
    return arn, wrap(simulator.records[-1])


EVERY = ["eventbridge", "s3", *triggers.BATCHES]


@pytest.mark.parametrize("trigger", EVERY)
async def test_what_matters_is_acted_on_and_what_does_not_is_not(
    simulator: Simulator, people: Callable[[str], Person], function: Container, trigger: str
) -> None:
    arn, body = await harm(simulator, people)
    quiet = await as_event(simulator, trigger, BORING)
    well = [{"batchItemFailures": []}, {"done": 1}]
    assert await function.invoke(quiet, Here()) in well
    assert await people("admin").state(arn) == "Disabled"
    event = await as_event(simulator, trigger, body)
    assert await function.invoke(event, Here()) in well
    assert await people("admin").state(arn) == "Enabled"
    # The same again: found done, whatever happened to the key meanwhile.
    await people("admin").kms.disable_key(KeyId=arn)
    assert await function.invoke(event, Here()) in well
    assert await people("admin").state(arn) == "Disabled"


@pytest.mark.parametrize("trigger", [one for one in EVERY if one != "eventbridge"])
async def test_one_that_is_damaged_costs_only_itself(
    simulator: Simulator, people: Callable[[str], Person], function: Container, trigger: str
) -> None:
    arn, body = await harm(simulator, people)
    event = await as_event(simulator, trigger, DAMAGED, body)
    if trigger in {"sqs", "kinesis", "kinesis with logs"}:
        answer = await function.invoke(event, Here())
        name = "message-0" if trigger == "sqs" else event["Records"][0]["kinesis"]["sequenceNumber"]
        assert answer == {"batchItemFailures": [{"itemIdentifier": name}]}
    else:
        with pytest.raises(NotDone, match="1 of 2 not done, 1 of them unreadable"):
            await function.invoke(event, Here())
    assert await people("admin").state(arn) == "Enabled"


@pytest.mark.parametrize(
    "event", [{"detail": 5, "detail-type": 7}, {"eventSource": 1, "eventName": 2}]
)
async def test_a_damaged_event_is_given_back(function: Container, event: Any) -> None:
    with pytest.raises(NotDone, match="1 of 1 not done, 1 of them unreadable"):
        await function.invoke(event, Here())


@pytest.mark.parametrize("trigger", ["sns", "logs", "kinesis"])
async def test_a_failure_queue_keeps_what_cannot_be_read(
    simulator: Simulator, sqs: Any, trigger: str
) -> None:
    queue = {"failure_queue": {"url": simulator.dlq_url}}
    given = document(simulator)["function"] | queue
    async with container(simulator, function=given) as function:
        answer = await function.invoke(await as_event(simulator, trigger, DAMAGED), Here())
        assert answer in [{"batchItemFailures": []}, {"done": 1}]
        (message,) = (await sqs.receive_message(QueueUrl=simulator.dlq_url))["Messages"]
        body = message["Body"]
        assert (json.loads(body)["Message"] if trigger == "sns" else body) == DAMAGED
        # Where it cannot be put there, the call fails.
        simulator.set_knob("deny", ("kms-monitor:sqs:SendMessage",))
        event = await as_event(simulator, trigger, DAMAGED)
        if trigger == "kinesis":
            assert len((await function.invoke(event, Here()))["batchItemFailures"]) == 1
        else:
            with pytest.raises(NotDone):
                await function.invoke(event, Here())


async def test_a_queue_without_partial_batches_gets_all_of_it_back(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    arn, body = await harm(simulator, people)
    given = document(simulator)["function"] | {"partial_batches": False}
    async with container(simulator, function=given) as function:
        with pytest.raises(NotDone):
            await function.invoke(triggers.sqs(DAMAGED, body), Here())
        assert await people("admin").state(arn) == "Enabled"
        assert await function.invoke(triggers.sqs(body), Here()) == {"batchItemFailures": []}


async def test_a_topic_that_nobody_named_is_not_believed(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    arn, body = await harm(simulator, people)
    async with container(simulator, sns_topics=[]) as function:
        with pytest.raises(NotDone):
            await function.invoke(triggers.sns(body), Here())
    assert await people("admin").state(arn) == "Disabled"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"hello": "world"}, "unknown_trigger"),
        ({"Records": []}, "empty_batch"),
        ({"kms-monitor": "dance"}, "unknown_command"),
        ("text", "unknown_trigger"),
    ],
)
async def test_what_nobody_knows_is_said_and_refused(
    function: Container, event: Any, reason: str
) -> None:
    with capture_logs() as lines, pytest.raises(Unreadable) as refused:
        await function.invoke(event, Here())
    assert refused.value.reason == reason
    (line,) = [one for one in lines if one["log_level"] == "error"]
    assert reason in line["problem"]
    assert isinstance(refused.value, MonitorError)

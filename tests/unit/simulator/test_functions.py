"""Functions as Lambda calls them: by rules with retries, and by queues in batches."""

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from monitor.simulator.functions import Context, FunctionError
from monitor.simulator.handlers import find
from tests.journey.conftest import until
from tests.unit.simulator.site import Site

ACCOUNT, REGION = "111122223333", "eu-west-1"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/kms-monitor"


class Handler:
    """Fails as often as it is told to."""

    def __init__(self, failures: int = 0, answer: Any = None) -> None:
        self.failures = failures
        self.answer = answer
        self.events: list[Any] = []
        self.threads: set[int] = set()
        self.closed = False

    def __call__(self, event: Any, context: Context) -> Any:
        self.events.append(event)
        self.threads.add(threading.get_ident())
        assert 0 < context.get_remaining_time_in_millis() <= 60_000
        assert context.aws_request_id
        assert context.invoked_function_arn.endswith(":function:guard")
        if len(self.events) <= self.failures:
            raise ValueError("not today")
        return self.answer

    def close(self) -> None:
        self.closed = True


def deploy(site: Site, *handlers: Any, **given: Any) -> Any:
    return site.sim.functions.add("guard", *handlers, account=ACCOUNT, region=REGION, **given)


async def test_a_rule_calls_a_function_that_permits_it(site: Site) -> None:
    handler = Handler()
    function = deploy(site, handler)
    events = await site.client("events")
    await events.put_targets(Rule="kms-monitor", Targets=[{"Id": "f", "Arn": function.arn}])
    kms = await site.client("kms")
    arn = (await kms.create_key())["KeyMetadata"]["Arn"]
    await kms.disable_key(KeyId=arn)
    await site.sim.settle()
    assert handler.events == []  # nobody said that the rule may
    function.permitted.add(("events.amazonaws.com", RULE))
    await kms.enable_key(KeyId=arn)
    await site.sim.settle()
    await site.sim.functions.settle()
    (event,) = handler.events
    assert event["detail"]["eventName"] == "EnableKey"


async def test_what_a_rule_may_not_call_goes_to_its_dead_letters(site: Site) -> None:
    events, sqs = await site.client("events"), await site.client("sqs")
    dead = site.sim.queue_arn.replace(":kms-monitor", ":kms-monitor-dlq")
    missing = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:missing"
    target = {"Id": "f", "Arn": missing, "DeadLetterConfig": {"Arn": dead}}
    await events.put_targets(Rule="kms-monitor", Targets=[target])
    kms = await site.client("kms")
    await kms.disable_key(KeyId=(await kms.create_key())["KeyMetadata"]["Arn"])
    await site.sim.settle()
    (message,) = (await sqs.receive_message(QueueUrl=site.sim.dlq_url))["Messages"]
    assert json.loads(message["Body"])["detail"]["eventName"] == "DisableKey"


@pytest.mark.parametrize(("failures", "calls", "dead"), [(0, 1, 0), (2, 3, 0), (3, 3, 1)])
async def test_what_fails_is_tried_twice_more_and_then_dead(
    site: Site, failures: int, calls: int, dead: int
) -> None:
    site.sim.set_knob("retry_waits", (0.01, 0.01))
    handler = Handler(failures)
    letters = site.sim.queue_arn.replace(":kms-monitor", ":kms-monitor-dlq")
    function = deploy(site, handler, dead_letters=letters)
    function.permitted.add(("events.amazonaws.com", RULE))
    assert site.sim.functions.take(
        function.arn + ":live", '{"a": 1}', by="events.amazonaws.com", source=RULE
    )
    await site.sim.functions.settle()
    assert handler.events == [{"a": 1}] * calls
    assert [bool(call.error) for call in function.calls] == [True] * failures + [False] * (1 - dead)
    sqs = await site.client("sqs")
    found = (await sqs.receive_message(QueueUrl=site.sim.dlq_url)).get("Messages", [])
    assert [json.loads(one["Body"]) for one in found] == [{"a": 1}] * dead


async def test_only_json_is_taken(site: Site) -> None:
    function = deploy(site, Handler())
    function.permitted.add(("events.amazonaws.com", RULE))
    take = site.sim.functions.take
    assert not take(function.arn, "key lost", by="events.amazonaws.com", source=RULE)


async def test_as_many_calls_at_once_as_there_are_containers(site: Site) -> None:
    inside, most = [0], [0]

    def handler(_event: Any, _context: Context) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.05)
        inside[0] -= 1

    function = deploy(site, handler, handler)
    await asyncio.gather(*(function.invoke({}) for _ in range(6)))
    assert most[0] == 2


async def test_each_container_has_one_thread_and_is_ended(site: Site) -> None:
    handler = Handler()
    function = deploy(site, handler)
    for _ in range(3):
        await function.invoke({})
    assert len(handler.threads) == 1
    await site.sim.functions.close()
    assert handler.closed


async def test_a_call_that_takes_too_long_has_failed(site: Site) -> None:
    ended = threading.Event()
    function = deploy(site, lambda _event, _context: ended.wait(5), seconds=0.05)
    with pytest.raises(FunctionError, match="timed out"):
        await function.invoke({})
    ended.set()
    assert [call.error for call in function.calls] == ["Task timed out"]


async def test_what_is_no_json_is_a_failure(site: Site) -> None:
    function = deploy(site, lambda _event, _context: object())
    with pytest.raises(FunctionError, match="JSON serializable"):
        await function.invoke({})


async def test_a_queue_calls_a_function_and_takes_back_what_failed(site: Site) -> None:
    sqs = await site.client("sqs")
    url = (
        await sqs.create_queue(QueueName="events", Attributes={"VisibilityTimeout": "0"})
    )["QueueUrl"]  # fmt: skip
    for body in ("good", "bad"):
        await sqs.send_message(QueueUrl=url, MessageBody=body)
    seen: list[tuple[str, str]] = []

    def handler(event: Any, _context: Context) -> Any:
        failed = []
        for one in event["Records"]:
            count = one["attributes"]["ApproximateReceiveCount"]
            seen.append((one["body"], count))
            if one["body"] == "bad" and count == "1":
                failed.append({"itemIdentifier": one["messageId"]})
        return {"batchItemFailures": failed}

    function = deploy(site, handler)
    site.sim.functions.map_queue(f"arn:aws:sqs:{REGION}:{ACCOUNT}:events", function)
    await until(lambda: len(seen) == 3)
    assert seen == [("good", "1"), ("bad", "1"), ("bad", "2")]
    await asyncio.sleep(0.2)
    assert len(seen) == 3


@pytest.mark.parametrize("failing", [{"itemIdentifier": ""}, {"itemIdentifier": None}, {"id": "x"}])
async def test_a_failure_without_a_name_fails_the_whole_batch(site: Site, failing: Any) -> None:
    sqs = await site.client("sqs")
    url = (
        await sqs.create_queue(QueueName="events", Attributes={"VisibilityTimeout": "0"})
    )["QueueUrl"]  # fmt: skip
    await sqs.send_message(QueueUrl=url, MessageBody="one")
    handler = Handler(answer={"batchItemFailures": [failing]})
    site.sim.functions.map_queue(
        f"arn:aws:sqs:{REGION}:{ACCOUNT}:events", deploy(site, handler), batch_size=1
    )
    await until(lambda: len(handler.events) >= 2)


def test_handlers_are_found_by_name() -> None:
    found = find("monitor.serverless:handle")
    assert found.handler.__name__ == "handle"
    assert find("monitor.serverless.handle").handler is found.handler
    found.close()  # nothing was begun
    for name in ("nothing", "monitor.serverless:", ":handle", "monitor.nothing:x", "os:sep"):
        with pytest.raises(ValueError, match="--function"):
            find(name)

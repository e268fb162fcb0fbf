"""A function on the simulator: rules and queues call it, as Lambda would."""

import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import yaml

from monitor.serverless.container import Container
from monitor.serverless.entry import Function
from monitor.simulator.functions import Function as Deployed
from monitor.simulator.handlers import Named
from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION
from tests.journey.scene import client
from tests.tables import make_table
from tests.triggers import TOPIC

NAME = "kms-monitor"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{NAME}"


def document(simulator: Simulator, **changes: Any) -> dict[str, Any]:
    """Settings of a function that repairs and tells."""
    return {
        "mode": "enforce",
        "accounts": [{"id": ACCOUNT, "regions": [REGION]}],
        "responders": {
            "restore_key": {"doubt_seconds": 1},
            "sns": {"topic_arn": simulator.topic_arn},
        },
        "store": {"kind": "dynamodb", "table": NAME},
        "watched": {"discover": False},
        "function": {"begin_seconds": 1, "margin_seconds": 1},
    } | changes


def environment(given: Mapping[str, Any]) -> dict[str, str]:
    """As Lambda sets it; credentials are those of the process, which the simulator's tests set."""
    own = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return own | {"AWS_REGION": REGION, "KMS_MONITOR_SETTINGS": yaml.safe_dump(dict(given))}


async def with_table(simulator: Simulator) -> None:
    async with client(simulator, "dynamodb", "admin") as dynamodb:
        if NAME not in (await dynamodb.list_tables())["TableNames"]:
            await make_table(dynamodb)


class Here:
    """Lambda's context, for a call in this process."""

    aws_request_id = "request-1"
    invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{NAME}"

    def __init__(self, seconds: float = 60) -> None:
        self.ends_at = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self.ends_at - time.monotonic()) * 1000)


MORE: dict[str, Any] = {"sns_topics": [TOPIC], "verify_sns_signatures": False}


@asynccontextmanager
async def container(
    simulator: Simulator, *, table: bool = True, **changes: Any
) -> AsyncIterator[Container]:
    """The function in the event loop of the test."""
    if table:
        await with_table(simulator)
    made = Container(environment(document(simulator, **MORE | changes)), write=len)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def deployed(
    simulator: Simulator, *, containers: int = 1, seconds: float = 60, **changes: Any
) -> AsyncIterator[Deployed]:
    """The function behind the simulator's rule, in place of the queue, with the table made."""
    await with_table(simulator)
    given = environment(document(simulator, **changes))
    made = [Function(given) for _ in range(containers)]
    function = simulator.functions.add(
        NAME,
        *(Named(one.call, one.close) for one in made),
        account=ACCOUNT,
        region=REGION,
        seconds=seconds,
    )
    function.permitted.add(("events.amazonaws.com", RULE))
    async with client(simulator, "events", "admin") as events:
        await events.remove_targets(Rule=NAME, Ids=[NAME])
        await events.put_targets(Rule=NAME, Targets=[{"Id": "function", "Arn": function.arn}])
    try:
        yield function
    finally:
        await function.close()


async def told(simulator: Simulator, sqs: Any) -> list[dict[str, Any]]:
    """What people were told by the topic so far."""
    found = []
    while messages := (
        await sqs.receive_message(QueueUrl=simulator.topic_queue_url, MaxNumberOfMessages=10)
    ).get("Messages"):
        found += [json.loads(json.loads(one["Body"])["Message"]) for one in messages]
    return found

"""The table of the DynamoDB store, made of the very template that users deploy."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from aiobotocore.session import AioSession, get_session
from moto.dynamodb.models import dynamodb_backends

from monitor import aws_clients
from monitor.aws import Aws
from monitor.clock import Clock
from monitor.metrics import Metrics
from monitor.simulator.server import Simulator
from monitor.stores import items
from monitor.stores.dynamodb import DynamoDbStore

ACCOUNT, REGION = "111122223333", "eu-west-1"
TEMPLATE = Path(__file__).parents[1] / "deploy" / "aws" / "table.yaml"


class Loader(yaml.SafeLoader):
    """Reads `!Ref Name` and its like as `{Ref: Name}`."""


def short_form(loader: Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    assert isinstance(node, yaml.ScalarNode)
    return {name: loader.construct_scalar(node)}


Loader.add_multi_constructor("!", short_form)


@cache
def template() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader)
    return found


async def make_table(dynamodb: Any, name: str = "kms-monitor", **changes: Any) -> None:
    """As CloudFormation would: CreateTable, then what only a table that exists can be told."""
    given = dict(template()["Resources"]["Table"]["Properties"]) | {"TableName": name} | changes
    ttl, recovery = (
        given.pop("TimeToLiveSpecification"),
        given.pop("PointInTimeRecoverySpecification"),
    )
    # CloudFormation's name of `Enabled`; false stands for a key that AWS owns.
    given["SSESpecification"] = {"Enabled": given["SSESpecification"]["SSEEnabled"]}
    given = {name: value for name, value in given.items() if value is not None}
    await dynamodb.create_table(**given)
    if ttl is not None:
        await dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
    await dynamodb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification=recovery
    )


class SharedTable:
    """A table on the simulator, and stores that use it as replicas do."""

    def __init__(self, aws: Aws, dynamodb: Any) -> None:
        self.aws = aws
        self.dynamodb = dynamodb
        """An administrator's client."""

    async def open(self, clock: Clock, **given: Any) -> DynamoDbStore:
        store = DynamoDbStore(self.aws, clock, table="kms-monitor", region=REGION, **given)
        await store.look_at_shape()
        return store

    async def items(self) -> list[dict[str, Any]]:
        found = await self.dynamodb.scan(TableName="kms-monitor")
        return list(found["Items"])


@contextmanager
def simulator_beside() -> Iterator[str]:
    """A simulator with nothing on it, on a loop and thread of its own: the URL of its endpoint.

    To start one takes longer than most tests of a table.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulator")
    thread.start()

    def done(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    try:
        simulator = done(Simulator(seed=1).__aenter__())
        try:
            yield simulator.endpoint_url
        finally:
            done(simulator.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@cache
def session() -> AioSession:
    """For all clients, so that the model of DynamoDB is read once."""
    return get_session()


@asynccontextmanager
async def table_for_one(endpoint_url: str) -> AsyncIterator[SharedTable]:
    """The only table there, new and empty."""
    async with AsyncExitStack() as stack:
        # As in tests/journey/conftest.py: the daemon's user.
        own = {"AWS_ACCESS_KEY_ID": "kms-monitor", "AWS_SECRET_ACCESS_KEY": "any"}
        stack.enter_context(patch.dict(os.environ, own))
        stack.enter_context(patch.object(aws_clients, "get_session", session))
        admin = session().create_client(
            "dynamodb",
            region_name=REGION,
            endpoint_url=endpoint_url,
            aws_access_key_id="admin",
            aws_secret_access_key="any",
        )
        dynamodb: Any = await stack.enter_async_context(admin)
        # As if nobody had ever made one; by calls it would take as long as most tests do.
        dynamodb_backends[ACCOUNT][REGION].tables.clear()
        await make_table(dynamodb)
        aws = Aws(Metrics(), endpoint_url=endpoint_url)
        # moto answers one call after the other, on machines that have other things to do as well.
        stack.enter_context(patch.dict(aws_clients.SPECIAL, {"dynamodb": aws.config}))
        stack.enter_context(patch.object(items, "SLOWEST", 60.0))
        yield SharedTable(await stack.enter_async_context(aws), dynamodb)

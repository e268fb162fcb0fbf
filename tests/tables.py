"""The table of the DynamoDB store, made of the very template that users deploy."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from aiobotocore.session import get_session

from monitor import aws_clients
from monitor.aws import Aws
from monitor.clock import Clock
from monitor.metrics import Metrics
from monitor.simulator.server import Simulator
from monitor.stores import items
from monitor.stores.dynamodb import DynamoDbStore

TEMPLATE = Path(__file__).parents[1] / "deploy" / "aws" / "table.yaml"


class Loader(yaml.SafeLoader):
    """Reads `!Ref Name` and its like as `{Ref: Name}`."""


def short_form(loader: Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    assert isinstance(node, yaml.ScalarNode)
    return {name: loader.construct_scalar(node)}


Loader.add_multi_constructor("!", short_form)


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

    def __init__(self, simulator: Simulator, aws: Aws, dynamodb: Any) -> None:
        self.simulator = simulator
        self.aws = aws
        self.dynamodb = dynamodb
        """An administrator's client."""

    async def open(self, clock: Clock, **given: Any) -> DynamoDbStore:
        store = DynamoDbStore(self.aws, clock, table="kms-monitor", region="eu-west-1", **given)
        await store.look_at_shape()
        return store

    async def items(self) -> list[dict[str, Any]]:
        found = await self.dynamodb.scan(TableName="kms-monitor")
        return list(found["Items"])


@asynccontextmanager
async def table_for_one(**changes: Any) -> AsyncIterator[SharedTable]:
    """A simulator with nothing on it but the table."""
    async with Simulator(seed=1) as simulator, AsyncExitStack() as stack:
        # As in tests/journey/conftest.py: the daemon's user.
        own = {"AWS_ACCESS_KEY_ID": "kms-monitor", "AWS_SECRET_ACCESS_KEY": "any"}
        stack.enter_context(patch.dict(os.environ, own))
        admin = get_session().create_client(
            "dynamodb",
            region_name="eu-west-1",
            endpoint_url=simulator.endpoint_url,
            aws_access_key_id="admin",
            aws_secret_access_key="any",
        )
        dynamodb: Any = await stack.enter_async_context(admin)
        await make_table(dynamodb, **changes)
        aws = Aws(Metrics(), endpoint_url=simulator.endpoint_url)
        # moto answers one call after the other, on machines that have other things to do as well.
        stack.enter_context(patch.dict(aws_clients.SPECIAL, {"dynamodb": aws.config}))
        stack.enter_context(patch.object(items, "SLOWEST", 60.0))
        yield SharedTable(simulator, await stack.enter_async_context(aws), dynamodb)

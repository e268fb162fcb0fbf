"""The template of the serverless form is deployed: its rules call the function that it makes, with its settings."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from monitor.serverless.entry import Function
from monitor.simulator.functions import Function as Deployed
from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION, until
from tests.journey.test_stack import (
    KINDS_ELSEWHERE,
    Door,
    deployed,
    without_the_simulators_own_rule,
)
from tests.stacks import Stack, template

MEMBER, EXTERNAL_ID = "444455556666", "a-long-random-word"
CODE = {"CodeBucket": "code", "CodeKey": "kms-monitor-python3.13-arm64.zip"}


@pytest.fixture
async def door(simulator: Simulator) -> AsyncIterator[Door]:
    async with AsyncExitStack() as stack:
        yield Door(simulator, stack)


class Made:
    """A stack with its function, which has the environment that the template gives it."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.containers: list[Function] = []
        self.function: Deployed | None = None

    def make(self, properties: dict[str, Any], callers: set[tuple[str, str]]) -> None:
        assert properties["Handler"] == "monitor.serverless.handle"
        own = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        variables = properties["Environment"]["Variables"]
        container = Function(own | {"AWS_REGION": REGION} | variables)
        self.containers.append(container)
        self.function = self.simulator.functions.add(
            properties["FunctionName"],
            container.call,
            account=ACCOUNT,
            region=REGION,
            seconds=properties["Timeout"],
            dead_letters=properties["DeadLetterConfig"]["TargetArn"],
        )
        self.function.permitted |= callers

    async def deploy(self, door: Door, **given: str) -> Stack:
        clients = await door.clients(ACCOUNT, REGION)
        config = await door.client("config", ACCOUNT, REGION)

        def client(service: str) -> Any:
            return config if service == "config" else clients(service)

        await without_the_simulators_own_rule(client)
        stack = Stack(
            template("serverless"),
            ACCOUNT,
            REGION,
            **{"Name": "guard", "Mode": "enforce"} | CODE | given,
        )
        assert await stack.deploy(client, self.make) <= KINDS_ELSEWHERE
        return stack

    async def close(self) -> None:
        await self.simulator.settle()
        await self.simulator.functions.settle()
        for one in self.containers:
            await asyncio.to_thread(one.close)


@pytest.fixture
async def made(simulator: Simulator) -> AsyncIterator[Made]:
    made = Made(simulator)
    yield made
    await made.close()


@pytest.mark.timeout(120)
async def test_one_stack_and_an_attack(simulator: Simulator, door: Door, made: Made) -> None:
    """Without a daemon or a queue: a key that is taken away comes back, and people are told."""
    stack = await made.deploy(door)
    sqs = await door.client("sqs", ACCOUNT, REGION)
    sns = await door.client("sns", ACCOUNT, REGION)
    # Somebody who reads what people are told.
    told = (await sqs.create_queue(QueueName="told"))["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:told"
    await sns.subscribe(TopicArn=stack.outputs()["TopicArn"], Protocol="sqs", Endpoint=arn)
    kms = await door.client("kms", ACCOUNT, REGION)
    key = str((await kms.create_key())["KeyMetadata"]["Arn"])
    await kms.schedule_key_deletion(KeyId=key)
    await until(lambda: simulator.kms.state_of(key) == "Enabled", 30)
    await simulator.settle()
    await simulator.functions.settle()
    assert made.function is not None
    assert {call.error for call in made.function.calls} == {""}
    answer = await sqs.receive_message(QueueUrl=told, WaitTimeSeconds=5, MaxNumberOfMessages=10)
    assert any(key in one["Body"] for one in answer["Messages"])
    dynamodb = await door.client("dynamodb", ACCOUNT, REGION)
    assert (await dynamodb.scan(TableName="guard"))["Count"] > 0


async def test_nobody_but_its_rules_may_call_it(door: Door, made: Made) -> None:
    stack = await made.deploy(door)
    assert made.function is not None
    rules = {f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}" for name in names_of(stack)}
    assert {source for _, source in made.function.permitted} == rules
    assert {service for service, _ in made.function.permitted} == {"events.amazonaws.com"}


def names_of(stack: Stack) -> set[str]:
    rules = stack.resources("Events::Rule").values()
    return {f"{one.get('EventBusName', '')}/{one['Name']}".lstrip("/") for one in rules}


async def test_a_member_account_sends_its_events_to_the_function(
    simulator: Simulator, door: Door, made: Made
) -> None:
    """By the same second template as for the daemon."""
    await made.deploy(door, Members=MEMBER)
    there = {"Home": ACCOUNT, "HomeRegion": REGION, "ExternalId": EXTERNAL_ID, "RolesIn": REGION}
    await deployed(door, "member", MEMBER, REGION, **there)
    kms = await door.client("kms", MEMBER, REGION)
    key = str((await kms.create_key())["KeyMetadata"]["Arn"])
    await kms.disable_key(KeyId=key)
    assert made.function is not None
    calls = made.function.calls
    await until(lambda: any("DisableKey" in str(one.event) for one in calls), 20)


async def test_the_same_function_is_the_rule_of_aws_config(
    simulator: Simulator, door: Door, made: Made
) -> None:
    """In mode observe: the rule judges, and nothing is put back."""
    await simulator.record()
    await made.deploy(door, ConfigRule="yes", Mode="observe", Name="kms-monitor")
    kms = await door.client("kms", ACCOUNT, REGION)
    key = (await kms.create_key())["KeyMetadata"]["KeyId"]
    config = await door.client("config", ACCOUNT, REGION)

    async def is_now(verdict: str) -> None:
        async def so() -> bool:
            answer = await config.get_compliance_details_by_config_rule(
                ConfigRuleName="kms-monitor"
            )
            return any(
                one["ComplianceType"] == verdict
                and one["EvaluationResultIdentifier"]["EvaluationResultQualifier"]["ResourceId"]
                == key
                for one in answer["EvaluationResults"]
            )

        await until(so, 20)

    await is_now("COMPLIANT")
    await kms.disable_key(KeyId=key)
    await is_now("NON_COMPLIANT")
    assert (await kms.describe_key(KeyId=key))["KeyMetadata"]["KeyState"] == "Disabled"


async def test_what_it_cannot_read_lies_in_its_queue(
    simulator: Simulator, door: Door, made: Made
) -> None:
    stack = await made.deploy(door)
    simulator.functions.retry_waits = (0.0, 0.0)
    assert made.function is not None
    source = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/guard-1"
    assert simulator.functions.take(
        made.function.arn, '{"what": "is this"}', by="events.amazonaws.com", source=source
    )
    await simulator.functions.settle()
    sqs = await door.client("sqs", ACCOUNT, REGION)
    url = stack.outputs()["DeadLettersUrl"]
    (one,) = (await sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2))["Messages"]
    assert one["Body"] == '{"what": "is this"}'


async def test_the_schedule_says_what_the_function_understands(door: Door, made: Made) -> None:
    stack = await made.deploy(door)
    assert stack.scheduled() == {"guard-sweep": {"kms-monitor": "sweep"}}

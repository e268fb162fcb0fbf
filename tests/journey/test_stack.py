"""The templates in deploy/aws are deployed, and the daemon is started with the settings that come out."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiobotocore.session import get_session

from monitor.app import App
from monitor.settings import Settings
from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION, daemon, until
from tests.stacks import Client, Stack, template

MEMBER, SECOND = "444455556666", "us-east-1"
EXTERNAL_ID = "a-long-random-word"
ROLE = f"arn:aws:iam::{MEMBER}:role/guard"
KINDS_ELSEWHERE = {"CloudWatch::Alarm", "Events::EventBusPolicy"}
"""What the simulator does not know; tests/unit/test_stack.py reads them."""

Clients = Callable[[str, str, str], Any]
"""Somebody's AWS client: service, account and Region."""


class Door:
    """Clients of an administrator of any account."""

    def __init__(self, simulator: Simulator, stack: AsyncExitStack) -> None:
        self.simulator = simulator
        self.stack = stack
        self.session: Any = get_session()
        self.credentials: dict[str, dict[str, str]] = {
            ACCOUNT: {"aws_access_key_id": "admin", "aws_secret_access_key": "any"}
        }

    async def client(self, service: str, account: str, region: str) -> Any:
        if account not in self.credentials:
            sts = await self.client("sts", ACCOUNT, REGION)
            role = f"arn:aws:iam::{account}:role/admin"
            given = (await sts.assume_role(RoleArn=role, RoleSessionName="admin"))["Credentials"]
            self.credentials[account] = {
                "aws_access_key_id": given["AccessKeyId"],
                "aws_secret_access_key": given["SecretAccessKey"],
                "aws_session_token": given["SessionToken"],
            }
        made = self.session.create_client(
            service, region, endpoint_url=self.simulator.endpoint_url, **self.credentials[account]
        )
        return await self.stack.enter_async_context(made)

    async def clients(self, account: str, region: str) -> Client:
        services = ("kms", "sqs", "sns", "dynamodb", "iam", "events")
        found = {one: await self.client(one, account, region) for one in services}
        return found.__getitem__


@pytest.fixture
async def door(simulator: Simulator) -> AsyncIterator[Door]:
    async with AsyncExitStack() as stack:
        yield Door(simulator, stack)


async def without_the_simulators_own_rule(client: Client) -> None:
    await client("events").remove_targets(Rule="kms-monitor", Ids=["kms-monitor"])
    await client("events").delete_rule(Name="kms-monitor")


async def deployed(door: Door, kind: str, account: str, region: str, **given: str) -> Stack:
    client = await door.clients(account, region)
    await without_the_simulators_own_rule(client)
    stack = Stack(template(kind), account, region, **{"Name": "guard", "Mode": "enforce"} | given)
    assert await stack.deploy(client) <= KINDS_ELSEWHERE
    return stack


def settings_of(home: Stack, **changes: Any) -> Settings:
    """What the stack prints, with what only a test wants: an own port, and no waiting."""
    document = yaml.safe_load(home.outputs()["Settings"])
    document["responders"]["restore_key"] = {"doubt_seconds": 1}
    document["queues"][0]["wait_seconds"] = 1
    return Settings.model_validate(document | {"web": {"port": 0}} | changes)


def total(app: App, name: str, **labels: str) -> float:
    samples = (one for family in app.metrics.registry.collect() for one in family.samples)
    return sum(
        one.value
        for one in samples
        if one.name == f"kms_monitor_{name}" and labels.items() <= one.labels.items()
    )


async def test_one_stack_and_an_attack(simulator: Simulator, door: Door, tmp_path: Path) -> None:
    """The settings as they are printed are enough: a key that is taken away comes back."""
    home = await deployed(door, "home", ACCOUNT, REGION)
    kms = await door.client("kms", ACCOUNT, REGION)
    arn = str((await kms.create_key())["KeyMetadata"]["Arn"])
    async with daemon(settings_of(home)) as app:
        await until(lambda: not app.readiness(), 20)
        await kms.schedule_key_deletion(KeyId=arn)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled", 20)
        await until(lambda: total(app, "actions_total", responder="sns", outcome="done") >= 1)
        # The canary's event comes through the rules, too.
        await until(lambda: total(app, "last_canary_timestamp_seconds") > 0, 20)
        assert total(app, "findings_total", detector="place_unwatched") == 0
    dynamodb = await door.client("dynamodb", ACCOUNT, REGION)
    assert (await dynamodb.scan(TableName="guard"))["Count"] > 0


@pytest.mark.timeout(120)
async def test_other_regions_and_accounts_send_their_events_home(
    simulator: Simulator, door: Door
) -> None:
    """A Region and a member account: by their rules, the bus, its rule, and the role that is assumed."""
    regions = f"{REGION},{SECOND}"
    home = await deployed(door, "home", ACCOUNT, REGION, Members=MEMBER, Regions=regions)
    there = {"Home": ACCOUNT, "HomeRegion": REGION, "ExternalId": EXTERNAL_ID, "Regions": regions}
    await deployed(door, "member", ACCOUNT, SECOND, RolesIn=SECOND, **there)
    for region in (REGION, SECOND):
        await deployed(door, "member", MEMBER, region, RolesIn=REGION, **there)
    simulator.identities.external_id = EXTERNAL_ID
    keys = {}
    for place in ((ACCOUNT, SECOND), (MEMBER, REGION), (MEMBER, SECOND)):
        kms = await door.client("kms", *place)
        keys[str((await kms.create_key())["KeyMetadata"]["Arn"])] = kms
    accounts = [
        {"id": ACCOUNT, "regions": [REGION, SECOND]},
        {
            "id": MEMBER,
            "regions": [REGION, SECOND],
            "role_arn": ROLE,
            "external_id": EXTERNAL_ID,
        },
    ]
    async with daemon(settings_of(home, accounts=accounts)) as app:
        await until(lambda: not app.readiness(), 30)
        for arn, kms in keys.items():
            await kms.disable_key(KeyId=arn)
        await until(lambda: {simulator.kms.state_of(arn) for arn in keys} == {"Enabled"}, 30)
        await until(lambda: total(app, "findings_total", detector="key_disabled") == len(keys))
        # The inventory follows the same roads, and finds all of them.
        assert total(app, "findings_total", detector="place_unwatched") == 0
        assert total(app, "findings_total", detector="place_silent") == 0


async def test_rules_of_global_services_alone(simulator: Simulator, door: Door) -> None:
    """us-east-1 without guarded keys: what is done to the daemon's role is told of all the same."""
    home = await deployed(door, "home", ACCOUNT, REGION)
    await deployed(
        door,
        "member",
        ACCOUNT,
        SECOND,
        Home=ACCOUNT,
        HomeRegion=REGION,
        ExternalId=EXTERNAL_ID,
        RolesIn=SECOND,
        Events="global",
    )
    # Here the daemon is a user; in AWS it would be that role, and would know.
    watched = {"roles": [home.outputs()["RoleArn"]]}
    iam = await door.client("iam", ACCOUNT, SECOND)
    await simulator.settle()
    async with daemon(settings_of(home, watched=watched)) as app:
        await until(lambda: not app.readiness(), 20)

        def told() -> float:
            return total(app, "findings_total", detector="our_rights_changed", severity="critical")

        assert told() == 0
        await iam.delete_role_policy(RoleName="guard", PolicyName="Repair")
        await until(told)

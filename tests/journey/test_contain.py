"""Who damages a key loses the means to go on: against IAM's policies, which the simulator enforces."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from monitor.app import App
from monitor.cli import app as command
from monitor.settings import Settings
from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION, Person, daemon, settings_for, until, wrap
from tests.journey.scene import SESSION, client, denied

ROLE = f"arn:aws:iam::{ACCOUNT}:role/teams/deployer"
MALLORY = f"arn:aws:iam::{ACCOUNT}:user/mallory"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
        ],
    }
)


@pytest.fixture
async def iam(simulator: Simulator) -> AsyncIterator[Any]:
    """IAM, where the user mallory and the role deployer exist."""
    async with client(simulator, "iam", "admin") as iam:
        await iam.create_user(UserName="mallory")
        await iam.create_role(RoleName="deployer", Path="/teams/", AssumeRolePolicyDocument=TRUST)
        yield iam


async def assumed(simulator: Simulator, stack: AsyncExitStack, *, who: str = "mallory") -> Any:
    """KMS for a new session of the role."""
    async with client(simulator, "sts", who) as sts:
        found = (await sts.assume_role(RoleArn=ROLE, RoleSessionName="night-shift"))["Credentials"]
    made = SESSION.create_client(
        "kms",
        region_name=REGION,
        endpoint_url=simulator.endpoint_url,
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
    )
    return await stack.enter_async_context(made)


def settings(simulator: Simulator, tmp_path: Path, **options: Any) -> Settings:
    given = {"dry_run": False, "min_severity": "high", "history_seconds": 2} | options
    return settings_for(
        simulator,
        tmp_path,
        responders={
            "restore_key": {"doubt_seconds": 0},
            "sns": {"topic_arn": simulator.topic_arn},
            "contain": given,
        },
    )


def outcome(app: App, name: str) -> float:
    labels = {"responder": "contain", "outcome": name}
    return app.metrics.registry.get_sample_value("kms_monitor_actions_total", labels) or 0.0


async def test_a_user_is_denied_and_told_of_and_released_by_one_command(
    simulator: Simulator,
    people: Callable[[str], Person],
    iam: Any,
    sqs: Any,
    tmp_path: Path,
) -> None:
    arn = await people("admin").create_key()
    mallory = people("mallory").kms
    given = settings(simulator, tmp_path)
    async with daemon(given) as app:
        await mallory.disable_key(KeyId=arn)
        await until(lambda: outcome(app, "done") == 1)
        assert simulator.kms.state_of(arn) == "Enabled"
        await denied(mallory.disable_key(KeyId=arn))
        await denied(mallory.list_keys())
    (name,) = (await iam.list_user_policies(UserName="mallory"))["PolicyNames"]
    assert name.startswith("kms-monitor-contain-")
    page = json.loads(json.loads((await one_message(sqs, simulator))["Body"])["Message"])
    assert name == f"kms-monitor-contain-{page['incident']['id']}"
    actions = {one["responder"]: one for one in page["actions"]}
    assert list(actions) == ["restore_key", "contain"]
    assert actions["contain"]["calls"] == ["PutUserPolicy"]
    assert f"kms-monitor contain release {MALLORY}" in actions["contain"]["detail"]
    assert page["outcome"] == "done"

    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(given.model_dump(mode="json", exclude_none=True)))
    listed = await run(file, "list", "--json")
    assert [json.loads(line) for line in listed.splitlines()] == [
        {"arn": MALLORY, "policies": [name]}
    ]
    assert "released" in await run(file, "release", MALLORY)
    assert "nobody is contained" in await run(file, "list")
    await mallory.list_keys()


async def one_message(sqs: Any, simulator: Simulator) -> Any:
    answer = await sqs.receive_message(QueueUrl=simulator.topic_queue_url, WaitTimeSeconds=5)
    return answer["Messages"][0]


async def run(file: Path, *words: str) -> str:
    """The command, in a thread: it has a loop of its own, and the simulator lives in this one."""
    arguments = ["contain", *words, "--config", str(file)]
    result = await asyncio.to_thread(CliRunner().invoke, command, arguments)
    assert result.exit_code == 0, result.output
    return result.output


async def test_older_sessions_of_a_role_end_and_new_ones_work(
    simulator: Simulator, people: Callable[[str], Person], iam: Any, tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    async with AsyncExitStack() as stack:
        thief = await assumed(simulator, stack)
        sibling = await assumed(simulator, stack)
        async with daemon(settings(simulator, tmp_path)) as app:
            await thief.disable_key(KeyId=arn)
            await until(lambda: outcome(app, "done") == 1)
        await denied(thief.list_keys())
        await denied(sibling.list_keys())
        (name,) = (await iam.list_role_policies(RoleName="deployer"))["PolicyNames"]
        document = (await iam.get_role_policy(RoleName="deployer", PolicyName=name))[
            "PolicyDocument"
        ]
        (statement,) = document["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Action"] == statement["Resource"] == ["*"]
        assert list(statement["Condition"]["DateLessThan"]) == ["aws:TokenIssueTime"]
        await asyncio.sleep(1.1)  # the moment is a whole second
        fresh = await assumed(simulator, stack, who="admin")
        await fresh.list_keys()


@pytest.mark.parametrize(
    "case",
    [
        ({"dry_run": True}, "would"),
        ({"break_glass": [MALLORY[:-3] + "*"]}, "refused"),
    ],
)
async def test_nobody_is_touched(
    simulator: Simulator,
    people: Callable[[str], Person],
    iam: Any,
    tmp_path: Path,
    case: tuple[dict[str, Any], str],
) -> None:
    options, ends = case
    arn = await people("admin").create_key()
    async with daemon(settings(simulator, tmp_path, **options)) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: outcome(app, ends) == 1)
    assert not (await iam.list_user_policies(UserName="mallory"))["PolicyNames"]
    await people("mallory").kms.list_keys()


async def test_less_severe_damage_is_none_of_its_business(
    simulator: Simulator, people: Callable[[str], Person], iam: Any, tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    async with daemon(settings(simulator, tmp_path, min_severity="critical")) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: restored(app) == 1)
    assert not any(outcome(app, one) for one in ("done", "would", "refused", "already", "retry"))


def restored(app: App) -> float:
    labels = {"responder": "restore_key", "outcome": "done"}
    return app.metrics.registry.get_sample_value("kms_monitor_actions_total", labels) or 0.0


async def test_a_forged_message_locks_nobody_out(
    simulator: Simulator,
    people: Callable[[str], Person],
    iam: Any,
    sqs: Any,
    tmp_path: Path,
) -> None:
    """It names a real, damaged key and a user who had nothing to do with it."""
    await iam.create_user(UserName="victim")
    arn = await people("admin").create_key()
    simulator.set_knob("delay", (90.0, 90.0))
    async with daemon(settings(simulator, tmp_path)) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        record = dict(simulator.records[-1])
        assert record["eventName"] == "DisableKey"
        identity = dict(record["userIdentity"])
        identity |= {"arn": f"arn:aws:iam::{ACCOUNT}:user/victim", "userName": "victim"}
        forged = wrap(record | {"userIdentity": identity})
        await sqs.send_message(QueueUrl=simulator.queue_url, MessageBody=forged)
        await until(lambda: restored(app) == 1, 20)
        await until(lambda: outcome(app, "unconfirmed") == 1, 45)
    assert not (await iam.list_user_policies(UserName="victim"))["PolicyNames"]


async def test_we_never_contain_ourselves(
    simulator: Simulator, people: Callable[[str], Person], iam: Any, tmp_path: Path
) -> None:
    """Though somebody else may be it who damages with our own keys, which is repaired all the same."""
    await iam.create_user(UserName="kms-monitor")
    arn = await people("admin").create_key()
    async with (
        daemon(settings(simulator, tmp_path)) as app,
        client(simulator, "kms", "kms-monitor") as stolen,
    ):
        await stolen.disable_key(KeyId=arn)
        await until(lambda: restored(app) == 1)
        await until(lambda: outcome(app, "refused") == 1)
    assert not (await iam.list_user_policies(UserName="kms-monitor"))["PolicyNames"]


async def test_so_many_within_an_hour_and_no_more(
    simulator: Simulator, people: Callable[[str], Person], iam: Any, tmp_path: Path
) -> None:
    first, second = await people("admin").create_key(), await people("admin").create_key()
    await iam.create_user(UserName="trudy")
    async with (
        daemon(settings(simulator, tmp_path, principals_per_hour=1)) as app,
        client(simulator, "kms", "trudy") as trudy,
    ):
        await people("mallory").kms.disable_key(KeyId=first)
        await until(lambda: outcome(app, "done") == 1)
        await trudy.disable_key(KeyId=second)
        await until(lambda: outcome(app, "refused") == 1)
        labels = {"budget": "containment"}
        assert (
            app.metrics.registry.get_sample_value("kms_monitor_budget_refusals_total", labels) == 1
        )
        assert simulator.kms.state_of(second) == "Enabled"
    assert not (await iam.list_user_policies(UserName="trudy"))["PolicyNames"]


async def test_without_the_right_it_is_told_as_denied(
    simulator: Simulator, people: Callable[[str], Person], iam: Any, tmp_path: Path
) -> None:
    simulator.set_knob("deny", ("kms-monitor:iam:Put*",))
    arn = await people("admin").create_key()
    async with daemon(settings(simulator, tmp_path)) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: outcome(app, "denied") == 1)
        assert simulator.kms.state_of(arn) == "Enabled"
    assert not (await iam.list_user_policies(UserName="mallory"))["PolicyNames"]
